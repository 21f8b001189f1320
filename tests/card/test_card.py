"""The card: reuse of views, sweeps with a scripted segmenter, tables by hand, calibration halves, page and pictures."""

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from fakes import FakeBackend
from places import ROOT

from lite_medsam.card import CardSettings, measure, summarise_card, write_card
from lite_medsam.card.ablation import read_reports
from lite_medsam.card.halves import Observation, fit, halves, is_fitted, report
from lite_medsam.card.honesty import words
from lite_medsam.card.markdown import number, percent, with_interval
from lite_medsam.card.page import FRONT, MEASUREMENTS
from lite_medsam.card.pictures import PICTURES
from lite_medsam.card.plots import draw_curves, draw_reliability
from lite_medsam.card.raw_scores import RawBackend
from lite_medsam.card.sheets import draw_examples, draw_failures, find_failures, small_png
from lite_medsam.card.summary import plain_values, table
from lite_medsam.card.sweeps import MAX_CLICKS, MOVED, click_columns, moved_protocols, run_clicks
from lite_medsam.card.weaknesses import weaknesses
from lite_medsam.cases.case import Case, save_case
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.metrics import dice
from lite_medsam.evaluation.scores import MEAN, average, interval
from lite_medsam.model.spec import ModelSpec, ScoreCalibration, load_spec
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.prompts.targets import family_of, read_targets, target_of
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    for i, kind in enumerate(["us", "us", "dermoscopy", "dermoscopy", "oct-cme"]):
        case = make_phantom(kind, i, (128, 128))
        save_case(folder / f"2D_{case.modality}_{kind.replace('-', '')}_{i}.npz", case)
    return folder


@pytest.fixture(scope="module")
def measured(folder):
    seen = []
    found = measure(FakeBackend(), sorted(folder.iterdir()), CardSettings(curves_every=2), seen.append)
    assert len(seen) == 5
    return found


@pytest.fixture(scope="module")
def record(measured):
    return summarise_card(measured, CardSettings(curves_every=2), ScoreCalibration(0.5, 0.1))


# -- one pass ----------------------------------------------------------------------------------------------------------


def test_the_pass_agrees_with_the_evaluation_of_each_protocol(folder, measured):
    for run, protocol in (("box", "box"), ("clicks", "clicks"), ("box+clicks", "box+clicks")):
        cases = sorted(folder.iterdir())[:: 1 if run == "box" else 2]
        rows = evaluate(Predictor(FakeBackend()), cases, load_protocol(protocol)).rows
        assert [(r["case"], r["label"]) for r in measured.runs[run]] == [(r["case"], r["label"]) for r in rows]
        key = {"box": "dice", "clicks": "dice_5", "box+clicks": "dice_5"}[run]
        assert [r[key] for r in measured.runs[run]] == [r["dice"] for r in rows]
        assert [r["surface_dice"] for r in measured.runs[run]] == [r["surface_dice"] for r in rows]


def test_curves_are_measured_on_every_second_case(measured):
    assert (measured.cases, measured.curve_cases, measured.images, measured.curve_images) == (5, 3, 5, 3)
    assert {row["image"] for row in measured.runs["moved +10 %"]} == {0, 2, 4}
    assert len(measured.runs["box, curves"]) == len(measured.runs["moved +10 %"]) < len(measured.runs["box"])


def test_unreadable_and_empty_cases_are_told(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"no")
    empty = Case(image=np.zeros((40, 40), np.uint8), label=np.zeros((40, 40), np.uint8), name="empty", modality="CT")
    found = measure(FakeBackend(), [tmp_path / "broken.npz", empty], CardSettings())
    assert [name for name, _ in found.skipped] == ["broken", "empty"] and found.images == 0


def test_groups_come_from_the_table(folder):
    names = [path.stem for path in sorted(folder.iterdir())][:2]
    settings = CardSettings(groups=dict.fromkeys(names, "one patient"), curves_every=9)
    found = measure(FakeBackend(), sorted(folder.iterdir())[:2], settings)
    assert {row["group"] for row in found.runs["box"]} == {"one patient"}


def test_equal_views_are_encoded_once(folder):
    backend = FakeBackend()
    found = measure(backend, sorted(folder.iterdir())[:1], CardSettings())
    encoded = sum(len(batch) for batch in backend.encoded)
    distinct = {view.tobytes() for batch in backend.encoded for view in batch}
    assert encoded == len(distinct) and 0.5 < found.reused < 1


