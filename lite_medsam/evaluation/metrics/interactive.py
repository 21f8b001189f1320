"""Scores of a dialogue: how good the mask is after each click, and how many clicks a goal takes.

A series holds the score before the first click (after the box, where there is one) and after each click. Where no error was left to
click on, the last score stands for the clicks that were not needed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CLICKS = 5  # of the CVPR 2025 challenge's protocol
LIMIT = 20
GOALS = (0.80, 0.85, 0.90)


class ClicksNeeded(NamedTuple):
    """Clicks until a goal was reached.

    Attributes:
        clicks: Number of clicks; the limit where the goal was missed.
        reached: Whether it was reached within the limit.
    """

    clicks: int
    reached: bool


def after_clicks(series: Sequence[float], clicks: int, first: int = 0) -> float:
    """The score after so many clicks.

    Args:
        series: Scores, the first of them after `first` clicks.
        clicks: How many.
        first: Clicks that the first score has seen: 0 after a box, 1 where a click came first.

    Returns:
        The last score for a series that ended before; NaN if it begins later.

    Raises:
        ValueError: If the series is not as above.
    """
    values, place = _checked(series), clicks - first
    return float("nan") if place < 0 else float(values[min(place, len(values) - 1)])


def click_auc(series: Sequence[float], clicks: int = CLICKS, first: int = 0) -> float:
    """Area under the score over the clicks, as the CVPR 2025 challenge publishes it.

    The trapezoid rule over the scores after click 1 to `clicks` alone, one apart: the score of the box does not count, and
    with five clicks the range is 0 to 4.

    Args:
        series: Scores, the first of them after `first` clicks.
        clicks: Clicks of the protocol, at least 2.
        first: 0 after a box, 1 where a click came first.

    Returns:
        0 to clicks - 1; NaN where a score is.

    Raises:
        ValueError: If the series is not as above or there are fewer than two clicks.
    """
    if clicks < 2:
        raise ValueError(f"clicks must be at least 2 for an area, got {clicks}")
    values = np.array([after_clicks(series, click, first) for click in range(1, clicks + 1)])
    return float(((values[1:] + values[:-1]) / 2).sum())


def normalised_click_auc(series: Sequence[float], clicks: int = CLICKS, first: int = 0) -> float:
    """`click_auc` over its largest value: 0 to 1, a mean score over the clicks."""
    return click_auc(series, clicks, first) / (clicks - 1)


def clicks_needed(series: Sequence[float], goal: float, limit: int = LIMIT, first: int = 0) -> ClicksNeeded:
    """Number of clicks (NoC) until a score is at least the goal; `limit` where it is not.

    Args:
        series: Scores, the first of them after `first` clicks.
        goal: Such as 0.85.
        limit: Most clicks that count, 20 by custom.
        first: 0 after a box, which counts as no click, 1 where a click came first.

    Raises:
        ValueError: If the series is not as above, or the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    for place, score in enumerate(_checked(series)):
        if place + first > limit:
            break
        if score >= goal:
            return ClicksNeeded(place + first, True)
    return ClicksNeeded(limit, False)


def _checked(series: Sequence[float]) -> np.ndarray:
    values = np.asarray(series, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"series must be one score or more, in the order of the clicks, got shape {values.shape}")
    return values
