"""What a page asks about classes: the list from a file and to a file, changes of it, the class of an object."""

import base64
from typing import TYPE_CHECKING

from lite_medsam.prompts.class_list import class_list_csv, class_list_json, class_list_text, parse_class_list
from lite_medsam.session.classes import assigned, with_class, with_classes, without_class

from .fields import Refused, text_of, whole_of
from .seats import Seat

if TYPE_CHECKING:
    from .actions import Desk

MAX_LETTERS = 1_000_000
_WRITERS = {
    "json": ("classes.json", class_list_json),
    "csv": ("classes.csv", class_list_csv),
    "txt": ("labels.txt", class_list_text),
}


def _classes(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Takes the list of a file, () for an empty text."""
    session = desk.session_of(seat)
    text = text_of(request.get("text"), "a class list", MAX_LETTERS)
    before = session.now
    found = with_classes(before, parse_class_list(text) if text.strip() else ())
    session.commit(found)
    count = len(found.classes)
    return {"message": f"{count} {'class' if count == 1 else 'classes'} in the list."}


def _class(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Gives the selected object a class, which new objects have as well."""
    session = desk.session_of(seat)
    name, target = request.get("name"), request.get("object")
    name = None if name is None else text_of(name, "class")
    found = assigned(session.now, name, None if target is None else whole_of(target, "object"))
    if found != session.now:
        session.commit(found)
    return {"message": "No class." if name is None else f"{name}: also for new objects."}


def _add_class(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Adds a class, or changes the colour or the key of one."""
    session = desk.session_of(seat)
    colour, key = request.get("colour"), request.get("key")
    session.commit(
        with_class(
            session.now,
            text_of(request.get("name"), "name"),
            None if colour is None else text_of(colour, "colour"),
            None if key in (None, "") else text_of(key, "key"),
        )
    )
    return {}


def _drop_class(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    session.commit(without_class(session.now, text_of(request.get("name"), "name")))
    return {"message": "The class is gone; its objects have none now."}


def _save_classes(desk: "Desk", seat: Seat, request: dict) -> dict:
    session, kind = desk.session_of(seat), text_of(request.get("format", "json"), "format")
    if kind not in _WRITERS:
        raise Refused(f"a class list is saved as one of {', '.join(_WRITERS)}, not {kind[:40]!r}")
    if not session.now.classes:
        raise Refused("there is no class to save yet; add one first")
    name, write = _WRITERS[kind]
    return {"file": {"name": name, "data": base64.b64encode(write(session.now.classes).encode()).decode()}}


CLASS_OPERATIONS = {
    "classes": _classes,
    "class": _class,
    "addclass": _add_class,
    "dropclass": _drop_class,
    "saveclasses": _save_classes,
}
