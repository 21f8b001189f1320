"""Where a scan's voxels lie in the patient, and how an array of ours goes back into its file's order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """

    affine: np.ndarray
    file_shape: tuple[int, ...]
    axes: tuple[int, int, int] = (2, 1, 0)
    flipped: tuple[bool, bool, bool] = (False, False, False)
    header: Mapping[str, Any] = field(default_factory=dict)
    nifti2: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        full = (*self.file_shape, 1)[:3]
        return tuple(full[axis] for axis in self.axes)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm: lengths of the affine's columns, right for oblique scans too."""
        columns = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return tuple(float(columns[axis]) for axis in self.axes)

    def from_file(self, array: np.ndarray) -> np.ndarray:
        """The file's array as (D, H, W); a view."""
        ours = array.reshape((*self.file_shape, 1)[:3]).transpose(self.axes)
        return ours[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def to_file(self, labels: np.ndarray) -> np.ndarray:
        """A (D, H, W) array, or (H, W) for a single slice, in the file's order and shape.

        Raises:
            CaseError: If the array has another shape than the scan.
        """
        labels = labels[None] if labels.ndim == 2 else labels
        if labels.shape != self.shape:
            raise CaseError(f"labels must have the scan's shape {self.shape}, got {labels.shape}")
        ours = labels[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]
        return ours.transpose(np.argsort(self.axes)).reshape(self.file_shape)

    @classmethod
    def from_spacing(cls, shape: tuple[int, ...], spacing_mm: tuple[float, ...] | None) -> "Geometry":
        """The geometry of a case of which only the spacing is known: axial slices, feet first, no position.

        Args:
            shape: (D, H, W) or (H, W).
            spacing_mm: In array order; None counts as 1 mm.
        """
        depth, height, width = (1, *shape)[-3:]
        z, y, x = (1.0, 1.0, 1.0) if spacing_mm is None else (1.0, *spacing_mm)[-3:]
        return cls(np.diag([-x, -y, z, 1.0]), (width, height, depth))


def orient(
    orientation: np.ndarray, file_shape: tuple[int, ...], spacing_mm: np.ndarray, plane: str
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which axes of a file become slices, rows and columns.

    Args:
        orientation: (3, 2) for each axis of the file the closest axis of the patient and the direction along it.
        file_shape: Shape of the file's array.
        spacing_mm: (3,) voxel size along the file's axes.
        plane: A name from `PLANES`, or "auto": across the only axis of length 1, else across the axis of clearly the
            thickest voxels, else axial.

    Returns:
        `axes` and `flipped` of a `Geometry`.
    """
    if not np.isfinite(orientation).all() or sorted(orientation[:, 0]) != [0, 1, 2]:
        return (2, 1, 0), (False, False, False)  # an affine without directions: the order of the file
    if plane == "auto":
        plane = _natural_plane(orientation, (*file_shape, 1)[:3], spacing_mm)
    axes, flipped = [], []
    for world, direction in PLANES[plane]:
        axis = int(np.flatnonzero(orientation[:, 0] == world)[0])
        axes.append(axis)
        flipped.append(bool(orientation[axis, 1] != direction))
    return tuple(axes), tuple(flipped)


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
