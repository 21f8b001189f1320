"""What a prompt can mean: the answer of the model and its alternatives, decoded from encodings that are kept"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from lite_medsam.predictor import EncodedImage, Predictor, decoder_inputs
from lite_medsam.preprocessing import Frame, logits_to_window
from lite_medsam.prompts import Prompt
from lite_medsam.region import Region

SAME_IOU = 0.95  # an alternative that agrees this well with a mask that is listed already is no choice


@dataclass(frozen=True)
class Choice:
    """One mask that a prompt can mean, with the model's own estimate of its IoU, 0 to 1."""

    region: Region
    score: float


class EncodingCache:
    """Encoded windows of images, the latest ones, up to a number of bytes; one cache serves many sessions.

    Args:
        max_bytes: The least recently used encodings go when all together are larger.
    """

    def __init__(self, max_bytes: int = 2**28):
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[tuple, EncodedImage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple) -> EncodedImage | None:
        """The encoding that was put under this key, if it is still there."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: tuple, encoded: EncodedImage) -> None:
        """Keeps an encoding; one that is larger than the cache is not kept."""
        with self._lock:
            self._drop(key)
            self._kept[key] = encoded
            self._bytes += _size(encoded)
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    def forget(self, owner: object) -> None:
        """Drops every encoding whose key starts with `owner`."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == owner]:
                self._drop(key)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def _drop(self, key: tuple) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._bytes -= _size(old)


def choices(
    predictor: Predictor, image: np.ndarray, prompt: Prompt, cache: EncodingCache, key: tuple
) -> tuple[list[Choice], dict[str, float]]:
    """The masks that one prompt can mean; the first is what `Predictor.segment` answers, bit for bit.

    Args:
        predictor: The model.
        image: (H, W) or (H, W, 3) uint8.
        prompt: One object.
        cache: Where encodings are kept.
        key: Names the image (and its owner) in the cache.

    Returns:
        The answer, then those alternatives that differ from it and from one another; and {"encode", "decode"} in
        seconds, "encode" 0 where the encoding was kept.

    Raises:
        PromptError: If the prompt does not fit the image or the model.
    """
    (checked,) = predictor._check([prompt], image.shape[:2])
    frame = predictor._frame(checked, image.shape[:2])
    frame = frame or Frame.for_model(image.shape[:2], predictor.spec.preprocessing)
    started = time.perf_counter()
    encoded = cache.get((*key, frame))
    if encoded is None:
        encoded = predictor.encode(image, frame)
        cache.put((*key, frame), encoded)
        encode_seconds = time.perf_counter() - started
    else:
        encode_seconds = 0.0
    started = time.perf_counter()
    settings = predictor.spec.preprocessing
    inputs = decoder_inputs([checked], [frame], settings.image_size, settings.mask_size)
    logits, scores = predictor.backend.decode(encoded.features, *inputs)
    found: list[Choice] = []
    for low_res, score in zip(logits[0], np.clip(scores[0], 0, 1).tolist(), strict=True):
        mask = np.zeros(image.shape[:2], bool)
        np.greater(logits_to_window(low_res, frame), predictor.spec.mask_threshold, out=mask[frame.window])
        region = Region.of(mask)
        if not found or (region.area_px and all(overlap(region, one.region) < SAME_IOU for one in found)):
            found.append(Choice(region, score))
    return found, {"encode": encode_seconds, "decode": time.perf_counter() - started}


def overlap(first: Region, second: Region) -> float:
    """Intersection over union of two regions of one image; 1 for two empty ones."""
    a, b = first.box, second.box
    if a is None or b is None:
        return float(a is b)
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    common = 0
    if x0 <= x1 and y0 <= y1:
        common = np.count_nonzero(_part(first, x0, y0, x1, y1) & _part(second, x0, y0, x1, y1))
    return common / (first.area_px + second.area_px - common)


def _part(region: Region, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    return region.inside[y0 - region.y0 : y1 - region.y0 + 1, x0 - region.x0 : x1 - region.x0 + 1]


def _size(encoded: EncodedImage) -> int:
    return sum(feature.nbytes for feature in encoded.features)
