"""The review's functions: hand-computed values, masks as files hold them, empty rules, a second computation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import cKDTree

from lite_medsam.evaluation.metrics import review, review_masks, review_scores, surface_dice
from lite_medsam.evaluation.metrics.review import FUNCTIONS

PAIRS = hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=7).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape), hnp.arrays(bool, shape), st.tuples(*[st.sampled_from([0.3, 1.0, 2.5])] * len(shape))
    )
)
# 2 rows of 4, and the same one row lower: TP 4, FP 4, FN 4, TN 13
TRUTH, PREDICTION = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
TRUTH[1:3, :4] = True
PREDICTION[2:4, :4] = True


def test_hand_computed():
    found = review_scores(TRUTH, PREDICTION)
    assert found == pytest.approx(
        {
            "dice_coefficient": 0.5,
            "iou_score": 4 / 12,
            "precision": 0.5,
            "recall": 0.5,
            # every pixel is a boundary pixel: the four of the row that only one mask has are 1 away, the others 0
            "hausdorff_distance": 1,
            "hausdorff_distance_95": 1,
            "assd": 0.5,
            "mad": 0.5,
            "mean_squared_error": 8 / 25,
            "root_mean_squared_error": (8 / 25) ** 0.5,
            "thickness_difference": 0,
            "vascularity_index": 0,
            "accuracy": 17 / 25,
            "sensitivity": 0.5,
            "specificity": 13 / 17,
            "auc_score": (0.5 + 13 / 17) / 2,
        }
    )
    assert len(FUNCTIONS) == 16  # precision stands for both of that name


def test_thickness_and_vascularity_by_hand():
    thicker = PREDICTION.copy()
    thicker[4, :2] = True  # two A-scans of five are a pixel thicker
    assert review.thickness_difference(TRUTH, thicker) == pytest.approx(2 / 5)
    assert review.thickness_difference(TRUTH, thicker, spacing=(3.9, 11.0)) == pytest.approx(2 / 5 * 3.9)
    assert review.vascularity_index(TRUTH, thicker) == pytest.approx(2 / 25)
    tissue = np.zeros((5, 5), np.uint8)
    tissue[:4] = 255
    assert review.vascularity_index(TRUTH, thicker, tissue=tissue) == 0


def test_a_missed_lesion_counts_in_the_hausdorff_distance():
    # the review's code looks at the first contour only and gives 0
    two = np.zeros((40, 40), bool)
    two[2:6, 2:6] = two[30:34, 30:34] = True
    one = two.copy()
    one[30:, 30:] = False
    # the far corner of the missed square, 33, to the near one of the other, 5
    assert review.hausdorff_distance(two, one) == pytest.approx(math.hypot(28, 28))


@pytest.mark.parametrize("shift, low, high", [(4, 0.375, 0.389)])
def test_true_surface_dice_of_a_shifted_disk(shift, low, high):
    rows, columns = np.ogrid[:200, :200]
    disks = [(rows - 100) ** 2 + (columns - x) ** 2 <= 60**2 for x in (100, 100 + shift)]
    assert low <= surface_dice(*disks, 2) <= high


@pytest.mark.parametrize(
    "scale, dtype", [(1, np.uint8), (255, np.uint8), (1, np.float32), (255, np.int64), (7, np.uint8)]
)
def test_masks_as_files_hold_them(scale, dtype):
    first, second = ((mask * scale).astype(dtype) for mask in (TRUTH, PREDICTION))
    assert review_scores(first, second) == review_scores(TRUTH, PREDICTION)


def test_bool_and_255_together():
    assert review.dice_coefficient(TRUTH, PREDICTION * np.uint8(255)) == 0.5
    assert review.dice_coefficient(TRUTH.astype(np.uint8), PREDICTION * np.uint8(255)) == 0.5
    assert review.auc_score(TRUTH * np.uint8(255), PREDICTION * 0.8) == pytest.approx((0.5 + 13 / 17) / 2)


def test_a_label_of_a_label_map():
    first, second = TRUTH * 3 + (~TRUTH) * 1, PREDICTION * 3
    assert review.dice_coefficient(first, second, label=3) == 0.5
    assert review.auc_score(first, second, label=3) == pytest.approx((0.5 + 13 / 17) / 2)


@pytest.mark.parametrize(
    "first, second, message",
    [
        (
            TRUTH * 2 + (PREDICTION & ~TRUTH),
            PREDICTION,
            "truth must be a mask of 0 and one other value, got 1, 2; name",
        ),
        (TRUTH * 1, PREDICTION * 2, "must mark the same thing, got the values 1 and 2"),
        (TRUTH * -1, PREDICTION, "no negative value"),
        (TRUTH, np.full((5, 5), np.nan), "numbers without NaN"),
        (TRUTH, PREDICTION * 0.5, "must mark the same thing"),
        (TRUTH, PREDICTION[:4], "one shape"),
    ],
)
def test_what_is_ambiguous_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        review_masks(first, second)
    if message.startswith("truth must be"):
        with pytest.raises(ValueError, match="label map of integers"):
            review_masks(first.astype(float), second, label=1)


def test_empty_and_full_masks():
    empty, full = np.zeros((5, 5), bool), np.ones((5, 5), bool)
    both = review_scores(empty, empty)
    defined = {"mean_squared_error": 0, "root_mean_squared_error": 0, "accuracy": 1, "specificity": 1}
    assert {name: value for name, value in both.items() if not math.isnan(value)} == defined
    one = review_scores(TRUTH, empty)
    for name in ("dice_coefficient", "iou_score", "precision", "recall", "sensitivity"):
        assert one[name] == 0
    for name in ("hausdorff_distance", "hausdorff_distance_95", "assd", "mad"):
        assert one[name] == math.inf
    assert one["auc_score"] == 0.5 and one["thickness_difference"] == pytest.approx(8 / 5)
    filled = review_scores(full, full)
    assert filled["dice_coefficient"] == 1 and filled["hausdorff_distance"] == 0
    assert math.isnan(filled["specificity"]) and math.isnan(filled["auc_score"])


def second_implementation(truth, prediction, spacing):
    """By sums over numbers, all contours as sets of points, nearest neighbours from a tree."""
    y, p = truth.astype(float), prediction.astype(float)
    size = y.size
    both = (y * p).sum()

    def points(mask):
        padded = np.pad(mask, 1)
        inner = mask.copy()
        for axis in range(mask.ndim):
            for step in (-1, 1):
                inner &= np.roll(padded, step, axis)[(slice(1, -1),) * mask.ndim]
        return np.argwhere(mask & ~inner) * np.array(spacing)

    there = cKDTree(points(prediction)).query(points(truth))[0]
    back = cKDTree(points(truth)).query(points(prediction))[0]
    columns = np.abs(y.sum(-2) - p.sum(-2))
    background = size - y.sum()
    return {
        "dice_coefficient": 2 * both / (y.sum() + p.sum()),
        "iou_score": both / (y.sum() + p.sum() - both),
        "precision": both / p.sum(),
        "recall": both / y.sum(),
        "hausdorff_distance": max(there.max(), back.max()),
        "hausdorff_distance_95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "assd": (there.mean() + back.mean()) / 2,
        "mad": (there.sum() + back.sum()) / (len(there) + len(back)),
        "mean_squared_error": ((y - p) ** 2).mean(),
        "root_mean_squared_error": ((y - p) ** 2).mean() ** 0.5,
        "thickness_difference": columns.mean() * spacing[-2],
        "vascularity_index": abs(y.sum() - p.sum()) / size,
        "accuracy": (both + ((1 - y) * (1 - p)).sum()) / size,
        "sensitivity": both / y.sum(),
        "specificity": ((1 - y) * (1 - p)).sum() / background if background else math.nan,
    }


@settings(deadline=None)
@given(PAIRS)
def test_a_second_implementation_agrees(pair):
    truth, prediction, spacing = pair
    if not (truth.any() and prediction.any()):
        return
    found = review_scores(truth, prediction, spacing=spacing)
    auc = found.pop("auc_score")
    assert found == pytest.approx(second_implementation(truth, prediction, spacing), nan_ok=True)
    if truth.all():
        assert math.isnan(auc)
    else:
        assert auc == pytest.approx((found["sensitivity"] + found["specificity"]) / 2)


def test_auc_is_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs the metrics extra")
    rng = np.random.default_rng(0)
    truth, scores = rng.random((20, 30)) < 0.3, np.round(rng.random((20, 30)), 1)  # with ties
    assert review.auc_score(truth, scores) == pytest.approx(sklearn.roc_auc_score(truth.ravel(), scores.ravel()))
    for name, ours in (("precision_score", review.precision), ("recall_score", review.recall)):
        expected = getattr(sklearn, name)(truth.ravel(), scores.ravel() > 0.5)
        assert ours(truth, scores > 0.5) == pytest.approx(expected)
    assert review.accuracy(truth, scores > 0.5) == sklearn.accuracy_score(truth.ravel(), scores.ravel() > 0.5)
