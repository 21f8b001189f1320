"""The simulated user who draws a stroke."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lite_medsam.cases.case import Case
from lite_medsam.errors import PromptError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.prompts.first_prompts import first_prompt
from lite_medsam.prompts.prompt_set import load_protocol, next_click, simulate_stroke

SCRIBBLE = load_protocol("scribble")


def bar():
    mask = np.zeros((40, 80), bool)
    mask[18:25, 10:70] = True
    return mask


def test_a_stroke_runs_along_the_middle_in_order():
    for seed in range(10):
        stroke = simulate_stroke(bar(), 8, np.random.default_rng(seed))
        assert stroke.shape == (8, 2) and stroke.dtype == np.float32
        assert (np.abs(stroke[:, 1] - 21) <= 1).all()
        steps = np.diff(stroke[:, 0])
        assert (steps > 0).all() or (steps < 0).all()
        assert stroke[:, 0].max() - stroke[:, 0].min() > 20
    ways = {np.sign(np.diff(simulate_stroke(bar(), 8, np.random.default_rng(s))[:2, 0]))[0] for s in range(10)}
    assert ways == {-1, 1}


def test_a_stroke_stays_on_bent_and_tiny_objects():
    y, x = np.mgrid[:60, :60]
    ring = (np.hypot(y - 30, x - 30) > 20) & (np.hypot(y - 30, x - 30) < 26) & (x > 25)
    dot = np.zeros((10, 10), bool)
    dot[3, 4] = True
    for mask in (ring, dot):
        stroke = simulate_stroke(mask, 8, np.random.default_rng(0)).astype(int)
        assert 1 <= len(stroke) <= 8 and mask[stroke[:, 1], stroke[:, 0]].all()
    with pytest.raises(PromptError, match="empty"):
        simulate_stroke(np.zeros((5, 5), bool), 8, np.random.default_rng(0))


def test_a_scribble_is_a_prompt_of_points_without_corrections():
    prompt = first_prompt(bar(), SCRIBBLE, np.random.default_rng(0), "bar")
    assert prompt.box is None and prompt.name == "bar" and (prompt.point_labels == 1).all() and len(prompt.points) == 8
    assert SCRIBBLE.corrections == 0 and load_protocol("clicks").corrections == 4
    assert load_protocol("box+clicks").corrections == 5 and load_protocol("box").corrections == 0


class Fake:
    """Answers with the truth, and counts how often it is asked."""

    def __init__(self, mask):
        self.truth, self.calls = mask, 0

    def segment(self, image, prompts):
        self.calls += 1
        fake = self

        class Found:
            scores = [1.0] * len(prompts)

            def __len__(self):
                return len(prompts)

            def mask(self, index):
                return fake.truth & False

        return Found()


def test_evaluation_asks_once_and_notes_no_clicks():
    case = Case(image=np.zeros((40, 80), np.uint8), label=bar().astype(np.uint8), name="c")
    fake = Fake(bar())
    result = evaluate(fake, [case], SCRIBBLE)
    assert fake.calls == 1 and "dice_1" not in result.rows[0]
    clicked = Fake(bar())
    rows = evaluate(clicked, [case], dataclasses.replace(load_protocol("clicks"), clicks=3)).rows
    assert clicked.calls == 3 and {"dice_1", "dice_2", "dice_3"} <= set(rows[0]) and "dice_4" not in rows[0]
    both = Fake(bar())
    rows = evaluate(both, [case], dataclasses.replace(load_protocol("box+clicks"), clicks=2)).rows
    assert both.calls == 3 and {"dice_0", "dice_1", "dice_2"} <= set(rows[0]) and "dice_3" not in rows[0]


def test_clicks_do_not_depend_on_what_other_threads_do():
    y, x = np.mgrid[:64, :64]
    rng = np.random.default_rng(0)
    masks = [np.hypot(y - cy, x - cx) < r for cy, cx, r in rng.uniform((15, 15, 3), (50, 50, 14), (40, 3))]

    def click(mask):
        return next_click(mask, np.zeros_like(mask), np.random.default_rng(1))

    expected = [click(mask) for mask in masks]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(click, masks * 10)) == expected * 10
