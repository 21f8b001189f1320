"""A mask of a volume kept as the box that holds it."""

from dataclasses import dataclass

import numpy as np

Bounds = tuple[tuple[int, int], ...]  # first index and the one behind the last, of each axis


@dataclass(frozen=True, eq=False)
class Voxels:
    """A mask of a volume, cut to the box around it, one bit a voxel.

    Attributes:
        shape: (X, Y, Z) of the volume.
        bounds: The box; None for an empty mask.
        bits: The box, packed.
    """

    shape: tuple[int, int, int]
    bounds: Bounds | None
    bits: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> "Voxels":
        """Cuts a mask.

        Args:
            mask: (X, Y, Z) bool.
        """
        bounds = hull(mask)
        part = mask[:0] if bounds is None else mask[window(bounds)]
        return cls(mask.shape, bounds, np.packbits(part))

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""
        return self.bits.nbytes

    def inside(self) -> np.ndarray:
        """The box, bool."""
        size = tuple(stop - start for start, stop in self.bounds or ((0, 0),) * 3)
        return np.unpackbits(self.bits, count=int(np.prod(size))).astype(bool).reshape(size)

    def full(self) -> np.ndarray:
        """(X, Y, Z) bool."""
        mask = np.zeros(self.shape, bool)
        if self.bounds is not None:
            mask[window(self.bounds)] = self.inside()
        return mask

    def plane(self, axis: int, index: int) -> np.ndarray:
        """One slice across an axis, bool."""
        rest = [a for a in range(3) if a != axis]
        plane = np.zeros([self.shape[a] for a in rest], bool)
        if self.bounds is not None and self.bounds[axis][0] <= index < self.bounds[axis][1]:
            part = window(tuple(self.bounds[a] for a in rest))
            plane[part] = self.inside().take(index - self.bounds[axis][0], axis)
        return plane

    def holds(self, voxel: tuple[int, int, int]) -> bool:
        """Whether a voxel is inside."""
        if self.bounds is None or not all(low <= v < high for v, (low, high) in zip(voxel, self.bounds, strict=True)):
            return False
        return bool(self.inside()[tuple(v - low for v, (low, _) in zip(voxel, self.bounds, strict=True))])


def hull(mask: np.ndarray) -> Bounds | None:
    """The smallest box around all that is True; None where nothing is.

    Args:
        mask: (X, Y, Z) bool.
    """
    bounds = []
    for axis in range(mask.ndim):
        held = np.flatnonzero(mask.any(tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(held):
            return None
        bounds.append((int(held[0]), int(held[-1]) + 1))
    return tuple(bounds)


def window(bounds: Bounds) -> tuple[slice, ...]:
    """The slices that cut a box out of an array."""
    return tuple(slice(start, stop) for start, stop in bounds)
