"""Where a scan's voxels lie: in the patient, in the file, and in the array that is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError

# axis of the patient (0 right, 1 anterior, 2 superior) and direction along it, for slices, rows and columns:
# what radiology shows, patient's right on the left of the picture, front or head up
PLANES = {
    "axial": ((2, 1), (1, -1), (0, -1)),
    "coronal": ((1, -1), (2, -1), (0, -1)),
    "sagittal": ((0, -1), (2, -1), (1, -1)),
}
_ACROSS = {2: "axial", 1: "coronal", 0: "sagittal"}
_THICK = 1.5  # slices this much thicker than the pixels are the slices that were scanned


@dataclass(frozen=True, eq=False)
class Geometry:
    """The frame of a NIfTI file and the way from (D, H, W) arrays into it. It holds no names and no dates.

    Attributes:
        affine: (4, 4) float64, voxel index of the file -> right, anterior, superior in mm.
        file_shape: Shape of the file's array; three axes, trailing axes of length 1 kept, or two.
        axes: For D, H and W the axis of the file.
        flipped: For D, H and W whether it runs against the file's axis.
        header: The geometric fields of a NIfTI header, to be written back as they were; empty when there was none.
        nifti2: Whether the file was NIfTI-2.
        plane: The name in `PLANES` of how the slices lie, None where the file does not say it.

    Two frames meet here. *Voxel* coordinates i, j, k are indices into the file's own array, as ITK-SNAP, nibabel and SimpleITK
    show them. *Display* coordinates x, y, z are columns, rows and slices of our (D, H, W) array. In both, a voxel's index is
    its middle, so voxel i reaches from i - 0.5 to i + 0.5, and a box is closed: its last voxel is inside.
    """

    affine: np.ndarray
    file_shape: tuple[int, ...]
    axes: tuple[int, int, int] = (2, 1, 0)
    flipped: tuple[bool, bool, bool] = (False, False, False)
    header: Mapping[str, Any] = field(default_factory=dict)
    nifti2: bool = False
    plane: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        full = (*self.file_shape, 1)[:3]
        slices, rows, columns = self.axes
        return full[slices], full[rows], full[columns]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm: lengths of the affine's columns, right for oblique scans too."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0)).tolist()
        slices, rows, columns = self.axes
        return lengths[slices], lengths[rows], lengths[columns]

    def from_file(self, array: np.ndarray) -> np.ndarray:
        """The file's array as (D, H, W); a view."""
        return self.cut(array.reshape((*self.file_shape, 1)[:3]))

    def cut(self, voxels: np.ndarray) -> np.ndarray:
        """(i, j, k, ...) voxels in the file's order as (D, H, W, ...); a view."""
        ours = voxels.transpose(*self.axes, *range(3, voxels.ndim))
        return ours[self._flips()]

    def uncut(self, ours: np.ndarray) -> np.ndarray:
        """(D, H, W, ...) as (i, j, k, ...) in the file's order; a view, the way back of `cut`."""
        return ours[self._flips()].transpose(*np.argsort(self.axes), *range(3, ours.ndim))

    def to_file(self, labels: np.ndarray) -> np.ndarray:
        """A (D, H, W) array, or (H, W) for a single slice, in the file's order and shape.

        Raises:
            CaseError: If the array has another shape than the scan.
        """
        labels = labels[None] if labels.ndim == 2 else labels
        if labels.shape != self.shape:
            raise CaseError(f"labels must have the scan's shape {self.shape}, got {labels.shape}")
        return self.uncut(labels).reshape(self.file_shape)

    @property
    def is_file_order(self) -> bool:
        """Whether display and voxel coordinates are the same numbers."""
        return tuple(self.axes) == (2, 1, 0) and not any(self.flipped)

    @property
    def plane_axes(self) -> tuple[int, int]:
        """The two axes of the file that lie in a slice, in the order of the file: what 2D voxel coordinates count along."""
        _, rows, columns = self.axes
        return min(rows, columns), max(rows, columns)

    def to_display(self, points: np.ndarray) -> np.ndarray:
        """Voxel coordinates (..., 3) i, j, k as display coordinates (..., 3) x, y, z; fractions are kept."""
        order, flips, last = self._columns()
        ours = np.asarray(points, np.float64)[..., order]
        return np.where(flips, last - ours, ours)

    def to_voxel(self, points: np.ndarray) -> np.ndarray:
        """Display coordinates (..., 3) x, y, z as voxel coordinates (..., 3) i, j, k: the way back of `to_display`."""
        order, flips, last = self._columns()
        ours = np.asarray(points, np.float64)
        theirs = np.empty_like(ours)
        theirs[..., order] = np.where(flips, last - ours, ours)
        return theirs

    def box_to_display(self, boxes: np.ndarray) -> np.ndarray:
        """Closed boxes (..., 6) i0 j0 k0 i1 j1 k1 as x0 y0 z0 x1 y1 z1; a reversed box stays reversed."""
        first, last = (self.to_display(half) for half in np.split(np.asarray(boxes, np.float64), 2, axis=-1))
        flips = self._columns()[1]
        return np.concatenate([np.where(flips, last, first), np.where(flips, first, last)], axis=-1)

    def box_to_voxel(self, boxes: np.ndarray) -> np.ndarray:
        """Closed boxes (..., 6) x0 y0 z0 x1 y1 z1 as i0 j0 k0 i1 j1 k1: the way back of `box_to_display`."""
        order, flips, _ = self._columns()
        theirs = np.zeros(3, bool)
        theirs[order] = flips
        first, last = (self.to_voxel(half) for half in np.split(np.asarray(boxes, np.float64), 2, axis=-1))
        return np.concatenate([np.where(theirs, last, first), np.where(theirs, first, last)], axis=-1)

    def slice_to_display(self, index: int) -> int:
        """The slice of ours for an index along the file's axis `axes[0]`; it is its own way back."""
        return self.shape[0] - 1 - index if self.flipped[0] else index

    def picture_to_display(self, picture: np.ndarray) -> np.ndarray:
        """A picture of one slice in the order of the file, turned into that of the display.

        Args:
            picture: (V, U, ...), columns along the first of `plane_axes`, rows along the second, as SimpleITK's arrays have it.
        """
        ours = picture if self.axes[1] > self.axes[2] else picture.swapaxes(0, 1)
        return ours[:: -1 if self.flipped[1] else 1, :: -1 if self.flipped[2] else 1]

    def across(self, axis: int) -> "Geometry":
        """The same voxels cut into slices along another axis of the file, turned as radiology shows that plane."""
        if axis == self.axes[0]:
            return self
        if self.plane is None:
            rows, columns = (a for a in (2, 1, 0) if a != axis)
            return replace(self, axes=(axis, rows, columns), flipped=(False, False, False))
        # axis of the patient -> axis of the file, and where that runs
        runs = {
            world: (mine, -direction if flip else direction)
            for (world, direction), mine, flip in zip(PLANES[self.plane], self.axes, self.flipped, strict=True)
        }
        plane = next(_ACROSS[world] for world, (mine, _) in runs.items() if mine == axis)
        turned = [(runs[world][0], runs[world][1] != direction) for world, direction in PLANES[plane]]
        (slices, up), (rows, down), (columns, right) = turned
        return replace(self, axes=(slices, rows, columns), flipped=(up, down, right), plane=plane)

    def resized(self, spacing_mm: tuple[float, ...]) -> "Geometry":
        """The same frame with another voxel size: (z, y, x), or (y, x) where the slices keep their distance."""
        new = dict(zip(self.axes, (self.spacing_mm[0], *spacing_mm)[-3:], strict=True))
        old = dict(zip(self.axes, self.spacing_mm, strict=True))
        affine = self.affine.copy()
        for axis in range(3):
            affine[:3, axis] *= new[axis] / old[axis]
        return replace(self, affine=affine, header={})

    def _flips(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)

    def _columns(self) -> tuple[list[int], np.ndarray, np.ndarray]:
        """For x, y, z: the axis of the file, whether it is flipped, and the last index."""
        return list(self.axes[::-1]), np.array(self.flipped[::-1]), np.array(self.shape[::-1], np.float64) - 1

    @classmethod
    def from_spacing(cls, shape: tuple[int, ...], spacing_mm: tuple[float, ...] | None) -> "Geometry":
        """The geometry of a case of which only the spacing is known: axial slices, feet first, no position.

        Args:
            shape: (D, H, W) or (H, W).
            spacing_mm: In array order; None counts as 1 mm.
        """
        depth, height, width = (1, *shape)[-3:]
        z, y, x = (1.0, 1.0, 1.0) if spacing_mm is None else (1.0, *spacing_mm)[-3:]
        return cls(np.diag([-x, -y, z, 1.0]), (width, height, depth), plane="axial")


