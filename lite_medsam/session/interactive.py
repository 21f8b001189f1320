"""An interactive session: objects and their prompts on a picture or volume, masks, undo and redo."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.label_objects import LabelObject
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.prompts.strokes import checked_stroke, clicks_along
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.answer import Answer
from lite_medsam.session.asking import AskedScan, asked_anew
from lite_medsam.session.editing import (
    check_locked,
    cleared,
    divided,
    merged,
    painted,
    with_labels,
    without,
    without_slice,
)
from lite_medsam.session.lengths import Length
from lite_medsam.session.record import record_of
from lite_medsam.session.record_reading import RecordReader
from lite_medsam.session.state import MAX_NAME, ObjectState, Snapshot, checked_name, usual_name

MAX_OBJECTS = 250
MAX_POINTS = 400  # per object and slice


class Session(AskedScan):
    """One user at one picture or volume.

    Every method that changes something can be undone, leaves the session as it was when it raises, and segments with the
    same prompts that `prompts` gives out: what is shown is what `lite-medsam segment --prompts` makes of them.

    Args:
        predictor: The model; with a cache, so that an image is encoded once for all its prompts.
        scan: What was opened.
        model: What the model is called where it was chosen.
        engine: What its engine is called there.

    """

    def __init__(self, predictor: Predictor, scan: Scan, model: str = "", engine: str = ""):
        super().__init__(predictor, scan, model, engine)
        self._ids = itertools.count(1)

    @classmethod
    def from_record(
        cls, predictor: Predictor, scan: Scan, document: Any, masks: Any, model: str = "", engine: str = ""
    ) -> "Session":
        """A session as it was when `to_record` was called, with the last of the steps that could be taken back.

        Args:
            predictor: The model; where it is another one than that of the record, masks stay and count as stale.
            scan: What the record is of.
            document: Of `to_record`, from JSON.
            masks: Of `to_record`, (N,) uint8.
            model: See the class.
            engine: See the class.

        Raises:
            PromptError: If the record is not valid, or of a scan of another shape.
        """
        reader = RecordReader(document, masks, scan)
        session = cls(predictor, scan, model, engine)
        steps = [replace(step, given=replace(session.given, window=window)) for step, window in reader.steps()]
        session.restart(steps[-1], steps[:-1])
        session.spacing_mm = reader.spacing_mm
        session._ids = itertools.count(max((item.id for step in steps for item in step.objects), default=0) + 1)
        session.volume()
        return session

    def to_record(self, index: int = 0) -> tuple[dict, np.ndarray]:
        """All that is to be kept of a session, as a JSON document and the (N,) uint8 of its masks.

        Args:
            index: The slice that is shown.
        """
        return record_of(self, self.facts, index)

    def commit(self, snapshot: Snapshot) -> None:
        """Makes a step.

        Raises:
            PromptError: If it changes an object that is locked.
        """
        check_locked(self.now, snapshot)
        super().commit(snapshot)

    # -- objects

    def add_object(self, name: str | None = None) -> ObjectState:
        """Adds an object and selects it."""
        item = self.new_object(name)
        self.commit(self.now.with_object(item))
        return item

    def select(self, object_id: int) -> None:
        """Selects an object; selecting is not undone."""
        self.now = replace(self.now, selected=self.now.find(object_id).id)

    def rename(self, object_id: int, name: str) -> None:
        """Gives an object another name."""
        item = self.now.find(object_id)
        self.commit(self.now.with_object(replace(item, name=checked_name(name))))

    def set_target(self, target: str | None, object_id: int | None = None) -> None:
        """Says what an object is; its answers are decoded anew, and it is called so unless a person has named it.

        Args:
            target: One of the names that the model knows; None: not said.
            object_id: None for the selected object; the first one is made when there is none.

        Raises:
            PromptError: If the model does not know the name.
        """
        spec = self.predictor.spec
        if target is not None:
            check_target(target, spec.targets, spec.name)
        elif object_id is None and not self.now.objects:
            return
        item = self.object_to_change(object_id)
        if target != item.target:
            usual = usual_name(item.number, item.label, self.scan.modality)
            name = (target or usual)[:MAX_NAME] if item.name in (usual, item.target) else item.name
            self.commit(self.now.with_object(asked_anew(replace(item, target=target, name=name), self._ask_again)))

    def hide(self, hidden: bool, object_id: int | None = None) -> None:
        """Leaves an object out of what is shown, or shows it again; it is in all that is saved."""
        item = self.now.find(object_id)
        if hidden != item.hidden:
            self.commit(replace(self.now.with_object(replace(item, hidden=hidden)), selected=self.now.selected))

    def lock(self, locked: bool, object_id: int | None = None) -> None:
        """Keeps an object from every change until it is unlocked."""
        item = self.now.find(object_id)
        if locked != item.locked:
            self.commit(replace(self.now.with_object(replace(item, locked=locked)), selected=self.now.selected))

    def remove(self, object_id: int | None = None) -> None:
        """Removes an object."""
        self.commit(without(self.now, self.now.find(object_id)))

    def clear(self, index: int = 0, object_id: int | None = None, everywhere: bool = False) -> None:
        """Takes back all that was said about an object on one slice, or on all."""
        item = self.now.find(object_id)
        self.commit(self.now.with_object(cleared(item, None if everywhere else index)))

    def merge(self, object_ids: list[int]) -> None:
        """Makes one object of several: on each slice the union of their masks, under name and target of the first."""
        self.commit(merged(self.now, object_ids))

    def split(self, index: int = 0, object_id: int | None = None) -> int:
        """Tries to divide an object into the instances that its mask holds; each becomes an object.

        Returns:
            How many there are now; 1 when nothing could be divided, and nothing has changed then.
        """
        most = MAX_OBJECTS - len(self.now.objects) + 1
        found, pieces = divided(self.now, self.now.find(object_id), index, most, self.new_object)
        if pieces > 1:
            self.commit(found)
        return pieces

    def open_labels(self, objects: Sequence[LabelObject]) -> None:
        """Takes the objects of a label file of this scan, see `label_files.read_label_objects`, to be corrected."""
        self.commit(with_labels(self.now, objects, self.new_object))

    def measure(self, lengths: Sequence[Length]) -> None:
        """Keeps these lengths in place of those that were measured before, see `lengths.checked_lengths`."""
        if tuple(lengths) != self.now.lengths:
            self.commit(replace(self.now, lengths=tuple(lengths)))

    # -- prompts

    def draw_box(self, box, index: int = 0, object_id: int | None = None) -> None:
        """Draws or moves the box of an object; its clicks and what was painted stay, a mask that was refined does not.

        Args:
            box: x0, y0, x1, y1 in pixels, last pixel inside.
            index: The slice.
            object_id: None for the selected object; the first one is made when there is none.
        """
        item = self.object_to_change(object_id)
        old = item.answers.get(index, Answer())
        checked = validate(Prompt(box=box), self.image_hw).box
        self._store(item, index, self._ask(item, index, replace(old, box=checked, previous=None)))

    def draw_new(self, box, index: int = 0) -> None:
        """Draws the box of an object that is not there yet."""
        item = self.new_object()
        box = validate(Prompt(box=box), self.image_hw).box
        self._store(item, index, self._ask(item, index, Answer(box)))

    def click(self, x: float, y: float, positive: bool, index: int = 0, object_id: int | None = None) -> None:
        """Clicks on the object, or where it is not; the mask so far is refined."""
        self._add_points([(float(x), float(y))], positive, index, object_id)

    def scribble(self, stroke, positive: bool, index: int = 0, object_id: int | None = None) -> None:
        """A line on the object, or where it is not: clicks along it."""
        points = clicks_along(checked_stroke(stroke), self.image_hw)
        self._add_points([tuple(point) for point in points.tolist()], positive, index, object_id)

    def remove_point(self, number: int, index: int = 0, object_id: int | None = None) -> None:
        """Takes one click back; what is left is decoded without a mask to refine, which that click may have made."""
        item = self.now.find(object_id)
        old = item.answers.get(index, Answer())
        if not 0 <= number < len(old.points):
            raise PromptError(f"a click must be one of the {len(old.points)}, got number {number}")
        left = replace(old, points=old.points[:number] + old.points[number + 1 :], previous=None)
        if left.box is not None or any(label for _, _, label in left.points):
            self._store(item, index, self._ask(item, index, left, min(1, len(left.points))))
        elif old.added is not None:
            self._store(item, index, Answer().laid_over(old))
        else:
            self.commit(self.now.with_object(without_slice(item, index)))

    def paint(self, stroke, radius_px: float | None, add: bool, index: int = 0, object_id: int | None = None) -> None:
        """Adds or erases exactly the pixels under a brush, or inside an outline where the radius is None; for good.

        Raises:
            PromptError: If the stroke or the radius is not valid, or there is nothing to erase.
        """
        if not add and not self.now.objects:
            raise PromptError("what is erased must meet the mask of an object, and there is none yet")
        item = self.object_to_change(object_id)
        self._store(item, index, painted(item, index, stroke, radius_px, add, self.image_hw))

    def choose(self, number: int, index: int = 0, object_id: int | None = None) -> None:
        """Takes another of the masks that the prompts can mean."""
        item = self.now.find(object_id)
        old = item.answers.get(index, Answer())
        if not 0 <= number < len(old.choices):
            raise PromptError(f"a choice must be one of the {len(old.choices)} masks, got number {number}")
        self._store(item, index, replace(old, chosen=number, painted=None, picked=True))

    def prompts(self, index: int = 0) -> list[tuple[ObjectState, Prompt]]:
        """The objects that have a mask on a slice, with the prompt that makes it.

        The prompt has the object's target where the model knows it, so that it can be given to the same model.
        """
        found = []
        for item in self.now.objects:
            region = item.region(index)
            if region is None or not region.area_px:
                continue
            answer = item.answers.get(index) or Answer(painted=region)
            target = item.target_among(self.predictor.spec.targets)
            found.append((item, answer.prompt(self.source, item.name, target)))
        return found

    # -- inside

    def object_to_change(self, object_id: int | None) -> ObjectState:
        """The object, by default the selected one; a new one where there is none yet."""
        if object_id is None and not self.now.objects:
            return self.new_object()
        item = self.now.find(object_id)
        if item.locked:  # said before the model is asked
            raise PromptError(f"object {item.number} is locked, so nothing can change it; unlock it first")
        return item

    def new_object(self, name: str | None = None, snapshot: Snapshot | None = None) -> ObjectState:
        """An object that is not among the others yet."""
        objects = (snapshot or self.now).objects
        if len(objects) >= MAX_OBJECTS:
            raise PromptError(f"a session must have at most {MAX_OBJECTS} objects; save this one and start another")
        number, label = (snapshot or self.now).next_number, (snapshot or self.now).current
        called = checked_name(name) if name else usual_name(number, label, self.scan.modality)
        return ObjectState(next(self._ids), called, number=number, label=label)

    def _add_points(self, new: list, positive: bool, index: int, object_id: int | None) -> None:
        item = self.object_to_change(object_id)
        old = item.answers.get(index, Answer())
        before = item.region(index)
        previous = before if before is not None and before.area_px else None
        if len(old.points) + len(new) > MAX_POINTS:
            raise PromptError(f"an object must have at most {MAX_POINTS} clicks on a slice; clear it and start again")
        points = old.points + tuple((x, y, int(positive)) for x, y in new)
        self._store(item, index, self._ask(item, index, replace(old, points=points, previous=previous), len(new)))

    def _store(self, item: ObjectState, index: int, answer: Answer) -> None:
        self.check_slice(index)
        answers = dict(sorted((item.answers | {index: answer}).items()))
        self.commit(self.now.with_object(replace(item, answers=answers)))
