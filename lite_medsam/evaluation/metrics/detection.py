"""Lesions found and missed, one by one: detection, panoptic quality, the error of their number.

A bool mask is taken apart into its connected components (pixels that touch by a corner belong together); in a label map of
integers every value is a lesion. Matching and panoptic quality are panoptica's (extra "metrics"); the rule for empty masks is ours.
"""

import contextlib
import sys
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lite_medsam.errors import MissingExtraError
from lite_medsam.evaluation.metrics.surface import union_box


class Detection(NamedTuple):
    """Lesions that were found.

    Attributes:
        true_positives: True lesions with a predicted one that overlaps them enough.
        false_positives: Predicted lesions without a true one.
        false_negatives: True lesions that were missed.
        precision: TP / (TP + FP).
        recall: TP / (TP + FN), the lesion-wise sensitivity.
        f1: 2 TP / (2 TP + FP + FN), panoptica's recognition quality.
        segmentation_quality: Mean IoU of the matched pairs.
        panoptic_quality: F1 x segmentation quality (Kirillov et al. 2019).
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float
    recall: float
    f1: float
    segmentation_quality: float
    panoptic_quality: float


def lesions(mask: np.ndarray) -> np.ndarray:
    """Lesions as a label map: the components of a bool mask, or the values of a label map as they are.

    Args:
        mask: (H, W) or (D, H, W) bool or integers from 0.

    Returns:
        Same shape, int64, 0 for background.

    Raises:
        ValueError: If it is neither.
    """
    mask = np.asarray(mask)
    if mask.ndim not in (2, 3) or mask.dtype.kind not in "bui" or (mask.size and mask.min() < 0):
        raise ValueError(
            f"lesions must be a (H, W) or (D, H, W) bool mask or label map from 0, got {mask.dtype} {mask.shape}"
        )
    if mask.dtype != bool:
        return mask.astype(np.int64)
    return ndimage.label(mask, np.ones((3,) * mask.ndim))[0].astype(np.int64)


def lesion_detection(truth: np.ndarray, prediction: np.ndarray, minimum_iou: float = 0.5) -> Detection:
    """Which lesions were found, each true one matched with at most one predicted.

    Args:
        truth: (H, W) or (D, H, W), see `lesions`.
        prediction: Same shape.
        minimum_iou: IoU from which a pair is a match, above 0. Above 0.5 no other pair can match.

    Returns:
        Counts and scores; the scores are NaN if both are empty, and 0 if one is or nothing matches.

    Raises:
        ValueError: If the arrays are not as above.
        MissingExtraError: If panoptica is not installed.
    """
    if np.shape(truth) != np.shape(prediction):
        raise ValueError(f"truth and prediction must have one shape, got {np.shape(truth)} and {np.shape(prediction)}")
    first, second = lesions(truth), lesions(prediction)
    box = union_box(first > 0, second > 0)  # the background around them changes nothing
    if box is not None:
        first, second = first[box], second[box]
    if not 0 < minimum_iou <= 1:
        raise ValueError(f"minimum_iou must be above 0 and at most 1, got {minimum_iou}")
    # the number of lesions in either alone needs no package
    there, here = lesion_count(first), lesion_count(second)
    if not there or not here:
        score = 0.0 if there or here else float("nan")
        return Detection(0, here, there, *[score] * 5)
    result = _panoptica(first, second, minimum_iou)
    tp, fp, fn = int(result.tp), int(result.fp), int(result.fn)
    quality = float(result.sq) if tp else 0.0
    f1 = 2 * tp / (2 * tp + fp + fn)
    return Detection(tp, fp, fn, tp / (tp + fp), tp / (tp + fn), f1, quality, f1 * quality)


def panoptic_quality(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Panoptic quality at an IoU of 0.5 (Kirillov et al. 2019): sum of matched IoUs / (TP + FP / 2 + FN / 2)."""
    return lesion_detection(truth, prediction).panoptic_quality


def lesion_f1(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Lesion-wise F1 at an IoU of 0.5."""
    return lesion_detection(truth, prediction).f1


def lesion_count(mask: np.ndarray) -> int:
    """Number of lesions, see `lesions`."""
    values = np.unique(lesions(mask))
    return int(np.count_nonzero(values))


def count_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Number of predicted lesions minus number of true ones; NaN if there is none in either.

    Args:
        truth: (H, W) or (D, H, W), see `lesions`.
        prediction: Any shape of the same kind.
    """
    there, here = lesion_count(truth), lesion_count(prediction)
    return float(here - there) if there or here else float("nan")


def _panoptica(truth: np.ndarray, prediction: np.ndarray, minimum_iou: float):
    try:
        from panoptica import InputType, Metric, NaiveThresholdMatching, Panoptica_Evaluator
    except ImportError as error:
        raise MissingExtraError("lesion-wise detection", "metrics", error.name) from None
    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(matching_metric=Metric.IOU, matching_threshold=minimum_iou),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )
    numbers = [np.unique(array, return_inverse=True)[1].reshape(array.shape) for array in (prediction, truth)]
    # numbered 1..n, and padded by background, so that 0 is always the background
    padded = [
        np.pad(_from_one(array, numbered), 1) for array, numbered in zip((prediction, truth), numbers, strict=True)
    ]
    with contextlib.redirect_stdout(sys.stderr):  # it asks for a citation at its first use; our results go to the other
        return evaluator.evaluate(*padded, verbose=False)["ungrouped"]


def _from_one(labels: np.ndarray, numbered: np.ndarray) -> np.ndarray:
    """Labels renumbered 1..n in the smallest type that panoptica takes; background stays 0."""
    shift = 0 if (labels == 0).any() else 1
    renumbered = np.where(labels > 0, numbered + shift, 0)
    return renumbered.astype(np.uint16 if renumbered.max() <= np.iinfo(np.uint16).max else np.uint32)
