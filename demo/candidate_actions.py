"""What a page asks about candidates: find the others, find everything, take those that were chosen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lite_medsam.session.candidates import Candidate
from lite_medsam.session.offering import accept, find_all, find_others

from .fields import Refused, list_of, text_of, whole_of
from .seats import Seat
from .view import shown_step

if TYPE_CHECKING:
    from .actions import Desk


@dataclass(frozen=True)
class Offer:
    """What was offered last.

    Attributes:
        opened: Which scan of the seat.
        index: The slice.
        like: Id of the object that they are like, None for everything.
        candidates: The likest first.
    """

    opened: int
    index: int
    like: int | None
    candidates: list[Candidate]


def _candidates(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Looks for candidates; the session is not changed."""
    session = desk.session_of(seat)
    index, kind = whole_of(request.get("slice", 0), "slice"), text_of(request.get("kind", "similar"), "kind")
    if kind not in ("similar", "everything"):
        raise Refused(f"kind must be similar or everything, got {kind[:40]!r}")
    mark, like = text_of(request.get("search", ""), "search"), None

    def is_given_up() -> bool:
        return bool(mark) and seat.given_up == mark

    if kind == "similar":
        target = request.get("object")
        like = session.now.find(None if target is None else whole_of(target, "object")).id
        found = find_others(session, index, like, is_given_up)
    else:
        found = find_all(session, index, is_given_up)
    if is_given_up():
        return {"candidates": None}
    seat.offered = Offer(seat.opened, index, like, found)
    step = shown_step(session.image_hw)
    shown = [
        {"mask": one.region.runs(step), "likeness": round(one.likeness, 3), "score": round(one.score, 3)}
        for one in found
    ]
    return {"candidates": {"slice": index, "kind": kind, "like": like, "found": shown}}


def _accept(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Makes objects of those that were chosen by their number in the offer."""
    session, offer = desk.session_of(seat), seat.offered
    if not isinstance(offer, Offer) or offer.opened != seat.opened:
        raise Refused("there is no offer of this picture any more; look for candidates again")
    numbers = [whole_of(number, "candidate") for number in list_of(request.get("chosen"), "chosen", 1000)]
    if not all(0 <= number < len(offer.candidates) for number in numbers):
        raise Refused(f"a candidate must be one of the {len(offer.candidates)} that were offered")
    chosen = [offer.candidates[number] for number in dict.fromkeys(numbers)]
    taken = accept(session, chosen, offer.index, offer.like)
    seat.offered = seat.compared = None
    text = f"{taken} {'object' if taken == 1 else 'objects'} added."
    if taken < len(chosen):
        text += f" There was no room for {len(chosen) - taken} more."
    return {"message": text, "slice": offer.index}


def _give_up(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Ends a search, by the name that the page gave it: one that runs, or one that waits its turn."""
    seat.given_up = text_of(request.get("search"), "search")
    return {}


CANDIDATE_OPERATIONS = {"candidates": _candidates, "give_up": _give_up, "accept": _accept}
