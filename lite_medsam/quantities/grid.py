"""The grid on which an eye was scanned: the size of its voxels with their origins, the fovea, the directions."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.scale import Scale

FINEST_UM = 20.0  # parts of a cell that shares of circles are counted in
MOST_PARTS = 16


@dataclass(frozen=True, eq=False)
class EyeGrid:
    """Where the voxels of an OCT scan lie in the eye. A single B-scan is a volume of one B-scan.

    Attributes:
        shape: (D, H, W): B-scans, depth, A-scans.
        steps: Their sizes in that order, with origins; unknown ones stay unknown and give results in px.
        fovea_zx: B-scan and A-scan of the fovea, fractions allowed; the centre of the circles of 1, 3 and 6 mm.
        fovea_origin: Where that place comes from.
        laterality: "R" or "L"; None when unknown.
        to_fundus: (2, 2), from mm along A-scans and B-scans (x, z) to mm to the right and upwards in a fundus picture; None
            when the direction of the B-scans is unknown.
    """

    shape: tuple[int, int, int]
    steps: Scale
    fovea_zx: tuple[float, float]
    fovea_origin: str
    laterality: str | None = None
    to_fundus: np.ndarray | None = None

    def __post_init__(self):
        if len(self.shape) != 3 or len(self.steps) != 3:
            raise CaseError(
                f"a grid must have three axes with a step each, got {self.shape} and {len(self.steps)} steps"
            )
        if min(self.shape) < 1:
            raise CaseError(f"a grid must have a voxel along each axis, got {self.shape}")
        z, x = self.fovea_zx
        if not (-0.5 <= z <= self.shape[0] - 0.5 and -0.5 <= x <= self.shape[2] - 0.5):
            raise CaseError(
                f"the fovea must lie in the scan of {self.shape[0]} B-scans and {self.shape[2]} A-scans as z,x, got {z:g},{x:g}"
            )
        if self.laterality not in (None, "R", "L"):
            raise CaseError(f"laterality must be R, L or unknown, got {self.laterality!r}")

    @property
    def is_line(self) -> bool:
        """Whether it is a single B-scan, on which distances count along the A-scans alone."""
        return self.shape[0] == 1

    @property
    def knows_distances(self) -> bool:
        """Whether the distance of an A-scan from the fovea is known."""
        return self.steps[2].um is not None and (self.is_line or self.steps[0].um is not None)

    def product(self, axes: tuple[int, ...]) -> float | None:
        """The size of a voxel over some axes in um, um2 or um3; None when one of them is unknown."""
        sizes = [self.steps[axis].um for axis in axes]
        return None if any(um is None for um in sizes) else math.prod(um for um in sizes if um is not None)

    def volume(self, voxels: float) -> tuple[float, str]:
        """Voxels as nL (10^6 um3), or as voxels where the scale is unknown."""
        um3 = self.product((0, 1, 2))
        return (voxels, "voxels") if um3 is None else (voxels * um3 / 1e6, "nL")

    def section(self, pixels: float) -> tuple[float, str]:
        """Pixels of a B-scan as um2, else as px."""
        um2 = self.product((1, 2))
        return (pixels, "px") if um2 is None else (pixels * um2, "um2")

    def en_face(self, cells: float) -> tuple[float, str]:
        """A-scans as mm2 of the retina, else as A-scans."""
        um2 = self.product((0, 2))
        return (cells, "A-scans") if um2 is None else (cells * um2 / 1e6, "mm2")

    def depth(self, rows: float) -> tuple[float, str]:
        """Pixels along depth as um, else as px."""
        um = self.steps[1].um
        return (rows, "px") if um is None else (rows * um, "um")

    def width(self, columns: float) -> tuple[float, str]:
        """A-scans of a B-scan as um along it, else as px."""
        um = self.steps[2].um
        return (columns, "px") if um is None else (columns * um, "um")

    def shares(self, classify: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int) -> np.ndarray:
        """How much of each A-scan's cell lies in which of several fields.

        B-scans lie further apart than circles are exact, so cells are cut into parts of at most `FINEST_UM`.

        Args:
            classify: From distances in mm from the fovea, along A-scans and along B-scans, to field numbers; negative: none.
            count: Number of fields.

        Returns:
            (count, D, W) float64, 0 to 1.

        Raises:
            CaseError: If distances are unknown.
        """
        if not self.knows_distances:
            raise CaseError(
                "distances from the fovea need the size of a voxel along A-scans and B-scans; give --spacing-um"
            )
        depth, _, width = self.shape
        step_z, step_x = (0.0 if self.is_line else float(self.steps[0].um or 0)), float(self.steps[2].um or 0)
        parts_z, parts_x = (max(1, min(MOST_PARTS, math.ceil(um / FINEST_UM))) for um in (step_z, step_x))
        x_mm = (_parts(width, parts_x) - self.fovea_zx[1]) * step_x / 1000
        z_mm = (_parts(depth, parts_z) - self.fovea_zx[0]) * step_z / 1000
        found = np.zeros((count, depth, width))
        columns = np.repeat(np.arange(width), parts_x)
        for k, z in enumerate(z_mm):
            fields = classify(x_mm, np.full_like(x_mm, z))
            inside = fields >= 0
            hits = np.bincount(fields[inside] * width + columns[inside], minlength=count * width)
            found[:, k // parts_z] += hits.reshape(count, width)
        return found / (parts_z * parts_x)

    def within(self, radius_mm: float) -> np.ndarray:
        """(D, W) share of each A-scan's cell within a circle about the fovea; of a single B-scan, along it."""
        return self.shares(lambda x, z: np.where(np.hypot(x, z) <= radius_mm, 0, -1), 1)[0]

    @property
    def foveal_b_scan(self) -> int:
        """The B-scan nearest to the fovea."""
        return min(self.shape[0] - 1, max(0, math.floor(self.fovea_zx[0] + 0.5)))

    @property
    def foveal_a_scan(self) -> int:
        """The A-scan nearest to the fovea."""
        return min(self.shape[2] - 1, max(0, math.floor(self.fovea_zx[1] + 0.5)))

    def to_json(self) -> dict:
        """What a reader needs beside every number."""
        return {
            "b_scans": self.shape[0], "depth_px": self.shape[1], "a_scans": self.shape[2],
            "fovea_zx": [round(float(v), 3) for v in self.fovea_zx], "fovea_origin": self.fovea_origin,
            "laterality": self.laterality, "b_scan_direction_known": self.to_fundus is not None,
        }  # fmt: skip


