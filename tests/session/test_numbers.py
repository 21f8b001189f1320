"""Objects keep their number and colour for life; hidden and locked ones."""

import numpy as np
import pytest
from sessions import fake_session

from lite_medsam.errors import PromptError


def numbers(session):
    return [item.number for item in session.now.objects]


def three():
    session, _ = fake_session()
    for x in (5, 45, 85):
        session.draw_new((x, 5, x + 25, 30))
    return session


def test_numbers_stay_when_others_go_and_are_not_used_again():
    session = three()
    assert numbers(session) == [1, 2, 3]
    session.remove(session.now.objects[0].id)
    assert numbers(session) == [2, 3]
    session.draw_new((5, 50, 30, 70))
    assert numbers(session) == [2, 3, 4] and session.now.objects[-1].name == "object 4"
    session.remove()
    session.add_object()
    assert numbers(session) == [2, 3, 5]
    session.undo()
    session.undo()
    assert numbers(session) == [2, 3, 4]  # the removed one is back with its own


def test_what_fails_uses_no_number_up():
    session = three()
    for wrong in (
        lambda: session.draw_new((30, 5, 5, 30)),
        lambda: session.draw_new((500, 500, 510, 510)),
        lambda: session.add_object("x" * 100),
    ):
        with pytest.raises(PromptError):
            wrong()
    session.draw_new((5, 50, 30, 70))
    assert numbers(session) == [1, 2, 3, 4]
    session.undo()
    session.draw_new((45, 50, 70, 70))
    assert numbers(session) == [1, 2, 3, 4]  # a step taken back never happened


def test_merged_and_divided_objects_have_numbers_of_their_own():
    session, _ = fake_session()
    session.paint([[20, 40]], 9, True)
    session.add_object()
    session.paint([[60, 40]], 9, True)
    first, second = (item.id for item in session.now.objects)
    session.merge([first, second])
    assert numbers(session) == [1]
    assert session.split() == 2 and numbers(session) == [1, 3]


def test_a_locked_object_is_changed_by_nothing_but_unlocking():
    session = three()
    locked, other = session.now.objects[0].id, session.now.objects[1].id
    session.lock(True, locked)
    before = session.now.find(locked)
    for wrong in (
        lambda: session.draw_box((1, 1, 9, 9), 0, locked),
        lambda: session.click(10, 10, True, 0, locked),
        lambda: session.paint([[10, 10]], 3, True, 0, locked),
        lambda: session.rename(locked, "liver"),
        lambda: session.clear(0, locked),
        lambda: session.remove(locked),
        lambda: session.merge([other, locked]),
        lambda: session.merge([locked, other]),
    ):
        state = session.now
        try:
            wrong()
        except PromptError as error:
            assert "object 1 is locked" in str(error)
        assert session.now is state and session.now.find(locked) is before
    session.draw_new((5, 50, 30, 70))
    session.hide(True, locked)
    assert session.now.find(locked).hidden and session.now.selected != locked
    session.undo()
    session.undo()
    session.undo()
    assert not session.now.find(locked).locked  # locking is a step like another
    session.redo()
    session.lock(False, locked)
    session.rename(locked, "liver")
    assert session.now.find(locked).name == "liver"


def test_a_locked_object_is_not_followed():
    session, _ = fake_session((5, 64, 64), is_volume=True)
    session.draw_box((10, 10, 40, 40), 2)
    session.lock(True)
    with pytest.raises(PromptError, match="locked"):
        session.followable()
    session.lock(False)
    found = session.propagate()
    session.lock(True)
    session.adopt(found)
    assert session.now.find(None).followed == {}
    session.lock(False)
    session.adopt(found)
    assert sorted(session.now.find(None).regions()) == [0, 1, 2, 3, 4]
    assert np.count_nonzero(session.label_map()) > 0
