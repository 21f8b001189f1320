"""Distances between the boundaries of two masks: surface Dice (NSD), Hausdorff distances, average distances.

The boundary of a mask is its pixels with at least one 4-neighbour (6-neighbour in 3D) outside it; beyond the
image counts as outside. A 2D mask is measured in 2D: lifting it to a slab one voxel thick, as the CVPR 2024
challenge script does, makes every pixel a boundary pixel and turns surface Dice into area agreement. MONAI's
definitions, and its numbers.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lite_medsam.evaluation.metrics.region import as_masks


def surface_distances(
    truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from every boundary pixel of one mask to the nearest boundary pixel of the other.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x), any unit; None measures in
            pixels.

    Returns:
        Two float64 vectors: truth to prediction, (boundary pixels of truth,), and prediction to truth; in the
        unit of `spacing`. Empty for a mask with no pixel; all inf if the other mask has none.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts, or the spacing is not one positive number
            per axis.
    """
    truth, prediction = as_masks(truth, prediction)
    sampling = checked_spacing(spacing, truth.ndim)
    box = union_box(truth, prediction)
    if box is None:
        return np.zeros(0), np.zeros(0)
    # The union box is enough, and small on big images: every boundary pixel of both masks lies in it, and the
    # erosion sees "outside" beyond the crop exactly where it would see the image's border or background.
    truth_boundary, prediction_boundary = _boundary(truth[box]), _boundary(prediction[box])
    return (
        _distances(truth_boundary, prediction_boundary, sampling),
        _distances(prediction_boundary, truth_boundary, sampling),
    )


class Distances(NamedTuple):
    """What every measure here is made of, so that several need it only once: NaN if both masks are empty, inf if one is.

    Attributes:
        there: From `surface_distances`, truth to prediction.
        back: Prediction to truth.
    """

    there: np.ndarray
    back: np.ndarray

    def within(self, tolerance: float) -> float:
        """See `surface_dice`; 0 if one mask is empty."""
        both = np.concatenate(self)
        # 3 x 0.1 mm is 0.30000000000000004 in floating point and must still be within 0.3 mm
        return float(np.count_nonzero(both <= tolerance * (1 + 1e-9)) / both.size) if both.size else float("nan")

    def largest(self) -> float:
        """See `hausdorff`."""
        return self._directed(np.max, max)

    def percentile95(self) -> float:
        """See `hausdorff95`."""
        return self._directed(lambda distances: np.percentile(distances, 95), max)

    def mean_of_means(self) -> float:
        """See `average_surface_distance`."""
        return self._directed(np.mean, lambda means: sum(means) / 2)

    def pooled_mean(self) -> float:
        """See `mean_absolute_distance`."""
        return self._directed(np.asarray, lambda both: np.concatenate(both).mean())

    def _directed(self, statistic: Callable, joined: Callable) -> float:
        if not self.there.size and not self.back.size:
            return float("nan")
        if not self.there.size or not self.back.size:
            return float("inf")
        return float(joined([statistic(self.there), statistic(self.back)]))


def distances_of(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> Distances:
    """`surface_distances` with the measures that are made of them; same arguments and errors."""
    return Distances(*surface_distances(truth, prediction, spacing))


def surface_dice(
    truth: np.ndarray, prediction: np.ndarray, tolerance: float, spacing: Sequence[float] | None = None
) -> float:
    """Surface Dice at a tolerance, or normalised surface distance, NSD (Nikolov 2018, arXiv:1809.04430).

    The share of the boundary pixels of both masks together that lie within `tolerance` of the other mask's
    boundary. Boundary pixels count one each, as in MONAI without sub-voxels; Google's surface-distance weighs
    them by length.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        tolerance: Accepted distance, >= 0, in the unit of `spacing` (pixels without it); exactly at it is
            within.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        0 to 1; NaN if both masks are empty, 0 if one is.

    Raises:
        ValueError: If the masks, the tolerance or the spacing are not as above.
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be a number >= 0 in the unit of the spacing, got {tolerance}")
    return distances_of(truth, prediction, spacing).within(tolerance)


def hausdorff(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Symmetric Hausdorff distance: the largest of all distances of `surface_distances`; every contour counts.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        >= 0 in the unit of `spacing` (pixels without it); NaN if both masks are empty, inf if one is.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    return distances_of(truth, prediction, spacing).largest()


def hausdorff95(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Symmetric 95 % Hausdorff distance: the larger of the two directed 95th percentiles (linear
    interpolation).

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        >= 0 in the unit of `spacing` (pixels without it); NaN if both masks are empty, inf if one is.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    return distances_of(truth, prediction, spacing).percentile95()


def average_surface_distance(
    truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None
) -> float:
    """Average symmetric surface distance: the mean of the two directed means (not of the pooled distances).

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        >= 0 in the unit of `spacing` (pixels without it); NaN if both masks are empty, inf if one is.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    return distances_of(truth, prediction, spacing).mean_of_means()


def mean_absolute_distance(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Mean absolute distance (MAD) of two boundaries: the mean over the boundary pixels of both masks, pooled.

    Where the boundaries are of unlike length it differs from `average_surface_distance`, the mean of two means.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x).

    Returns:
        >= 0 in the unit of `spacing` (pixels without it); NaN if both masks are empty, inf if one is.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    return distances_of(truth, prediction, spacing).pooled_mean()


def checked_spacing(spacing: Sequence[float] | None, ndim: int) -> np.ndarray | None:
    """The spacing as float64, one positive number per axis; None stays None."""
    if spacing is None:
        return None
    array = np.asarray(spacing, dtype=np.float64)
    if array.shape != (ndim,) or not np.all(np.isfinite(array) & (array > 0)):
        axes = "(y, x)" if ndim == 2 else "(z, y, x)"
        raise ValueError(f"spacing must be {ndim} positive numbers in array order {axes}, got {spacing}")
    return array


def union_box(first: np.ndarray, second: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box, as slices, that holds every pixel of both masks; None if there is none."""
    union = first | second
    box = []
    for axis in range(union.ndim):
        filled = np.flatnonzero(union.any(axis=tuple(other for other in range(union.ndim) if other != axis)))
        if filled.size == 0:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _boundary(mask: np.ndarray) -> np.ndarray:
    cross = ndimage.generate_binary_structure(mask.ndim, 1)
    return mask & ~ndimage.binary_erosion(mask, cross, border_value=0)


def _distances(boundary: np.ndarray, other: np.ndarray, sampling: np.ndarray | None) -> np.ndarray:
    if not other.any():  # the distance transform of an image without zeros is not defined
        return np.full(np.count_nonzero(boundary), np.inf)
    return ndimage.distance_transform_edt(~other, sampling=sampling)[boundary]
