"""What kind of thing each object of a session is: a class list beside the objects, and the class of new ones."""

import re
from collections.abc import Sequence
from dataclasses import replace

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import ObjectClass, class_list
from lite_medsam.session.state import ObjectState, Snapshot, checked_name

_OWN_KINDS = ("object", "fluid")  # what a session calls objects by itself


def with_classes(snapshot: Snapshot, classes: Sequence[ObjectClass]) -> Snapshot:
    """Another class list; classes that objects have and the list does not are added at its end.

    Args:
        snapshot: The objects.
        classes: The list; () for none.
    """
    names = {one.name for one in classes}
    used = dict.fromkeys(item.label for item in snapshot.objects if item.label and item.label not in names)
    kept = [one for one in snapshot.classes if one.name in used]
    keys = {one.key for one in classes}
    kept = [replace(one, key=None if one.key in keys else one.key) for one in kept]
    both = class_list([*classes, *kept]) if [*classes, *kept] else ()
    current = snapshot.current if any(one.name == snapshot.current for one in both) else None
    return replace(snapshot, classes=both, current=current)


def with_class(snapshot: Snapshot, name: str, colour: str | None = None, key: str | None = None) -> Snapshot:
    """A class at the end of the list, or another colour or key for the one of that name.

    Raises:
        PromptError: If its name, colour or key is not valid, or the key is another's.
    """
    (made,) = class_list([{"name": name, "colour": colour, "key": key}])
    old = next((one for one in snapshot.classes if one.name == made.name), None)
    if old is None:
        fresh = {"name": made.name, "colour": colour, "key": key}
        return replace(snapshot, classes=class_list([*snapshot.classes, fresh]))
    made = replace(old, colour=made.colour if colour else old.colour, key=made.key if key else old.key)
    return replace(snapshot, classes=class_list(made if one is old else one for one in snapshot.classes))


def without_class(snapshot: Snapshot, name: str) -> Snapshot:
    """The list without a class, and its objects without one.

    Raises:
        PromptError: If there is none of this name.
    """
    find_class(snapshot, name)
    objects = tuple(replace(item, label=None) if item.label == name else item for item in snapshot.objects)
    classes = tuple(one for one in snapshot.classes if one.name != name)
    current = None if snapshot.current == name else snapshot.current
    return replace(snapshot, objects=objects, classes=classes, current=current)


def assigned(snapshot: Snapshot, name: str | None, object_id: int | None = None) -> Snapshot:
    """Gives an object a class, which new objects then have as well.

    An object that has a name of the program's own ("object 3") is called by its class from then on ("drusen 3").

    Args:
        snapshot: All objects.
        name: Of the list; None for no class.
        object_id: None for the selected object; where there is none, only the class of new objects changes.

    Raises:
        PromptError: If there is no such class or object.
    """
    if name is not None:
        find_class(snapshot, name)
    snapshot = replace(snapshot, current=name)
    if object_id is None and snapshot.selected is None:
        return snapshot
    item = snapshot.find(object_id)
    if item.label == name:
        return snapshot
    changed = replace(item, label=name, name=_called(item, name, snapshot))
    objects = tuple(changed if other.id == item.id else other for other in snapshot.objects)
    return replace(snapshot, objects=objects)


def find_class(snapshot: Snapshot, name: str) -> ObjectClass:
    """The class of a name.

    Raises:
        PromptError: If the list has none.
    """
    for one in snapshot.classes:
        if one.name == name:
            return one
    raise PromptError(f"a class must be one of the list, got {name!r}; add it to the list first")


def _called(item: ObjectState, name: str | None, snapshot: Snapshot) -> str:
    kinds = [*_OWN_KINDS, *(one.name for one in snapshot.classes)]
    if not re.fullmatch(f"(?:{'|'.join(map(re.escape, kinds))}) {item.number}", item.name):
        return item.name
    return checked_name(f"{name or _OWN_KINDS[0]} {item.number}"[:60])