def test_scores_are_measured_without_their_calibration():
    backend = FakeBackend()
    backend.spec = replace(backend.spec, score_calibration=ScoreCalibration(3.0, 1.0))
    assert RawBackend(backend).spec.score_calibration == ScoreCalibration()


# -- boxes and clicks --------------------------------------------------------------------------------------------------


def test_every_side_is_moved_by_the_share_of_the_box():
    label = np.zeros((100, 200), np.uint8)
    label[40:60, 50:90] = 1  # 20 high, 40 wide
    protocols = moved_protocols(load_protocol("box"))
    assert len(protocols) == len(MOVED) + 3 and "moved -20 %" in protocols and "within 10 %" in protocols
    boxes = {n: simulate_prompts(label, p, "x").objects[0][1].box for n, p in protocols.items()}
    assert boxes["moved +0 %"] == (50, 40, 89, 59)
    assert boxes["moved +10 %"] == pytest.approx((46, 38, 93, 61))
    assert boxes["moved -20 %"] == pytest.approx((58, 44, 81, 55))
    sides = np.abs(np.subtract(boxes["within 10 %"], (50, 40, 89, 59))) / (40, 20, 40, 20)
    assert (sides <= 0.1).all() and len(set(np.round(sides, 6))) == 4


class Scripted:
    """Answers with the object cut to a share of its rows that grows with the number of clicks."""

    def __init__(self, truth, shares):
        self.truth, self.shares, self.calls = truth, shares, 0

    def segment(self, image, prompts):
        (prompt,) = prompts
        self.calls += 1
        rows = np.flatnonzero(self.truth.any(1))
        mask = self.truth.copy()
        mask[rows[round(self.shares[len(prompt.points)] * len(rows)) :]] = False
        return type("P", (), {"scores": [0.5], "mask": lambda s, i: mask, "__len__": lambda s: 1})()


def scripted_run(shares, name="clicks", most=MAX_CLICKS, least=10):
    label = np.zeros((60, 60), np.uint8)
    label[10:50, 10:50] = 1  # 40 rows: a share of rows is the IoU
    case = Case(image=label, label=label, name="x", modality="CT")
    segmenter = Scripted(label == 1, shares)
    (run,) = run_clicks(segmenter, case, replace(load_protocol(name), clicks=most), least)
    return run, segmenter


def test_clicks_are_counted_until_the_goal():
    shares = {0: 0.0, 1: 0.5, 2: 0.7, 3: 0.8, 4: 0.85} | dict.fromkeys(range(5, 12), 0.875) | {12: 0.9}
    run, segmenter = scripted_run(shares)
    assert segmenter.calls == 12  # it has 0.9 after 12 clicks and is left alone
    assert (run.clicks_to(0.8), run.clicks_to(0.9), run.clicks_to(0.95)) == (3, 12, None)
    # Dice of a share s is 2 s / (1 + s): 0.7 -> 0.82, 0.85 -> 0.92
    assert (run.clicks_to(0.8, "dice"), run.clicks_to(0.9, "dice")) == (2, 4)
    columns = click_columns(run, MAX_CLICKS)
    assert columns["dice_1"] == pytest.approx(2 / 3) and columns["dice_3"] == pytest.approx(1.6 / 1.8)
    assert (columns["noc_iou_80%"], columns["noc_iou_90%"], columns["never_iou_90%"]) == (3, 12, 0)
    assert columns["dice_10"] == pytest.approx(1.75 / 1.875) and columns["dice"] == pytest.approx(1.8 / 1.9)


def test_an_object_that_never_gets_there_counts_twenty():
    run, segmenter = scripted_run(dict.fromkeys(range(1, 21), 0.825))
    assert segmenter.calls == 20
    columns = click_columns(run, MAX_CLICKS)
    assert (columns["noc_iou_80%"], columns["never_iou_80%"]) == (1, 0)
    assert (columns["noc_iou_90%"], columns["never_iou_90%"]) == (20, 1)


