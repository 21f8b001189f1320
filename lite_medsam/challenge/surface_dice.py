"""Surface Dice as the CVPR 2024 challenge computes it for pictures, which is no contour measure.

The challenge's script (its evaluation/compute_metrics.py) lifts a 2D mask to a slab one voxel thick and measures Google's
3D surface-distance on it. The slab's two faces are surface too, so the result is mostly agreement of areas: a disc of radius
60 px that is shifted by 4 px has 0.99 at a tolerance of 2 px, where the true `surface_dice` is 0.38. Use this number only
beside numbers from that challenge.
"""

import numpy as np
from scipy import ndimage

from lite_medsam.evaluation.metrics.region import as_masks, dice
from lite_medsam.evaluation.metrics.surface import union_box

GATE = 0.2  # the script reports 0 unless Dice is above this

# Area of the marching-cubes surface in a cell between 2 x 2 pixels of a slab and the empty layer beside it, by the pattern
# 8 a + 4 b + 2 c + d of the pixels [[a, b], [c, d]]; the arithmetic is that of triangles on edge midpoints.
_CORNER, _EDGE, _DIAGONAL, _THREE, _FULL = 3**0.5 / 8, 2**-0.5, 3**0.5 / 4, 3 * 3**0.5 / 8 + 0.5, 1.0
_AREA = np.array([
    0, _CORNER, _CORNER, _EDGE, _CORNER, _EDGE, _DIAGONAL, _THREE,
    _CORNER, _DIAGONAL, _EDGE, _THREE, _EDGE, _THREE, _THREE, _FULL,
])  # fmt: skip


def challenge_nsd(truth: np.ndarray, prediction: np.ndarray, tolerance_px: float = 2.0) -> float:
    """The challenge's NSD of one object in a picture: bug for bug, with its spacing of 1 and its gate at Dice 0.2.

    The two layers of cells above and below the slab are alike, and every cell that touches the mask is surface, so one layer
    of 2 x 2 cells says all. The script takes the mean over the classes of a case before it applies the gate; for one object
    that is the same.

    Args:
        truth: (H, W) bool, or only 0 and 1.
        prediction: Same shape.
        tolerance_px: Accepted distance, pixels.

    Returns:
        0 to 1; 0 where Dice is not above 0.2; NaN if both masks are empty.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts, or not 2D.
    """
    truth, prediction = as_masks(truth, prediction)
    if truth.ndim != 2:
        raise ValueError(f"truth and prediction must be (H, W), got {truth.ndim} axes; score a volume's slices")
    overlap = dice(truth, prediction)
    if not overlap > GATE:
        return overlap if np.isnan(overlap) else 0.0
    box = union_box(truth, prediction)
    codes = [_codes(mask[box]) for mask in (truth, prediction)]
    within = total = 0.0
    for mine, other in (codes, codes[::-1]):
        distances = ndimage.distance_transform_edt(other == 0)
        areas = _AREA[mine]
        within += areas[distances <= tolerance_px].sum()
        total += areas.sum()
    return float(within / total)


def _codes(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool to the patterns of its 2 x 2 cells, (h + 1, w + 1), cells half outside included."""
    cells = np.pad(mask, 1).astype(np.uint8)
    return 8 * cells[:-1, :-1] + 4 * cells[:-1, 1:] + 2 * cells[1:, :-1] + cells[1:, 1:]
