"""Candidates of a session: looked for beside its objects, and taken in one step."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lite_medsam.errors import PromptError
from lite_medsam.results.annotations import class_of
from lite_medsam.segment.choices import Choice
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer
from lite_medsam.session.candidates import Candidate, find_similar
from lite_medsam.session.everything import find_everything
from lite_medsam.session.interactive import MAX_OBJECTS, Session
from lite_medsam.session.state import MAX_NAME

MAX_EXAMPLES = 30


def find_others(
    session: Session, index: int = 0, object_id: int | None = None, stop: Callable[[], bool] | None = None
) -> list[Candidate]:
    """Objects on a slice that look like one of a session and like others of its class; the session is not changed.

    Args:
        session: The session.
        index: The slice.
        object_id: None for the selected object.
        stop: Says yes when the search is given up; nothing is found then.

    Raises:
        PromptError: If it has no mask on the slice.
    """
    item = session.now.find(object_id)
    alike = [item, *(other for other in session.now.objects if item.label and other.label == item.label)]
    examples = [region for one in alike if (region := one.region(index)) is not None]
    if item.region(index) is None:
        examples = []
    target = item.target_among(session.predictor.spec.targets)
    return find_similar(
        session.predictor, session.pixels(index), examples[:MAX_EXAMPLES], _known(session, index), target, stop
    )


def find_all(session: Session, index: int = 0, stop: Callable[[], bool] | None = None) -> list[Candidate]:
    """Objects of any kind on a slice, see `find_everything`; the session is not changed."""
    return find_everything(session.predictor, session.pixels(index), _known(session, index), stop)


def accept(session: Session, chosen: Sequence[Candidate], index: int = 0, like: int | None = None) -> int:
    """Makes objects of candidates: one step that undo takes back.

    Args:
        session: The session.
        chosen: Of `find_others` or `find_all` on the same slice.
        index: The slice.
        like: The object that they are like: they have its class, target and kind of name; None for none.

    Returns:
        How many there was room for.

    Raises:
        PromptError: If none was chosen, or there is no room.
    """
    if not chosen:
        raise PromptError("at least one candidate must be chosen, got none; click on those that are right")
    session.check_slice(index)
    room = MAX_OBJECTS - len(session.now.objects)
    if room < 1:
        raise PromptError(f"a session must have at most {MAX_OBJECTS} objects; save this one and start another")
    model = next((item for item in session.now.objects if item.id == like), None)
    snapshot, selected = session.now, session.now.selected
    for one in chosen[:room]:
        item = session.new_object(None, snapshot)
        if model is not None:
            kind = class_of(model.name)[: MAX_NAME - 6]
            item = replace(item, label=model.label, target=model.target, name=f"{kind} {item.number}")
        choice = Choice(one.region, one.score)
        answer = Answer(box=one.box, choices=(choice,), own=None, source=session.given.source)
        snapshot = snapshot.with_object(replace(item, answers={index: answer}))
    session.commit(replace(snapshot, selected=snapshot.selected if selected is None else selected))
    return min(len(chosen), room)


def _known(session: Session, index: int) -> list[Region]:
    return [region for item in session.now.objects if (region := item.region(index)) is not None and region.area_px]
