"""The window of grey values and the model are steps; masks change when that is asked for."""

import numpy as np
import pytest
from fakes import FakeBackend
from sessions import fake_session, scan_of

from lite_medsam.errors import PromptError
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session


def ct(depth=None):
    shape = (90, 120) if depth is None else (depth, 90, 120)
    values = np.random.default_rng(0).integers(-200, 300, shape).astype(np.int16)
    backend = FakeBackend(64)
    scan = scan_of(values, depth is not None, default_window=(40.0, 400.0))
    return Session(Predictor(backend, "off", EncodingCache()), scan), backend, values


def test_a_window_is_one_step_and_asks_nothing():
    session, backend, values = ct()
    session.draw_box((20, 10, 70, 60))
    session.add_object()
    session.paint([[100, 80]], 5, True)
    state, wide, version = session.now, session.pixels().copy(), session.version
    for width in (300.0, 200.0, 50.0):
        session.set_window((0.0, width))
    assert len(backend.encoded) == 1 and session.now.objects == state.objects
    assert session.pixels()[values <= -25].max() == 0 and session.pixels()[values >= 25].min() == 255
    assert session.version != version and [item.number for item in session.stale()] == [1]
    session.undo()
    assert session.now is state and session.window == (40.0, 400.0) and session.version == version
    assert np.array_equal(session.pixels(), wide) and session.stale() == [] and session.can_undo
    session.redo()
    assert session.window == (0.0, 50.0)
    painted = session.now.objects[1].region(0)
    assert session.renew() == 1 and len(backend.encoded) == 2 and session.stale() == []
    assert session.now.objects[1].region(0) is painted
    session.undo()
    assert [item.number for item in session.stale()] == [1]
    with pytest.raises(ValueError):
        session.set_window((0.0, -1.0))
    assert session.window == (0.0, 50.0)


def test_masks_of_another_window_go_home_as_they_are():
    session, _, _ = ct()
    session.draw_box((20, 10, 70, 60))
    session.set_window((0.0, 50.0))
    ((_, prompt),) = session.prompts()
    assert prompt.final and prompt.box == (20, 10, 70, 60)
    session.renew()
    assert not session.prompts()[0][1].final


def test_another_model_is_a_step_and_answers_when_it_is_asked():
    session, _ = fake_session()
    session.draw_box((20, 10, 70, 60))
    session.click(40, 30, True)
    state, first = session.now, session.predictor
    session.set_predictor(Predictor(FakeBackend(64, prompts=("box",))), "boxes")
    assert session.now.objects == state.objects and session.given.model == "boxes"
    with pytest.raises(PromptError, match="kinds that"):
        session.renew()
    assert session.now.objects == state.objects
    session.undo()
    assert session.predictor is first and session.now is state
    other = FakeBackend(128)
    session.set_predictor(Predictor(other, "off", EncodingCache()), "other")
    assert not other.encoded and len(session.stale(0)) == 1
    session.lock(True)
    assert session.renew() == 0 and not other.encoded
    session.lock(False)
    assert session.renew(0) == 1 and len(other.encoded) == 1 and not session.stale()


def test_followed_slices_are_of_one_window():
    session, _, _ = ct(5)
    session.draw_box((20, 10, 70, 60), 2)
    session.adopt(session.propagate())
    item = session.now.find(None)
    assert item.followed and item.followed_with == session.source
    session.set_window((0.0, 50.0))
    assert session.now.find(None) is item and item.followed_with != session.source
    session.renew(3)
    assert session.now.find(None) is item  # nothing was said on that slice
    session.renew(2)
    session.adopt(session.propagate())
    assert session.now.find(None).followed_with == session.source
