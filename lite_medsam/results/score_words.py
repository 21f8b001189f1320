"""Scores in words: what an estimated overlap of 0.43 means to the person who looks at the mask."""

import math

GOOD_IOU = 0.8
"""From here on a mask is called good: the lower goal of the literature on interactive segmentation (NoC@80); Dice 0.89."""

USABLE_IOU = 0.5
"""From here on most of what mask and object cover together is in both; Dice 0.67."""

GOOD, USABLE, START_OVER, NO_SCORE = "good", "usable after correction", "start over", "no score"

MEANINGS = {
    GOOD: "look at its edge and take it",
    USABLE: "the right thing with wrong parts: a click or two, or a better box",
    START_OVER: "mostly something else: another box, its name, or by hand",
    NO_SCORE: "a person settled this mask, or nobody scored it",
}
"""What to do with a mask, by the words for it."""


def score_words(score: float | None) -> str:
    """The words for a score, one of the keys of `MEANINGS`.

    The score is the model's estimate of the mask's IoU, calibrated on validation images (`score_calibration` in spec.json; a model
    without one is only as honest as its network). It is no probability that the mask is right, and no measurement.

    Args:
        score: 0..1 as `Prediction.scores` has it, or an IoU that was measured; None or NaN where there is none.
    """
    if score is None or math.isnan(score):
        return NO_SCORE
    if score >= GOOD_IOU:
        return GOOD
    return USABLE if score >= USABLE_IOU else START_OVER
