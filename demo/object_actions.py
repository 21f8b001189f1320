"""What a user does to objects and their prompts: each operation is one step of the session."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lite_medsam.prompts.prompt_object import corners_of
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_coordinates import prompt_to_display

from .fields import Refused, list_of, number_of, text_of, whole_of
from .seats import Seat

if TYPE_CHECKING:
    from .actions import Desk


def on_object(call: Callable, message: str = "") -> Callable:
    """An operation of what a session does to an object, `call(session, request, slice, object)`."""

    def operation(desk: "Desk", seat: Seat, request: dict) -> dict:
        session = desk.session_of(seat)
        seat.compared = None
        session.missed = ()
        answer = {"message": message} | (call(session, request, *_where(request)) or {})
        if session.given.model:  # undo may have brought another one back
            seat.model, seat.engine = session.given.model, session.given.engine
        return answer

    return operation


def _add(session, request, index, target):
    name = request.get("name")
    session.add_object(None if name is None else text_of(name, "name"))


def _target(session, request, index, target):
    name = request.get("target")
    session.set_target(None if name in (None, "") else text_of(name, "target"), target)


def _shown(session, request: dict, prompt: Prompt) -> Prompt:
    """A typed prompt as displayed; it may have been typed in voxels of the file, along the two axes that lie in the slice."""
    return prompt_to_display(prompt, session.scan.geometry) if request.get("coordinates") == "voxel" else prompt


def _renew(session, request, index, target):
    count = session.renew(None if request.get("everywhere") is True else index)
    return {
        "message": f"{count} object{'s' * (count != 1)} asked for anew." if count else "There was nothing to ask anew."
    }


def _clear(session, request, index, target):
    everywhere, name = request.get("everywhere") is True, session.now.find(target).name
    session.clear(index, target, everywhere)
    if not session.scan.is_volume:
        return {"message": f"{name} is cleared."}
    if everywhere:
        return {"message": f"{name} is cleared on all slices."}
    return {"message": f"{name} is cleared on slice {index + 1}; its other slices stay."}


def _box(session, request, index, target):
    given = corners_of(number_of(v, "box") for v in list_of(request.get("box"), "box", 4))
    box = _shown(session, request, Prompt(box=given)).box
    if request.get("new") is True:
        session.draw_new(box, index)
    else:
        session.draw_box(box, index, target)


def _click(session, request, index, target):
    x, y = number_of(request.get("x"), "x"), number_of(request.get("y"), "y")
    x, y = _shown(session, request, Prompt(points=np.array([(x, y)]), point_labels=np.array([1]))).points[0].tolist()
    session.click(x, y, request.get("positive") is not False, index, target)


def _scribble(session, request, index, target):
    session.scribble(request.get("stroke"), request.get("positive") is not False, index, target)


def _paint(session, request, index, target):
    add = request.get("add") is not False
    if "polygon" in request:
        session.paint(request["polygon"], None, add, index, target)
    else:
        session.paint(request.get("stroke"), number_of(request.get("radius"), "radius"), add, index, target)


def _flag(request: dict, name: str) -> bool:
    value = request.get(name, True)
    if not isinstance(value, bool):
        raise Refused(f"{name} must be true or false, got {str(value)[:40]}")
    return value


def _split(session, request, index, target):
    count = session.split(index, target)
    return {"message": "nothing to split: this mask is one piece" if count == 1 else f"split into {count} objects"}


def _merge(session, request, index, target):
    session.merge([whole_of(v, "object") for v in list_of(request.get("objects"), "objects", 100)])


def _where(request: dict) -> tuple[int, int | None]:
    target = request.get("object")
    return whole_of(request.get("slice", 0), "slice"), None if target is None else whole_of(target, "object")


OBJECT_OPERATIONS = {
    "add": on_object(_add, "A new object: draw its box, or click on it."),
    "select": on_object(lambda s, r, z, o: s.select(o)),
    "rename": on_object(lambda s, r, z, o: s.rename(o, text_of(r.get("name"), "name"))),
    "target": on_object(_target, "Noted: the masks of this object follow."),
    "hide": on_object(lambda s, r, z, o: s.hide(_flag(r, "hidden"), o)),
    "lock": on_object(lambda s, r, z, o: s.lock(_flag(r, "locked"), o)),
    "remove": on_object(lambda s, r, z, o: s.remove(o), "The object is removed."),
    "clear": on_object(_clear),
    "box": on_object(_box),
    "click": on_object(_click),
    "scribble": on_object(_scribble),
    "paint": on_object(_paint, "Painted; the model was not asked."),
    "unclick": on_object(lambda s, r, z, o: s.remove_point(whole_of(r.get("number"), "number"), z, o)),
    "choose": on_object(
        lambda s, r, z, o: s.choose(whole_of(r.get("number"), "number"), z, o), "Another mask is taken."
    ),
    "split": on_object(_split),
    "merge": on_object(_merge, "The two objects are one now."),
    "renew": on_object(_renew),
    "undo": on_object(lambda s, r, z, o: s.undo(), "One step back."),
    "redo": on_object(lambda s, r, z, o: s.redo(), "One step forward."),
}
