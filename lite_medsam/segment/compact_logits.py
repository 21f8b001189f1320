"""Logit maps of many objects in little memory: only the surroundings of each mask are kept."""

import numpy as np

from lite_medsam.segment.pasting import support

# model pixels kept around a mask, so that a kept map still refines well when it goes back in as a prompt
MARGIN = 8


class CompactLogits:
    """Logit maps of many objects, of which only the surroundings of each mask are kept; it reads like an (N, M, M) array.

    Masks come out the same to the bit. What lies more than MARGIN model pixels outside a mask's rectangle reads as the
    lowest logit of its map.

    Args:
        count: Number N of maps, all -inf at first.
        side: Side M of each.
        threshold: Of the masks.
    """

    def __init__(self, count: int, side: int, threshold: float):
        self.shape = (count, side, side)
        self._threshold = threshold
        self._parts: list[tuple[int, int, np.ndarray, float]] = [(0, 0, np.empty((0, 0), np.float32), -np.inf)] * count

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(part.nbytes for _, _, part, _ in self._parts)

    def __setitem__(self, index: int, logits: np.ndarray) -> None:
        found = support(logits, self._threshold)
        top, left, bottom, right = (0, 0, -1, -1) if found is None else found
        top, left = max(0, top - MARGIN), max(0, left - MARGIN)
        end = (0, 0) if found is None else (bottom + 1 + MARGIN, right + 1 + MARGIN)
        kept = logits[top : end[0], left : end[1]].astype(np.float32)  # a copy: the batch that it came from is let go
        self._parts[index] = top, left, kept, float(logits.min())

    def __getitem__(self, index: int) -> np.ndarray:
        top, left, part, low = self._parts[index]
        full = np.full(self.shape[1:], low, np.float32)
        full[top : top + part.shape[0], left : left + part.shape[1]] = part
        return full

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        full = np.empty(self.shape, np.float32 if dtype is None else dtype)
        for i in range(len(self)):
            full[i] = self[i]
        return full
