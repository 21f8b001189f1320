"""An interactive session: objects and their prompts on a picture or volume, masks, undo and redo."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.label_objects import LabelObject
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.prompts.strokes import checked_stroke, clicks_along
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.asking import asked, asked_anew
from lite_medsam.session.editing import check_locked, cleared, divided, merged, painted, with_labels, without
from lite_medsam.session.following import adopted, follow, label_map, volume_objects
from lite_medsam.session.history import History
from lite_medsam.session.shown import ShownScan
from lite_medsam.session.state import Answer, ObjectState, Snapshot, checked_name

MAX_OBJECTS = 100
MAX_POINTS = 400  # per object and slice


class Session(ShownScan, History):
    """One user at one picture or volume.

    Every method that changes something can be undone, leaves the session as it was when it raises, and segments with the
    same prompts that `prompts` gives out: what is shown is what `lite-medsam segment --prompts` makes of them.

    Args:
        predictor: The model; with a cache, so that an image is encoded once for all its prompts.
        scan: What was opened.

    Attributes:
        seconds: What the model took for the last answer, where its backend is timed.
    """

    def __init__(self, predictor: Predictor, scan: Scan):
        ShownScan.__init__(self, scan)
        History.__init__(self)
        self.predictor = predictor
        self.seconds: dict[str, float] = {}
        self._ids = itertools.count(1)

    def commit(self, snapshot: Snapshot) -> None:
        """Makes a step.

        Raises:
            PromptError: If it changes an object that is locked.
        """
        check_locked(self.now, snapshot)
        super().commit(snapshot)

    # -- the picture

    def set_window(self, window: tuple[float, float] | None) -> None:
        """Sets centre and width of the grey values, None for the scan's own; every answer is decoded anew.

        Raises:
            CaseError: If the width is not positive.
        """
        window = window or self.scan.default_window
        if window != self.window:
            self._change(window=window, _pixels=None)

    def set_predictor(self, predictor: Predictor) -> None:
        """Takes another model; every answer is decoded anew.

        Objects keep their targets; a model that does not know one is asked without it.

        Raises:
            PromptError: If it was not trained on the prompts that are there.
        """
        if predictor is not self.predictor:
            self._change(predictor=predictor)

    # -- objects

    def add_object(self, name: str | None = None) -> ObjectState:
        """Adds an object and selects it."""
        item = self._new_object(name)
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
        """Says what an object is; its answers are decoded anew.

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
        item = self._target(object_id)
        if target != item.target:
            self.commit(self.now.with_object(self._decoded_anew(replace(item, target=target))))

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
        found, pieces = divided(self.now, self.now.find(object_id), index, most, self._new_object)
        if pieces > 1:
            self.commit(found)
        return pieces

    def open_labels(self, objects: Sequence[LabelObject]) -> None:
        """Takes the objects of a label file of this scan, see `label_files.read_label_objects`, to be corrected."""
        self.commit(with_labels(self.now, objects, self._new_object))

    # -- prompts

    def draw_box(self, box, index: int = 0, object_id: int | None = None) -> None:
        """Draws or moves the box of an object; its clicks stay, a mask that was refined does not.

        Args:
            box: x0, y0, x1, y1 in pixels, last pixel inside.
            index: The slice.
            object_id: None for the selected object; the first one is made when there is none.
        """
        item = self._target(object_id)
        old = item.answers.get(index, Answer())
        checked = validate(Prompt(box=box), self.image_hw).box
        self._store(item, index, self._decode(item, index, checked, old.points, None))

    def draw_new(self, box, index: int = 0) -> None:
        """Draws the box of an object that is not there yet."""
        item = self._new_object(None)
        self._store(item, index, self._decode(item, index, validate(Prompt(box=box), self.image_hw).box, (), None))

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
        points = old.points[:number] + old.points[number + 1 :]
        if old.box is None and not any(label for _, _, label in points):
            answers = {z: answer for z, answer in item.answers.items() if z != index}
            self.commit(self.now.with_object(replace(item, answers=answers)))
        else:
            self._store(item, index, self._decode(item, index, old.box, points, None))

    def paint(self, stroke, radius_px: float, add: bool, index: int = 0, object_id: int | None = None) -> None:
        """Adds or erases exactly the pixels under a brush; the model is not asked."""
        item = self._target(object_id)
        self._store(item, index, painted(item, index, stroke, radius_px, add, self.image_hw))

    def choose(self, number: int, index: int = 0, object_id: int | None = None) -> None:
        """Takes another of the masks that the prompts can mean."""
        item = self.now.find(object_id)
        old = item.answers.get(index, Answer())
        if not 0 <= number < len(old.choices):
            raise PromptError(f"a choice must be one of the {len(old.choices)} masks, got number {number}")
        self._store(item, index, replace(old, chosen=number, painted=None))

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
            found.append((item, answer.prompt(item.name, item.target_among(self.predictor.spec.targets))))
        return found

    # -- volumes

    def followable(self) -> list[ObjectState]:
        """The objects that can be followed: those with a mask that the user has settled on one slice at least.

        Raises:
            PromptError: If this is a picture, or there is none.
        """
        if not self.scan.is_volume:
            raise PromptError("only volumes have slices to follow an object through, this is a picture")
        settled = [item for item in self.now.objects if item.is_settled]
        if not settled:
            raise PromptError("an object must have a mask on one slice to be followed, got none; draw a box first")
        items = [item for item in settled if not item.locked]
        if not items:
            raise PromptError("every object with a mask is locked, so none can be followed; unlock one first")
        return items

    def propagate(
        self, on_slice: Callable[[int, int], None] | None = None, stop: Callable[[], bool] | None = None
    ) -> Snapshot:
        """Follows all objects from the slices that were settled into the others, both ways, see `following.follow`.

        It only computes; `adopt` makes the result the session's, so that it can run beside other calls.

        Raises:
            PromptError: As `followable`.
        """
        self.followable()
        return follow(self.predictor, self.volume(), self.now, on_slice, stop)

    def adopt(self, found: Snapshot) -> None:
        """Takes the masks that `propagate` found; objects that were changed meanwhile keep what they have."""
        self.commit(adopted(self.now, found))

    def volume_objects(self) -> tuple[list, list[np.ndarray], list[float | None]]:
        """See `following.volume_objects`."""
        return volume_objects(self.now, (self.slices, *self.image_hw), self.predictor.spec.targets)

    def label_map(self) -> np.ndarray:
        """(H, W) or (D, H, W), see `following.label_map`."""
        labels = label_map(self.now, (self.slices, *self.image_hw))
        return labels if self.scan.is_volume else labels[0]

    # -- inside

    def _change(self, **fields) -> None:
        """Sets attributes that every answer depends on."""
        old = {name: getattr(self, name) for name in (*fields, "version")}
        vars(self).update(fields, version=self.version + 1)
        try:
            self.volume()
            objects = tuple(self._decoded_anew(item) for item in self.now.objects)
        except ValueError:
            vars(self).update(old)
            raise
        # masks from before would not be reproduced by their prompts now, so there is no way back to them
        self.restart(replace(self.now, objects=objects))

    def _target(self, object_id: int | None) -> ObjectState:
        if object_id is None and not self.now.objects:
            return self._new_object(None)
        item = self.now.find(object_id)
        if item.locked:  # said before the model is asked
            raise PromptError(f"object {item.number} is locked, so nothing can change it; unlock it first")
        return item

    def _new_object(self, name: str | None, snapshot: Snapshot | None = None) -> ObjectState:
        objects = (snapshot or self.now).objects
        if len(objects) >= MAX_OBJECTS:
            raise PromptError(f"a session must have at most {MAX_OBJECTS} objects; save this one and start another")
        number = (snapshot or self.now).next_number
        kind = "fluid" if self.scan.modality == "OCT" else "object"
        return ObjectState(next(self._ids), checked_name(name) if name else f"{kind} {number}", number=number)

    def _add_points(self, points: list, positive: bool, index: int, object_id: int | None) -> None:
        item = self._target(object_id)
        old = item.answers.get(index, Answer())
        before = item.region(index)
        previous = before if before is not None and before.area_px else None
        if len(old.points) + len(points) > MAX_POINTS:
            raise PromptError(f"an object must have at most {MAX_POINTS} clicks on a slice; clear it and start again")
        added = tuple((x, y, int(positive)) for x, y in points)
        self._store(item, index, self._decode(item, index, old.box, old.points + added, previous))

    def _decode(self, item: ObjectState, index: int, box, points: tuple, previous: Region | None) -> Answer:
        pixels, target = self.pixels(index), item.target_among(self.predictor.spec.targets)
        spent = getattr(self.predictor.backend, "spent", dict)
        spent()
        answer = asked(self.predictor, pixels, target, box, points, previous)
        self.seconds = spent()
        return answer

    def _decoded_anew(self, item: ObjectState) -> ObjectState:
        return asked_anew(item, lambda item, index, old: self._decode(item, index, old.box, old.points, old.previous))

    def _store(self, item: ObjectState, index: int, answer: Answer) -> None:
        self.check_slice(index)
        answers = dict(sorted((item.answers | {index: answer}).items()))
        self.commit(self.now.with_object(replace(item, answers=answers)))
