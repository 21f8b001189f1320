"""Dice and IoU: hand-computed cases, empty rules, refused inputs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lite_medsam.evaluation.metrics import dice, iou

MASK_PAIRS = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


def square(size, top, left, side):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_hand_computed_overlap():
    # two 4 x 4 squares, shifted by 2 rows: 8 shared pixels, 24 in the union
    truth, prediction = square(10, 1, 1, 4), square(10, 3, 1, 4)
    assert dice(truth, prediction) == 2 * 8 / 32
    assert iou(truth, prediction) == 8 / 24


def test_volumes_are_scored_whole_not_slice_by_slice():
    truth, prediction = np.zeros((2, 5, 5), bool), np.zeros((2, 5, 5), bool)
    truth[0, :, :] = True  # 25 voxels
    prediction[0, :, :] = True
    prediction[1, 0, :] = True  # 5 more in the other slice
    assert dice(truth, prediction) == 50 / 55
    assert iou(truth, prediction) == 25 / 30


@pytest.mark.parametrize("metric", [dice, iou])
def test_empty_rules(metric):
    empty, full = np.zeros((6, 4), bool), square(6, 1, 1, 2)[:, :4]
    assert math.isnan(metric(empty, empty))
    assert metric(empty, full) == 0
    assert metric(full, empty) == 0
    assert metric(np.ones((6, 4), bool), np.ones((6, 4), bool)) == 1


@given(MASK_PAIRS)
def test_properties(pair):
    truth, prediction = pair
    value, overlap = dice(truth, prediction), iou(truth, prediction)
    if not (truth.any() or prediction.any()):
        assert math.isnan(value) and math.isnan(overlap)
        return
    assert 0 <= overlap <= value <= 1
    assert value == dice(prediction, truth)
    assert value == pytest.approx(2 * overlap / (1 + overlap))
    assert (value == 1) == np.array_equal(truth, prediction)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_zeros_and_ones_of_any_number_type_are_masks(dtype):
    truth, prediction = square(10, 1, 1, 4), square(10, 3, 1, 4)
    assert dice(truth.astype(dtype), prediction.astype(dtype)) == 0.5


@pytest.mark.parametrize(
    "bad, message",
    [
        (square(10, 1, 1, 4) * np.uint8(255), "got the value 255"),
        (square(10, 1, 1, 4) * 2, "got the value 2"),
        (square(10, 1, 1, 4) * -1, "got the value -1"),
        (np.full((10, 10), 0.5), "got the value 0.5"),
        (np.full((10, 10), np.nan), "got the value nan"),
        (np.full((10, 10), "a"), "got dtype <U1"),
    ],
)
@pytest.mark.parametrize("metric", [dice, iou])
def test_what_is_not_a_mask_is_refused(metric, bad, message):
    good = square(10, 1, 1, 4)
    with pytest.raises(ValueError, match=message):
        metric(good, bad)
    with pytest.raises(ValueError, match="truth must be bool"):
        metric(bad, good)


def test_shapes_must_agree_and_be_an_image_or_volume():
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(5, 4\)"):
        dice(np.zeros((4, 5), bool), np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match=r"shape \(7,\)"):
        dice(np.zeros(7, bool), np.zeros(7, bool))
    with pytest.raises(ValueError, match="one object at a time"):
        iou(np.zeros((1, 1, 4, 4), bool), np.zeros((1, 1, 4, 4), bool))
