"""A mask kept as the rectangle that holds it, so that histories and volumes of masks stay small."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Region:
    """A mask of an image, cut to the box around it.

    Attributes:
        x0: First column of the box.
        y0: First row.
        inside: (h, w) bool; (0, 0) for an empty mask.
        image_hw: Shape of the image.
    """

    x0: int
    y0: int
    inside: np.ndarray
    image_hw: tuple[int, int]

    @classmethod
    def of(cls, mask: np.ndarray) -> "Region":
        """Cuts a mask.

        Args:
            mask: (H, W) bool.
        """
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return cls(0, 0, np.zeros((0, 0), bool), mask.shape)
        y0, x0 = int(rows[0]), int(columns[0])
        return cls(x0, y0, mask[y0 : rows[-1] + 1, x0 : columns[-1] + 1].copy(), mask.shape)

    @cached_property
    def area_px(self) -> int:
        """Pixels inside."""
        return int(np.count_nonzero(self.inside))

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """x0 y0 x1 y1, last pixel inside; None for an empty mask."""
        height, width = self.inside.shape
        return (self.x0, self.y0, self.x0 + width - 1, self.y0 + height - 1) if self.inside.size else None

    def holds(self, x: float, y: float) -> bool:
        """Whether the pixel under a place of the image is inside."""
        column, row = round(x) - self.x0, round(y) - self.y0
        height, width = self.inside.shape
        return 0 <= row < height and 0 <= column < width and bool(self.inside[row, column])

    @property
    def window(self) -> tuple[slice, slice]:
        """Where `inside` lies in the image."""
        height, width = self.inside.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)

    def full(self) -> np.ndarray:
        """(H, W) bool."""
        mask = np.zeros(self.image_hw, bool)
        mask[self.window] = self.inside
        return mask

    def runs(self, step: int = 1) -> dict:
        """The mask for a browser: lengths of runs, row by row, outside and inside in turn, outside first.

        Args:
            step: Takes every step-th pixel of the image along both axes, for pictures that are shown smaller.

        Returns:
            {"x", "y", "w", "h", "runs"}, all in shown pixels; `runs` sum to w * h.
        """
        x, y = -(-self.x0 // step), -(-self.y0 // step)
        taken = self.inside[y * step - self.y0 :: step, x * step - self.x0 :: step]
        height, width = taken.shape if taken.size else (0, 0)
        flat = np.concatenate([[False], taken.ravel()])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        lengths = np.diff(np.concatenate([[0], edges, [flat.size - 1]]))
        return {"x": x, "y": y, "w": width, "h": height, "runs": lengths.tolist()}
