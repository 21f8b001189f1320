"""The seventeen functions of the retinal-OCT review (Zhang et al., CMIG 2025, 102539), from their definitions.

Its names, for masks as they come: bool, 0 and 1, 0 and 255, or one label of a label map. Written anew from the definitions: where
the review's code goes wrong (first contour only, 0/255, wrap-around, empty masks), the definition counts. Its precision stands
in two groups, region and confusion matrix, so seventeen functions have sixteen names.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lite_medsam.evaluation.metrics import biomarkers, classification, region, surface
from lite_medsam.evaluation.metrics.region import as_masks

Spacing = Sequence[float] | None


def review_masks(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Two masks as bool, from whatever a mask file holds.

    Args:
        truth: (H, W) or (D, H, W): bool, 0 and 1, 0 and 255, 0 and one other value, or a label map.
        prediction: Same shape; may use another of these.
        label: Value to take out of label maps; None where both are masks.

    Returns:
        Both masks, bool.

    Raises:
        ValueError: If the shapes differ, a value is NaN or below 0, an array holds several labels and none is named, or the
            two hold one label each, but not the same.
    """
    arrays = [np.asarray(array) for array in (truth, prediction)]
    if label is not None:
        for array, name in zip(arrays, ("truth", "prediction"), strict=True):
            if array.dtype.kind not in "ui":
                raise ValueError(f"{name} must be a label map of integers where a label is named, got {array.dtype}")
        return as_masks(*(array == label for array in arrays))
    values = [_inside_value(array, name) for array, name in zip(arrays, ("truth", "prediction"), strict=True)]
    known = [value for value in values if value is not None]
    if len(known) == 2 and known[0] != known[1] and not set(known) <= {1, 255}:
        raise ValueError(
            f"truth and prediction must mark the same thing, got the values {known[0]:g} and {known[1]:g}; "
            "name a label, or pass truth > 0 and prediction > 0"
        )
    return as_masks(*(array != 0 for array in arrays))


def _inside_value(array: np.ndarray, name: str) -> float | None:
    """The one value that is not 0; None for an empty mask."""
    if array.dtype == bool:
        return 1.0 if array.any() else None
    if array.dtype.kind not in "uif" or (array.dtype.kind == "f" and np.isnan(array).any()):
        raise ValueError(f"{name} must hold numbers without NaN, got {array.dtype}")
    values = np.unique(array)
    values = values[values != 0]
    if len(values) > 1:
        shown = ", ".join(f"{value:g}" for value in values[:4]) + (", ..." if len(values) > 4 else "")
        raise ValueError(f"{name} must be a mask of 0 and one other value, got {shown}; name the label that is meant")
    if len(values) and values[0] < 0:
        raise ValueError(f"{name} must hold no negative value, got {values[0]:g}")
    return float(values[0]) if len(values) else None


def dice_coefficient(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`region.dice` of what `review_masks` makes of the arguments."""
    return region.dice(*review_masks(truth, prediction, label))


def iou_score(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`region.iou` of what `review_masks` makes of the arguments."""
    return region.iou(*review_masks(truth, prediction, label))


def precision(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`region.precision` of what `review_masks` makes of the arguments; also that of the confusion matrix."""
    return region.precision(*review_masks(truth, prediction, label))


def recall(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`region.recall` of what `review_masks` makes of the arguments."""
    return region.recall(*review_masks(truth, prediction, label))


def hausdorff_distance(
    truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None
) -> float:
    """`surface.hausdorff` of what `review_masks` makes of the arguments."""
    return surface.hausdorff(*review_masks(truth, prediction, label), spacing)


def hausdorff_distance_95(
    truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None
) -> float:
    """`surface.hausdorff95` of what `review_masks` makes of the arguments."""
    return surface.hausdorff95(*review_masks(truth, prediction, label), spacing)


def assd(truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None) -> float:
    """`surface.average_surface_distance` of what `review_masks` makes of the arguments."""
    return surface.average_surface_distance(*review_masks(truth, prediction, label), spacing)


def mad(truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None) -> float:
    """`surface.mean_absolute_distance` of the boundaries; the review's code has `mean_absolute_error` under this name."""
    return surface.mean_absolute_distance(*review_masks(truth, prediction, label), spacing)


def mean_absolute_error(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`classification.mean_absolute_error`: what the review's code computes as MAD, the share of wrong pixels."""
    return classification.mean_absolute_error(*review_masks(truth, prediction, label))


def mean_squared_error(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`classification.mean_squared_error` of what `review_masks` makes of the arguments."""
    return classification.mean_squared_error(*review_masks(truth, prediction, label))


def root_mean_squared_error(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`classification.root_mean_squared_error` of what `review_masks` makes of the arguments."""
    return classification.root_mean_squared_error(*review_masks(truth, prediction, label))


def thickness_difference(
    truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None
) -> float:
    """`biomarkers.thickness_difference` of what `review_masks` makes of the arguments."""
    return biomarkers.thickness_difference(*review_masks(truth, prediction, label), spacing)


def vascularity_index(
    truth: np.ndarray, prediction: np.ndarray, label: int | None = None, tissue: np.ndarray | None = None
) -> float:
    """`biomarkers.vascularity_index_difference`: a difference of two indices, over a tissue or the whole image."""
    if tissue is not None:
        tissue, _ = review_masks(tissue, tissue)
    return biomarkers.vascularity_index_difference(*review_masks(truth, prediction, label), tissue)


def accuracy(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`classification.accuracy` of what `review_masks` makes of the arguments."""
    return classification.accuracy(*review_masks(truth, prediction, label))


def sensitivity(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`region.recall` under its name in the confusion matrix."""
    return recall(truth, prediction, label)


def specificity(truth: np.ndarray, prediction: np.ndarray, label: int | None = None) -> float:
    """`classification.specificity` of what `review_masks` makes of the arguments."""
    return classification.specificity(*review_masks(truth, prediction, label))


def auc_score(truth: np.ndarray, scores: np.ndarray, label: int | None = None) -> float:
    """`classification.auc`; the scores are taken as they are, the truth as `review_masks` does.

    With a label, integer scores are a label map and count as the mask of that label.
    """
    scores = np.asarray(scores)
    if label is not None and scores.dtype.kind in "ui":
        scores = scores == label
    truth = np.asarray(truth)
    mask, _ = review_masks(truth, np.zeros(truth.shape, truth.dtype), label)
    return classification.auc(mask, scores)


FUNCTIONS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        dice_coefficient, iou_score, precision, recall, hausdorff_distance, hausdorff_distance_95, assd, mad,
        mean_squared_error, root_mean_squared_error, thickness_difference, vascularity_index, accuracy, sensitivity,
        specificity, auc_score,
    )
}  # fmt: skip
"""The review's functions by name; `precision` stands for both of that name."""

_WITH_SPACING = ("hausdorff_distance", "hausdorff_distance_95", "assd", "mad", "thickness_difference")


def review_scores(
    truth: np.ndarray, prediction: np.ndarray, label: int | None = None, spacing: Spacing = None
) -> dict[str, float]:
    """All of FUNCTIONS for one object.

    Args:
        truth: See `review_masks`.
        prediction: See `review_masks`.
        label: Value to take out of label maps.
        spacing: Size of a pixel per axis in array order, (y, x) or (z, y, x); distances are in its unit, else in pixels.

    Returns:
        By name of the function.

    Raises:
        ValueError: If the masks or the spacing are not as above.
    """
    first, second = review_masks(truth, prediction, label)
    return {
        name: function(first, second, spacing=spacing) if name in _WITH_SPACING else function(first, second)
        for name, function in FUNCTIONS.items()
    }
