"""Calibration on synthetic scores whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lite_medsam.errors import WeightsError
from lite_medsam.model.calibration import calibrated, expected_calibration_error, fit_calibration, reliability
from lite_medsam.model.spec import ModelSpec, ScoreCalibration


def with_map(slope: float, intercept: float) -> ModelSpec:
    return ModelSpec(score_calibration=ScoreCalibration(slope, intercept))


def test_the_default_leaves_scores_as_they_are():
    scores = np.array([0.0, 0.3, 1.0, np.nan], np.float32)
    assert calibrated(scores, ModelSpec()) is scores


def test_the_map_by_hand():
    # logit(0.8) = ln 4, twice that less ln 4 is ln 4 again; logit(0.5) = 0 becomes -ln 4
    found = calibrated(np.array([0.8, 0.5], np.float32), with_map(2.0, -np.log(4)))
    assert found.dtype == np.float32
    assert found == pytest.approx([0.8, 0.2], abs=1e-6)


def test_order_ends_and_nan_stay():
    scores = np.array([0, 1e-9, 0.2, 0.2001, 0.99, 1, np.nan])
    found = calibrated(scores, with_map(0.3, 1.5))
    assert (np.diff(found[:-1]) >= 0).all() and np.isnan(found[-1])
    assert 0 < found[0] < found[2] < found[3] < found[5] < 1


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -0.7), (2.5, 1.0)])
def test_a_known_map_is_found_again(slope, intercept):
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, 4000)
    truth = calibrated(scores, with_map(slope, intercept))
    found = fit_calibration(scores, truth)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=2e-3)
    spread = rng.beta(8 * truth, 8 * (1 - truth))  # IoUs that scatter about their mean
    noisy = fit_calibration(scores, spread)
    assert (noisy.slope, noisy.intercept) == pytest.approx((slope, intercept), abs=0.1)
    after = calibrated(scores, ModelSpec(score_calibration=noisy))
    assert expected_calibration_error(reliability(after, spread)) < 0.02


def test_overconfident_scores_become_honest():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.5, 1, 3000)
    ious = np.clip(scores - 0.2 + rng.normal(0, 0.05, 3000), 0, 1)
    before = expected_calibration_error(reliability(scores, ious))
    spec = ModelSpec(score_calibration=fit_calibration(scores[::2], ious[::2]))
    after = expected_calibration_error(reliability(calibrated(scores[1::2], spec), ious[1::2]))
    assert before == pytest.approx(0.2, abs=0.01) and after < 0.04  # no affine logit is a shift


def test_scores_that_say_nothing_keep_their_order():
    ious = np.tile([0.3, 0.9], 50)
    found = fit_calibration(np.repeat([0.9, 0.1], 50), ious)
    assert found.slope == 0.05  # a higher score must not become a lower one
    assert calibrated(np.array([0.5]), ModelSpec(score_calibration=found)) == pytest.approx([0.6], abs=0.01)


def test_weights_count_objects():
    scores, ious = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    even = calibrated(scores, ModelSpec(score_calibration=fit_calibration(scores, ious)))
    heavy = calibrated(scores, ModelSpec(score_calibration=fit_calibration(scores, ious, np.array([1, 3]))))
    assert even == pytest.approx(0.5, abs=1e-3) and heavy == pytest.approx(0.65, abs=1e-3)


def test_the_error_by_hand():
    scores, ious = np.array([0.12, 0.18, 0.95, 1.0]), np.array([0.1, 0.3, 0.5, 0.7])
    table = reliability(scores, ious)
    assert [entry.objects for entry in table] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]  # 1.0 belongs to the last bin
    assert (table[1].score, table[1].iou) == pytest.approx((0.15, 0.2))
    assert expected_calibration_error(table) == pytest.approx(0.5 * 0.05 + 0.5 * 0.375)
    weighted = reliability(scores, ious, np.array([3, 3, 1, 1]))
    assert expected_calibration_error(weighted) == pytest.approx(0.75 * 0.05 + 0.25 * 0.375)
    assert np.isnan(expected_calibration_error(reliability(np.array([]), np.array([]))))


@pytest.mark.parametrize(
    ("scores", "ious", "says"),
    [([0.5], [0.5], "at least two"), ([0.5, np.nan], [0.5, 0.5], "scores must lie"), ([0.1, 0.2], [0.5, 1.2], "ious must"),
     ([0.1, 0.2], [0.5], r"must be \(N,\)")],
)  # fmt: skip
def test_wrong_numbers_are_refused(scores, ious, says):
    with pytest.raises(ValueError, match=says):
        fit_calibration(np.array(scores), np.array(ious))


def test_a_spec_keeps_its_map_and_old_specs_have_none():
    spec = with_map(1.25, -0.5)
    assert ModelSpec.from_json(spec.to_json()) == spec
    old = {key: value for key, value in json.loads(ModelSpec().to_json()).items() if key != "score_calibration"}
    assert ModelSpec.from_json(json.dumps(old)).score_calibration == ScoreCalibration(1.0, 0.0)


@pytest.mark.parametrize(
    "wrong", [ScoreCalibration(0.0, 0.0), ScoreCalibration(-1.0, 0.0), ScoreCalibration(1.0, float("nan"))]
)
def test_a_map_that_turns_the_order_round_is_refused(wrong):
    with pytest.raises(WeightsError, match="slope above 0"):
        ModelSpec.from_json(replace(ModelSpec(), score_calibration=wrong).to_json())
