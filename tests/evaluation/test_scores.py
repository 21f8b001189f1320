"""Averaging order, intervals and formats of the tables, on rows small enough to average by hand."""

import csv
import json
import math

import numpy as np
import pytest

from lite_medsam.evaluation.score_tables import format_table, to_json, write_csv
from lite_medsam.evaluation.scores import COLUMNS, MEAN, size_class, summarise


def row(image=0, modality="CT", group="p1", dice=0.5, **more):
    values = {
        "image": image,
        "case": f"case{image}",
        "dataset": "set",
        "modality": modality,
        "group": group,
        "label": 1,
        "label_name": "",
        "area_px": 100,
        "area_fraction": 0.1,
        "box_area_fraction": 0.2,
        "dice": dice,
        "iou": dice / (2 - dice),
        "surface_dice": dice / 2,
        "hd95": 3.0,
        "hd95_mm": None,
        "score": 0.9,
        "seconds": 0.1,
    }
    return values | more


def by_name(table, by="modality"):
    return {line[by]: line for line in table}


def test_objects_then_images_then_modalities():
    rows = [row(0, dice=1.0)] + [row(1, dice=0.0, group="p2") for _ in range(9)] + [row(2, "MR", dice=0.8)]
    table = summarise(rows)
    assert [line["modality"] for line in table] == ["CT", "MR", MEAN]
    lines = by_name(table)
    assert lines["CT"]["dice"] == 0.5  # not 0.1: the image with nine objects has one vote
    assert lines[MEAN]["dice"] == pytest.approx((0.5 + 0.8) / 2)  # not (1 + 0 + 0.8) / 3
    assert (lines["CT"]["images"], lines["CT"]["objects"], lines["CT"]["groups"]) == (2, 10, 2)
    assert (lines[MEAN]["images"], lines[MEAN]["objects"], lines[MEAN]["groups"]) == (3, 11, 3)
    assert lines["CT"]["missed"] == 9 and lines[MEAN]["missed"] == 9


def test_images_are_told_apart_by_number_not_by_name():
    rows = [row(0, case="a", dice=1.0), row(1, case="a", dice=0.0), row(1, case="a", dice=0.2)]
    assert by_name(summarise(rows))["CT"]["dice"] == pytest.approx((1.0 + 0.1) / 2)


def test_nan_is_left_out_and_counted():
    rows = [row(0, dice=0.6), row(0, dice=math.nan), row(1, dice=math.nan), row(2, "MR", dice=math.nan)]
    lines = by_name(summarise(rows))
    assert lines["CT"]["dice"] == 0.6 and lines["CT"]["not_scored"] == 2
    assert math.isnan(lines["MR"]["dice"])
    assert lines[MEAN]["dice"] == 0.6 and lines[MEAN]["not_scored"] == 3


def test_hd95_is_a_median_so_that_a_missed_object_does_not_make_it_infinite():
    rows = [row(i, hd95=value) for i, value in enumerate([1.0, 2.0, 4.0, math.inf])]
    assert by_name(summarise(rows))["CT"]["hd95_median"] == 3.0
    rows = [row(0, hd95=1.0), row(1, hd95=math.inf), row(2, hd95=math.inf)]
    assert by_name(summarise(rows))["CT"]["hd95_median"] == math.inf


def test_interval_follows_the_groups():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.2, 1.0, 40)
    own_groups = [row(i, group=f"p{i}", dice=score) for i, score in enumerate(scores)]
    line = by_name(summarise(own_groups))["CT"]
    assert line["dice_low"] < line["dice"] < line["dice_high"]
    error = scores.std() / math.sqrt(len(scores))
    assert line["dice_high"] - line["dice_low"] == pytest.approx(2 * 1.96 * error, rel=0.15)
    # the same images, but ten near-copies a patient: less is known, the interval must be wider
    copies = [row(i, group=f"p{i % 4}", dice=sorted(scores)[i % 4 * 10]) for i in range(40)]
    wide = by_name(summarise(copies))["CT"]
    alone = [entry | {"group": f"q{i}"} for i, entry in enumerate(copies)]
    narrow = by_name(summarise(alone))["CT"]
    assert wide["dice_high"] - wide["dice_low"] > 2 * (narrow["dice_high"] - narrow["dice_low"])


def test_interval_is_repeatable_and_independent_of_other_modalities():
    ct = [row(i, group=f"p{i}", dice=i / 10) for i in range(10)]
    mr = [row(20 + i, "MR", group=f"p{i}", dice=i / 12) for i in range(10)]
    first, second = by_name(summarise(ct))["CT"], by_name(summarise(mr + ct[::-1]))["CT"]
    assert (first["dice_low"], first["dice_high"]) == (second["dice_low"], second["dice_high"])
    assert by_name(summarise(ct, seed=1))["CT"]["dice_low"] != first["dice_low"]
    both = by_name(summarise(ct + mr))[MEAN]
    assert both["dice_low"] < both["dice"] < both["dice_high"]


