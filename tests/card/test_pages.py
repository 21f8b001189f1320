"""Pages and pictures of the card, those of the default model too, and the ablation on them."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from places import ROOT

from lite_medsam.card import CardSettings, measure, summarise_card, write_card
from lite_medsam.card.ablation import read_reports
from lite_medsam.card.honesty import words
from lite_medsam.card.page import FRONT, MEASUREMENTS
from lite_medsam.card.pictures import PICTURES
from lite_medsam.card.plots import draw_curves, draw_reliability
from lite_medsam.card.sheets import draw_examples, draw_failures, find_failures, small_png
from lite_medsam.card.weaknesses import weaknesses
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.metrics import dice
from lite_medsam.evaluation.scores import MEAN, average
from lite_medsam.model.spec import ModelSpec, ScoreCalibration, load_spec
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS


def pages(*arguments) -> str:
    """Both pages of a card."""
    return "".join(write_card(*arguments).values())


def test_the_record_is_small_plain_json_with_every_run(record):
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record["runs"]) == {
        "box", "box, zoom off", "box, not refined", "box, refined", "baseline box", "baseline ellipse", "baseline grabcut",
        "baseline threshold",
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
