"""What a clinic counts of a mask, predicted against true: thickness, share of vessels, area, volume, number of lesions.

Differences are prediction minus truth where they have a sign.
"""

from collections.abc import Sequence

import numpy as np

from lite_medsam.evaluation.metrics.region import as_masks
from lite_medsam.evaluation.metrics.surface import checked_spacing


def thickness_difference(
    truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None, covered: bool = False
) -> float:
    """Mean over A-scans of the absolute difference of thickness: mean_x |sum_rows y - sum_rows p|.

    An A-scan is a column of the image, in a volume of each B-scan. Its thickness is its number of mask pixels, gaps left out.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1; depth runs along H.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x); only y is used.
        covered: Whether only the A-scans count in which either mask has a pixel; by default all do, as in the review.

    Returns:
        >= 0 in the unit of `spacing` (pixels without it); NaN if both masks are empty.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts, or the spacing is not one positive number per axis.
    """
    truth, prediction = as_masks(truth, prediction)
    sampling = checked_spacing(spacing, truth.ndim)
    there, here = truth.sum(-2, dtype=np.int64), prediction.sum(-2, dtype=np.int64)
    counted = (there > 0) | (here > 0)
    if not counted.any():
        return float("nan")
    differences = np.abs(there - here)
    mean = float(differences[counted].mean() if covered else differences.mean())
    return mean if sampling is None else mean * float(sampling[-2])


def vascularity_index(vessels: np.ndarray, tissue: np.ndarray | None = None) -> float:
    """Share of a tissue that is vessel, as the choroid vascularity index: luminal area / total area (Agrawal 2016).

    Args:
        vessels: (H, W) or (D, H, W) bool, or only 0 and 1.
        tissue: Same shape, where the tissue is; vessels outside it do not count. None takes the whole image.

    Returns:
        0 to 1; NaN if there is no tissue.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    vessels, tissue = as_masks(vessels, np.ones(np.shape(vessels), bool) if tissue is None else tissue)
    area = np.count_nonzero(tissue)
    return float(np.count_nonzero(vessels & tissue) / area) if area else float("nan")


def vascularity_index_difference(
    truth: np.ndarray,
    prediction: np.ndarray,
    tissue: np.ndarray | None = None,
    predicted_tissue: np.ndarray | None = None,
) -> float:
    """|VI of the truth - VI of the prediction|, see `vascularity_index`.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1: the vessels.
        prediction: Same shape.
        tissue: Same shape; None takes the whole image, as the review's code does: a number that depends on the crop.
        predicted_tissue: Where the prediction has the tissue; None for the same.

    Returns:
        0 to 1; NaN if there is no tissue, or without a tissue if both masks are empty.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    truth, prediction = as_masks(truth, prediction)
    if tissue is None and not (truth.any() or prediction.any()):
        return float("nan")
    predicted_tissue = tissue if predicted_tissue is None else predicted_tissue
    return abs(vascularity_index(truth, tissue) - vascularity_index(prediction, predicted_tissue))


def size_difference(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Area (2D) or volume (3D) of the prediction minus that of the truth.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        In the square or cube of the unit of `spacing` (pixels without it; 1 nL = 10^6 um^3); NaN if both masks are empty.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    truth, prediction = as_masks(truth, prediction)
    sampling = checked_spacing(spacing, truth.ndim)
    if not (truth.any() or prediction.any()):
        return float("nan")
    pixel = 1.0 if sampling is None else float(np.prod(sampling))
    return pixel * (np.count_nonzero(prediction) - np.count_nonzero(truth))


def relative_size_difference(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Size of the prediction over that of the truth, minus 1: -1 for nothing found, 0 for the right size.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        >= -1; NaN if both masks are empty, inf if only the truth is.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    truth, prediction = as_masks(truth, prediction)
    size, found = np.count_nonzero(truth), np.count_nonzero(prediction)
    if size == 0:
        return float("inf") if found else float("nan")
    return found / size - 1
