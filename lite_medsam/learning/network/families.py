"""The published model families: what each looks like, how it sees an image, and its torch module.

All of them share segment_anything's prompt encoder and mask decoder; they differ in the image encoder, the frame and the
pre-processing. `PublishedSegmenter` is their counterpart of `PromptedSegmenter`, with the published parameter names.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from segment_anything import sam_model_registry
from torch import Tensor, nn

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.litemedsam_encoder import LITEMEDSAM, MOBILE_SAM, TinyVitEncoder
from lite_medsam.learning.network.model import BACKGROUND, BOX_TOP_LEFT, OBJECT, PADDING, BatchPromptEncoder
from lite_medsam.learning.network.published_decoder import DIM, PublishedMaskDecoder
from lite_medsam.model.spec import Architecture, ModelSpec, Preprocessing, Zoom

# label of a token that segment_anything calls padding and yet attends to; PADDING is no token at all here
PADDING_POINT = -2
ANY_PROMPT = ("box", "points", "box+points", "mask")
META_TERMS = "Apache-2.0 (Meta AI, segment-anything)"

_PLAIN: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_SAM_PREPROCESSING = Preprocessing(
    image_size=1024, value_range="uint8", resampling="bilinear", geometry="indices", mask_stride=4
)


@dataclass(frozen=True)
class Family:
    """One published model family.

    Attributes:
        title: Name for people.
        encoder: Makes the image encoder with fresh weights.
        preprocessing: What the weights were trained to see.
        prompts: Kinds of prompt that they were trained on.
        licence: Terms of the published weights.
        source: Page that publishes them.
        training_data: Data behind them.
        unused: Prefixes of published parameters that segmentation never uses; they may be there and are left out.
        stride: Model pixels per cell of the embedding, along a side.
        image_sizes: Sides of the model frame that the same weights can be run at, the published one among them; empty
            where only that one works, as with learned position embeddings.
        zoom: Whether crops around the box were measured to help on labelled images, though training showed none.
        notes: What a user should know.
    """

    title: str
    encoder: Callable[[], nn.Module]
    preprocessing: Preprocessing
    prompts: tuple[str, ...]
    licence: str
    source: str
    training_data: tuple[str, ...]
    unused: tuple[str, ...] = ()
    stride: int = 16
    image_sizes: tuple[int, ...] = ()
    zoom: bool = False
    notes: str = ""


def _sam_encoder(size: str) -> Callable[[], nn.Module]:
    return lambda: sam_model_registry[f"vit_{size}"]().image_encoder


def _sam(size: str) -> Family:
    return Family(
        title=f"SAM ViT-{size.upper()}",
        encoder=_sam_encoder(size),
        preprocessing=_SAM_PREPROCESSING,
        prompts=ANY_PROMPT,
        licence=META_TERMS,
        source="https://github.com/facebookresearch/segment-anything",
        training_data=("SA-1B",),
        notes="Trained on photographs, not on medical images.",
    )


FAMILIES: dict[str, Family] = {
    "litemedsam": Family(
        title="LiteMedSAM",
        encoder=lambda: TinyVitEncoder(LITEMEDSAM),
        preprocessing=Preprocessing(image_size=256, value_range="resized", resampling="area", **_PLAIN),
        prompts=("box",),
        licence="Apache-2.0 (MedSAM authors)",
        source="https://github.com/bowang-lab/MedSAM/tree/LiteMedSAM",
        training_data=("CVPR 2024 MedSAM-on-laptop challenge",),
        stride=4,
        # attention within windows, biases by offset inside one, sines of relative places: nothing knows the frame's size
        image_sizes=(64, 96, 128, 256),
        zoom=True,
        notes="Trained on boxes only, on whole images. Crops around the box were measured to help; --zoom off shows the "
        "whole image, as its authors do. Boxes are mapped without truncation; --reference-quirks repeats the original.",
    ),
    "medsam_vit_b": Family(
        title="MedSAM ViT-B",
        encoder=_sam_encoder("b"),
        preprocessing=Preprocessing(
            image_size=1024,
            value_range="resized",
            resampling="cubic",
            fit="stretch",
            geometry="indices",
            mask_stride=4,
            **_PLAIN,
        ),
        prompts=("box",),
        licence="CC-BY-4.0 (weights, MedSAM authors); code Apache-2.0",
        source="https://github.com/bowang-lab/MedSAM",
        training_data=("MedSAM: 1.57 million image-mask pairs of public medical data sets",),
        notes="Trained on boxes only, on images stretched to a square.",
    ),
    "sam_vit_b": _sam("b"),
    "sam_vit_l": _sam("l"),
    "sam_vit_h": _sam("h"),
    "mobile_sam": Family(
        title="MobileSAM",
        encoder=lambda: TinyVitEncoder(MOBILE_SAM),
        preprocessing=_SAM_PREPROCESSING,
        prompts=ANY_PROMPT,
        licence="Apache-2.0 (MobileSAM authors)",
        source="https://github.com/ChaoningZhang/MobileSAM",
        training_data=("SA-1B (1 %)",),
        unused=("image_encoder.norm_head.", "image_encoder.head."),
        notes="Trained on photographs, not on medical images.",
    ),
}


def family_spec(
    name: str, model_name: str | None = None, image_size: int | None = None, zoom: bool | None = None
) -> ModelSpec:
    """The spec of a family's model, without file hashes.

    Args:
        name: Key of FAMILIES.
        model_name: What to call the model; by default the family's name, with the size where that is not the published one.
        image_size: Side of the model frame, out of `Family.image_sizes`; None for the published one.
        zoom: Whether objects get crops of their own; None for what was measured to be better.

    Raises:
        WeightsError: If there is no such family, or it does not run at that size.
    """
    family = get_family(name)
    published = family.preprocessing.image_size
    size = image_size or published
    if size != published and size not in family.image_sizes:
        sizes = ", ".join(map(str, family.image_sizes or (published,)))
        raise WeightsError(f"--image-size must be one of {sizes} for {family.title}, got {size}")
    return ModelSpec(
        name=model_name or name.replace("_", "-") + (f"-{size}" if size != published else ""),
        architecture=Architecture(family=name),
        preprocessing=replace(family.preprocessing, image_size=size),
        zoom=Zoom(enabled=family.zoom if zoom is None else zoom),
        prompts=family.prompts,
        licence=family.licence,
        training_data=family.training_data,
        notes=f"{family.title}, converted from a published checkpoint. {family.notes} Source: {family.source}",
    )


def get_family(name: str) -> Family:
    """Raises WeightsError with the choices if there is no family of that name."""
    if name not in FAMILIES:
        raise WeightsError(f"family must be one of {', '.join(FAMILIES)}, got {name!r}; update lite-medsam")
    return FAMILIES[name]


class PublishedSegmenter(nn.Module):
    """A published model: image encoder, prompt encoder and mask decoder under their published names."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        family = get_family(spec.architecture.family)
        size = spec.preprocessing.image_size
        self.spec = spec
        self.image_encoder = family.encoder()
        grid = size // family.stride
        self.prompt_encoder = BatchPromptEncoder(
            embed_dim=DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(size, size),
            mask_in_chans=16,
        )
        self.mask_decoder = PublishedMaskDecoder()

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) float32 to the embedding, (B, 256, G, G), in a tuple."""
        return (self.image_encoder(pixels),)

    def example_features(self) -> tuple[Tensor, ...]:
        """Features of no image, of the right shape, for tracing `decode` without the cost of the encoder."""
        return (torch.randn(1, DIM, *self.prompt_encoder.image_embedding_size),)

    def decode(
        self,
        features: tuple[Tensor, ...],
        coords: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        has_previous: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """N prompts of any kinds to (N, 4, L, L) logits and (N, 4) predicted IoU.

        segment_anything adds one padding point to prompts with points and no box. It is added here, so callers only pad
        to equal lengths with PADDING, which changes nothing.

        Args:
            features: The embedding in a tuple.
            coords: (N, P, 2) x, y in model pixels; the prompt encoder adds the half pixel.
            labels: (N, P): 1 object, 0 background, 2 and 3 corners of a box, PADDING for nothing, PADDING_POINT for
                a padding point of the caller's own.
            previous: (N, 1, L, L) logits of an earlier answer; None for all.
            has_previous: (N,), 1 where `previous` counts.
        """
        is_point = (labels == OBJECT) | (labels == BACKGROUND) | (labels == PADDING_POINT)
        needs_padding = (is_point.sum(1) > 0) & ((labels == BOX_TOP_LEFT).sum(1) == 0)
        valid = torch.cat([labels != PADDING, needs_padding.unsqueeze(1)], dim=1)
        coords = torch.cat([coords, torch.zeros_like(coords[:, :1])], dim=1)
        labels = torch.cat([labels, torch.full_like(labels[:, :1], PADDING)], dim=1)
        labels = torch.where(labels == PADDING_POINT, torch.full_like(labels, PADDING), labels)
        sparse, dense = self.prompt_encoder(coords, labels, previous, has_previous)
        return self.mask_decoder(features[0], self.prompt_encoder.get_dense_pe(), sparse, valid, dense)


@functools.lru_cache(maxsize=len(FAMILIES))
def expected_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Shape by name of every parameter and buffer of a family, without giving them memory.

    Args:
        name: Key of FAMILIES.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = PublishedSegmenter(family_spec(name))
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}