def test_a_perfect_object_needs_no_further_click():
    run, segmenter = scripted_run(dict.fromkeys(range(0, 21), 1.0))
    assert segmenter.calls == 1 and run.after(10).dice == 1 and run.surface_dice == 1
    early, segmenter = scripted_run({0: 0.5} | dict.fromkeys(range(1, 11), 0.95), "box+clicks", 10)
    assert segmenter.calls == 11 and early.first == 0  # the curve goes on to ten clicks
    columns = click_columns(early, 10)
    assert columns["dice_0"] == pytest.approx(2 / 3) and "noc_iou_90%" not in columns


# -- tables ------------------------------------------------------------------------------------------------------------


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


# -- names -------------------------------------------------------------------------------------------------------------


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


# -- calibration -------------------------------------------------------------------------------------------------------


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


def pages(*arguments) -> str:
    """Both pages of a card."""
    return "".join(write_card(*arguments).values())


# -- page and pictures -------------------------------------------------------------------------------------------------


def test_the_record_is_small_plain_json_with_every_run(record):
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record["runs"]) == {
        "box", "box, zoom off", "baseline box", "baseline ellipse", "baseline grabcut", "baseline threshold",
    }  # fmt: skip
    assert [line["name"] for line in record["moved"]][:2] == ["box, curves", "moved -20 %"]
    assert record["clicks"]["clicks"]["clicks"] == [1, 3, 5, 10]
    assert record["clicks"]["box+clicks"]["clicks"] == [0, 1, 3, 5, 10]
    assert set(record["clicks"]["clicks"]["noc"]) == {
        f"{kind}_{measure}_{goal}%" for kind in ("noc", "never") for measure in ("iou", "dice") for goal in (80, 90)
    }


def test_a_model_that_fills_the_box_is_as_good_as_the_filled_box(record):
    means = {run: tables["modality"][-1] for run, tables in record["runs"].items()}
    assert means["box"]["dice"] == pytest.approx(means["baseline box"]["dice"], abs=0.03)
    assert means["baseline ellipse"]["dice"] > means["baseline box"]["dice"]
    assert means["baseline threshold"]["dice"] >= means["baseline box"]["dice"]  # all of the box is one threshold
    assert means["box"]["challenge_nsd"] > means["box"]["surface_dice"]
    moved = {line["name"]: line["dice"] for line in record["moved"]}
    assert moved["moved +0 %"] > moved["moved +10 %"] > moved["moved +30 %"]


