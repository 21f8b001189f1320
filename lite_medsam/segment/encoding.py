"""Views of an image to features: what views have in common is computed once, what a cache knows is not encoded again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.model.encoding_cache import EncodingCache, Features, image_key
from lite_medsam.model.preprocessing import Frame, intensity_range, to_model
from lite_medsam.model.runtime import Backend
from lite_medsam.segment.checks import check_image
from lite_medsam.segment.plan import View

# most views in one call of a graph: more were slower per piece on two cores, and take memory in proportion
ENCODE_CHUNK = 2


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What the encoder made of one frame of an image; prompts are decoded from it as often as wanted.

    Attributes:
        features: One array per feature, leading dimension 1.
        frame: The window of the image that was encoded.
        image_hw: Shape of the whole image.
    """

    features: tuple[np.ndarray, ...]
    frame: Frame
    image_hw: tuple[int, int]


class ImageEncoder:
    """Encodes views of one image.

    Args:
        backend: The model.
        image: (H, W) or (H, W, 3) uint8, RGB.
        cache: Where features are kept from call to call; None for nowhere.

    Attributes:
        image_hw: Shape of the image.

    Raises:
        CaseError: If the image has another type or shape.
    """

    def __init__(self, backend: Backend, image: np.ndarray, cache: EncodingCache | None = None):
        check_image(image)
        self.image_hw: tuple[int, int] = (image.shape[0], image.shape[1])
        self._backend, self._image, self._cache = backend, image, cache
        self._range = intensity_range(image)
        self._key = "" if cache is None else image_key(image)

    def encode(self, frame: Frame | None = None) -> EncodedImage:
        """One view; None for the whole image."""
        frame = frame or Frame.for_model(self.image_hw, self._backend.spec.preprocessing)
        return EncodedImage(self._features([frame])[0], frame, self.image_hw)

    def encode_views(self, views: Sequence[View]) -> Iterator[tuple[View, Features]]:
        """Each view with its features, a few at a time: those of many views would fill the memory."""
        for start in range(0, len(views), ENCODE_CHUNK):
            chunk = views[start : start + ENCODE_CHUNK]
            yield from zip(chunk, self._features([view.frame for view in chunk]), strict=True)

    def _features(self, frames: list[Frame]) -> list[Features]:
        """Per frame, one array per feature with leading dimension 1; the unknown ones are encoded in one call."""
        if self._cache is None:
            return self._encode(frames)
        found = [self._cache.get(self._backend, self._key, frame) for frame in frames]
        missing = [frame for frame, known in zip(frames, found, strict=True) if known is None]
        fresh = {}
        for frame, features in zip(missing, self._encode(missing) if missing else (), strict=True):
            if len(missing) > 1:  # a view would keep the whole batch in memory
                features = tuple(feature.copy() for feature in features)
            self._cache.put(self._backend, self._key, frame, features)
            fresh[frame] = features
        return [fresh[frame] if known is None else known for frame, known in zip(frames, found, strict=True)]

    def _encode(self, frames: list[Frame]) -> list[Features]:
        settings = self._backend.spec.preprocessing
        pixels = np.stack([to_model(self._image, frame, settings, self._range) for frame in frames])
        batch = self._backend.encode(pixels)
        return [tuple(feature[i : i + 1] for feature in batch) for i in range(len(frames))]