def orient(
    orientation: np.ndarray, file_shape: tuple[int, ...], spacing_mm: np.ndarray, plane: str
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool], str | None]:
    """Which axes of a file become slices, rows and columns.

    Args:
        orientation: (3, 2) for each axis of the file the closest axis of the patient and the direction along it.
        file_shape: Shape of the file's array.
        spacing_mm: (3,) voxel size along the file's axes.
        plane: A name from `PLANES`, or "auto": across the only axis of length 1, else across the axis of clearly the
            thickest voxels, else axial.

    Returns:
        `axes`, `flipped` and `plane` of a `Geometry`.
    """
    if not np.isfinite(orientation).all() or sorted(orientation[:, 0]) != [0, 1, 2]:
        return (2, 1, 0), (False, False, False), None  # an affine without directions: the order of the file
    if plane == "auto":
        plane = _natural_plane(orientation, (*file_shape, 1)[:3], spacing_mm)
    axes, flipped = [], []
    for world, direction in PLANES[plane]:
        axis = int(np.flatnonzero(orientation[:, 0] == world)[0])
        axes.append(axis)
        flipped.append(bool(orientation[axis, 1] != direction))
    return (axes[0], axes[1], axes[2]), (flipped[0], flipped[1], flipped[2]), plane


def _natural_plane(orientation: np.ndarray, shape: tuple[int, ...], spacing_mm: np.ndarray) -> str:
    single = [axis for axis in range(3) if shape[axis] == 1]
    order = np.argsort(spacing_mm)
    if len(single) == 1:
        across = single[0]
    elif spacing_mm[order[2]] >= _THICK * spacing_mm[order[1]]:
        across = int(order[2])
    else:
        return "axial"
    return _ACROSS[int(orientation[across, 0])]
