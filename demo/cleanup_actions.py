"""What a page asks to have masks cleaned up."""

from typing import TYPE_CHECKING

from lite_medsam.session.cleanup import CleanUp, Done, clean_up

from .fields import number_of, text_of, whole_of
from .seats import Seat

if TYPE_CHECKING:
    from .actions import Desk

_WORDS = {
    "largest": "reduced to the largest part",
    "islands": "freed of small islands",
    "holes": "filled",
    "smooth": "smoothed",
    "grow": "grown",
    "shrink": "shrunk",
    "overlaps": "freed of overlaps",
}


def _cleanup(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    amount, target = request.get("amount"), request.get("object")
    what = CleanUp(
        text_of(request.get("action"), "action"),
        None if amount is None else number_of(amount, "amount"),
        text_of(request.get("unit", "px"), "unit"),
        text_of(request.get("winner", "smaller"), "winner"),
    )
    index = None if request.get("volume") is True else whole_of(request.get("slice", 0), "slice")
    target = None if target is None else whole_of(target, "object")
    seat.compared = None
    return {"message": _said(what, clean_up(session, what, index, target, request.get("every") is True))}


def _said(what: CleanUp, done: Done) -> str:
    count = len(done.changed)
    text = (
        f"{count} {'object' if count == 1 else 'objects'} {_WORDS[what.action]}." if count else "Nothing had to change."
    )
    if done.spared:
        numbers = ", ".join(map(str, done.spared))
        text += f" Nothing would have been left of {numbers}: as before."
    return text


CLEANUP_OPERATIONS = {"cleanup": _cleanup}
