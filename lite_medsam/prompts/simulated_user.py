"""A simulated user: clicks where the segmentation is most wrong, as often as a protocol allows."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt, next_click


class SegmentedObjects(Protocol):
    """What a segmenter returns: as many objects as there were prompts, in their order."""

    @property
    def scores(self) -> Sequence[float] | np.ndarray: ...  # predicted IoU, NaN where there is none

    def __len__(self) -> int: ...

    def mask(self, index: int) -> np.ndarray: ...  # (H, W) bool


class Segmenter(Protocol):
    """Anything that turns an image and prompts into masks: the `Predictor`, a `BaselineSegmenter`, a fake."""

    def segment(self, image: np.ndarray, prompts: Sequence[Prompt]) -> SegmentedObjects: ...


class SimulatedUser:
    """A user at one image: the prompts of its objects so far, and what they have led to.

    Attributes:
        masks: Per object, (H, W) bool: the segmenter's latest answer.
        scores: Per object, its predicted IoU.
        seconds: Wall time spent in the segmenter so far, all objects together.

    Args:
        segmenter: Gets all objects at once.
        image: (H, W) or (H, W, 3) uint8.
        prompts: The first prompt of each object; they are segmented at once.
    """

    def __init__(self, segmenter: Segmenter, image: np.ndarray, prompts: list[Prompt]):
        self._segmenter, self._image, self._prompts = segmenter, image, prompts
        self.masks: list[np.ndarray] = [np.zeros(image.shape[:2], bool)] * len(prompts)
        self.scores: list[float] = [float("nan")] * len(prompts)
        self.seconds = 0.0
        self._segment(range(len(prompts)))

    def correct(self, truths: list[np.ndarray], rngs: list[np.random.Generator]) -> None:
        """Clicks once more on every object that still has an error, in the middle of its largest one.

        The mask so far goes back in as `Prompt.mask`. An object without an error keeps its mask and score.

        Args:
            truths: Per object, (H, W) bool.
            rngs: Per object: chooses among equally central pixels.
        """
        clicked = []
        for index, (truth, mask, rng) in enumerate(zip(truths, self.masks, rngs, strict=True)):
            click = next_click(truth, mask, rng)
            if click is None:
                continue
            x, y, label = click
            old = self._prompts[index]
            self._prompts[index] = replace(
                old,
                points=np.vstack([old.points, [[x, y]]]),
                point_labels=np.append(old.point_labels, label),
                mask=mask,
            )
            clicked.append(index)
        if clicked:
            self._segment(clicked)

    def _segment(self, indices: Sequence[int]) -> None:
        started = time.perf_counter()
        prediction = self._segmenter.segment(self._image, [self._prompts[index] for index in indices])
        found = [np.asarray(prediction.mask(place), dtype=bool) for place in range(len(prediction))]
        self.seconds += time.perf_counter() - started
        for index, mask, score in zip(indices, found, prediction.scores, strict=True):
            self.masks[index], self.scores[index] = mask, float(score)
