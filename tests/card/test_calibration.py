"""Calibration: halves by group, and the error on the half that was not fitted."""

from dataclasses import replace

import numpy as np
import pytest

from lite_medsam.card.halves import Observation, fit, halves, is_fitted, report


def observations(count=400, gap=0.2):
    rng = np.random.default_rng(0)
    for i in range(count):
        score = rng.uniform(0.4, 1)
        for kind in ("box", "clicks", "box+clicks"):
            yield Observation(kind, f"patient {i // 4}", "CT", score, max(0.0, score - gap))


def test_no_group_is_in_both_halves_whatever_is_left_out():
    everything = list(observations())
    first, second = halves(everything)
    groups = [{entry.group for entry in half} for half in (first, second)]
    assert not groups[0] & groups[1] and len(first) + len(second) == len(everything)
    assert 30 < len(groups[0]) < 70
    some = halves(everything[::7])
    assert {entry.group for entry in some[1]} <= groups[1]
    assert halves([Observation("box", "a", "CT", float("nan"), 0.5)]) == ([], [])


def test_the_error_is_told_on_the_half_that_was_not_fitted():
    everything = list(observations())
    calibration = fit(everything)
    found = report(everything, calibration)
    line = found["kinds"][0]
    assert line["kind"] == "all" and line["masks"] == len(halves(everything)[1])
    assert line["error_before"] == pytest.approx(0.2, abs=0.01) and line["bias_before"] == pytest.approx(0.2, abs=0.01)
    assert line["error_after"] < 0.05 and abs(line["bias_after"]) < 0.02
    (modality,) = found["modalities"]
    assert (modality["name"], modality["masks"]) == ("CT", line["masks"] // 3) and abs(modality["bias"]) < 0.02
    # what the reported half says cannot change the map
    changed = [replace(e, iou=1.0) if not is_fitted(e.group) else e for e in everything]
    assert fit(changed) == calibration


def test_kinds_weigh_the_same_and_moved_boxes_are_not_fitted():
    few = [Observation("box", f"g{i}", "CT", 0.5, 0.2) for i in range(40)]
    many = [Observation("clicks", f"g{i % 40}", "CT", 0.5, 0.8) for i in range(4000)]
    moved = [Observation("moved boxes", f"g{i}", "CT", 0.5, 0.0) for i in range(40)]
    found = report([*few, *many, *moved], fit([*few, *many, *moved]))
    assert found["kinds"][0]["bias_after"] == pytest.approx(0, abs=1e-3)  # (0.2 + 0.8) / 2
    assert {line["kind"]: round(line["bias_after"], 2) for line in found["kinds"]} == {
        "all": 0, "box": 0.3, "clicks": -0.3, "moved boxes": 0.5,
    }  # fmt: skip
