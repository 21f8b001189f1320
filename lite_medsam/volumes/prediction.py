"""The answer for a volume: one mask per object and slice, kept as small crops until it is asked for."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

# strengths per logit: 1 is just above the threshold, 255 is 10 logits above it
_STEPS_PER_LOGIT = 25


class SliceMask(NamedTuple):
    """The mask of one object on one slice, cut to the pixels that it needs.

    Attributes:
        x0: First column of the crop.
        y0: First row.
        strength: (h, w) uint8, 0 outside the object, 1 to 255 by how far the logit is above the threshold.
        score: The model's estimate of the IoU, 0..1.
    """

    x0: int
    y0: int
    strength: np.ndarray
    score: float

    @classmethod
    def cut(cls, inside: np.ndarray, logits: np.ndarray | None, origin_xy: tuple[int, int], score: float):
        """A mask from a window of the slice; `logits` are above the threshold by as much as they say, None is certain."""
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            return cls(0, 0, np.zeros((0, 0), np.uint8), score)
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        if logits is None:
            strength = inside[part].astype(np.uint8) * np.uint8(255)
        else:
            strength = np.clip(np.ceil(logits[part] * _STEPS_PER_LOGIT), 1, 255).astype(np.uint8)
            strength[~inside[part]] = 0
        return cls(int(columns[0]) + origin_xy[0], int(rows[0]) + origin_xy[1], strength, score)

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the crop lies in the slice."""
        height, width = self.strength.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)

    @property
    def area_px(self) -> int:
        """Pixels inside."""
        return int(np.count_nonzero(self.strength))

    @property
    def mean_strength(self) -> float:
        """Mean of `strength` over the pixels inside; 0 when there are none."""
        return float(self.strength.sum(dtype=np.int64)) / max(1, self.area_px)

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """x0, y0, x1, y1 of the mask, last pixel inside; None when it is empty."""
        height, width = self.strength.shape
        return (self.x0, self.y0, self.x0 + width - 1, self.y0 + height - 1) if self.strength.size else None


class Ending(NamedTuple):
    """Where following an object ended on one side.

    Attributes:
        slice: The outermost slice that has its mask on that side; None where it was found nowhere.
        why: "end of volume"; the "limit" that was asked for (a 3D box, a z_range, a slice that says it is not there);
            on the next slice: an "empty" mask, "score" or "strength" too low, no "contrast", "area" jumped; or "stopped" by
            the user. "plane" where it was followed on another plane than that of the slices.
    """

    slice: int | None
    why: str


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """Masks of N objects in a volume.

    Attributes:
        shape: (D, H, W).
        found: For each object, slice index -> mask; slices where the object is not are left out.
        scores: (N, D) float32, the model's estimate of the IoU of each slice, NaN where the object was not segmented.
        names: The objects' names, None where they have none.
        ends: For each object where it ends and why, towards slice 0 and towards the last slice.
        stopped: Whether the user stopped the work, so that slices may be missing.
        weak: For each object the slices that need a look and why, in the words of `Ending`: what is there looks less like it.
        axis: Of the array that was given, which the slices lie across; `mask` and `label_map` have its shape, all else
            counts slices.
    """

    shape: tuple[int, int, int]
    found: tuple[dict[int, SliceMask], ...]
    scores: np.ndarray
    names: tuple[str | None, ...]
    ends: tuple[tuple[Ending, Ending], ...] = field(default=())
    stopped: bool = False
    axis: int = 0
    weak: tuple[dict[int, str], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.found)

    def extent(self, index: int) -> tuple[int, int] | None:
        """First and last slice of one object, both inside; None when it was not found."""
        slices = [z for z, mask in self.found[index].items() if mask.strength.size]
        return (min(slices), max(slices)) if slices else None

    def mask(self, index: int) -> np.ndarray:
        """Bool mask of one object in the shape of the array that was given, other objects' voxels included."""
        full = np.zeros(self.shape, bool)
        for z, mask in self.found[index].items():
            full[z][mask.window] = mask.strength > 0
        return np.moveaxis(full, 0, self.axis)

    def slice_masks(self, z: int) -> np.ndarray:
        """(N, H, W) bool masks of one slice, overlaps kept."""
        stack = np.zeros((len(self), *self.shape[1:]), bool)
        for i, slices in enumerate(self.found):
            if z in slices:
                stack[i][slices[z].window] = slices[z].strength > 0
        return stack

    def label_map(self) -> np.ndarray:
        """One map for all objects; object i has the value i + 1, a voxel that several claim goes to the highest logit.

        Where logits tie (from 10 above the threshold on they count as equal), the object that came first keeps it.

        Returns:
            (D, H, W) uint8 for up to 255 objects, uint16 up to 65535, else uint32.
        """
        count = len(self)
        dtype = np.uint8 if count <= 255 else np.uint16 if count <= 65535 else np.uint32
        labels = np.zeros(self.shape, dtype)
        by_slice: dict[int, list[int]] = {}
        for i, slices in enumerate(self.found):
            for z in slices:
                by_slice.setdefault(z, []).append(i)
        for z, members in by_slice.items():
            best = np.zeros(self.shape[1:], np.uint8)
            for i in members:
                mask = self.found[i][z]
                claimed = mask.strength > best[mask.window]
                np.copyto(best[mask.window], mask.strength, where=claimed)
                np.copyto(labels[z][mask.window], dtype(i + 1), where=claimed)
        return np.moveaxis(labels, 0, self.axis)
