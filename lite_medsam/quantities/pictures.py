"""Pictures of a report: B-scans with what was measured on them, and maps of the retina seen from the front."""

from typing import NamedTuple

import numpy as np

from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.quantities.measure import Measured
from lite_medsam.quantities.names import FLUIDS
from lite_medsam.results.overlay import PALETTE, draw_masks

WIDTH_PX, MOST_HEIGHT_PX = 900, 900
_EMPTY = (225, 225, 225)


def shown_structures(measured: Measured) -> list[str]:
    """Structures in the order of their colours: fluid first, because there are seven colours and often more layers."""
    there = [kind for kind, mask in measured.masks.items() if mask.any()]
    return [kind for kind in there if kind in FLUIDS] + [kind for kind in there if kind not in FLUIDS]


def colour_of(index: int) -> str:
    """The colour of a structure as CSS has it."""
    return "#{:02x}{:02x}{:02x}".format(*PALETTE[index % len(PALETTE)].tolist())


def b_scan_picture(measured: Measured, z: int) -> np.ndarray:
    """(h, w, 3) uint8: a B-scan or fundus picture with its structures, as wide as high in the eye where the scale is known."""
    import cv2

    scan = measured.labelled.scan
    image = scan.to_uint8()
    plane = image[z] if scan.is_volume else image
    label = np.zeros(plane.shape[:2], np.uint8)
    for index, kind in enumerate(shown_structures(measured)):
        label[measured.masks[kind][z]] = index + 1
    rows, columns = (step.um for step in measured.scale[-2:])
    tall, wide = plane.shape[:2]
    ratio = (rows or 1.0) * tall / ((columns or 1.0) * wide) if rows and columns else tall / wide
    size = _size(ratio)
    enlarged = cv2.resize(plane, size, interpolation=cv2.INTER_AREA if size[0] < wide else cv2.INTER_LINEAR)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    return draw_masks(enlarged, label, opacity=0.35)


def _size(ratio: float) -> tuple[int, int]:
    """Width and height in pixels of a picture that is `ratio` times as high as wide."""
    width = min(WIDTH_PX, MOST_HEIGHT_PX / ratio)
    return max(1, round(width)), max(1, round(width * ratio))


def um_per_shown_px(measured: Measured, picture: np.ndarray) -> float | None:
    """Across a picture that `b_scan_picture` made; None when the scale is unknown."""
    um = measured.scale[-1].um
    return None if um is None else um * measured.labelled.scan.label_shape[-1] / picture.shape[1]


class EnFace(NamedTuple):
    """A map over the retina turned as a fundus picture shows it: superior up, A-scans to the right where nothing is known.

    Attributes:
        values: (h, w).
        step_yx: Distance of its rows and columns in um; 1 along both as a square where one is unknown.
        fovea_yx: Row and column of the fovea.
    """

    values: np.ndarray
    step_yx: tuple[float, float]
    fovea_yx: tuple[float, float]


def turned_en_face(values: np.ndarray, grid: EyeGrid) -> EnFace:
    """A (D, W) map, turned by quarters and mirrored; without the direction of the B-scans the last one is up."""
    depth, width = values.shape
    step_z, step_x = grid.steps[0].um, grid.steps[2].um
    steps = (width / depth, 1.0) if step_z is None or step_x is None else (step_z, step_x)
    fovea = grid.fovea_zx
    to_fundus = np.eye(2) if grid.to_fundus is None else grid.to_fundus
    right, up = to_fundus[0, 0], to_fundus[1, 1]
    if abs(to_fundus[0, 1]) > abs(to_fundus[0, 0]):  # B-scans run up and down
        values, steps, fovea = values.T, steps[::-1], fovea[::-1]
        right, up = to_fundus[0, 1], to_fundus[1, 0]
    y, x = fovea
    if up >= 0:
        values, y = values[::-1], len(values) - 1 - y
    if right < 0:
        values, x = values[:, ::-1], values.shape[1] - 1 - x
    return EnFace(values, steps, (y, x))


def coloured(values: np.ndarray, limits: tuple[float, float], colours: str = "viridis") -> np.ndarray:
    """(h, w, 3) uint8: a map in colours, grey where NaN.

    Args:
        values: (h, w).
        limits: Values of the first and the last colour.
        colours: "viridis" or "inferno", a map of OpenCV.
    """
    import cv2

    low, high = limits
    scaled = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    table = {"viridis": cv2.COLORMAP_VIRIDIS, "inferno": cv2.COLORMAP_INFERNO}[colours]
    picture = cv2.applyColorMap(np.rint(255 * scaled).astype(np.uint8), table)[..., ::-1].copy()
    picture[~np.isfinite(values)] = _EMPTY
    return picture


def palette_bar(colours: str, steps: int = 12) -> list[str]:
    """Colours of a map from low to high, as CSS has them."""
    import cv2

    table = {"viridis": cv2.COLORMAP_VIRIDIS, "inferno": cv2.COLORMAP_INFERNO}[colours]
    line = cv2.applyColorMap(np.linspace(0, 255, steps).round().astype(np.uint8)[:, None], table)[:, 0, ::-1]
    return ["#{:02x}{:02x}{:02x}".format(*colour.tolist()) for colour in line]