def test_one_group_has_no_interval():
    line = by_name(summarise([row(0, dice=0.3), row(1, dice=0.9)]))["CT"]
    assert math.isnan(line["dice_low"]) and math.isnan(line["dice_high"])


def test_by_dataset():
    rows = [row(0, dataset="a", dice=1.0), row(1, dataset="a", dice=0.0), row(2, dataset="", dice=0.7)]
    lines = by_name(summarise(rows, "dataset"), "dataset")
    assert lines["a"]["dice"] == 0.5 and lines["unknown"]["dice"] == 0.7
    assert len(lines) == 2


def test_by_size_of_the_object():
    small, large = {"area_fraction": 0.0099}, {"area_fraction": 0.01}
    rows = [
        row(0, dice=0.2, **small),
        row(0, dice=0.9, **large),
        row(1, dice=0.4, **small),
        row(2, "MR", dice=0.7, **small),
        row(2, "MR", dice=0.0, area_px=0, area_fraction=0.0),
    ]
    lines = by_name(summarise(rows, "size"), "size")
    assert lines["< 1% of the image"]["dice"] == pytest.approx((0.3 + 0.7) / 2)
    assert lines[">= 1% of the image"]["dice"] == 0.9
    assert lines["not in the truth"]["objects"] == 1
    assert size_class(rows[0]) == "< 1% of the image"


def test_dice_after_each_click_is_averaged_in_order():
    clicks = (1, 2, 10)
    rows = [row(**{f"dice_{k}": k / 20 for k in clicks}), row(**{f"dice_{k}": 0.0 for k in clicks})]
    line = by_name(summarise(rows))["CT"]
    assert [(key, line[key]) for key in line if key.startswith("dice_") and key[5:].isdigit()] == [
        ("dice_1", 0.025),
        ("dice_2", 0.05),
        ("dice_10", 0.25),
    ]


def test_no_rows_make_an_empty_table():
    assert summarise([]) == [] and format_table([]) == ""


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="modality, dataset, size, got 'organ'"):
        summarise([row()], "organ")


def test_csv_keeps_every_digit(tmp_path):
    path = tmp_path / "out" / "rows.csv"
    value = 2 / 3
    write_csv(
        path,
        [
            row(0, dice=value, hd95=math.inf, case='name, with "quotes"', dice_1=np.float64(0.1)),
            row(1, dice=math.nan, label_name="Läsion"),
        ],
    )
    with open(path, newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert list(first) == [*COLUMNS, "dice_1"]
    assert float(first["dice"]) == value and first["case"] == 'name, with "quotes"'
    assert math.isinf(float(first["hd95"])) and first["hd95_mm"] == "" and float(first["dice_1"]) == 0.1
    assert math.isnan(float(second["dice"])) and second["label_name"] == "Läsion" and second["dice_1"] == ""
    assert [file.name for file in path.parent.iterdir()] == ["rows.csv"]


def test_csv_without_rows_has_a_header(tmp_path):
    write_csv(tmp_path / "rows.csv", [])
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("old")

    class Unprintable:
        def __str__(self):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_csv(path, [row(case=Unprintable())])
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_text_table():
    rows = [row(i, group=f"p{i}", dice=score, score=None) for i, score in enumerate([0.25, 0.75])]
    text = format_table(summarise(rows))
    header, line, mean = text.split("\n")
    assert header.split()[:6] == ["modality", "groups", "images", "objects", "not", "scored"]
    assert "score " not in header.replace("not scored", "")  # a column without a value is left out
    assert line.split()[:7] == ["CT", "2", "2", "2", "0", "0", "0.500"]
    assert "0.250..0.750" in line and mean.startswith(MEAN)
    assert len(header) == len(line) == len(mean)


def test_markdown_table_is_well_formed():
    text = format_table(summarise([row(0, dataset="a|b")], "dataset"), markdown=True)
    lines = text.split("\n")
    assert len(lines) == 3 and len({line.count("|") for line in lines}) == 1
    assert set(lines[1]) <= set("|-: ") and "a/b" in lines[2]


def test_json_is_valid_json():
    value = {"a": math.nan, "b": [math.inf, np.float32(0.5), np.int64(3)], 3: ("x", None, True)}
    text = to_json(value)
    assert json.loads(text) == {"a": None, "b": [None, 0.5, 3], "3": ["x", None, True]}
    assert "NaN" not in text and "Infinity" not in text
