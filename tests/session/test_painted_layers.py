"""What was painted and erased stays whatever is said afterwards."""

import numpy as np
import pytest
from sessions import fake_session

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import load_prompts, save_prompts
from lite_medsam.prompts.strokes import brushed

HW = (90, 120)
ADDED, ERASED = [[90.0, 70.0]], [[40.0, 30.0]]


def dab(stroke, radius):
    return brushed(np.array(stroke), HW, radius)


def shown(session, index=0):
    return session.now.find(None).region(index).full()


def corrected():
    """A box's mask with a disc painted beside it and one erased from it."""
    session, backend = fake_session(HW)
    session.draw_box((20, 10, 70, 60))
    plain = shown(session)
    session.paint(ADDED, 6, True)
    session.paint(ERASED, 5, False)
    assert np.array_equal(shown(session), (plain | dab(ADDED, 6)) & ~dab(ERASED, 5))
    return session, backend


@pytest.mark.parametrize(
    "then",
    [
        lambda s: s.click(50, 30, True),
        lambda s: s.click(65, 55, False),
        lambda s: s.draw_box((15, 8, 60, 50)),
        lambda s: s.scribble([[30, 40], [50, 45]], True),
        lambda s: (s.click(50, 30, True), s.remove_point(0)),
        lambda s: s.choose(0),
        lambda s: (s.set_predictor(other(s), "other"), s.renew()),
    ],
    ids=["click", "negative click", "box", "scribble", "removed point", "choice", "another model"],
)
def test_painted_pixels_stay_whatever_comes_after(then):
    session, _ = corrected()
    then(session)
    mask = shown(session)
    assert mask[dab(ADDED, 6)].all() and not mask[dab(ERASED, 5)].any()
    assert mask.sum() > dab(ADDED, 6).sum() + 100  # the model's part is there as well


def other(session):
    from fakes import FakeBackend

    from lite_medsam.segment.predictor import Predictor

    return Predictor(FakeBackend(128), "off")


def test_the_last_stroke_wins_and_undo_takes_it_back():
    session, _ = corrected()
    before = shown(session)
    session.paint(ADDED, 3, False)
    assert not shown(session)[dab(ADDED, 3)].any()
    session.draw_box((20, 10, 70, 60))
    assert not shown(session)[dab(ADDED, 3)].any() and shown(session)[dab(ADDED, 6) & ~dab(ADDED, 3)].all()
    session.paint(ERASED, 5, True)
    assert shown(session)[dab(ERASED, 5)].all()
    for _ in range(3):
        session.undo()
    assert np.array_equal(shown(session), before)


def test_clearing_takes_the_paint_away_and_the_last_click_does_not():
    session, _ = fake_session(HW)
    session.click(40, 30, True)
    session.paint(ADDED, 6, True)
    session.remove_point(0)
    assert np.array_equal(shown(session), dab(ADDED, 6))
    session.clear()
    session.draw_box((20, 10, 70, 60))
    assert not shown(session)[dab(ADDED, 6)].any()


def test_a_mask_with_paint_is_saved_as_it_is_shown(tmp_path):
    session, _ = corrected()
    session.click(50, 30, True)
    ((_, prompt),) = session.prompts()
    assert prompt.final and prompt.box == (20, 10, 70, 60) and len(prompt.points) == 1
    save_prompts(tmp_path / "p.json", [prompt])
    again = session.predictor.segment(session.pixels(), load_prompts(tmp_path / "p.json"))
    assert np.array_equal(again.mask(0), shown(session))


def test_the_eraser_makes_no_object_and_no_step():
    session, _ = fake_session(HW)
    with pytest.raises(PromptError, match="there is none yet"):
        session.paint([[30, 30]], 5, False)
    assert session.now.objects == () and not session.can_undo
    session.draw_box((20, 10, 40, 30))
    state = session.now
    with pytest.raises(PromptError, match="none under it"):
        session.paint([[90, 80]], 5, False)
    assert session.now is state
    session.add_object()
    with pytest.raises(PromptError, match="none under it"):
        session.paint([[30, 20]], 5, False)
    assert session.now.find(None).answers == {}


def test_paint_over_a_followed_slice_keeps_what_was_found():
    session, _ = fake_session((5, *HW), is_volume=True)
    session.draw_box((20, 10, 70, 60), 2)
    session.adopt(session.propagate())
    found = session.now.find(None).region(3).full()
    session.paint(ADDED, 6, True, 3)
    assert np.array_equal(shown(session, 3), found | dab(ADDED, 6))
    session.click(50, 30, True, 3)
    assert shown(session, 3)[dab(ADDED, 6)].all()
