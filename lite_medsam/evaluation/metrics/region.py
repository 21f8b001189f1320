"""Region overlap of two masks: Dice, intersection over union, precision and recall."""

import numpy as np


def as_masks(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Checks two masks and returns them as bool.

    A 0/255 mask or a label map is refused, not reinterpreted: scoring one as numbers gives a silently wrong
    result, and only the caller knows whether 255 means "inside" or "label 255".

    Args:
        truth: (H, W) or (D, H, W), bool or numbers that are all 0 or 1.
        prediction: Same shape and kinds.

    Returns:
        Both masks, bool; the input itself where it was bool.

    Raises:
        ValueError: If the shapes differ, an array is not 2D or 3D, or a value is neither 0 nor 1.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth and prediction must have one shape, got {truth.shape} and {prediction.shape}; "
            "bring the prediction back to the image first"
        )
    return _as_mask(truth, "truth"), _as_mask(prediction, "prediction")


def _as_mask(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.ndim not in (2, 3):
        raise ValueError(f"{name} must be (H, W) or (D, H, W), got shape {mask.shape}; score one object at a time")
    if mask.dtype == bool:
        return mask
    if mask.dtype.kind not in "uif":
        raise ValueError(f"{name} must be bool or hold only 0 and 1, got dtype {mask.dtype}; pass a bool mask")
    inside = mask == 1
    if not np.array_equal(inside, mask != 0):  # NaN is != 0 and != 1: refused as well
        wrong = mask[~inside & (mask != 0)].flat[0]
        raise ValueError(
            f"{name} must be bool or hold only 0 and 1, got the value {wrong}; "
            "pass mask > 0, or label_map == label for one label"
        )
    return inside


def dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Dice coefficient 2 |A and B| / (|A| + |B|) (Dice 1945).

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; NaN if both masks are empty, 0 if one is.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    truth, prediction = as_masks(truth, prediction)
    total = np.count_nonzero(truth) + np.count_nonzero(prediction)
    if total == 0:
        return float("nan")
    return float(2 * np.count_nonzero(truth & prediction) / total)


def iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Intersection over union |A and B| / |A or B| (Jaccard 1912).

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; NaN if both masks are empty, 0 if one is.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    truth, prediction = as_masks(truth, prediction)
    union = np.count_nonzero(truth | prediction)
    if union == 0:
        return float("nan")
    return float(np.count_nonzero(truth & prediction) / union)


def precision(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Precision, positive predictive value: |A and B| / |B|, B the prediction.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; NaN if both masks are empty, 0 if one is.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    return _share(truth, prediction, of_truth=False)


def recall(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Recall, sensitivity: |A and B| / |A|, A the truth.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; NaN if both masks are empty, 0 if one is.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    return _share(truth, prediction, of_truth=True)


def _share(truth: np.ndarray, prediction: np.ndarray, of_truth: bool) -> float:
    truth, prediction = as_masks(truth, prediction)
    if not (truth.any() or prediction.any()):
        return float("nan")
    whole = np.count_nonzero(truth if of_truth else prediction)
    return float(np.count_nonzero(truth & prediction) / whole) if whole else 0.0
