"""A session that is written down and opened again has everything, whatever was done; what is no record is refused."""

import copy
import json

import numpy as np
import pytest
from fakes import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import fake_session, scan_of

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import class_list
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.classes import assigned, with_classes
from lite_medsam.session.interactive import Session
from lite_medsam.session.lengths import checked_lengths
from lite_medsam.session.record import MAX_STEPS


def through_json(session, index=0):
    document, masks = session.to_record(index)
    return json.loads(json.dumps(document, allow_nan=False)), np.frombuffer(masks.tobytes(), np.uint8)


def again(session, predictor=None, index=0):
    return Session.from_record(predictor or session.predictor, session.scan, *through_json(session, index))


def masks_of(session):
    return [
        (item.number, {z: region.full().tobytes() for z, region in item.regions().items()})
        for item in session.now.objects
    ]


def everything():
    """A volume with all that can be said, in part."""
    session, _ = fake_session((5, 60, 80), is_volume=True, spacing=(2.0, 0.5, 0.5))
    session.draw_box((10, 10, 40, 40), 2)
    session.click(30, 30, True, 2)
    session.click(45, 45, False, 2)
    session.paint([[60, 50]], 4, True, 2)
    session.paint([[20, 20]], 3, False, 2)
    session.adopt(session.propagate())
    session.draw_new((50, 5, 70, 20), 1)
    session.rename(session.now.selected, "fluid é")
    session.remove(session.now.objects[0].id)
    session.undo()
    session.draw_new((5, 45, 20, 55), 3)
    session.lock(True)
    session.hide(True, session.now.objects[0].id)
    session.add_object()
    session.remove()
    session.select(session.now.objects[1].id)
    session.spacing_mm = (3.0, 0.25, 0.25)
    session.commit(with_classes(session.now, class_list(["drusen", {"name": "vein", "colour": "#112233", "key": "v"}])))
    session.commit(assigned(session.now, "vein", session.now.objects[1].id))
    return session


def test_a_record_has_everything():
    session = everything()
    found = again(session, index=3)
    assert masks_of(found) == masks_of(session)
    for new, old in zip(found.now.objects, session.now.objects, strict=True):
        for name in (
            "id",
            "name",
            "number",
            "target",
            "label",
            "hidden",
            "locked",
            "ended",
            "scores",
            "weak",
            "followed_with",
        ):
            assert getattr(new, name) == getattr(old, name), name
        assert (new.followed_from is new.answers) == (old.followed_from is old.answers)
        for z, answer in old.answers.items():
            for name in ("box", "points", "chosen", "own", "picked", "source", "score"):
                assert getattr(new.answers[z], name) == getattr(answer, name), name
            assert (new.answers[z].previous is None) == (answer.previous is None)
    assert found.spacing_mm == (3.0, 0.25, 0.25) and found.now.next_number == session.now.next_number == 5
    assert found.now.find(None).number == session.now.find(None).number
    assert through_json(found, 3)[0] == through_json(session, 3)[0]
    assert through_json(session, 3)[0]["slice"] == 3
    assert found.now.classes == session.now.classes and found.now.current == "vein"


def test_the_last_steps_can_be_taken_back_afterwards():
    session = everything()
    session.set_window((100, 150))
    session.measure(checked_lengths([{"kind": "ruler", "slice": 1, "from": [1, 2], "to": [80, 60]}], 5, (60, 80)))
    session.draw_new((30, 30, 60, 50), 4)
    found = again(session)
    assert found.now.lengths == session.now.lengths != ()
    steps = 0
    while found.can_undo:
        for one in (session, found):
            one.undo()
        steps += 1
        assert masks_of(found) == masks_of(session) and found.window == session.window
        assert found.now.lengths == session.now.lengths and found.now.classes == session.now.classes
        assert [item.number for item in found.now.objects] == [item.number for item in session.now.objects]
    assert steps == 18 and not session.can_undo  # all of them
    found.redo()
    assert found.add_object().id not in {item.id for item in again(session).now.objects}


def test_a_record_keeps_few_steps_and_none_of_another_model():
    session, _ = fake_session()
    for k in range(2 * MAX_STEPS):
        session.paint([[k, k]], 2, True)
    document, _ = session.to_record()
    assert len(document["past"]["steps"]) == MAX_STEPS
    assert len(again(session).past) == MAX_STEPS
    session.set_predictor(Predictor(FakeBackend(128), "off"))
    session.paint([[20, 20]], 2, True)
    assert len(session.to_record()[0]["past"]["steps"]) == 1