def a_scans(mask: np.ndarray) -> np.ndarray:
    """(D, W) bool: the A-scans that hold a part of a structure, (D, H, W) bool."""
    return np.asarray(mask.any(axis=1))


def _parts(count: int, parts: int) -> np.ndarray:
    """Middles of the parts of cells whose middles are 0 .. count - 1."""
    return (np.arange(count * parts) + 0.5) / parts - 0.5


def fundus_directions(first_b_scan: str | None, b_scans_px: np.ndarray | None = None) -> np.ndarray | None:
    """The directions of A-scans and B-scans in a fundus picture, where right is right and up is superior.

    Args:
        first_b_scan: "superior" or "inferior": on which side the first B-scan lies, A-scans running to the right. None: as the
            picture says.
        b_scans_px: (D, 2, 2) x, y of the first and last A-scan of each B-scan in the fundus picture of the file.

    Returns:
        (2, 2) that maps (x, z) to (right, up); None when it is unknown.

    Raises:
        CaseError: If the side has another name.
    """
    if first_b_scan is not None:
        if first_b_scan not in ("superior", "inferior"):
            raise CaseError(f"the first B-scan must be superior or inferior, got {first_b_scan!r}")
        return np.array([[1.0, 0.0], [0.0, -1.0 if first_b_scan == "superior" else 1.0]])
    if b_scans_px is None or len(b_scans_px) < 2:
        return None
    lines = np.asarray(b_scans_px, np.float64)
    along = (lines[:, 1] - lines[:, 0]).mean(0)
    across = lines[-1].mean(0) - lines[0].mean(0)
    if not (np.isfinite([*along, *across]).all() and np.hypot(*along) > 0 and np.hypot(*across) > 0):
        return None
    directions = np.stack([along / np.hypot(*along), across / np.hypot(*across)], axis=1)
    directions[1] *= -1  # rows of a picture run downwards
    return directions
