"""Choroid vascularity index: the share of the choroid that is lumen of vessels, in a window that is said."""

from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.evaluation.metrics.biomarkers import vascularity_index
from lite_medsam.evaluation.metrics.boundary import layer_boundaries
from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.quantities.quantity import Quantity

SIDES = ("vertical", "perpendicular")
NIBLACK_K, NIBLACK_RADIUS_PX = 0.2, 15


@dataclass(frozen=True)
class ChoroidWindow:
    """The part of the choroid under the fovea that counts.

    Attributes:
        width_mm: How wide it is, centred on the fovea.
        sides: "vertical": its sides run along the A-scans; "perpendicular": at right angles to the inner border of the choroid.
    """

    width_mm: float = 1.0
    sides: str = "vertical"

    def __post_init__(self):
        if self.sides not in SIDES or not self.width_mm > 0:
            raise CaseError(
                f"the window must be above 0 mm wide and {' or '.join(SIDES)}, got {self.width_mm:g} {self.sides}"
            )


def lumen_by_niblack(image: np.ndarray) -> np.ndarray:
    """Dark lumina by Niblack's local threshold, as the CVI is defined where no vessels are drawn.

    A pixel is stroma where it is above mean + 0.2 sd of the 31 x 31 pixels about it (ImageJ's Auto Local Threshold, radius 15;
    Agrawal et al. 2016), else lumen.

    Args:
        image: (D, H, W) uint8.

    Returns:
        bool of the same shape.
    """
    import cv2

    side = 2 * NIBLACK_RADIUS_PX + 1
    lumen = np.empty(image.shape, bool)
    for z in range(len(image)):
        plane = np.asarray(image[z], np.float64)
        mean = cv2.blur(plane, (side, side))
        spread = np.sqrt(np.maximum(cv2.blur(plane * plane, (side, side)) - mean * mean, 0))
        lumen[z] = plane <= mean + NIBLACK_K * spread
    return lumen


def choroid_quantities(
    choroid: np.ndarray, lumen: np.ndarray, grid: EyeGrid, window: ChoroidWindow | None = None, note: str = ""
) -> list[Quantity]:
    """The index of the whole choroid in the scan, and of the window under the fovea on the foveal B-scan.

    Args:
        choroid: (D, H, W) bool, with its vessels.
        lumen: (D, H, W) bool.
        grid: Of the scan.
        window: Under the fovea.
        note: Where the lumen comes from.
    """
    window = window or ChoroidWindow()
    tissue = choroid | lumen if not note else choroid
    found = [Quantity("choroid vascularity index", vascularity_index(lumen, tissue), "1", "choroid", note=note)]
    z = grid.foveal_b_scan
    if grid.steps[2].um is None:
        return found
    inside = _window(tissue[z], grid, window)
    if inside is None:
        return found
    place = f"subfoveal {window.width_mm:g} mm, {window.sides} sides, B-scan {z}"
    covered = _covered(grid, window)
    value = vascularity_index(lumen[z] & inside, tissue[z] & inside)
    size, unit = grid.section(int(np.count_nonzero(tissue[z] & inside)))
    luminal, _ = grid.section(int(np.count_nonzero(lumen[z] & tissue[z] & inside)))
    return [
        *found,
        Quantity("choroid vascularity index", value, "1", "choroid", place, covered=covered, note=note),
        Quantity("total choroidal area", size, unit, "choroid", place, covered=covered),
        Quantity("luminal area", luminal, unit, "choroid", place, covered=covered, note=note),
    ]


def _covered(grid: EyeGrid, window: ChoroidWindow) -> float:
    """Which part of the window's width lies in the scan."""
    step = float(grid.steps[2].um or 0) / 1000
    left, right = (-0.5 - grid.fovea_zx[1]) * step, (grid.shape[2] - 0.5 - grid.fovea_zx[1]) * step
    half = window.width_mm / 2
    return max(0.0, min(right, half) - max(left, -half)) / window.width_mm


def _window(choroid: np.ndarray, grid: EyeGrid, window: ChoroidWindow) -> np.ndarray | None:
    """(H, W) bool; None where the depth is unknown that the slope of the choroid needs, or there is no choroid there."""
    height, width = choroid.shape
    half = window.width_mm / 2
    x_mm = (np.arange(width) - grid.fovea_zx[1]) * float(grid.steps[2].um or 0) / 1000
    if window.sides == "vertical":
        return np.broadcast_to(np.abs(x_mm) <= half, choroid.shape)
    if grid.steps[1].um is None:
        return None
    depth_mm = grid.steps[1].um / 1000
    top = layer_boundaries(choroid)[0] * depth_mm
    near = np.isfinite(top) & (np.abs(x_mm) <= half)
    if np.count_nonzero(near) < 2:
        return None
    slope, at_fovea = np.polyfit(x_mm[near], top[near], 1)
    y_mm = (np.arange(height) + 0.5) * depth_mm - at_fovea
    along = (x_mm[None, :] + slope * y_mm[:, None]) / np.hypot(1.0, slope)
    return np.abs(along) <= half
