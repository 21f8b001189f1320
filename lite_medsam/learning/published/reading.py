"""Published checkpoints: which model a file holds, and its weights, exactly those or none."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.families import FAMILIES, PublishedSegmenter, expected_shapes, family_spec, get_family
from lite_medsam.learning.published.checkpoint_file import PARTS, SHOWN_KEYS, is_counter, read_state
from lite_medsam.model.spec import ModelSpec, sha256_of

MEDSAM_SHA256 = "34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74"
ENCODER, DECODERS = PARTS[0], PARTS[1:]


@dataclass(frozen=True)
class Published:
    """A recognised checkpoint.

    Attributes:
        family: Key of FAMILIES.
        why: How the family was told apart from others, for people.
        wrapping: How the state dict lay in the file, for people.
        state: Parameters and buffers by published name, exactly those of the family.
    """

    family: str
    why: str
    wrapping: str
    state: dict[str, Tensor]


def load_published(
    path: str | os.PathLike, family: str = "auto", decoder: str | os.PathLike | None = None
) -> Published:
    """Reads a checkpoint file and recognises its family.

    Args:
        path: A .pth, .pt, .ckpt or .safetensors file; its content decides, not its name.
        family: Key of FAMILIES that it must be; "auto" to recognise it. SAM ViT-B and MedSAM have the same layout: "auto"
            calls a file MedSAM if it is the published one, or if its name says so.
        decoder: A second checkpoint that gives prompt encoder and mask decoder to a file that holds an image encoder only.

    Raises:
        WeightsError: If the file is damaged, would have to run code, or fits no family exactly.
    """
    path = Path(path)
    state, wrapping = read_state(path)
    if not any(name.startswith(DECODERS) for name in state):
        state, wrapping = _with_decoder(state, wrapping, path, decoder)
    elif decoder is not None:
        raise WeightsError(f"--decoder is for files with an image encoder only, but {path} has its own; leave it out")
    found, why = _recognise(state, path, family)
    family_state = _without_unused(state, found)
    bad = [name for name, value in family_state.items() if not torch.isfinite(value).all()]
    if bad:
        raise WeightsError(f"{path} must hold finite numbers, got NaN or infinity in {bad[0]}; the training failed")
    return Published(found, why, wrapping, family_state)


def published_model(published: Published, spec: ModelSpec | None = None) -> PublishedSegmenter:
    """The torch model of a checkpoint, in evaluation mode.

    Args:
        published: What was read.
        spec: Says at what size it runs; as published by default.
    """
    with torch.random.fork_rng(devices=[]):
        model = PublishedSegmenter(spec or family_spec(published.family))
    counters = {k: torch.zeros((), dtype=torch.int64) for k in model.state_dict() if is_counter(k)}
    model.load_state_dict({**counters, **published.state})
    return model.eval()


def published_state(model: PublishedSegmenter) -> dict[str, Tensor]:
    """A model's state dict as the original code loads it: its names, contiguous, with the counters of the training.

    The counters are not kept in a model directory and evaluation never reads them; they are 0.
    """
    return {name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}


def _with_decoder(
    state: dict[str, Tensor], wrapping: str, path: Path, decoder: str | os.PathLike | None
) -> tuple[dict[str, Tensor], str]:
    """A file that holds an image encoder only, completed with the rest of another checkpoint."""
    encoder = {name if name.startswith(ENCODER) else ENCODER + name: value for name, value in state.items()}
    fits = {
        f: _matches(encoder, {k: s for k, s in expected_shapes(f).items() if k.startswith(ENCODER)}) for f in FAMILIES
    }
    best = max(fits, key=fits.__getitem__)
    if fits[best] < 0.5:
        return state, wrapping  # not an encoder either: the error of recognition says what it is nearest to
    if decoder is None:
        raise WeightsError(
            f"{path} holds the image encoder of {get_family(best).title} only; add the prompt encoder and mask decoder of "
            "a whole checkpoint with --decoder FILE"
        )
    rest, _ = read_state(decoder)
    rest = {name: value for name, value in rest.items() if name.startswith(DECODERS)}
    if not rest:
        raise WeightsError(f"--decoder must be a checkpoint with a mask decoder, got {decoder}; give a whole model")
    return {**encoder, **rest}, f"{wrapping}, image encoder only, the rest from {Path(decoder).name}"


def _recognise(state: dict[str, Tensor], path: Path, family: str) -> tuple[str, str]:
    candidates = list(FAMILIES) if family == "auto" else [family]
    if family != "auto":
        get_family(family)
    exact = [name for name in candidates if not any(_differences(state, name))]
    if family != "auto" and exact:
        return family, "as asked for"
    if exact == ["medsam_vit_b", "sam_vit_b"]:
        if sha256_of(path) == MEDSAM_SHA256:
            return "medsam_vit_b", "the published MedSAM file"
        if "medsam" in path.name.lower():
            return "medsam_vit_b", "by its name: MedSAM and SAM ViT-B have the same layout, --family decides"
        return "sam_vit_b", "MedSAM has the same layout and the name does not say so, --family decides"
    if exact:
        return exact[0], "by its layout"
    message = _mismatch(state, path, candidates)
    fitting = [name for name in FAMILIES if not any(_differences(state, name))]
    if fitting:
        message += f"; it is a {get_family(fitting[-1]).title}: leave --family out"
    raise WeightsError(message)


def _matches(state: Mapping[str, Tensor], shapes: Mapping[str, tuple]) -> float:
    """Share of a layout's parameters that are there with the right shape."""
    wanted = [name for name in shapes if not is_counter(name)]
    return sum(name in state and tuple(state[name].shape) == shapes[name] for name in wanted) / max(1, len(wanted))


def _without_unused(state: Mapping[str, Tensor], family: str) -> dict[str, Tensor]:
    unused = get_family(family).unused
    return {name: value for name, value in state.items() if not (unused and name.startswith(unused))}


def _differences(state: Mapping[str, Tensor], family: str) -> tuple[list[str], list[str], list[str]]:
    """Missing and unexpected names, and names with another shape, against a family."""
    shapes = {name: shape for name, shape in expected_shapes(family).items() if not is_counter(name)}
    given = _without_unused(state, family)
    missing = [name for name in shapes if name not in given]
    unexpected = [name for name in given if name not in shapes]
    reshaped = [name for name in shapes if name in given and tuple(given[name].shape) != shapes[name]]
    return missing, unexpected, reshaped


def _mismatch(state: Mapping[str, Tensor], path: Path, candidates: list[str]) -> str:
    scores = {name: _matches(state, expected_shapes(name)) for name in candidates}
    nearest = max(scores, key=scores.__getitem__)
    title = get_family(nearest).title
    if scores[nearest] == 0:
        shown = ", ".join(list(state)[:SHOWN_KEYS])
        known = ", ".join(family.title for family in FAMILIES.values())
        return f"{path} must be a checkpoint of {known}; nothing in it matches, it holds {shown}"
    missing, unexpected, reshaped = _differences(state, nearest)
    parts = [f"nearest is {title} with {scores[nearest]:.0%} of its parameters"]
    for label, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            parts.append(f"{len(names)} {label}: {', '.join(names[:SHOWN_KEYS])}")
    if reshaped:
        shapes = expected_shapes(nearest)
        differ = [f"{k} is {tuple(state[k].shape)}, not {shapes[k]}" for k in reshaped[:SHOWN_KEYS]]
        parts.append(f"{len(reshaped)} of another shape: {', '.join(differ)}")
    return f"{path} must fit a known architecture exactly; " + "; ".join(parts)
