"""Many pages at one desk: seats, turns, and answers that do not get mixed up."""

import threading
import time

import pytest
from demo_desk import CASES, OCT, OneModel, Page
from fakes import FakeBackend

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.segment.predictor import Predictor

actions, seats = load_demo("actions"), load_demo("seats")


def test_one_user_never_gets_at_anothers_session(fake_desk):
    first, second = Page(fake_desk), Page(fake_desk)
    first.do("sample", name=OCT)
    first.do("box", box=[10, 10, 60, 60])
    assert second.do("look")["image"] is None
    assert first.token != second.token and len(first.token) >= 40
    for token in (None, "", "x", first.token[:-1], [first.token], 0, {"a": 1}):
        answer = fake_desk.answer({"token": token, "op": "look"})
        assert answer == {"ok": False, "error": answer["error"], "code": "ended"} and "reload" in answer["error"]


def test_seats_are_bounded_and_end():
    room = seats.Seats(max_seats=3, idle_seconds=1000, leave_seconds=0.05)
    desk = actions.Desk(room, OneModel(Predictor(FakeBackend(64))), seats.Turnstile(), 10**6, 10**6)
    pages = [Page(desk) for _ in range(3)]
    with pytest.raises(seats.Refused, match="full"):
        Page(desk)
    room._seats[pages[0].token].used -= 100  # a pause is no end
    with pytest.raises(seats.Refused, match=r"all 3 places are in use; one becomes free .* for 15 minutes from now"):
        Page(desk)
    room._seats[pages[0].token].used -= 1000
    Page(desk)
    assert len(room) == 3 and pages[0].ask("look")["code"] == "ended"
    seat = room.find(pages[1].token)
    seat.page = "hash"
    room.left("hash")
    time.sleep(0.1)
    room.sweep()
    assert pages[1].ask("look")["code"] == "ended"
    small = seats.Seats(max_bytes=10_000)
    crowded = actions.Desk(small, desk.models, seats.Turnstile(), 10**6, 10**6)
    assert "no memory left" in Page(crowded).ask("sample", name=OCT)["error"]
    room.close()
    small.close()


def test_more_than_can_wait_are_told_to_come_again():
    gate, entered = threading.Event(), threading.Event()
    turnstile = seats.Turnstile(working=1, waiting=1)

    def hold():
        with turnstile:
            entered.set()
            gate.wait(5)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    threads[0].start()
    entered.wait(5)
    threads[1].start()
    while turnstile._inside < 2:
        time.sleep(0.01)
    with pytest.raises(seats.Refused, match="busy"), turnstile:
        pass
    gate.set()
    for thread in threads:
        thread.join()
    with turnstile:
        pass


def test_ten_users_at_once_get_their_own_answers(real_desk):
    names = list(CASES)[:10]  # each user has a picture of their own
    desk = actions.Desk(seats.Seats(), real_desk.models, seats.Turnstile(2, 40), 10**7, 10**7)
    expected = {}
    for name in names:
        page = Page(desk)
        page.do("sample", name=name)
        expected[name] = page.do("box", box=CASES[name].boxes[0].tolist())["objects"][0]["mask"]
    wrong = []

    def use(name):
        page = Page(desk)
        page.do("sample", name=name)
        for _ in range(2):
            view = page.do("box", box=CASES[name].boxes[0].tolist())
            if view["objects"][0]["mask"] != expected[name] or view["image"]["name"] != name:
                wrong.append(name)
            page.do("undo")

    threads = [threading.Thread(target=use, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    desk.seats.close()
