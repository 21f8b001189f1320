"""Layers, biomarkers, lesions, agreement, clicks: hand-computed values, empty rules, and other packages' numbers."""

import math
import sys

import numpy as np
import pytest
from scipy import integrate

from lite_medsam.errors import MissingExtraError
from lite_medsam.evaluation.metrics import agreement, biomarkers, boundary, classification, detection, interactive


def layer(*rows, height=20):
    """A mask with one (top, bottom) per A-scan, bottom outside; None for an A-scan without."""
    mask = np.zeros((height, len(rows)), bool)
    for column, edges in enumerate(rows):
        if edges:
            mask[edges[0] : edges[1], column] = True
    return mask


def test_boundaries_by_hand():
    top, bottom = boundary.layer_boundaries(layer((2, 5), None, (0, 20)))
    np.testing.assert_array_equal(top, [2, np.nan, 0])
    np.testing.assert_array_equal(bottom, [5, np.nan, 20])


def test_boundary_errors_by_hand():
    truth, prediction = layer((2, 5), (4, 9), None, (1, 3)), layer((3, 5), (4, 6), (7, 8), None)
    first, second = boundary.layer_boundaries(truth)[1], boundary.layer_boundaries(prediction)[1]
    found = boundary.boundary_error(first, second, um_per_px=4.0)
    # bottoms: 5 and 5, 9 and 6; one A-scan added, one missed
    assert found == pytest.approx((6.0, 4 * math.sqrt(4.5), -6.0, 2, 1, 1))
    # tops 1, 0 and bottoms 0, 3
    assert boundary.boundary_mae(truth, prediction) == pytest.approx(1.0)
    assert boundary.boundary_rmse(truth, prediction, 2.0) == pytest.approx(2 * math.sqrt(10 / 4))


def test_boundaries_of_volumes_and_nothing():
    volume = np.stack([layer((2, 5), (4, 9)), layer((3, 5), None)])
    assert boundary.layer_boundaries(volume)[0].shape == (2, 2)
    assert boundary.boundary_mae(volume, volume) == 0
    nothing = np.zeros((20, 3), bool)
    assert math.isnan(boundary.boundary_mae(nothing, nothing))
    assert boundary.boundary_mae(nothing, layer(None, (2, 4), None)) == math.inf
    with pytest.raises(ValueError, match="one shape"):
        boundary.boundary_error(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="above 0"):
        boundary.boundary_error(np.zeros(3), np.zeros(3), 0)


def test_thickness_only_where_there_is_a_layer():
    truth, prediction = layer((2, 5), None, None, (1, 3)), layer((2, 7), None, None, None)
    assert biomarkers.thickness_difference(truth, prediction) == pytest.approx((2 + 2) / 4)
    assert biomarkers.thickness_difference(truth, prediction, covered=True) == pytest.approx((2 + 2) / 2)
    assert biomarkers.thickness_difference(truth[None], prediction[None], (50, 4, 10), covered=True) == pytest.approx(8)


def test_vascularity_index():
    vessels, tissue = layer((2, 5), (2, 4)), layer((2, 12), (2, 12))
    assert biomarkers.vascularity_index(vessels, tissue) == 5 / 20
    assert biomarkers.vascularity_index(vessels) == 5 / 40
    assert math.isnan(biomarkers.vascularity_index(vessels, np.zeros_like(vessels)))
    fewer = layer((2, 5), None)
    assert biomarkers.vascularity_index_difference(vessels, fewer, tissue) == pytest.approx(2 / 20)
    assert biomarkers.vascularity_index_difference(vessels, fewer, tissue, tissue[::-1]) == pytest.approx(5 / 20)


def test_sizes():
    truth, prediction = np.zeros((2, 4, 5), bool), np.zeros((2, 4, 5), bool)
    truth[0, :2, :2] = True
    prediction[:, :2, :3] = True
    assert biomarkers.size_difference(truth, prediction) == 8
    # um: 8 voxels of 120 x 4 x 11 um
    assert biomarkers.size_difference(truth, prediction, (120, 4, 11)) == pytest.approx(8 * 120 * 4 * 11)
    assert biomarkers.relative_size_difference(truth, prediction) == 2
    assert biomarkers.relative_size_difference(truth, np.zeros_like(truth)) == -1
    assert biomarkers.relative_size_difference(np.zeros_like(truth), truth) == math.inf
    assert math.isnan(biomarkers.size_difference(truth & False, truth & False))