def test_work_goes_on_where_it_was():
    session = everything()
    found = again(session)
    for one in (session, found):
        first = one.now.objects[0].id
        one.click(15, 35, True, 2, first)
        one.adopt(one.propagate())
        one.draw_new((1, 1, 9, 9), 0)
    assert masks_of(found) == masks_of(session) and len({item.id for item in found.now.objects}) == 4
    assert [item.number for item in found.now.objects] == [1, 2, 3, 5]
    mask = found.now.objects[0].region(2).full()
    assert mask[50, 60] and not mask[20, 20]  # painted and erased before
    assert [prompt.final for _, prompt in found.prompts(2)] == [prompt.final for _, prompt in session.prompts(2)]


def test_with_another_model_masks_stay_and_are_stale():
    session, _ = fake_session()
    session.draw_box((10, 10, 40, 40))
    other = FakeBackend(128)
    found = Session.from_record(Predictor(other, "off"), session.scan, *through_json(session), model="other")
    assert masks_of(found) == masks_of(session) and not other.encoded and len(found.stale()) == 1
    values = np.random.default_rng(0).integers(-200, 300, (40, 50)).astype(np.int16)
    ct = Session(session.predictor, scan_of(values, default_window=(40.0, 400.0)))
    ct.set_window((0.0, 50.0))
    assert again(ct).window == (0.0, 50.0) and np.array_equal(again(ct).pixels(), ct.pixels())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_mask_comes_back(data):
    session, _ = fake_session((17, 23))
    for _ in range(data.draw(st.integers(1, 3))):
        session.add_object()
        place = data.draw(st.tuples(st.integers(0, 22), st.integers(0, 16)))
        session.paint([place], data.draw(st.integers(0, 9)), True)
    assert masks_of(again(session)) == masks_of(session)


def test_records_of_other_scans_are_refused():
    session, _ = fake_session()
    session.draw_box((10, 10, 40, 40))
    record = through_json(session)
    other, _ = fake_session((60, 60))
    with pytest.raises(PromptError, match=r"scan must have the shape of what is open, \[60, 60\]"):
        Session.from_record(other.predictor, other.scan, *record)
    assert session.facts == fake_session()[0].facts and session.facts != other.facts


WRONG = {
    "nothing": lambda d: d.clear(),
    "kind": lambda d: d.update(kind="x"),
    "version": lambda d: d.update(version=2),
    "unknown key": lambda d: d.update(more=1),
    "name": lambda d: d["objects"][0].update(name=""),
    "number twice": lambda d: d["objects"][1].update(number=1),
    "number": lambda d: d["objects"][0].update(number=0),
    "id twice": lambda d: d["objects"][1].update(id=d["objects"][0]["id"]),
    "next number": lambda d: d.update(next_number=1),
    "selected": lambda d: d.update(selected=99),
    "slice": lambda d: d["objects"][0]["answers"][0].update(slice=5),
    "slice twice": lambda d: d["objects"][0]["answers"].append(d["objects"][0]["answers"][0]),
    "box": lambda d: d["objects"][0]["answers"][0].update(box=[40, 1, 3, 4]),
    "box outside": lambda d: d["objects"][0]["answers"][0].update(box=[1, 1, 300, 4]),
    "point": lambda d: d["objects"][0]["answers"][0].update(points=[[1, 2, 3]]),
    "chosen": lambda d: d["objects"][0]["answers"][0].update(chosen=9),
    "no mask": lambda d: d["objects"][0]["answers"][0].update(choices=[], added=None, erased=None, painted=None),
    "mask outside": lambda d: d["objects"][0]["answers"][0]["choices"][0]["mask"].update(w=200),
    "mask beyond": lambda d: d["objects"][0]["answers"][0]["choices"][0]["mask"].update(at=10**7),
    "mask negative": lambda d: d["objects"][0]["answers"][0]["choices"][0]["mask"].update(at=-1),
    "score": lambda d: d["objects"][0]["answers"][0]["choices"][0].update(score=7),
    "source": lambda d: d["objects"][0]["answers"][0].update(source=4),
    "locked": lambda d: d["objects"][0].update(locked="yes"),
    "window": lambda d: d.update(window=[1, 0]),
    "spacing": lambda d: d.update(spacing_mm=[1, 0, 1]),
    "objects": lambda d: d.update(objects={}),
    "class": lambda d: d["objects"][0].update({"class": "unheard"}),
    "classes": lambda d: d["classes"].append(d["classes"][0]),
    "ended": lambda d: d["objects"][0].update(ended=[[99, "score"]]),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_is_no_record_is_refused(how):
    session = everything()
    document, masks = through_json(session)
    wrong = copy.deepcopy(document)
    WRONG[how](wrong)
    with pytest.raises(PromptError, match="the session: "):
        Session.from_record(session.predictor, session.scan, wrong, masks)
    for bytes_ in (masks[: len(masks) // 2], masks.astype(np.int16), None, masks[None]):
        with pytest.raises(PromptError):
            Session.from_record(session.predictor, session.scan, document, bytes_)
