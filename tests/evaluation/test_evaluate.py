"""Evaluation with fake segmenters on tiny cases: what is prompted, scored, skipped and reported."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lite_medsam.cases.case import Case, save_case, save_segs
from lite_medsam.cases.fields import dataset_from_name
from lite_medsam.errors import PromptError
from lite_medsam.evaluation.baselines import BaselineSegmenter
from lite_medsam.evaluation.evaluate import evaluate, evaluate_predictions
from lite_medsam.evaluation.metrics import dice, hausdorff95, surface_dice
from lite_medsam.evaluation.scores import COLUMNS, MEAN
from lite_medsam.prompts import simulated_user
from lite_medsam.prompts.prompt_set import Protocol

BOX = Protocol(name="test-box")
CLICKS = Protocol(name="test-clicks", kind="clicks", clicks=3)
BOX_CLICKS = Protocol(name="test-box+clicks", kind="box+clicks", clicks=2)


class Prediction:
    def __init__(self, masks, score=0.75):
        self.masks, self.scores = masks, np.full(len(masks), score, np.float32)

    def __len__(self):
        return len(self.masks)

    def mask(self, index):
        return self.masks[index]


class Oracle:
    """Answers with the object itself, or with what `change` makes of it; remembers what it was asked."""

    def __init__(self, change=lambda mask, prompt: mask):
        self.change, self.calls = change, []

    def segment(self, image, prompts):
        self.calls.append(prompts)
        # the cases below hold the label value as grey value: an oracle needs no truth
        return Prediction([self.change(image == int(prompt.name), prompt) for prompt in prompts])


def case_of(label, name="2D_CT_tiny_0001", **more):
    return Case(image=label.astype(np.uint8), label=label, name=name, **{"modality": "CT"} | more)


def two_objects():
    label = np.zeros((40, 50), np.uint8)
    label[5:15, 5:25] = 1
    label[20:24, 30:34] = 7
    return label


def shift_right(mask, prompt):
    return np.roll(mask, 2, axis=1)


def test_perfect_segmenter_scores_one():
    segmenter = Oracle()
    done = []
    result = evaluate(segmenter, [case_of(two_objects())], BOX, progress=done.append)
    assert [row["label"] for row in result.rows] == [1, 7]
    for row in result.rows:
        assert row["dice"] == row["iou"] == row["surface_dice"] == 1
        assert row["hd95"] == 0 and row["hd95_mm"] is None and row["score"] == 0.75
        assert row["seconds"] > 0
    assert len(segmenter.calls) == 1 and len(segmenter.calls[0]) == 2  # one call for all objects of the image
    assert done == ["2D_CT_tiny_0001"] and result.skipped == []


def test_seconds_are_the_images_time_over_its_objects(monkeypatch):
    clock = iter([10.0, 13.0])
    monkeypatch.setattr(simulated_user.time, "perf_counter", lambda: next(clock))
    rows = evaluate(Oracle(), [case_of(two_objects())], BOX).rows
    assert [row["seconds"] for row in rows] == [1.5, 1.5]


def test_row_holds_every_column_and_the_metrics_of_the_object():
    label = two_objects()
    case = case_of(label, spacing_mm=(0.5, 0.25), group="patient 9", label_names={7: "nodule"})
    result = evaluate(Oracle(shift_right), [case], BOX, tolerance_px=1.0)
    row = result.rows[1]
    assert list(row) == list(COLUMNS)
    truth = label == 7
    predicted = np.roll(truth, 2, axis=1)
    assert row["dice"] == dice(truth, predicted) == 0.5
    assert row["surface_dice"] == surface_dice(truth, predicted, 1.0)
    assert row["hd95"] == 2 and row["hd95_mm"] == hausdorff95(truth, predicted, (0.5, 0.25)) == 0.5
    assert row["area_px"] == 16 and row["area_fraction"] == 16 / 2000
    names = [row[name] for name in ("dataset", "modality", "group", "label_name")]
    assert names == ["tiny", "CT", "patient 9", "nodule"]
    assert result.rows[0]["box_area_fraction"] == 200 / 2000


def test_the_box_of_the_prompt_is_the_protocols():
    segmenter = Oracle()
    evaluate(segmenter, [case_of(two_objects())], BOX)
    assert [prompt.box for prompt in segmenter.calls[0]] == [(5, 5, 24, 14), (30, 20, 33, 23)]
    grown = Oracle()
    evaluate(grown, [case_of(two_objects())], replace(BOX, jitter=(0.1, 0.2)))
    x0, y0, x1, y1 = grown.calls[0][0].box
    assert 0 < x0 <= 3 and 0 < y0 <= 4 and x1 >= 26 and y1 >= 15


def test_same_result_in_any_order_of_cases():
    cases = [case_of(two_objects(), f"2D_CT_tiny_{i}") for i in range(4)]
    jittered = replace(BOX, jitter=(0.0, 0.3))
    box = BaselineSegmenter("box")

    def scores(result):
        return {(row["case"], row["label"]): row["dice"] for row in result.rows}

    forward = scores(evaluate(box, cases, jittered))
    assert forward == scores(evaluate(box, cases[::-1], jittered))
    assert len(set(forward.values())) > 4  # the boxes do differ from case to case


def test_small_and_surplus_objects_are_left_out_and_counted():
    label = np.zeros((40, 50), np.uint16)
    for i in range(6):
        label[3 : 3 + i + 1, 6 * i : 6 * i + 5] = i + 300
    protocol = replace(BOX, min_area_px=11, max_objects=3)
    result = evaluate(BaselineSegmenter("box"), [case_of(label)], protocol)
    assert len(result.rows) == 3 and all(row["area_px"] >= 11 for row in result.rows)
    assert (result.too_small, result.over_limit) == (2, 1)
    assert "2 objects that are too small, 1 beyond" in result.to_markdown()


def test_volumes_are_scored_by_slice():
    label = np.zeros((9, 40, 50), np.uint8)
    label[2:8, 5:15, 5:25] = 1
    case = case_of(label, "3D_MR_tiny_5", modality="MR", is_volume=True, spacing_mm=(5.0, 0.5, 0.5))
    result = evaluate(Oracle(shift_right), [case], BOX, slices_per_volume=3)
    assert len(result.rows) == 3 and len({row["image"] for row in result.rows}) == 3
    assert all(row["case"].startswith("3D_MR_tiny_5_z") for row in result.rows)
    assert {row["group"] for row in result.rows} == {"3D_MR_tiny_5"}  # one patient, many slices
    assert {row["hd95_mm"] for row in result.rows} == {1.0}
    line = result.summary()[0]
    assert (line["images"], line["groups"]) == (3, 1) and math.isnan(line["dice_low"])


def test_clicks_are_recorded_one_by_one():
    def grows_with_clicks(mask, prompt):
        # the first click shows two columns, each further one doubles them
        columns = np.flatnonzero(mask.any(0))[: 2 ** len(prompt.points)]
        known = np.zeros_like(mask)
        known[:, columns] = mask[:, columns]
        return known

    segmenter = Oracle(grows_with_clicks)
    row = evaluate(segmenter, [case_of(two_objects())], CLICKS).rows[0]
    assert [name for name in row if name.startswith("dice_")] == ["dice_1", "dice_2", "dice_3"]
    shares = [2 / 20, 4 / 20, 8 / 20]
    assert [row[f"dice_{k}"] for k in (1, 2, 3)] == pytest.approx([2 * s / (1 + s) for s in shares])
    assert row["dice"] == row["dice_3"]
    first = segmenter.calls[0][0]
    assert first.box is None and first.mask is None and first.point_labels.tolist() == [1]
    x, y = first.points[0]
    assert 8 <= x <= 21 and y in (9, 10)  # the middle of the object, as deep inside as a pixel can be
    # object 7 is complete after two clicks; only object 1 gets a third
    assert [len(prompts) for prompts in segmenter.calls] == [2, 2, 1]
    assert segmenter.calls[2][0].mask.sum() == 4 * 10


def test_box_then_clicks_counts_the_box_as_click_zero():
    segmenter = Oracle(lambda mask, prompt: mask if len(prompt.points) == 2 else np.roll(mask, 1, axis=0))
    result = evaluate(segmenter, [case_of(two_objects())], BOX_CLICKS)
    row = result.rows[0]
    assert [name for name in row if name.startswith("dice_")] == ["dice_0", "dice_1", "dice_2"]
    assert row["dice_0"] == row["dice_1"] < 1 == row["dice_2"] == row["dice"]
    assert segmenter.calls[2][0].box == (5, 5, 24, 14) and len(segmenter.calls[2][0].points) == 2
    assert "dice_2" in result.summary()[0] and "dice 2" in result.format_table()


def test_unusable_cases_are_skipped_and_listed(tmp_path):
    save_case(tmp_path / "2D_CT_tiny_good.npz", case_of(two_objects()))
    (tmp_path / "2D_CT_tiny_bad.npz").write_bytes(b"no zip")
    unlabelled = Case(image=np.zeros((5, 5), np.uint8), name="plain")
    background = case_of(np.zeros((9, 9), np.uint8), "empty")
    paths = [tmp_path / f"2D_CT_tiny_{name}.npz" for name in ("bad", "good", "missing")]
    done = []
    result = evaluate(BaselineSegmenter("box"), [*paths, unlabelled, background], BOX, progress=done.append)
    assert {row["case"] for row in result.rows} == {"2D_CT_tiny_good"}
    assert [name for name, _ in result.skipped] == ["2D_CT_tiny_bad", "2D_CT_tiny_missing", "plain", "empty"]
    assert "has no gts" in dict(result.skipped)["plain"] and "no object" in dict(result.skipped)["empty"]
    assert len(done) == 5
    assert "4 cases" in result.to_markdown() and "- plain:" in result.to_markdown()


def test_a_segmenter_that_refuses_the_prompts_stops_the_run():
    with pytest.raises(PromptError, match="ellipse baseline needs a box"):
        evaluate(BaselineSegmenter("ellipse"), [case_of(two_objects())], CLICKS)


def test_nothing_to_score_gives_empty_tables(tmp_path):
    result = evaluate(BaselineSegmenter("box"), [], BOX)
    assert result.rows == [] and result.summary() == [] and result.format_table() == ""
    assert json.loads(result.to_json())["summary"]["modality"] == []
    assert "Left out: 0 cases" in result.to_markdown()


def test_reports(tmp_path):
    cases = [case_of(two_objects(), f"2D_{m}_tiny_{i}", modality=m) for m in ("CT", "MR") for i in range(3)]
    result = evaluate(Oracle(shift_right), cases, BOX)
    result.write_csv(tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [float(row["dice"]) for row in read] == [row["dice"] for row in result.rows]
    data = json.loads(result.to_json())
    assert data["settings"]["sha256"] == BOX.sha256 and data["settings"]["protocol"] == "test-box"
    assert data["summary"]["modality"][-1]["dice"] == pytest.approx((0.9 + 0.5) / 2)
    markdown = result.to_markdown()
    assert BOX.sha256 in markdown and f"| {MEAN} |" in markdown and "| < 1% of the image" in markdown
    assert "0.700" in result.format_table()


@pytest.mark.parametrize("kind, expected", [("box", 16 / 16), ("ellipse", 12 / 16)])
def test_baselines(kind, expected):
    result = evaluate(BaselineSegmenter(kind), [case_of(two_objects())], BOX)
    row = result.rows[1]
    assert row["iou"] == expected and math.isnan(row["score"])
    assert "score" not in result.format_table().replace("not scored", "")


def test_grabcut_baseline_sees_the_image():
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:60, :80]
    label = ((rows - 30) ** 2 + (columns - 40) ** 2 <= 15**2).astype(np.uint8)
    image = (label * 120 + rng.integers(30, 60, label.shape)).astype(np.uint8)
    row = evaluate(BaselineSegmenter("grabcut"), [replace(case_of(label), image=image)], BOX).rows[0]
    assert row["dice"] > 0.95


def test_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="box, ellipse, grabcut, got 'snake'"):
        BaselineSegmenter("snake")


def test_finished_segmentations_are_scored_by_label(tmp_path):
    label = two_objects()
    segs = np.where(label == 1, 1, 0).astype(np.uint16)
    segs[35:38, 40:45] = 300  # an object that is not there; 7 is missing
    save_segs(tmp_path / "2D_CT_tiny_0001.npz", segs)
    result = evaluate_predictions([case_of(label)], tmp_path)
    rows = {row["label"]: row for row in result.rows}
    assert set(rows) == {1, 7, 300}
    assert rows[1]["dice"] == 1 and rows[7]["dice"] == 0 and rows[300]["dice"] == 0
    assert rows[7]["hd95"] == math.inf and rows[300]["area_px"] == 0 and rows[300]["surface_dice"] == 0
    assert list(rows[1]) == list(COLUMNS) and rows[1]["seconds"] is None
    assert result.summary()[0]["dice"] == pytest.approx(1 / 3) and result.summary()[0]["missed"] == 2
    assert "not in the truth" in result.format_table("size")
    assert json.loads(result.to_json())["summary"]["modality"][0]["hd95_median"] is None


def test_volumes_of_finished_segmentations_are_scored_whole_in_in_plane_pixels(tmp_path):
    label, segs = np.zeros((8, 30, 30), np.uint8), np.zeros((8, 30, 30), np.uint8)
    label[2:7, 5:20, 5:20] = 1
    segs[2:6, 5:20, 5:20] = 1  # one slice of 5 mm too short
    case = case_of(label, "3D_CT_x_1", is_volume=True, spacing_mm=(5.0, 0.8, 0.8))
    save_segs(tmp_path / "3D_CT_x_1.npz", segs)
    row = evaluate_predictions([case], tmp_path).rows[0]
    assert row["dice"] == pytest.approx(2 * 4 / 9)
    assert row["hd95"] == pytest.approx(6.25) and row["hd95_mm"] == pytest.approx(5.0)
    assert row["surface_dice"] == surface_dice(label == 1, segs == 1, 2.0, (6.25, 1, 1)) < 0.9


def test_missing_and_wrong_segmentations_are_listed_not_fatal(tmp_path):
    names = ("good", "missing", "shape", "key", "negative", "float")
    cases = [case_of(two_objects(), name) for name in names]
    save_segs(tmp_path / "good.npz", two_objects())
    save_segs(tmp_path / "shape.npz", two_objects().T)
    np.savez(tmp_path / "key.npz", masks=two_objects())
    np.savez(tmp_path / "negative.npz", segs=-two_objects().astype(np.int16))
    np.savez(tmp_path / "float.npz", segs=two_objects().astype(np.float32))
    result = evaluate_predictions(cases, tmp_path)
    assert {row["case"] for row in result.rows} == {"good"}
    reasons = dict(result.skipped)
    assert list(reasons) == ["missing", "shape", "key", "negative", "float"]
    assert "no such file" in reasons["missing"] and "(40, 50), got (50, 40)" in reasons["shape"]
    assert "must hold integers from 0" in reasons["negative"] and "float32" in reasons["float"]
    assert all("\n" not in reason for reason in reasons.values())


@pytest.mark.parametrize(
    "name, expected",
    [
        ("2D_CT_btcv_0001", "btcv"),
        ("3D_MR_msd-hippocampus_001_z012", "msd-hippocampus"),
        ("2D_XRay_covidcxr-path_nejmoa_f3-PA", "covidcxr-path"),
        ("2DBox_XRay_0001", ""),
        ("3D_CT_0001_z012", ""),
        ("patient_7_left_eye", ""),
        ("scan", ""),
    ],
)
def test_dataset_from_name(name, expected):
    assert dataset_from_name(name) == expected


def test_predictions_may_be_pictures_read_by_their_stored_numbers(tmp_path):
    import tifffile
    from PIL import Image

    label = two_objects()
    save_case(tmp_path / "2D_CT_a.npz", case_of(label, "2D_CT_a"))
    folder = tmp_path / "out"
    folder.mkdir()

    def scored():
        return [row["dice"] for row in evaluate_predictions([tmp_path / "2D_CT_a.npz"], folder).rows]

    tifffile.imwrite(folder / "2D_CT_a.tif", label, photometric="miniswhite")
    assert scored() == [1, 1]
    Image.fromarray(label).save(folder / "2D_CT_a_label.png")
    (folder / "2D_CT_a.tif").unlink()
    assert scored() == [1, 1]
    Image.fromarray((label > 0).astype(np.uint8) * np.uint8(255)).save(folder / "2D_CT_a_label.png")
    assert [round(value, 2) for value in scored()] == [pytest.approx(2 * 200 / 416, abs=0.01), 0]
    Image.fromarray(np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8)).save(folder / "2D_CT_a_label.png")
    (reason,) = [why for _, why in evaluate_predictions([tmp_path / "2D_CT_a.npz"], folder).skipped]
    assert "looks like a picture" in reason
