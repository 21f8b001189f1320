"""Changes of a session's objects that ask nothing of the model: merging, dividing, painting, taking back."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.label_objects import LabelObject
from lite_medsam.prompts.strokes import brushed, checked_stroke, enclosed
from lite_medsam.segment.instances import split_instances
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer
from lite_medsam.session.state import MAX_NAME, ObjectState, Snapshot

# fields of an object that was not followed
UNFOLLOWED: dict[str, Any] = {
    "followed": {},
    "scores": {},
    "ended": (),
    "weak": {},
    "followed_with": None,
    "followed_from": None,
}


def without(snapshot: Snapshot, item: ObjectState) -> Snapshot:
    """All objects but one; the last one that is left is selected."""
    objects = tuple(other for other in snapshot.objects if other.id != item.id)
    return replace(snapshot, objects=objects, selected=objects[-1].id if objects else None)


def check_locked(before: Snapshot, after: Snapshot) -> None:
    """Raises PromptError if an object that is locked would be changed, other than by unlocking or hiding it."""
    kept = {item.id: item for item in after.objects}
    free = {"locked", "hidden"}
    for item in before.objects:
        if not item.locked:
            continue
        new = kept.get(item.id)
        if new is None or any(
            getattr(new, f.name) is not getattr(item, f.name) for f in fields(item) if f.name not in free
        ):
            raise PromptError(f"object {item.number} is locked, so nothing can change it; unlock it first")


def cleared(item: ObjectState, index: int | None) -> ObjectState:
    """An object of which nothing is said on a slice, or on any where the index is None."""
    if index is None:
        return replace(item, answers={}, planes={}, **UNFOLLOWED)
    followed = {z: region for z, region in item.followed.items() if z != index}
    return replace(without_slice(item, index), followed=followed)


def without_slice(item: ObjectState, index: int) -> ObjectState:
    """An object of which nothing was said on a slice; what following found there stays."""
    return replace(item, answers={z: answer for z, answer in item.answers.items() if z != index})


def merged(snapshot: Snapshot, object_ids: Sequence[int]) -> Snapshot:
    """One object of several: on each slice the union of their masks, under name and target of the first.

    Raises:
        PromptError: If there are fewer than two, or one is not there.
    """
    items = [snapshot.find(object_id) for object_id in dict.fromkeys(object_ids)]
    if len(items) < 2:
        raise PromptError("merging needs two objects at least, got one; choose another one")
    regions = [item.regions() for item in items]
    answers = {}
    for index in sorted(set().union(*regions)):
        union = np.logical_or.reduce([found[index].full() for found in regions if index in found])
        answers[index] = Answer(painted=Region.of(union))
    first = replace(items[0], answers=answers, planes={}, **UNFOLLOWED)
    gone = {item.id for item in items[1:]}
    kept = tuple(other for other in snapshot.objects if other.id not in gone)
    return replace(snapshot, objects=kept).with_object(first)


def divided(
    snapshot: Snapshot, item: ObjectState, index: int, most: int, new_object: Callable[[str, Snapshot], ObjectState]
) -> tuple[Snapshot, int]:
    """An object divided into the instances that its mask on a slice holds; each becomes an object of the same target.

    Args:
        snapshot: All objects.
        item: The one to divide; it keeps the largest piece and stays selected.
        index: The slice.
        most: At most this many pieces.
        new_object: Makes an object of a name beside those of a snapshot.

    Returns:
        The objects, and how many pieces there were; the same objects where that is one.

    Raises:
        PromptError: If there is no mask on the slice.
    """
    region = item.region(index)
    if region is None or not region.area_px:
        raise PromptError("an object must have a mask to be divided, got none on this slice")
    pieces = [Answer(painted=Region.of(piece)) for piece in split_instances(region.full(), most)]
    if len(pieces) < 2:
        return snapshot, 1
    snapshot = snapshot.with_object(replace(item, answers=item.answers | {index: pieces[0]}))
    for number, piece in enumerate(pieces[1:], start=2):
        part = new_object(f"{item.name} {number}", snapshot)
        snapshot = snapshot.with_object(replace(part, target=item.target, label=item.label, answers={index: piece}))
    return replace(snapshot, selected=item.id), len(pieces)


def painted(
    item: ObjectState, index: int, stroke, radius_px: float | None, add: bool, image_hw: tuple[int, int]
) -> Answer:
    """What is said of an object on a slice after the pixels under a brush, or inside an outline, were added or erased.

    They stay so whatever the model answers later, until the other is done to them.

    Raises:
        PromptError: If the stroke or the radius is not valid, or there is nothing to erase.
    """
    drawn = checked_stroke(stroke)
    if radius_px is None:
        if len(drawn) < 3:
            raise PromptError(f"an outline must have three corners at least, got {len(drawn)}")
        under = enclosed(drawn, image_hw)
    elif 0 <= radius_px <= 1000:
        under = brushed(drawn, image_hw, radius_px)
    else:
        raise PromptError(f"a brush must have a radius of 0 to 1000 px, got {radius_px:g}")
    before = item.region(index)
    if not add and (before is None or not (before.full() & under).any()):
        raise PromptError("what is erased must meet the mask of the selected object, and there is none under it")
    old = item.answers.get(index)
    if old is None:
        old = Answer(painted=before)
    gain, loss = (np.zeros(image_hw, bool) if one is None else one.full() for one in (old.added, old.erased))
    gain, loss = (gain | under, loss & ~under) if add else (gain & ~under, loss | under)
    return replace(old, added=_layer(gain), erased=_layer(loss))


def _layer(mask: np.ndarray) -> Region | None:
    return Region.of(mask) if mask.any() else None


def with_labels(
    snapshot: Snapshot, objects: Sequence[LabelObject], new_object: Callable[[str | None, Snapshot], ObjectState]
) -> Snapshot:
    """The objects of a label file beside those that are there, each mask as if it was painted.

    Args:
        snapshot: All objects.
        objects: In display coordinates.
        new_object: Makes an object of a name beside those of a snapshot.
    """
    numbers = [item.number for item in objects if item.number is not None]
    # numbers of the file stay where none of them was given to an object here, and label maps have room for those to come
    is_free = 0 < len(numbers) == len(objects) and snapshot.next_number <= min(numbers) <= max(numbers) < 2**15
    for item in objects:
        answers = {z: Answer(painted=Region.of(mask)) for z, mask in sorted(item.slices.items())}
        name = " ".join((item.name or "").split())[:MAX_NAME].strip()
        beside = replace(snapshot, next_number=item.number) if is_free and item.number is not None else snapshot
        made = new_object(name if name.isprintable() and name else None, beside)
        snapshot = snapshot.with_object(replace(made, answers=answers))
    return snapshot
