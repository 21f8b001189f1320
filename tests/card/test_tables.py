"""Tables of the card by hand, and what targets are called."""

import numpy as np
import pytest

from lite_medsam.card.markdown import number, percent, with_interval
from lite_medsam.card.summary import plain_values, table
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.scores import MEAN, average, interval
from lite_medsam.prompts.targets import family_of, read_targets, target_of


def rows_of(entries):
    return [
        {"image": image, "group": group, "modality": modality, "dataset": "d", "dice": value, "surface_dice": value / 2,
         "area_px": 9, "area_fraction": 0.5, "target": target, "family": ""}
        for image, group, modality, value, target in entries
    ]  # fmt: skip


ROWS = rows_of([
    (0, "a", "CT", 0.2, "x"), (0, "a", "CT", 0.4, "y"), (1, "a", "CT", 0.5, "x"), (2, "b", "CT", 0.9, ""),
    (3, "c", "MR", 1.0, ""),
])  # fmt: skip


def test_averages_by_hand():
    assert average(ROWS[:4], "dice") == pytest.approx((0.3 + 0.5 + 0.9) / 3)
    assert average(ROWS, "dice", over_modalities=True) == pytest.approx(((0.3 + 0.5 + 0.9) / 3 + 1) / 2)
    assert average(ROWS, "surface_dice") == pytest.approx((0.3 + 0.5 + 0.9 + 1) / 8)
    assert np.isnan(average(ROWS, "unknown")) and np.isnan(average([], "dice"))


def test_the_bootstrap_draws_groups():
    # groups a (images 0.3, 0.5) and b (0.9): a draw is all a, both, or all b
    low, high = interval(ROWS[:4], "dice")
    assert (low, high) == pytest.approx((0.4, 0.9))
    assert interval(ROWS[:4], "surface_dice") == pytest.approx((0.2, 0.45))
    assert np.isnan(interval(ROWS[:3], "dice")).all()  # one group shows no spread
    assert np.isnan(interval([], "dice")).all()
    many = rows_of([(i, i, "CT", value, "") for i, value in enumerate(np.linspace(0, 1, 101))])
    low, high = interval(many, "dice")
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(np.linspace(0, 1, 101)) / 101**0.5, rel=0.1)


def test_a_table_by_hand():
    lines = table(ROWS, "modality", ("dice", "surface_dice"))
    assert [line["name"] for line in lines] == ["CT", "MR", MEAN]
    assert (lines[0]["groups"], lines[0]["images"], lines[0]["objects"], lines[0]["missed"]) == (2, 3, 4, 0)
    assert lines[0]["dice"] == pytest.approx(1.7 / 3) and lines[0]["dice_high"] == pytest.approx(0.9)
    assert [line["name"] for line in table(ROWS, "target", ("dice",))] == ["d: x", "d: y"]
    assert table(ROWS, "family", ("dice",)) == []


def test_numbers_are_plain():
    assert plain_values({1: (np.float32(0.123456), float("nan"), np.int64(3), None, "x", float("inf"))}) == {
        "1": [0.1235, None, 3, None, "x", None]
    }
    assert (number(None), number(0.12345), percent(0.256)) == ("-", "0.123", "26 %")
    assert with_interval({"dice": 0.5, "dice_low": None, "dice_high": None}, "dice") == "0.500"
    assert with_interval({"dice": 0.5, "dice_low": 0.4, "dice_high": 0.61}, "dice") == "0.500 (0.400-0.610)"


def test_targets_by_data_set_ending_and_label(tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text("dataset,label,target\nheart,2,wall\nscan(_b),*,fluid\nscan(_a),*,layer\n")
    targets = read_targets(path)

    def named(name, label, **more):
        return target_of(targets, Case(image=np.zeros((4, 4), np.uint8), name=name, **more), label)

    assert named("2D_MR_heart_01", 2) == "wall" and named("2D_MR_heart_01", 1) == ""
    assert named("3D_MR_heart_01_z012", 2) == "wall"
    assert named("2D_OCT_scan_1_a", 3) == "layer" and named("2D_OCT_scan_1_b", 3) == "fluid"
    assert named("2D_OCT_scan_1_b_z003", 3) == "fluid" and named("2D_OCT_other_1", 3) == ""
    assert named("2D_MR_heart_01", 1, label_names={1: "left"}) == "left"
    assert read_targets(None) == {}
    path.write_text("dataset,target\na,b\n")
    with pytest.raises(CaseError, match="columns dataset, label and target"):
        read_targets(path)


@pytest.mark.parametrize(
    ("modality", "target", "family"),
    [("OCT", "inner nuclear layer", "OCT layers"), ("OCT", "inner segment ellipsoid", "OCT layers"),
     ("OCT", "retina and choroid band", "OCT layers"), ("OCT", "retinal lesion or fluid", "OCT fluid and lesions"),
     ("Fundus", "optic disc rim", "fundus: optic disc rim"), ("Fundus", "optic cup", "fundus: optic cup"),
     ("Fundus", "retinal veins", "fundus: vessels"), ("CT", "fluid", ""), ("Fundus", "exudate", "")],
)  # fmt: skip
def test_families(modality, target, family):
    assert family_of(modality, target) == family
