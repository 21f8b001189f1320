"""Boundaries of layers, A-scan by A-scan: where they are in a mask, and how far two of them lie apart.

A boundary is a depth per A-scan, NaN where it is not there. The top of a mask is the upper edge of its first pixel and the bottom
the lower edge of its last one, so that bottom - top is the thickness.
"""

from typing import NamedTuple

import numpy as np

from lite_medsam.evaluation.metrics.region import as_masks


class BoundaryError(NamedTuple):
    """How far a predicted boundary lies from the true one.

    Attributes:
        mae: Mean absolute error over the A-scans that have both.
        rmse: Root of the mean squared error over them.
        bias: Mean error, prediction minus truth: positive lies deeper.
        compared: A-scans that have both.
        missed: A-scans that have only the truth.
        added: A-scans that have only the prediction.
    """

    mae: float
    rmse: float
    bias: float
    compared: int
    missed: int
    added: int


def layer_boundaries(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Top and bottom of a layer in each A-scan, in pixels from the upper edge of the image.

    Args:
        mask: (H, W), or (D, H, W) with B-scans along D; bool, or only 0 and 1.

    Returns:
        Two float64 arrays (W,) or (D, W), NaN in A-scans without the layer.

    Raises:
        ValueError: If the mask is not what `as_masks` accepts.
    """
    mask, _ = as_masks(mask, mask)
    there = mask.any(-2)
    height = mask.shape[-2]
    top = np.where(there, mask.argmax(-2), np.nan)
    bottom = np.where(there, height - np.flip(mask, -2).argmax(-2), np.nan)
    return top, bottom


def boundary_error(truth: np.ndarray, prediction: np.ndarray, um_per_px: float | None = None) -> BoundaryError:
    """Distance along the A-scan between a true and a predicted boundary.

    A-scans without one of the two cannot be compared and are counted, so that a boundary that is found only where it is
    easy does not look good unseen.

    Args:
        truth: (W,) or (D, W) depths in pixels, NaN where there is no boundary.
        prediction: Same shape.
        um_per_px: Axial size of a pixel; None gives pixels.

    Returns:
        In um, or in pixels without a scale. With no A-scan to compare: NaN where neither has a boundary, inf where one has.

    Raises:
        ValueError: If the shapes differ, or the scale is not above 0.
    """
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if truth.shape != prediction.shape or truth.ndim not in (1, 2):
        raise ValueError(
            f"boundaries must be two arrays (W,) or (D, W) of one shape, got {truth.shape} and {prediction.shape}"
        )
    if um_per_px is not None and not (np.isfinite(um_per_px) and um_per_px > 0):
        raise ValueError(f"um_per_px must be a number above 0, got {um_per_px}")
    in_truth, found = np.isfinite(truth), np.isfinite(prediction)
    both = in_truth & found
    counts = int(both.sum()), int((in_truth & ~found).sum()), int((found & ~in_truth).sum())
    if not both.any():
        nothing = float("inf") if counts[1] or counts[2] else float("nan")
        return BoundaryError(nothing, nothing, float("nan"), *counts)
    errors = (prediction - truth)[both] * (1.0 if um_per_px is None else um_per_px)
    mae, rmse = float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean()))
    return BoundaryError(mae, rmse, float(errors.mean()), *counts)


def boundary_mae(truth: np.ndarray, prediction: np.ndarray, um_per_px: float | None = None) -> float:
    """Mean absolute error of the top and the bottom of a layer, all A-scans of both boundaries together.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.
        um_per_px: Axial size of a pixel; None gives pixels.

    Returns:
        In um or pixels; NaN if both masks are empty, inf if no A-scan holds both.

    Raises:
        ValueError: If the masks or the scale are not as above.
    """
    return _of_layer(truth, prediction, um_per_px).mae


def boundary_rmse(truth: np.ndarray, prediction: np.ndarray, um_per_px: float | None = None) -> float:
    """Root mean squared error of the top and the bottom of a layer; otherwise as `boundary_mae`."""
    return _of_layer(truth, prediction, um_per_px).rmse


def _of_layer(truth: np.ndarray, prediction: np.ndarray, um_per_px: float | None) -> BoundaryError:
    truth, prediction = as_masks(truth, prediction)
    first, second = (np.concatenate(layer_boundaries(mask), -1) for mask in (truth, prediction))
    return boundary_error(first, second, um_per_px)
