"""Surface Dice, HD95 and average surface distance: hand-computed cases, a naive full computation, MONAI."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lite_medsam.evaluation.metrics import (
    average_surface_distance,
    dice,
    hausdorff95,
    surface_dice,
    surface_distances,
)

MASK_PAIRS = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape),
        hnp.arrays(bool, shape),
        st.tuples(*[st.sampled_from([0.3, 1.0, 2.5])] * len(shape)),
    )
)


def disc(size, radius, y, x):
    rows, columns = np.ogrid[:size, :size]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def naive_distances(mask, other, spacing):
    """The definition, without crop or distance transform: padding for neighbours, all pairs of points."""

    def boundary_points(array):
        padded = np.pad(array, 1)
        inside = array.copy()
        for axis in range(array.ndim):
            for step in (-1, 1):
                shifted = np.roll(padded, step, axis)
                inside &= shifted[tuple(slice(1, -1) for _ in range(array.ndim))]
        return np.argwhere(array & ~inside)

    here, there = boundary_points(mask), boundary_points(other)
    if len(there) == 0:
        return np.full(len(here), np.inf)
    steps = (here[:, None] - there[None]) * np.asarray(spacing)
    return np.sqrt((steps**2).sum(-1)).min(1)


def test_shifted_square_by_hand():
    # 5 x 5 squares, 3 columns apart. Boundary: 16 pixels each. Of the first, column 0 is 3 from the second's
    # nearest boundary, column 1 (top and bottom pixel) 2, column 2 (two pixels) 1. Column 3 (two pixels) lies
    # on it, and of column 4 the two corners; its three inner pixels are 1 away from the second's left side.
    truth, prediction = np.zeros((9, 12), bool), np.zeros((9, 12), bool)
    truth[2:7, 1:6] = True
    prediction[2:7, 4:9] = True
    expected = sorted([3] * 5 + [2] * 2 + [1] * 2 + [0] * 2 + [0] * 2 + [1] * 3)
    there, back = surface_distances(truth, prediction)
    assert sorted(there) == expected and sorted(back) == expected
    assert surface_dice(truth, prediction, 0) == 4 / 16
    assert surface_dice(truth, prediction, 1) == 9 / 16
    assert surface_dice(truth, prediction, 2) == 11 / 16
    assert surface_dice(truth, prediction, 2.999) == 11 / 16
    assert surface_dice(truth, prediction, 3) == 1
    assert hausdorff95(truth, prediction) == 3
    assert average_surface_distance(truth, prediction) == pytest.approx(sum(expected) / 16)


def test_image_border_is_a_boundary():
    # a mask that fills the image has its frame as boundary; only the hole differs
    full = np.ones((7, 7), bool)
    holed = full.copy()
    holed[3, 3] = False
    assert [len(d) for d in surface_distances(full, holed)] == [24, 24 + 4]
    assert surface_dice(full, full, 0) == 1
    # the four pixels around the hole are 2 from the frame
    assert surface_dice(full, holed, 1) == 48 / 52
    assert hausdorff95(full, np.ones((7, 7), bool)) == 0


@pytest.mark.parametrize(
    "radius, shift, expected_dice, expected_surface",
    [(60, 4, 0.958, 0.375), (100, 20, None, 0.096), (8, 4, None, 0.409)],
)
def test_published_values_of_shifted_discs(radius, shift, expected_dice, expected_surface):
    """MONAI's numbers; the slab of the challenge script reports .987, .893 and .901 for the same masks."""
    truth, prediction = disc(256, radius, 128, 118), disc(256, radius, 128, 118 + shift)
    assert surface_dice(truth, prediction, 2.0) == pytest.approx(expected_surface, abs=6e-4)
    if expected_dice is not None:
        assert dice(truth, prediction) == pytest.approx(expected_dice, abs=6e-4)


def test_hd95_takes_the_worse_direction():
    # a far speck in the prediction: the truth is fully explained, only prediction to truth sees it
    truth = disc(64, 5, 20, 20)
    prediction = truth | disc(64, 4, 50, 50)
    there, back = surface_distances(truth, prediction)
    assert there.max() == 0
    assert hausdorff95(truth, prediction) == np.percentile(back, 95) > 30
    assert hausdorff95(prediction, truth) == hausdorff95(truth, prediction)
    assert average_surface_distance(truth, prediction) == pytest.approx(back.mean() / 2)


