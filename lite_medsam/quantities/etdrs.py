"""The ETDRS grid: nine fields within 1, 3 and 6 mm about the fovea, and means over them."""

import math
from dataclasses import dataclass

import numpy as np

from lite_medsam.quantities.grid import EyeGrid

RADII_MM = (0.5, 1.5, 3.0)
COMPLETE = 0.99  # less than this share of a field within the scan is flagged
CENTRE = "central subfield"


@dataclass(frozen=True, eq=False)
class EtdrsGrid:
    """The nine fields on a scan.

    Attributes:
        names: Of the fields: the central subfield, then the inner and the outer ring.
        shares: (9, D, W) which part of each A-scan's cell lies in the field.
        covered: (9,) which part of each field the scan covers, 0 to 1.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    covered: np.ndarray

    def means(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of a map over the fields.

        Args:
            values: (D, W), NaN where nothing was measured.

        Returns:
            (9,) means over what was measured, NaN where nothing was; and (9,) which part of each whole field was measured.
        """
        measured = np.isfinite(values)
        weights = (self.shares * measured).sum((1, 2))
        sums = (self.shares * np.where(measured, values, 0)).sum((1, 2))
        means = np.divide(sums, weights, out=np.full(9, np.nan), where=weights > 0)
        inside = self.shares.sum((1, 2))
        return means, self.covered * np.divide(weights, inside, out=np.zeros(9), where=inside > 0)


def etdrs_grid(grid: EyeGrid) -> EtdrsGrid | None:
    """The nine fields of a scan; None for a single B-scan, or where distances are unknown.

    Quadrants end at the diagonals. Nasal is to the right in a fundus picture of a right eye, to the left in one of a left eye.
    Where the side of the eye is unknown, fields are called left and right; where the direction of the B-scans is, towards the
    first and the last B-scan.
    """
    if grid.is_line or not grid.knows_distances:
        return None
    turn = np.eye(2) if grid.to_fundus is None else grid.to_fundus
    shares = grid.shares(lambda x, z: _field(turn[0, 0] * x + turn[0, 1] * z, turn[1, 0] * x + turn[1, 1] * z), 9)
    cell_mm2 = float(grid.product((0, 2)) or 0) / 1e6
    covered = np.minimum(shares.sum((1, 2)) * cell_mm2 / field_areas_mm2(), 1.0)
    return EtdrsGrid(_names(grid), shares, covered)


def field_areas_mm2() -> np.ndarray:
    """(9,) areas of the fields: the centre, four of the inner ring, four of the outer ring."""
    centre, inner, outer = (math.pi * radius**2 for radius in RADII_MM)
    return np.array([centre, *[(inner - centre) / 4] * 4, *[(outer - inner) / 4] * 4])


def _field(right: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Field numbers: 0 the centre; 1 to 4 and 5 to 8 right, up, left, down of the rings; -1 outside."""
    radius = np.hypot(right, up)
    quadrant = np.floor((np.arctan2(up, right) + math.pi / 4) / (math.pi / 2)).astype(int) % 4
    ring = np.searchsorted(RADII_MM, radius, side="left")
    return np.select([ring == 0, ring < 3], [0, 1 + quadrant + 4 * (ring - 1)], -1)


def _names(grid: EyeGrid) -> tuple[str, ...]:
    right, left = {"R": ("nasal", "temporal"), "L": ("temporal", "nasal")}.get(grid.laterality or "", ("right", "left"))
    up, down = "superior", "inferior"
    if grid.to_fundus is None:  # only rows and columns are known: A-scans are taken to run to the right
        up, down = "last B-scan", "first B-scan"
    rings = [f"{ring} {side}" for ring in ("inner", "outer") for side in (right, up, left, down)]
    return (CENTRE, *rings)
