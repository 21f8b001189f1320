"""What a prompt can mean: the answer of the model, and its alternatives where they differ."""

import threading
import time
from dataclasses import dataclass

import numpy as np

from lite_medsam.model.calibration import calibrated
from lite_medsam.model.preprocessing import logits_to_window
from lite_medsam.model.prompt_tokens import decoder_inputs
from lite_medsam.model.runtime import decode_first
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region

SAME_IOU = 0.95  # an alternative that agrees this well with a mask that is listed already is no choice
MAX_CHOICES = 4


@dataclass(frozen=True)
class Choice:
    """One mask that a prompt can mean, with the model's own estimate of its IoU, 0 to 1."""

    region: Region
    score: float


class TimedBackend:
    """A backend that notes how long each thread has spent in it.

    Args:
        backend: What does the work.
    """

    def __init__(self, backend):
        self._backend = backend
        self.name, self.spec = backend.name, backend.spec
        if hasattr(backend, "variant"):
            self.variant = backend.variant
        self._spent = threading.local()

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `runtime.Backend`."""
        return self._timed("encode", self._backend.encode, pixels)

    def decode(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.Backend`."""
        return self._timed("decode", self._backend.decode, *inputs)

    def decode_first(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.decode_first`."""
        return self._timed("decode", decode_first, self._backend, *inputs)

    def spent(self) -> dict[str, float]:
        """Seconds of this thread in "encode" and "decode" since it last asked."""
        spent = getattr(self._spent, "seconds", {})
        self._spent.seconds = {}
        return {"encode": spent.get("encode", 0.0), "decode": spent.get("decode", 0.0)}

    def _timed(self, name: str, call, *arguments):
        started = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            seconds = self._spent.seconds = getattr(self._spent, "seconds", {})
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started


def choices(predictor: Predictor, image: np.ndarray, prompt: Prompt) -> list[Choice]:
    """The masks that one prompt can mean; the first is what `Predictor.segment` answers, bit for bit.

    The others are the further masks that the decoder has for ambiguous prompts, from the view that the answer came
    from. Give the predictor a cache: that view is encoded already.

    Args:
        predictor: The model.
        image: (H, W) or (H, W, 3) uint8.
        prompt: One object.

    Returns:
        The answer, then those alternatives that differ from it and from one another, at most MAX_CHOICES in all.

    Raises:
        PromptError: If the prompt does not fit the image or the model.
    """
    prediction = predictor.segment(image, [prompt])
    found = [Choice(Region.of(prediction.mask(0)), float(prediction.scores[0]))]
    checked = validate(prompt, image.shape[:2])
    settings, threshold = predictor.spec.preprocessing, predictor.spec.mask_threshold
    encoded = predictor.encode(image, prediction.frames[0])
    inputs = decoder_inputs([checked], [encoded.frame], settings.image_size, settings.mask_size, predictor.spec.targets)
    logits, scores = predictor.backend.decode(encoded.features, *inputs)
    scores = calibrated(np.clip(scores[0, 1:], 0, 1), predictor.spec)
    for low_res, score in zip(logits[0, 1:], scores.tolist(), strict=True):
        mask = np.zeros(image.shape[:2], bool)
        np.greater(logits_to_window(low_res, encoded.frame), threshold, out=mask[encoded.frame.window])
        region = Region.of(mask)
        known = (overlap(region, one.region) >= SAME_IOU for one in found)
        if region.area_px and len(found) < MAX_CHOICES and not any(known):
            found.append(Choice(region, score))
    return found


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
