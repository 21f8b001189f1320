"""From cases to an exported specialist."""

import dataclasses
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.errors import WeightsError
from lite_medsam.evaluation.specialist import (
    GRAPH_FILE,
    SpecialistSegmenter,
    SpecialistSpec,
    save_specialist_spec,
)
from lite_medsam.learning.data.labelled_image import LabelledImage, load_images
from lite_medsam.learning.finetuning.data import SPLIT, Division, divide, evenly
from lite_medsam.learning.specialists.examples import Examples
from lite_medsam.learning.specialists.loop import BEST, CHECKPOINT, SpecialistLoop, runner
from lite_medsam.learning.specialists.networks import CHANNELS, WIDTHS, make_network
from lite_medsam.learning.specialists.settings import FREE_TO_CHANGE, SpecialistSettings
from lite_medsam.learning.training.stepping import read_checkpoint
from lite_medsam.model.spec import Preprocessing, Zoom, build_dataclass, sha256_of
from lite_medsam.storage.files import atomic_write

SETTINGS, MODEL = "settings.json", "model"
MAXIMUM_DIFFERENCE = 1e-3
OPSET = 17


@dataclass(frozen=True)
class SpecialistResult:
    """What a run came to.

    Attributes:
        model: Folder of the exported specialist.
        dice: Mean Dice of the kept weights on the validation cases.
        steps: Optimiser steps taken.
        best_step: Step whose averaged weights were kept.
        seconds: Wall time of steps and validations.
        history: (step, Dice) of every validation.
    """

    model: Path
    dice: float
    steps: int
    best_step: int
    seconds: float
    history: tuple[tuple[int, float], ...]


def train_specialist(
    cases: Path,
    out: Path,
    settings: SpecialistSettings | None = None,
    split: Path | None = None,
    resume: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> SpecialistResult:
    """Trains a specialist on a folder of labelled cases, divided as `finetune` divides it, and exports it.

    Args:
        cases: Folder of labelled npz cases, searched recursively.
        out: Folder of the run; `model` in it is the specialist.
        settings: Of the run.
        split: split.json of `lite-medsam prepare`; None takes the one in `cases`, and divides by group where there is none.
        resume: Continue from the folder's checkpoint, if there is one.
        say: Gets lines about what is going on.

    Raises:
        CaseError: If a case is damaged, there is too little data, or a group is on both sides.
        WeightsError: If the folder holds another run.
        FloatingPointError: If the loss is not finite; the last checkpoint stays.
    """
    settings = settings or SpecialistSettings()
    _check_folder(out, settings, resume)
    division = divide(cases, split, settings.validation_share, settings.seed)
    _write_identity(out, settings, division)
    say(
        f"cases to train on: {len(division.train)} (groups: {division.train_groups}), to validate on: "
        f"{len(division.validation)} (groups: {division.validation_groups}); {division.origin}"
    )
    torch.manual_seed(settings.seed)
    network = make_network(settings.network, settings.width)
    identity = {"data": division.sha256, "split": division.split.sha256}
    loop = SpecialistLoop(
        network,
        _spec(settings, division),
        Examples(_images(division.train, settings), settings),
        evenly(division.validation, settings.validation_cases),
        settings,
        out,
        identity,
    )
    if resume and loop.resume():
        say(f"continuing from step {loop.stepper.step}")
    loop.run()
    best = read_checkpoint(out / BEST, ("average", "step", "dice"))
    loop.judged.load_state_dict(best["average"])
    spec = dataclasses.replace(loop.spec, step=best["step"])
    difference = export_specialist(loop.judged, out / MODEL, spec)
    say(f"exported to {out / MODEL}; torch and ONNX Runtime differ by {difference:.1e} at most")
    stepper = loop.stepper
    return SpecialistResult(out / MODEL, best["dice"], stepper.step, best["step"], stepper.seconds, tuple(loop.history))


def export_specialist(network: nn.Module, folder: Path, spec: SpecialistSpec) -> float:
    """Writes network.onnx and specialist.json, and proves that the graph answers as the network does.

    Args:
        network: In evaluation mode, on the CPU.
        folder: Created; older files in it are replaced.
        spec: Without the files' hashes.

    Returns:
        The largest difference of logits between torch and ONNX Runtime.

    Raises:
        WeightsError: If it is above 1e-3 of the largest logit.
    """
    network = network.eval()
    size = spec.preprocessing.image_size
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, CHANNELS, size, size), np.float32)
    with atomic_write(folder / GRAPH_FILE) as path, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own future
        torch.onnx.export(
            _Squeezed(network).eval(), (torch.from_numpy(inputs),), str(path), opset_version=OPSET, dynamo=False,
            input_names=["inputs"], output_names=["logits"], dynamic_axes={"inputs": {0: "n"}, "logits": {0: "n"}},
        )  # fmt: skip
    save_specialist_spec(folder, dataclasses.replace(spec, files={GRAPH_FILE: sha256_of(folder / GRAPH_FILE)}))
    opened = SpecialistSegmenter.open(folder, 1)
    differences = []
    for count in (1, 2):
        expected = runner(network)(inputs[:count])
        scale = max(1.0, float(np.abs(expected).max()))
        differences.append(float(np.abs(opened.run(inputs[:count]) - expected).max()) / scale)
    if max(differences) > MAXIMUM_DIFFERENCE:
        raise WeightsError(f"the graph must answer as the network, differs by {max(differences):.2g}")
    return max(differences)


class _Squeezed(nn.Module):
    """The network with its channel of one taken away."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.network(inputs)[:, 0]


def _spec(settings: SpecialistSettings, division: Division) -> SpecialistSpec:
    return SpecialistSpec(
        name=settings.name or settings.network,
        network=settings.network,
        width=settings.width or WIDTHS[settings.network],
        preprocessing=Preprocessing(image_size=settings.image_size),
        zoom=Zoom(enabled=settings.crop_share > 0),
        training_data=f"own cases: {len(division.train)}, groups: {division.train_groups} (SHA-256 {division.sha256[:16]})",
        split=division.split.sha256,
    )


def _images(paths: tuple[Path, ...], settings: SpecialistSettings) -> list[LabelledImage]:
    images = load_images(paths, settings.slices_per_volume)
    known = settings.modality or "unknown"
    return [dataclasses.replace(i, modality=known) if i.modality == "unknown" else i for i in images]


def _check_folder(out: Path, settings: SpecialistSettings, resume: bool) -> None:
    if not (out / CHECKPOINT).exists():
        return
    if not resume:
        raise WeightsError(f"{out} must be a new folder, but holds a run; add --resume or name another --output")
    path = out / SETTINGS
    try:
        before = build_dataclass(SpecialistSettings, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path} must be the settings of the run, got: {error}") from None
    for field in dataclasses.fields(settings):
        old, new = getattr(before, field.name), getattr(settings, field.name)
        if field.name not in FREE_TO_CHANGE and old != new:
            raise WeightsError(
                f"a continued run must keep its settings, got {field.name} {new!r} instead of {old!r}; "
                "use another --output for other settings"
            )


def _write_identity(out: Path, settings: SpecialistSettings, division: Division) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / SETTINGS) as path:
        path.write_text(json.dumps(dataclasses.asdict(settings), indent=2) + "\n", encoding="utf-8")
    save_split(out / SPLIT, division.split)
