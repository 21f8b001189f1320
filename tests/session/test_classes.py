"""Classes of a session's objects: apart from their names and numbers, undone with everything else."""

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import class_list
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.classes import assigned, with_class, with_classes, without_class
from lite_medsam.session.interactive import Session


@pytest.fixture
def session():
    values = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    return Session(Predictor(FakeBackend(64)), Scan(values, None, None, Geometry.from_spacing((60, 80), None), "a"))


def facts(session):
    return [(item.number, item.name, item.label) for item in session.now.objects]


def test_a_class_is_for_the_selected_object_and_for_new_ones(session):
    session.commit(with_classes(session.now, class_list(["drusen", "cyst"])))
    session.draw_box([5, 5, 20, 20])
    session.commit(assigned(session.now, "drusen"))
    session.draw_new([30, 5, 45, 20])
    session.commit(assigned(session.now, "cyst"))
    session.rename(session.now.selected, "the large one")
    session.commit(assigned(session.now, "drusen"))
    assert facts(session) == [(1, "drusen 1", "drusen"), (2, "the large one", "drusen")]
    assert session.now.selected == session.now.objects[1].id
    session.undo()
    session.undo()
    assert facts(session) == [(1, "drusen 1", "drusen"), (2, "cyst 2", "cyst")] and session.now.current == "cyst"
    session.undo()
    session.undo()
    session.undo()
    assert facts(session) == [(1, "object 1", None)] and session.now.current is None


def test_parts_of_an_object_are_of_its_class(session):
    session.commit(assigned(with_classes(session.now, class_list(["nucleus", "other"])), "nucleus"))
    session.paint([[10, 30]], 8, True)
    session.paint([[50, 30]], 8, True)
    new = session.add_object()
    session.commit(assigned(session.now, "other", new.id))
    assert session.split(0, session.now.objects[0].id) == 2
    assert [item.label for item in session.now.objects] == ["nucleus", "other", "nucleus"]


def test_another_list_keeps_the_classes_that_objects_have(session):
    session.commit(with_classes(session.now, class_list(["drusen", "cyst"])))
    session.draw_box([5, 5, 20, 20])
    session.commit(assigned(session.now, "cyst"))
    colour = session.now.classes[1].colour
    session.commit(with_classes(session.now, class_list(["a", "b"])))
    assert [(one.name, one.key) for one in session.now.classes] == [("a", "1"), ("b", "2"), ("cyst", "3")]
    assert session.now.classes[2].colour == colour
    session.commit(without_class(session.now, "cyst"))
    assert facts(session) == [(1, "cyst 1", None)] and session.now.current is None


def test_classes_are_added_and_changed_one_by_one(session):
    now = with_class(with_class(session.now, "a"), "b", "#112233", "k")
    now = with_class(now, "a", "#445566")
    assert [(one.name, one.colour, one.key) for one in now.classes] == [("a", "#445566", "1"), ("b", "#112233", "k")]
    with pytest.raises(PromptError, match="'k' twice"):
        with_class(now, "a", key="K")
    with pytest.raises(PromptError, match="one of the list, got 'z'"):
        assigned(now, "z")
    with pytest.raises(PromptError, match="one of the list"):
        without_class(now, "z")


def test_an_object_that_is_locked_keeps_its_class(session):
    session.commit(with_classes(session.now, class_list(["a"])))
    session.draw_box([5, 5, 20, 20])
    session.lock(True)
    with pytest.raises(PromptError, match="locked"):
        session.commit(assigned(session.now, "a"))