def test_the_card_tells_what_was_measured(record, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text(
        "dataset,modality,targets,training_files,copy_taken_from,source_and_terms\n"
        "alpha,CT,liver,12,x,CC0\nbeta,MR,heart,0,x,unknown\n"
    )
    spec = replace(FakeBackend().spec, score_calibration=ScoreCalibration(0.5, 0.1))
    card = pages(spec, record, data, set(PICTURES))
    mean = record["runs"]["box"]["modality"][-1]
    assert f"**Dice {mean['dice']:.3f}**" in card and "not a medical device" in card and "an oracle" in card
    assert all(f"({name})" in card for name in PICTURES)
    assert "| alpha | CT | liver | 12 | CC0 |" in card and "beta" not in card
    assert "challenge NSD" in card and "NoC@90, IoU" in card and "moved -20 %" in card and "OCT fluid" in card
    assert "3 of 5 images" in card and "sigmoid(0.5 logit(score) +0.1)" in card
    assert "| None" not in card and "| nan" not in card and "(None" not in card
    assert ".png" not in pages(spec, record, None, set())


def test_an_uncalibrated_model_is_called_that(measured):
    record = summarise_card(measured, CardSettings(curves_every=2), ScoreCalibration())
    assert "not calibrated" in pages(ModelSpec(), record, None, set())


def test_weaknesses_name_the_worst(record):
    changed = json.loads(json.dumps(record))
    box = changed["runs"]["box"]
    box["target"] = [{"name": f"t{i}", "dice": i / 10} for i in range(9, -1, -1)]
    box["modality"][0]["dice"] = 0.31
    name = box["dataset"][0]["name"]
    for run in ("baseline box", "baseline ellipse", "baseline grabcut"):
        changed["runs"][run]["dataset"][0]["dice"] = box["dataset"][0]["dice"] + 0.05
    text = "\n".join(weaknesses(changed))
    assert "t0 0.00, t1 0.10, t2 0.20, t3 0.30, t4 0.40, t5 0.50." in text
    assert f"{box['modality'][0]['name']} 0.31" in text and f"{name} (-0.05 against box)" in text
    assert "never reach" in text and "one or two groups" in text


def test_a_card_of_one_object_has_no_intervals_and_no_names():
    label = np.zeros((64, 64), np.uint8)
    label[20:40, 20:40] = 1
    found = measure(FakeBackend(), [Case(image=label * 9, label=label, name="x", modality="CT")], CardSettings())
    one = summarise_card(found, CardSettings(), ScoreCalibration())
    card = pages(ModelSpec(), one, None, set())
    assert "| CT | 1 | 1 | " in card and "Fundus and OCT apart" not in card and "No plot" in card
    assert "Lowest Dice with a box" in weaknesses(one)[0] and "None" not in " ".join(weaknesses(one))


def test_plots_are_written(record, tmp_path):
    pytest.importorskip("matplotlib")
    for draw, name in ((draw_curves, "curves.png"), (draw_reliability, "reliability.png")):
        assert draw(record, tmp_path / name)
        picture = cv2.imread(str(tmp_path / name))
        assert min(picture.shape[:2]) > 300 and 0.001 < (picture < 250).any(2).mean() < 0.5
        assert (tmp_path / name).stat().st_size < 200_000
    nothing = record | {"moved": [], "calibration": record["calibration"] | {"bins": {}}}
    assert not draw_curves(nothing, tmp_path / "no.png") and not draw_reliability(nothing, tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


def test_examples_show_boxes_and_masks():
    sheet = draw_examples(Predictor(FakeBackend()), height_px=60, width_px=300)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3 and sheet.shape[0] > 120
    grey = (sheet.max(2) - sheet.min(2)) < 20
    assert grey.mean() < 0.95  # the overlays are coloured, most phantoms are not


def test_failures_are_the_worst_objects_and_drawn_with_truth_and_answer():
    predictor = Predictor(FakeBackend())
    found = find_failures(predictor, (1, 2), most=3, per_kind=2, kinds=("us", "oct-cme"))
    assert [f.dice for f in found] == sorted(f.dice for f in found)
    assert len({(f.kind, f.name) for f in found}) == len(found) <= 3
    worst = found[0]
    assert worst.dice == dice(worst.truth, worst.answer)
    case = make_phantom(worst.kind, worst.seed)
    assert np.array_equal(worst.case.label, case.label)
    sheet = draw_failures(found, columns=2)
    assert sheet.shape == (2 * 234 if len(found) > 2 else 234, 400, 3)
    for colour in ((0, 220, 90), (255, 0, 200), (255, 255, 255)):
        assert (sheet == colour).all(2).sum() > 20


def test_small_pngs_are_small_and_true():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    for limit in (300_000, 90_000, 20_000):
        data = small_png(noise, limit)
        assert len(data) <= limit
    flat = np.full((50, 60, 3), (10, 200, 30), np.uint8)
    shown = cv2.imdecode(np.frombuffer(small_png(flat, 50_000), np.uint8), 1)[:, :, ::-1]
    assert np.array_equal(shown, flat)


# -- command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def card_command(monkeypatch, tmp_path, folder):
    from lite_medsam.cli import card as module
    from lite_medsam.model.spec import save_spec

    backend = FakeBackend()
    save_spec(tmp_path, backend.spec)
    monkeypatch.setattr(module, "open_predictor", lambda weights, engine, threads, zoom: Predictor(backend, zoom))
    monkeypatch.setattr("lite_medsam.card.sheets.KINDS", ("us",))
    monkeypatch.setattr(
        "lite_medsam.card.sheets.find_failures", lambda p, seeds: find_failures(p, seeds, most=2, kinds=("us",))
    )

    def run(*words):
        return CliRunner().invoke(
            module.command, ["-i", str(folder), "--weights", str(tmp_path), "--phantoms", "1", *words]
        )

    return run


def test_one_command_writes_everything(card_command, tmp_path):
    result = card_command("--calibrate")
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"README.md", "measurements.md", "scores.json", "spec.json", "examples.png", "failures.png"} <= names
    assert json.loads((tmp_path / "scores.json").read_text())["settings"]["cases"] == 5
    found = load_spec(tmp_path).score_calibration
    assert found != ScoreCalibration() and f"sigmoid({found.slope:g}" in (tmp_path / MEASUREMENTS).read_text()


def test_pages_are_written_again_without_measuring(card_command, tmp_path, monkeypatch):
    assert card_command("--calibrate").exit_code == 0
    before = {name: (tmp_path / name).read_bytes() for name in (FRONT, MEASUREMENTS, "scores.json", "examples.png")}
    (tmp_path / FRONT).unlink()
    monkeypatch.setattr("lite_medsam.cli.card.open_predictor", None)
    scores = tmp_path / "scores.json"
    result = again(scores, tmp_path)
    assert result.exit_code == 0, result.output
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_scores_of_other_weights_are_refused(card_command, tmp_path):
    assert card_command("--every", "4").exit_code == 0
    scores = tmp_path / "scores.json"
    record = json.loads(scores.read_text())
    for changed, message in (
        (record | {"model": record["model"] | {"files": {"encoder.onnx": "0"}}}, "must be of the weights"),
        (record | {"calibration": record["calibration"] | {"slope": 2.0}}, "must be of the weights"),
        (record | {"version": 1}, "must have version"),
        ({"settings": {}}, "must be the scores.json"),
        ([], "must be the scores.json"),
    ):
        scores.write_text(json.dumps(changed))
        assert message in str(again(scores, tmp_path).exception)


def test_measuring_and_writing_again_exclude_each_other(card_command, tmp_path):
    (tmp_path / "scores.json").write_text("{}")
    assert card_command("--from-scores", str(tmp_path / "scores.json")).exit_code == 2
    from lite_medsam.cli import card as module

    assert CliRunner().invoke(module.command, ["--weights", str(tmp_path)]).exit_code == 2


def again(scores, directory):
    from lite_medsam.cli import card as module

    return CliRunner().invoke(module.command, ["--from-scores", str(scores), "--weights", str(directory)])


def test_a_model_that_is_too_large_to_commit_is_named(card_command, tmp_path, monkeypatch):
    monkeypatch.setattr("lite_medsam.cli.card.MODEL_BYTES", 1000)
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    result = card_command("--every", "4")
    assert result.exit_code == 0 and "more than 0 MB" in result.output


def test_without_matplotlib_the_card_says_so(card_command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    (tmp_path / "look").mkdir()
    (tmp_path / "look/curves.png").write_bytes(b"of older numbers")
    result = card_command("--every", "2", "-o", str(tmp_path / "look"))
    assert result.exit_code == 0 and 'without curves.png: drawing plots needs the "plots" extra' in result.output
    card = (tmp_path / "look/README.md").read_text() + (tmp_path / "look" / MEASUREMENTS).read_text()
    assert "curves.png" not in card and "No plot" in card and not (tmp_path / "look/curves.png").exists()
    assert load_spec(tmp_path).score_calibration == ScoreCalibration()  # nothing but the folder was written


def test_too_few_cases_to_calibrate_are_told_after_the_card_is_written(card_command, tmp_path, monkeypatch):
    monkeypatch.setattr("lite_medsam.card.sheets.bundled_cases", lambda: [make_phantom("us", 1)])
    monkeypatch.setattr("lite_medsam.card.halves.is_fitted", lambda group: False)
    result = card_command("--every", "4", "--calibrate")
    assert result.exit_code and "at least two objects, got 0" in str(result.exception)
    assert "not calibrated" in (tmp_path / MEASUREMENTS).read_text()
    assert load_spec(tmp_path).score_calibration == ScoreCalibration()


def test_no_case_is_an_error(card_command, tmp_path, folder):
    (tmp_path / "none").mkdir()
    from lite_medsam.cli import card as module

    words = ["-i", str(tmp_path / "none"), "--weights", str(tmp_path)]
    assert isinstance(CliRunner().invoke(module.command, words).exception, CaseError)


# -- the card of the default model -------------------------------------------------------------------------------------


def test_the_committed_pages_are_what_its_scores_say(tmp_path):
    recipes = ROOT / "weights/recipes"
    spec, record = load_spec(DEFAULT_WEIGHTS), json.loads((DEFAULT_WEIGHTS / "scores.json").read_text())
    pictures = {path.name for path in DEFAULT_WEIGHTS.glob("*.png")}
    reports = read_reports(recipes / "ablation/reports")
    for name, text in write_card(spec, record, recipes / "training-data.csv", pictures, reports).items():
        assert (DEFAULT_WEIGHTS / name).read_text(encoding="utf-8") == text, (
            f"{name}: run lite-medsam card --from-scores"
        )


def test_the_first_page_fits_a_screen_and_a_phone():
    text = (DEFAULT_WEIGHTS / FRONT).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80 and f"({MEASUREMENTS})" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables and max(line.count("|") - 1 for line in tables) <= 4
    assert text.index("examples.png") < text.index("## What it cannot do") and "0.43 says: start over" in text


def test_words_are_weighed_by_masks():
    bins = [[0.85, 0.9, 30], [0.95, 0.5, 10], [0.62, 0.6, 1], [0.3, 0.2, 4]]
    record = {"calibration": {"bins": {"all": {"after": bins}}}}
    rows = [[cell.strip() for cell in line.split("|")] for line in words(record).splitlines() if line.startswith("|")]
    assert [(row[2], row[4]) for row in rows[2:]] == [
        ("good", "0.80"), ("usable after correction", "0.60"), ("start over", "0.20"),
    ]  # fmt: skip
    assert "moved on purpose" not in words(record)


# -- ablation ----------------------------------------------------------------------------------------------------------


def write_report(folder, name, cases):
    result = evaluate(Predictor(FakeBackend()), cases, load_protocol("box"))
    (folder / f"{name}.json").write_text(result.to_json(), encoding="utf-8")
    return result


def test_the_ablation_is_the_mean_of_each_report_in_order(folder, record, tmp_path):
    cases = sorted(folder.iterdir())
    first = write_report(tmp_path, "1-random", cases)
    write_report(tmp_path, "2-ImageNet start", cases)
    lines = read_reports(tmp_path)
    assert [line["name"] for line in lines] == ["random", "ImageNet start"]
    mean = next(line for line in first.summary() if line["modality"] == MEAN)
    assert lines[0]["dice"] == pytest.approx(mean["dice"])
    lines[1]["dice"] = lines[0]["dice"] + 0.034
    text = pages(ModelSpec(), record, None, set(), lines)
    row = next(line for line in text.splitlines() if line.startswith("| ImageNet start |"))
    assert " +3.4 " in row and "## Training" in text


def test_reports_that_cannot_be_compared_are_refused(folder, tmp_path):
    with pytest.raises(CaseError, match="got none"):
        read_reports(tmp_path)
    cases = sorted(folder.iterdir())
    write_report(tmp_path, "1-all", cases)
    write_report(tmp_path, "2-fewer", cases[:3])
    with pytest.raises(CaseError, match="differ"):
        read_reports(tmp_path)
    (tmp_path / "2-fewer.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CaseError, match=r"2-fewer.json must be a report"):
        read_reports(tmp_path)


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_are_measured_on_the_same_boxes_where_the_model_knows_them(folder):
    targets = {("us", "", "*"): "lump", ("dermoscopy", "", "*"): "unheard of"}
    settings = CardSettings(curves_every=9, targets=targets)
    backend = FakeBackend(targets=("lump",))
    found = measure(backend, sorted(folder.iterdir()), settings)
    named, plain = found.runs["box, named"], found.runs["box, unnamed"]
    assert {row["target"] for row in named} == {"lump"} and len(named) == len(plain) > 0
    usual = {(row["case"], row["label"]): row["dice"] for row in found.runs["box"]}
    assert [row["dice"] for row in plain] == [usual[row["case"], row["label"]] for row in plain]
    # this backend answers a named prompt with a smaller rectangle
    assert all(new["dice"] != old["dice"] for new, old in zip(named, plain, strict=True))
    record = summarise_card(found, settings, ScoreCalibration())
    text = pages(backend.spec, record, None, set())
    rows = [line for line in text.splitlines() if line.startswith(("| US |", "| us: lump |")) and "+" not in line[:3]]
    change = 100 * (average(named, "dice") - average(plain, "dice"))
    assert any(f"| {change:+.1f} |" in row for row in rows)


def test_a_model_without_names_has_no_such_table(record):
    assert "box, named" not in record["runs"]
    assert "--target" not in pages(ModelSpec(), record, None, set())