def test_spacing_is_in_array_order():
    # one whole slice, 5 mm thick, missing: the defect that a spacing in x y z order hides
    truth, prediction = np.zeros((6, 12, 12), bool), np.zeros((6, 12, 12), bool)
    truth[1:5, 3:9, 3:9] = True
    prediction[1:4, 3:9, 3:9] = True
    spacing_zyx = (5.0, 0.8, 0.8)
    there, _ = surface_distances(truth, prediction, spacing_zyx)
    assert there.max() == 5.0
    assert surface_dice(truth, prediction, 2.0, spacing_zyx) < 0.9
    assert surface_dice(truth, prediction, 2.0, spacing_zyx[::-1]) == 1.0


def test_exactly_at_the_tolerance_is_within_despite_rounding():
    truth, prediction = np.zeros((1, 12), bool), np.zeros((1, 12), bool)
    truth[0, 2], prediction[0, 5] = True, True
    assert 3 * 0.1 > 0.3  # the rounding in question
    assert surface_dice(truth, prediction, 0.3, (1, 0.1)) == 1
    assert surface_dice(truth, prediction, 0.299, (1, 0.1)) == 0


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
def test_empty_rules(shape):
    empty, one = np.zeros(shape, bool), np.zeros(shape, bool)
    one[(1,) * len(shape)] = True
    assert math.isnan(surface_dice(empty, empty, 2))
    assert math.isnan(hausdorff95(empty, empty))
    assert math.isnan(average_surface_distance(empty, empty))
    for truth, prediction in ((one, empty), (empty, one)):
        assert surface_dice(truth, prediction, 1e9) == 0
        assert hausdorff95(truth, prediction) == math.inf
        assert average_surface_distance(truth, prediction) == math.inf
    assert surface_dice(one, one, 0) == 1 and hausdorff95(one, one) == 0


@settings(max_examples=60, deadline=None)
@given(MASK_PAIRS)
def test_crop_to_the_union_box_changes_nothing(drawn):
    truth, prediction, spacing = drawn
    there, back = surface_distances(truth, prediction, spacing)
    np.testing.assert_allclose(there, naive_distances(truth, prediction, spacing), rtol=1e-12)
    np.testing.assert_allclose(back, naive_distances(prediction, truth, spacing), rtol=1e-12)
    padding = [(2, 3)] * truth.ndim
    padded = surface_distances(np.pad(truth, padding), np.pad(prediction, padding), spacing)
    np.testing.assert_array_equal(there, padded[0])
    np.testing.assert_array_equal(back, padded[1])


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0), (0.4, 1.7)])
def test_agrees_with_monai(spacing):
    torch = pytest.importorskip("torch")
    monai_metrics = pytest.importorskip("monai.metrics")
    torch.set_num_threads(1)
    rng = np.random.default_rng(5)
    pairs = [(disc(96, 20, 40, 40), disc(96, 17, 44, 41)), (disc(96, 30, 10, 40), disc(96, 30, 4, 44))]
    pairs += [(rng.random((96, 96)) > 0.7, rng.random((96, 96)) > 0.9)]
    for truth, prediction in pairs:
        one_hot = [torch.from_numpy(mask[None, None]).float() for mask in (prediction, truth)]
        options = {"include_background": True, "spacing": spacing}
        for tolerance in (1.0, 2.0):
            expected = monai_metrics.compute_surface_dice(*one_hot, [tolerance], **options).item()
            assert surface_dice(truth, prediction, tolerance, spacing) == pytest.approx(expected, abs=1e-6)
        expected = monai_metrics.compute_hausdorff_distance(*one_hot, percentile=95, **options).item()
        assert hausdorff95(truth, prediction, spacing) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1,), (0, 1), (-1, 1), (np.nan, 1), 1.0])
def test_bad_spacing_is_refused(spacing):
    mask = disc(9, 3, 4, 4)
    with pytest.raises(ValueError, match=r"spacing must be 2 positive numbers in array order \(y, x\)"):
        hausdorff95(mask, mask, spacing)


@pytest.mark.parametrize("tolerance", [-1, np.nan, np.inf])
def test_bad_tolerance_is_refused(tolerance):
    mask = disc(9, 3, 4, 4)
    with pytest.raises(ValueError, match="tolerance must be a number >= 0"):
        surface_dice(mask, mask, tolerance)


def test_label_maps_are_refused():
    mask = disc(9, 3, 4, 4)
    with pytest.raises(ValueError, match="got the value 255"):
        surface_dice(mask, mask * np.uint8(255), 2)
