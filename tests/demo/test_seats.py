"""Places on the server: who pauses keeps one, who is gone loses it, and who finds none is told when to come again."""

import math

import pytest
from demo_desk import OneModel, Page, desk_with, seats
from fakes import FakeBackend

from lite_medsam.segment.predictor import Predictor


@pytest.fixture
def room():
    made = seats.Seats(max_seats=2, idle_seconds=1000, leave_seconds=60, away_seconds=500)
    yield made
    made.close()


def aged(seat, seconds, seen=False):
    seat.used -= seconds
    if seen:
        seat.seen -= seconds


def test_a_newcomer_waits_for_those_who_pause(room):
    first, _ = room.take("m", "e"), room.take("m", "e")
    aged(first, 900)
    with pytest.raises(
        seats.Refused, match=r"all 2 places are in use; one becomes free .* used it for 2 minutes"
    ) as caught:
        room.take("m", "e")
    assert caught.value.code == "full" and room.find(first.token) is first
    aged(first, 1001)
    room.take("m", "e")
    with pytest.raises(seats.Refused, match="ended"):
        room.find(first.token)


def test_a_page_that_was_closed_makes_room_at_once(room):
    first, second = room.take("m", "e"), room.take("m", "e")
    room.release(second)
    third = room.take("m", "e")
    assert room.find(first.token) is first and room.find(third.token) is third
    with pytest.raises(seats.Refused, match="ended"):
        room.find(second.token)


def test_a_sign_of_life_keeps_a_page_but_is_no_use_of_it(room):
    seat = room.take("m", "e", "hash")
    room.left("hash")  # the connection was lost, the page is still there
    assert room.find(seat.token, in_use=False).leaving is False
    aged(seat, 999, seen=True)
    room.sweep()
    with pytest.raises(seats.Refused):  # nothing was heard of it
        room.find(seat.token)
    seat = room.take("m", "e")
    aged(seat, 999)
    room.find(seat.token, in_use=False)
    aged(seat, 2)
    room.sweep()
    assert len(room) == 0  # it is there, but nobody has used it for too long


def test_without_a_limit_pages_end_when_they_are_closed_alone():
    room = seats.Seats(max_seats=1, idle_seconds=math.inf, away_seconds=math.inf)
    seat = room.take("m", "e")
    aged(seat, 10**7, seen=True)
    room.sweep()
    with pytest.raises(seats.Refused, match=r"its only place is in use; .* when a page of it is closed"):
        room.take("m", "e")
    room.close()


def test_a_lost_answer_does_not_make_a_click_twice():
    desk = desk_with(OneModel(Predictor(FakeBackend(64), "off")))
    page = Page(desk)
    page.do("sample", name="2D_US_us-0002")
    once = page.do("add", id="a")
    assert len(once["objects"]) == 1
    assert len(page.do("add", id="a")["objects"]) == 1  # the same request, sent again
    assert len(page.do("add", id="b")["objects"]) == 2
    assert len(page.do("add")["objects"]) == 3 and len(page.do("add")["objects"]) == 4
    before = page.ask("look")["revision"]
    assert page.ask("look")["revision"] == before
    page.do("select", object=once["objects"][0]["id"])
    assert page.ask("look")["revision"] == before  # nothing that anybody would miss
    page.do("undo")
    assert page.ask("look")["revision"] > before
    desk.seats.close()


def test_without_an_object_there_is_nothing_to_split():
    desk = desk_with(OneModel(Predictor(FakeBackend(64), "off")))
    page = Page(desk)
    page.do("sample", name="2D_US_us-0002")
    for op in ("split", "clear"):
        assert page.ask(op)["error"] == "there is no object yet; draw a box or click on one first"
    desk.seats.close()


def test_a_page_whose_server_was_started_anew_takes_another_place():
    desk = desk_with(OneModel(Predictor(FakeBackend(64), "off")))
    answer = desk.answer({"token": "of yesterday", "op": "look"})
    assert answer["code"] == "ended"
    token = desk.answer({"op": "arrive"})["token"]
    assert desk.answer({"token": token, "op": "here"}) == {"ok": True}
    assert desk.answer({"token": token, "op": "look"})["view"]["image"] is None
    assert desk.answer({"token": token, "op": "close"})["ok"] and desk.seats.find(token, in_use=False)
    desk.seats.close()
