"""Pixels told apart one by one: accuracy, specificity, area under the ROC curve, squared and absolute error.

Unlike the other measures these look at every pixel of the image, so they depend on how much background it shows: a picture with
twice the margin has a better accuracy. Sensitivity is `region.recall`, and the precision of the confusion matrix is
`region.precision`. What an empty mask means is each function's own affair, because the background is there to be scored.
"""

import numpy as np

from lite_medsam.evaluation.metrics.region import as_masks


def accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Share of pixels on which the masks agree, (TP + TN) / N.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; also defined for empty masks: 1 if both are.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts, or have no pixel.
    """
    truth, prediction = _with_pixels(*as_masks(truth, prediction))
    return float(np.mean(truth == prediction))


def specificity(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Share of the background that is left as background, TN / (TN + FP).

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape.

    Returns:
        0 to 1; NaN if the truth fills the image, so that there is no background.

    Raises:
        ValueError: If the masks are not what `as_masks` accepts.
    """
    truth, prediction = as_masks(truth, prediction)
    background = np.count_nonzero(~truth)
    return float(np.count_nonzero(~truth & ~prediction) / background) if background else float("nan")


def auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve: the chance that an object pixel has a higher score than a background pixel, ties half.

    From the Mann-Whitney statistic, as Hanley and McNeil 1982; scikit-learn's `roc_auc_score` gives the same.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        scores: Same shape, numbers: probabilities, logits, or a mask, for which it is (sensitivity + specificity) / 2.

    Returns:
        0 to 1; NaN if the truth is empty or fills the image.

    Raises:
        ValueError: If the shapes differ, the truth is no mask, or a score is NaN.
    """
    scores = np.asarray(scores)
    if scores.dtype.kind not in "buif" or (scores.dtype.kind == "f" and np.isnan(scores).any()):
        raise ValueError(f"scores must be numbers without NaN, got {scores.dtype}")
    truth, _ = as_masks(truth, np.zeros(scores.shape, bool))
    inside, outside = scores[truth], scores[~truth]
    if not (inside.size and outside.size):
        return float("nan")
    if scores.dtype == bool:  # two values: the statistic in closed form, without sorting a volume
        return float((np.mean(inside) + 1 - np.mean(outside)) / 2)
    from scipy import stats

    u = stats.mannwhitneyu(inside.astype(np.float64), outside.astype(np.float64), method="asymptotic").statistic
    return float(u / inside.size / outside.size)


def mean_squared_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over pixels of (y - p)^2; for masks the share of wrong pixels, for probabilities the Brier score.

    It is not the squared distance of layer boundaries that OCT papers report; see `boundary.boundary_rmse`.

    Args:
        truth: (H, W) or (D, H, W) bool, or only 0 and 1.
        prediction: Same shape; a mask, or probabilities from 0 to 1.

    Returns:
        0 to 1; also defined for empty masks: 0 if both are.

    Raises:
        ValueError: If the truth is no mask, the shapes differ, or a value lies outside 0..1.
    """
    return float(np.mean(_differences(truth, prediction) ** 2))


def root_mean_squared_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """The square root of `mean_squared_error`, same arguments and errors."""
    return mean_squared_error(truth, prediction) ** 0.5


def mean_absolute_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over pixels of |y - p|; for masks the same as `mean_squared_error`. Same arguments and errors.

    The review's code calls this MAD; `surface.mean_absolute_distance` is the distance of the boundaries.
    """
    return float(np.mean(np.abs(_differences(truth, prediction))))


def _differences(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    prediction = np.asarray(prediction)
    if prediction.dtype.kind == "f":
        if not ((prediction >= 0) & (prediction <= 1)).all():
            raise ValueError("prediction must be a mask or probabilities from 0 to 1, got values outside")
        truth, _ = as_masks(truth, np.zeros(prediction.shape, bool))
    else:
        truth, prediction = as_masks(truth, prediction)
    _with_pixels(truth, prediction)
    return truth.astype(np.float64) - prediction.astype(np.float64)


def _with_pixels(truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if truth.size == 0:
        raise ValueError(f"masks must have pixels, got shape {truth.shape}")
    return truth, prediction