def test_probabilities():
    truth = np.array([[True, False]])
    assert classification.mean_squared_error(truth, np.array([[0.8, 0.1]])) == pytest.approx((0.04 + 0.01) / 2)
    assert classification.mean_absolute_error(truth, np.array([[0.8, 0.1]])) == pytest.approx(0.15)
    assert classification.auc(truth, np.array([[-3.0, -7.0]])) == 1
    with pytest.raises(ValueError, match="from 0 to 1"):
        classification.mean_squared_error(truth, np.array([[1.5, 0.0]]))


def lesion_pair():
    """Truth: three lesions. Prediction: the first shifted by one column, the second too small, one where there is none."""
    truth, prediction = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    truth[2:10, 2:10] = truth[20:30, 20:30] = truth[35:38, 2:5] = True
    prediction[2:10, 3:11] = prediction[20:22, 20:30] = prediction[32:36, 20:24] = True
    return truth, prediction


def test_lesions_by_hand():
    pytest.importorskip("panoptica", reason="needs the metrics extra")
    found = detection.lesion_detection(*lesion_pair())
    # IoU of the first 56 / 72, of the second 20 / 100
    assert found[:3] == (1, 2, 2)
    assert found[3:] == pytest.approx((1 / 3, 1 / 3, 1 / 3, 56 / 72, 56 / 216))
    assert detection.lesion_detection(*lesion_pair(), minimum_iou=0.1).true_positives == 2


def test_lesions_of_label_maps(capsys):
    pytest.importorskip("panoptica", reason="needs the metrics extra")
    touching = np.zeros((6, 8), np.uint8)
    touching[:, :4], touching[:, 4:] = 9, 4  # two lesions that touch, no background at all
    assert detection.lesion_detection(touching, touching)[:3] == (2, 0, 0)
    # one component over both has an IoU of exactly one half with either: one pair
    assert detection.lesion_detection(touching, touching > 0)[:3] == (1, 0, 1)
    assert capsys.readouterr().out == ""


def test_no_lesions_need_no_package():
    some, none = lesion_pair()[0], np.zeros((40, 40), bool)
    assert detection.lesion_detection(some, none)[:3] == (0, 0, 3)
    assert detection.lesion_detection(none, some)[:5] == (0, 3, 0, 0.0, 0.0)
    assert all(math.isnan(value) for value in detection.lesion_detection(none, none)[3:])
    assert detection.count_error(some, none) == -3 and math.isnan(detection.count_error(none, none))
    diagonal = np.eye(4, dtype=bool)
    assert detection.lesion_count(diagonal) == 1
    with pytest.raises(ValueError, match="label map from 0"):
        detection.lesion_count(np.zeros((3, 3)) - 1.0)


def naive_matches(truth, prediction):
    """Pairs of lesions with an IoU of 0.5 or more; such a pair is the only one of both."""
    first, second = detection.lesions(truth), detection.lesions(prediction)
    overlaps = []
    for i in range(1, first.max() + 1):
        for j in range(1, second.max() + 1):
            iou = ((first == i) & (second == j)).sum() / ((first == i) | (second == j)).sum()
            overlaps += [iou] if iou >= 0.5 else []
    return overlaps, first.max(), second.max()


def test_lesions_against_a_second_implementation():
    pytest.importorskip("panoptica", reason="needs the metrics extra")
    rng = np.random.default_rng(0)
    for _ in range(30):
        truth = rng.random((12, 12)) < 0.2
        prediction = truth ^ (rng.random((12, 12)) < 0.04)
        overlaps, there, here = naive_matches(truth, prediction)
        found = detection.lesion_detection(truth, prediction)
        assert found[:3] == (len(overlaps), here - len(overlaps), there - len(overlaps))
        assert found.panoptic_quality == pytest.approx(sum(overlaps) / ((there + here) / 2))


def test_bland_altman_by_hand():
    found = agreement.bland_altman([1, 2, 3, math.nan], [2, 2, 5, 1])
    # differences 1, 0, 2: mean 1, standard deviation 1
    assert found[:4] == pytest.approx((1, 1, 1 - 1.96, 1 + 1.96))
    assert found.pairs == 3
    assert found.bias_high == pytest.approx(1 + 4.302653 / math.sqrt(3), abs=1e-5)
    assert math.isnan(agreement.bland_altman([], []).bias)


