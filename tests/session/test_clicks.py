"""A click's mask holds the place that was clicked, or it is said that it does not."""

import numpy as np
import pytest
from fakes import FakeBackend
from sessions import scan_of

from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session

SIDE = 64


class Ambiguous(FakeBackend):
    """Answers every prompt with the masks that it was given, the first one as its answer."""

    def __init__(self, *masks):
        super().__init__(SIDE)
        self.masks = [np.where(mask, 5.0, -5.0).astype(np.float32) for mask in masks]

    def decode(self, features, coords, labels, previous, has_previous):
        logits, _ = super().decode(features, coords, labels, previous, has_previous)
        count = len(logits)
        stack = np.broadcast_to(np.stack(self.masks), (count, len(self.masks), SIDE, SIDE)).copy()
        return stack, np.full((count, len(self.masks)), 0.9, np.float32)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def session_of(*masks):
    return Session(Predictor(Ambiguous(*masks), "off"), scan_of(np.full((SIDE, SIDE), 90, np.uint8)))


LEFT, WHOLE, FAR = rectangle(5, 5, 25, 40), rectangle(5, 5, 55, 40), rectangle(40, 2, 60, 60)
NOTHING = np.zeros((SIDE, SIDE), bool)


def test_the_nearest_mask_that_holds_the_click_is_chosen():
    session = session_of(LEFT, FAR, WHOLE)
    session.click(45, 20, True)
    answer = session.now.find(None).answers[0]
    assert np.array_equal(answer.region.full(), WHOLE) and not session.missed and not answer.picked
    assert session.prompts()[0][1].final  # `segment` would answer with another one
    session.click(15, 20, True)
    assert np.array_equal(session.now.find(None).region(0).full(), LEFT)  # the model's own answer holds this one


def test_a_mask_without_the_click_is_told():
    session = session_of(LEFT, WHOLE)
    session.click(60, 60, True)
    assert session.missed == ((60, 60, 1),) and np.array_equal(session.now.find(None).region(0).full(), LEFT)
    session.paint([[60, 60]], 2, True)
    session.click(60, 60, True)
    assert session.missed == ()  # what was painted counts


def test_a_click_beside_the_object_prefers_a_mask_without_it():
    session = session_of(WHOLE, LEFT)
    session.click(15, 20, True)
    assert session.now.find(None).answers[0].chosen == 0
    session.click(45, 20, False)
    assert np.array_equal(session.now.find(None).region(0).full(), LEFT)


@pytest.mark.parametrize("order", [(NOTHING, LEFT, WHOLE), (LEFT, NOTHING, WHOLE)], ids=["answer", "alternative"])
def test_an_empty_mask_is_no_choice(order):
    session = session_of(*order)
    session.click(15, 20, True)
    answer = session.now.find(None).answers[0]
    assert len(answer.choices) == 2 and all(choice.region.area_px for choice in answer.choices)
    assert answer.own == (None if order[0] is NOTHING else 0)
    assert session.prompts()[0][1].final == (order[0] is NOTHING)


def test_where_nothing_is_found_that_is_the_answer():
    session = session_of(NOTHING)
    session.draw_box((5, 5, 20, 20))
    assert session.now.find(None).region(0).area_px == 0 and session.prompts() == []
