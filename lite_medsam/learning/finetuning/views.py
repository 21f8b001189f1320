"""Where fine-tuning takes its views from: drawn anew each time, or once with their features kept."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lite_medsam.learning.data.augmentation import BY_MODALITY
from lite_medsam.learning.data.dataset import index_by_modality
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.learning.data.sampling import Sampling, View, draw_view
from lite_medsam.learning.finetuning.kept_features import pack_features, unpack_features
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.network.checkpoint import Segmenter
from lite_medsam.model.spec import ModelSpec
from lite_medsam.storage.signed_cache import SignedCache

# raised when views are drawn in another way, so that older features are not taken for new ones
VIEWS_VERSION = 2
TRIES = 30
# views in all that are worth keeping, and how many of one image
ENOUGH_VIEWS, FEWEST, MOST = 500, 4, 16


@dataclass(frozen=True, eq=False)
class DrawnView:
    """A view as prompts need it.

    Attributes:
        pixels: (3, S, S) float32; None where the features are known.
        features: The encoder's arrays, each (C, h, w); None where they are not.
        masks: (K, S, S) float32, share of each pixel that each object covers.
        valid: (S, S) bool, False in the padding.
        occupied: (S, S) bool, where any labelled object is.
        name: Of the case.
    """

    pixels: np.ndarray | None
    features: tuple[np.ndarray, ...] | None
    masks: np.ndarray
    valid: np.ndarray
    occupied: np.ndarray
    name: str


def sampling_of(settings: FinetuneSettings, spec: ModelSpec) -> Sampling:
    """How views are drawn; models that are never shown crops are not trained on them."""
    return Sampling(
        objects_per_image=settings.objects_per_image,
        crop_share=settings.crop_share if spec.zoom.enabled else 0.0,
        crop_context=settings.crop_context,
        crop_minimum_px=spec.zoom.minimum_px,
        minimum_area_px=settings.minimum_area_px,
    )


class FreshViews:
    """Views drawn anew each time, the modalities in equal shares."""

    def __init__(self, images: Sequence[LabelledImage], spec: ModelSpec, settings: FinetuneSettings):
        self.images, self.spec, self.settings = _visible(images, spec, settings), spec, settings
        self.sampling = sampling_of(settings, spec)
        self.by_modality = index_by_modality(self.images)

    def draw(self, rng: np.random.Generator) -> DrawnView:
        """A view of an image; a function of the random numbers alone."""
        for _ in range(TRIES):
            source = self.images[_pick(self.by_modality, rng)]
            view = draw_view(source, self.spec.preprocessing, self.sampling, rng, self.settings.augment)
            if view is not None:
                return _drawn(view, view.pixels, None, source.name)
        raise ValueError(
            f"views must show objects, {TRIES} in a row did not; lower --minimum-area-px or raise --crop-share"
        )


class KeptViews:
    """A few views of each image, drawn once, with the features that the frozen encoder gives them, on disk.

    View v of an image depends on the image, the settings and v alone, and its features are computed one view at a time, so
    an entry that was deleted or did not fit is computed again to the same bits.

    Args:
        images: The images.
        model: The model; only its encoder is used, which must not change.
        settings: Of the run.
        cache: Where features are kept, made with `signature`.
    """

    def __init__(
        self, images: Sequence[LabelledImage], model: Segmenter, settings: FinetuneSettings, cache: SignedCache
    ):
        self.model, self.spec, self.settings, self.cache = model, model.spec, settings, cache
        self.images = _visible(images, self.spec, settings)
        self.sampling = sampling_of(settings, self.spec)
        self.keys = [_image_key(image) for image in self.images]
        self.by_modality = index_by_modality(self.images)
        self.device = next(model.parameters()).device
        self.views = settings.views or min(MOST, max(FEWEST, -(-ENOUGH_VIEWS // len(self.images))))

    def prepare(self, rank: int, count: int, progress: Callable[[], object]) -> None:
        """Computes what is not there yet; each of `count` processes its share."""
        first = self._make(0, 0)
        size = sum(array.nbytes for array in first.values())
        # as many views as fit, the same for every image; determined by settings and data, so the same when continued
        fitting = int(self.settings.cache_gb * 1e9 / (size * len(self.images)))
        self.views = max(1, min(self.views, fitting))
        for index in range(rank, len(self.images), count):
            for number in range(self.views):
                if self.cache.get(self._key(index, number)) is None:
                    self.cache.put(self._key(index, number), self._make(index, number))
            progress()

    def draw(self, rng: np.random.Generator) -> DrawnView:
        """One of the kept views of an image."""
        index = _pick(self.by_modality, rng)
        number = int(rng.integers(self.views))
        arrays = self.cache.get(self._key(index, number))
        if arrays is None:
            arrays = self._make(index, number)
        return DrawnView(
            pixels=None,
            features=unpack_features(arrays),
            masks=arrays["masks"].astype(np.float32) / 255,
            valid=arrays["valid"].astype(bool),
            occupied=arrays["occupied"].astype(bool),
            name=self.images[index].name,
        )

    def _key(self, index: int, number: int) -> str:
        return f"{self.keys[index]}/{number}"

    def _make(self, index: int, number: int) -> dict[str, np.ndarray]:
        source = self.images[index]
        rng = np.random.default_rng([self.settings.seed, number, int(self.keys[index][:15], 16)])
        plain = number == 0
        sampling = dataclasses.replace(self.sampling, crop_share=0.0) if plain else self.sampling
        view = draw_view(source, self.spec.preprocessing, sampling, rng, self.settings.augment and not plain)
        for attempt in range(TRIES):
            if view is not None:
                break
            # the objects are too small in the whole image: look closer
            closer = dataclasses.replace(self.sampling, crop_share=float(self.spec.zoom.enabled))
            view = draw_view(
                source, self.spec.preprocessing, closer, rng, self.settings.augment and attempt < TRIES // 2
            )
        if view is None:
            raise ValueError(f"{source.name}: its objects must be visible to the model; lower --minimum-area-px")
        # copied, because numpy's memory is aligned by chance, and convolutions round differently with it
        pixels = torch.tensor(view.pixels)[None].to(self.device)
        with torch.inference_mode():
            features = self.model.encode(pixels)
        return pack_features([feature[0].float().cpu().numpy() for feature in features]) | {
            "masks": np.round(view.masks * 255).astype(np.uint8),
            "valid": view.valid > 0,
            "occupied": view.occupied > 0,
        }


def signature(model: Segmenter, settings: FinetuneSettings) -> dict[str, str]:
    """What kept views depend on besides the image: encoder, pre-processing, and how views are drawn."""
    digest = hashlib.sha256()
    for name, value in sorted(model.image_encoder.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    drawing = dataclasses.asdict(sampling_of(settings, model.spec))
    return {
        "encoder": digest.hexdigest(),
        "preprocessing": json.dumps(dataclasses.asdict(model.spec.preprocessing), sort_keys=True),
        "views": json.dumps({**drawing, "seed": settings.seed, "augment": settings.augment, "version": VIEWS_VERSION}),
        "augmentation": hashlib.sha256(repr(sorted(BY_MODALITY.items())).encode()).hexdigest(),
        "device": next(model.parameters()).device.type,
    }


def _image_key(image: LabelledImage) -> str:
    digest = hashlib.sha256(f"{image.modality}\0{image.image.shape}\0{image.label.dtype}".encode())
    digest.update(np.ascontiguousarray(image.image).tobytes())
    digest.update(np.ascontiguousarray(image.label).tobytes())
    return digest.hexdigest()


def _visible(images: Sequence[LabelledImage], spec: ModelSpec, settings: FinetuneSettings) -> list[LabelledImage]:
    """Images with an object that the model can see; with crops all of them."""
    seen = list(images)
    if not spec.zoom.enabled or settings.crop_share == 0:
        side = spec.preprocessing.image_size
        seen = [
            image
            for image in images
            if _largest(image.label) * (side / max(image.label.shape)) ** 2 > 2 * settings.minimum_area_px
        ]
    if not seen:
        raise ValueError(
            f"training needs images with visible objects, got none of {len(images)}; use crops or larger objects"
        )
    return seen


def _largest(label: np.ndarray) -> int:
    """Pixels of the largest object."""
    values, counts = np.unique(label, return_counts=True)
    return int(counts[values > 0].max())


def _pick(by_modality: dict[str, tuple[np.ndarray, np.ndarray]], rng: np.random.Generator) -> int:
    members, weights = by_modality[list(by_modality)[rng.integers(len(by_modality))]]
    return int(rng.choice(members, p=weights))


def _drawn(view: View, pixels, features, name: str) -> DrawnView:
    return DrawnView(pixels, features, view.masks, view.valid > 0, view.occupied > 0, name)
