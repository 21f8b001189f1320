"""Masks of the objects of one image, at the model's resolution until they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lite_medsam.model.preprocessing import Frame, logits_to_window
from lite_medsam.segment.compact_logits import CompactLogits
from lite_medsam.segment.pasting import mask_part, mask_place, support

OVERLAPS = ("best", "first", "last")

Place = tuple[slice, slice]  # rows and columns of the image

# beyond what a decoder answers: where objects overlap, a mask that a user has settled wins
FINAL_LOGIT = 1e4


@dataclass(frozen=True, eq=False)
class Prediction:
    """Masks of N objects, kept at the model's resolution until they are asked for.

    Attributes:
        logits: (N, S, S) float32, each in its own model frame; coarser than the frame for models of that kind. Of many
            objects only the surroundings of each mask are kept, see `CompactLogits`; masks are the same.
        scores: (N,) float32, the model's estimate of each mask's IoU, 0..1; NaN for final masks.
        frames: The frame of each object.
        image_hw: Shape of the image.
        threshold: A pixel belongs to the object where its logit is above this.
        names: The prompts' names, None where they have none.
        final: Per object (H, W), the mask that its prompt settled, None where the model answered; () for none at all.
        refined: By index, of objects whose border had a second look (see `refinement`): rows and columns of the image that
            hold the whole mask, and the (h, w) float32 logits there at image resolution.
    """

    logits: np.ndarray | CompactLogits
    scores: np.ndarray
    frames: tuple[Frame, ...]
    image_hw: tuple[int, int]
    threshold: float
    names: tuple[str | None, ...]
    final: tuple[np.ndarray | None, ...] = ()
    refined: Mapping[int, tuple[Place, np.ndarray]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)

    def window_logits(self, index: int) -> np.ndarray:
        """(h, w) float32 logits of one object at image resolution, for its frame's window; outside there is none."""
        settled = self._settled(index)
        if settled is not None:
            return _as_logits(settled[self.frames[index].window])
        window = logits_to_window(self.logits[index], self.frames[index])
        if index in self.refined:
            (rows, columns), closer = self.refined[index]
            y0, x0 = self.frames[index].y0, self.frames[index].x0
            window[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = closer
        return window

    def image_logits(self, index: int) -> np.ndarray:
        """(H, W) float32 logits of one object; outside its window as low as its lowest. Fit for `Prompt.mask`."""
        window = self.window_logits(index)
        full = np.full(self.image_hw, min(float(window.min()), self.threshold - 1), np.float32)
        full[self.frames[index].window] = window
        return full

    def place(self, index: int) -> Place:
        """Rows and columns of the image outside which one object's mask is empty; no smaller than its rectangle."""
        settled = self._settled(index)
        if index in self.refined:
            return self._part(index)[0]
        if settled is None:
            return mask_place(self.logits[index], self.frames[index], self.threshold)
        y0, x0, y1, x1 = support(settled, 0) or (0, 0, -1, -1)
        return slice(y0, y1 + 1), slice(x0, x1 + 1)

    def mask_part(self, index: int) -> tuple[Place, np.ndarray]:
        """`place`, and the (h, w) bool mask there: much less than the image for a small object."""
        place, logits = self._part(index)
        return place, logits > self.threshold

    def _part(self, index: int) -> tuple[Place, np.ndarray]:
        if index in self.refined:
            (rows, columns), closer = self.refined[index]
            y0, x0, y1, x1 = support(closer, self.threshold) or (0, 0, -1, -1)
            place = (
                slice(rows.start + y0, rows.start + y1 + 1),
                slice(columns.start + x0, columns.start + x1 + 1),
            )
            return place, closer[y0 : y1 + 1, x0 : x1 + 1]
        settled = self._settled(index)
        if settled is None:
            return mask_part(self.logits[index], self.frames[index], self.threshold)
        place = self.place(index)
        return place, _as_logits(settled[place])

    def _settled(self, index: int) -> np.ndarray | None:
        return self.final[index] if self.final else None

    def mask(self, index: int) -> np.ndarray:
        """(H, W) bool mask of one object."""
        full = np.zeros(self.image_hw, bool)
        place, inside = self.mask_part(index)
        full[place] = inside
        return full

    def masks(self) -> np.ndarray:
        """(N, H, W) bool; N times the image in memory, so prefer `mask` or `label_map` for many objects."""
        stack = np.zeros((len(self), *self.image_hw), bool)
        for i in range(len(self)):
            place, inside = self.mask_part(i)
            stack[i][place] = inside
        return stack

    def label_map(self, overlap: str = "best") -> np.ndarray:
        """One map for all objects; object i has the value i + 1.

        Args:
            overlap: Who gets a pixel that several objects claim: "best" the highest logit, "first" or "last" the prompt
                that came first or last.

        Returns:
            (H, W) uint8 for up to 255 objects, uint16 up to 65535, else uint32.

        Raises:
            ValueError: If there is no such policy.
        """
        if overlap not in OVERLAPS:
            raise ValueError(
                f"overlap must be one of {', '.join(OVERLAPS)}, got {overlap!r}; masks() keeps all of them"
            )
        count = len(self)
        dtype = np.uint8 if count <= 255 else np.uint16 if count <= 65535 else np.uint32
        labels = np.zeros(self.image_hw, dtype)
        best = np.full(self.image_hw, -np.inf, np.float32) if overlap == "best" and count > 1 else None
        for i in range(count):
            place, logits = self._part(i)
            claimed = logits > self.threshold
            if best is not None:
                claimed &= logits > best[place]
                np.copyto(best[place], logits, where=claimed)
            elif overlap == "first":
                claimed &= labels[place] == 0
            np.copyto(labels[place], dtype(i + 1), where=claimed)
        return labels


def _as_logits(settled: np.ndarray) -> np.ndarray:
    return np.where(settled > 0, np.float32(FINAL_LOGIT), np.float32(-FINAL_LOGIT))
