"""What the card measures: reuse of views, moved boxes and clicks with a scripted segmenter."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.card import CardSettings, measure
from lite_medsam.card.raw_scores import RawBackend
from lite_medsam.card.refining import PLAIN, REFINED, refining
from lite_medsam.card.sweeps import MAX_CLICKS, MOVED, click_columns, moved_protocols, run_clicks
from lite_medsam.cases.case import Case
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.model.spec import ScoreCalibration
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.refinement import TRIED_SCALE


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


def test_a_second_look_is_compared_on_the_same_large_objects(measured, record):
    plain, refined = measured.runs[PLAIN], measured.runs[REFINED]
    assert plain and [(row["image"], row["label"]) for row in plain] == [
        (row["image"], row["label"]) for row in refined
    ]
    boxed = {(row["image"], row["label"]): row for row in measured.runs["box"]}
    assert all(boxed[row["image"], row["label"]]["dice"] == row["dice"] for row in plain)
    assert any(a["dice"] != b["dice"] for a, b in zip(plain, refined, strict=True))
    before, after = (record["runs"][run]["modality"][-1] for run in (PLAIN, REFINED))
    assert before["objects"] == after["objects"] == len(plain)
    text = refining(record)
    assert f"at least {TRIED_SCALE:g} pixels" in text
    assert f"| {100 * (after['dice'] - before['dice']):+.1f} |" in text.splitlines()[-1]
    assert refining({"runs": {"box": {}}}) == ""  # an older record