def test_icc_by_the_formula():
    pytest.importorskip("pingouin", reason="needs the metrics extra")
    rng = np.random.default_rng(1)
    first = rng.normal(10, 3, 15)
    second = first + rng.normal(1, 0.5, 15)
    both = np.stack([first, second], 1)
    n, k = both.shape
    mean = both.mean()
    rows = k * ((both.mean(1) - mean) ** 2).sum() / (n - 1)
    columns = n * ((both.mean(0) - mean) ** 2).sum() / (k - 1)
    rest = ((both - both.mean(1, keepdims=True) - both.mean(0) + mean) ** 2).sum() / (n - 1) / (k - 1)
    # ICC(2,1) of Shrout and Fleiss 1979, and ICC(3,1)
    expected = (rows - rest) / (rows + (k - 1) * rest + k / n * (columns - rest))
    assert agreement.icc(first, second).value == pytest.approx(expected)
    assert agreement.icc(first, second, "C,1").value == pytest.approx((rows - rest) / (rows + (k - 1) * rest))
    assert agreement.icc(first, second).low < expected < agreement.icc(first, second).high


def test_icc_at_its_ends():
    pytest.importorskip("pingouin", reason="needs the metrics extra")
    assert agreement.icc([1, 2, 3, 4], [1, 2, 3, 4.0001]).value == pytest.approx(1, abs=1e-4)
    assert math.isnan(agreement.icc([1, 1, 1], [1, 1, 1]).value)
    assert math.isnan(agreement.icc([1, 2], [1, 2]).value)
    with pytest.raises(ValueError, match="one length"):
        agreement.icc([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="finite"):
        agreement.icc([1, 2, math.inf], [1, 2, 3])
    with pytest.raises(ValueError, match="form must be"):
        agreement.icc([1, 2, 3], [1, 2, 3], "ICC9")


def test_area_over_clicks_as_published():
    box_and_five = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    # the box does not count: (0.6 + 0.7) / 2 + ... + (0.9 + 1.0) / 2
    assert interactive.click_auc(box_and_five) == pytest.approx(0.65 + 0.75 + 0.85 + 0.95)
    assert interactive.click_auc(box_and_five) == pytest.approx(integrate.trapezoid(box_and_five[-5:]))
    assert interactive.normalised_click_auc(box_and_five) == pytest.approx(0.8)
    assert interactive.click_auc(box_and_five[1:], first=1) == interactive.click_auc(box_and_five)
    assert interactive.click_auc([1.0] * 6) == 4 and interactive.normalised_click_auc([1.0]) == 1
    # right after the second click: the last score stands for the rest
    assert interactive.click_auc([0.5, 0.8, 1.0]) == interactive.click_auc([0.5, 0.8, 1.0, 1.0, 1.0, 1.0])
    # clicks beyond the fifth change nothing
    assert interactive.click_auc([*box_and_five, 0.1, 0.1]) == interactive.click_auc(box_and_five)


def test_clicks_needed():
    series = [0.5, 0.79, 0.8, 0.9]
    assert interactive.clicks_needed(series, 0.8) == (2, True)
    assert interactive.clicks_needed(series, 0.8, first=1) == (3, True)
    assert interactive.clicks_needed(series, 0.5) == (0, True)  # the box was enough
    assert interactive.clicks_needed(series, 0.95) == (20, False)
    assert interactive.clicks_needed([0.1] * 21 + [0.99], 0.9) == (20, False)
    assert interactive.clicks_needed([0.1] * 20 + [0.99], 0.9) == (20, True)
    assert interactive.after_clicks(series, 1) == 0.79 and math.isnan(interactive.after_clicks(series, 0, first=1))
    with pytest.raises(ValueError, match="one score or more"):
        interactive.after_clicks([], 1)
    with pytest.raises(ValueError, match="at least 2"):
        interactive.click_auc(series, clicks=1)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "panoptica", None)
    monkeypatch.setitem(sys.modules, "pingouin", None)
    with pytest.raises(MissingExtraError, match=r"lite-medsam\[metrics\]"):
        detection.lesion_detection(*lesion_pair())
    with pytest.raises(MissingExtraError, match=r"lite-medsam\[metrics\]"):
        agreement.icc([1, 2, 3], [1, 2, 4])
