"""What a prompt can mean: the answer of the model, and its alternatives where they differ."""

from dataclasses import dataclass

import numpy as np

from lite_medsam.model.calibration import calibrated
from lite_medsam.model.preprocessing import logits_to_window
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.segment.decoding import decode_all
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region

SAME_IOU = 0.95  # an alternative that agrees this well with a mask that is listed already is no choice
MAX_CHOICES = 4


@dataclass(frozen=True)
class Choice:
    """One mask that a prompt can mean, with the model's own estimate of its IoU, 0 to 1."""

    region: Region
    score: float


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
    encoded = predictor.encode(image, prediction.frames[0])
    logits, scores = decode_all(predictor.backend, encoded.features, encoded.frame, checked)
    scores = calibrated(np.clip(scores[1:], 0, 1), predictor.spec)
    for low_res, score in zip(logits[1:], scores.tolist(), strict=True):
        mask = np.zeros(image.shape[:2], bool)
        np.greater(
            logits_to_window(low_res, encoded.frame), predictor.spec.mask_threshold, out=mask[encoded.frame.window]
        )
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
