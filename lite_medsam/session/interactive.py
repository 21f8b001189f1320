"""An interactive session: objects and their prompts on a picture or volume, masks, undo and redo."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.prompts.strokes import brushed, checked_stroke, clicks_along
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.choices import choices
from lite_medsam.segment.instances import split_instances
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.following import adopted, follow, label_map, volume_objects
from lite_medsam.session.state import Answer, ObjectState, Snapshot, checked_name

MAX_OBJECTS = 100
MAX_HISTORY = 60
MAX_POINTS = 400  # per object and slice


class Session:
    """One user at one picture or volume.

    Every method that changes something can be undone, leaves the session as it was when it raises, and segments with the
    same prompts that `prompts` gives out: what is shown is what `lite-medsam segment --prompts` makes of them.

    Args:
        predictor: The model; with a cache, so that an image is encoded once for all its prompts.
        scan: What was opened.
    """

    def __init__(self, predictor: Predictor, scan: Scan):
        self.predictor, self.scan = predictor, scan
        self.window: tuple[float, float] | None = scan.default_window
        self.spacing_mm = scan.spacing_mm
        self.now = Snapshot()
        self.seconds: dict[str, float] = {}
        self._undo: list[Snapshot] = []
        self._redo: list[Snapshot] = []
        self._ids = itertools.count(1)
        self._version = 0  # of the pixels, raised by every change of the window
        self._pixels: np.ndarray | None = None

    # -- the picture

    @property
    def slices(self) -> int:
        """Slices of a volume, 1 for a picture."""
        return self.scan.values.shape[0] if self.scan.is_volume else 1

    @property
    def image_hw(self) -> tuple[int, int]:
        """(H, W) of a slice."""
        return self.scan.label_shape[-2:]

    @property
    def version(self) -> int:
        """Changes whenever the pixels do."""
        return self._version

    def volume(self) -> np.ndarray:
        """The whole picture or volume as the model sees it, uint8."""
        if self._pixels is None:
            self._pixels = self.scan.to_uint8(*(self.window or (None, None)))
        return self._pixels

    def pixels(self, index: int = 0) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8 of one slice.

        Raises:
            PromptError: If there is no such slice.
        """
        self._check_slice(index)
        return self.volume()[index] if self.scan.is_volume else self.volume()

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
        self._commit(self.now.with_object(item))
        return item

    def select(self, object_id: int) -> None:
        """Selects an object; selecting is not undone."""
        self.now = replace(self.now, selected=self.now.find(object_id).id)

    def rename(self, object_id: int, name: str) -> None:
        """Gives an object another name."""
        item = self.now.find(object_id)
        self._commit(self.now.with_object(replace(item, name=checked_name(name))))

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
            self._commit(self.now.with_object(self._decoded_anew(replace(item, target=target))))

    def remove(self, object_id: int | None = None) -> None:
        """Removes an object."""
        item = self.now.find(object_id)
        objects = tuple(other for other in self.now.objects if other.id != item.id)
        self._commit(Snapshot(objects, objects[-1].id if objects else None))

    def clear(self, index: int = 0, object_id: int | None = None, everywhere: bool = False) -> None:
        """Takes back all that was said about an object on one slice, or on all."""
        item = self.now.find(object_id)
        if everywhere:
            item = replace(item, answers={}, followed={}, scores={})
        else:
            item = replace(item, answers=_without(item.answers, index), followed=_without(item.followed, index))
        self._commit(self.now.with_object(item))

    def merge(self, object_ids: list[int]) -> None:
        """Makes one object of several: on each slice the union of their masks, under name and target of the first."""
        items = [self.now.find(object_id) for object_id in dict.fromkeys(object_ids)]
        if len(items) < 2:
            raise PromptError("merging needs two objects at least, got one; choose another one")
        regions = [item.regions() for item in items]
        answers = {}
        for index in sorted(set().union(*regions)):
            union = np.logical_or.reduce([found[index].full() for found in regions if index in found])
            answers[index] = Answer(painted=Region.of(union))
        first = replace(items[0], answers=answers, followed={}, scores={})
        gone = {item.id for item in items[1:]}
        kept = tuple(other for other in self.now.objects if other.id not in gone)
        self._commit(Snapshot(kept, self.now.selected).with_object(first))

    def split(self, index: int = 0, object_id: int | None = None) -> int:
        """Tries to divide an object into the instances that its mask holds; each becomes an object.

        Returns:
            How many there are now; 1 when nothing could be divided, and nothing has changed then.
        """
        item = self.now.find(object_id)
        region = item.region(index)
        if region is None or not region.area_px:
            raise PromptError("an object must have a mask to be divided, got none on this slice")
        pieces = split_instances(region.full(), MAX_OBJECTS - len(self.now.objects) + 1)
        if len(pieces) < 2:
            return 1
        snapshot = self.now
        for number, piece in enumerate(pieces, start=1):
            if number == 1:
                part = replace(item, answers=item.answers | {index: Answer(painted=Region.of(piece))})
            else:
                part = self._new_object(f"{item.name} {number}", snapshot)
                part = replace(part, target=item.target, answers={index: Answer(painted=Region.of(piece))})
            snapshot = snapshot.with_object(part)
        self._commit(replace(snapshot, selected=item.id))
        return len(pieces)

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
            self._commit(self.now.with_object(replace(item, answers=_without(item.answers, index))))
        else:
            self._store(item, index, self._decode(item, index, old.box, points, None))

    def paint(self, stroke, radius_px: float, add: bool, index: int = 0, object_id: int | None = None) -> None:
        """Adds or erases exactly the pixels under a brush; the model is not asked."""
        if not 0 <= radius_px <= 1000:
            raise PromptError(f"a brush must have a radius of 0 to 1000 px, got {radius_px:g}")
        under = brushed(checked_stroke(stroke), self.image_hw, radius_px)
        item = self._target(object_id)
        before = item.region(index)
        mask = before.full() if before is not None else np.zeros(self.image_hw, bool)
        mask = mask | under if add else mask & ~under
        old = item.answers.get(index, Answer())
        self._store(item, index, Answer(old.box, old.points, old.previous, painted=Region.of(mask)))

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

    # -- history

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that was taken back."""
        return bool(self._redo)

    def undo(self) -> None:
        """Takes the last change back; does nothing when there is none."""
        if self._undo:
            self._redo.append(self.now)
            self.now = self._undo.pop()

    def redo(self) -> None:
        """Makes the change again that was taken back last."""
        if self._redo:
            self._undo.append(self.now)
            self.now = self._redo.pop()

    # -- volumes

    def followable(self) -> list[ObjectState]:
        """The objects that can be followed: those with a mask that the user has settled on one slice at least.

        Raises:
            PromptError: If this is a picture, or there is none.
        """
        if not self.scan.is_volume:
            raise PromptError("only volumes have slices to follow an object through, this is a picture")
        items = [item for item in self.now.objects if item.is_settled]
        if not items:
            raise PromptError("an object must have a mask on one slice to be followed, got none; draw a box first")
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
        self._commit(adopted(self.now, found))

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
        old = {name: getattr(self, name) for name in (*fields, "_version")}
        vars(self).update(fields, _version=self._version + 1)
        try:
            self.volume()
            objects = tuple(self._decoded_anew(item) for item in self.now.objects)
        except ValueError:
            vars(self).update(old)
            raise
        # masks from before would not be reproduced by their prompts now, so there is no way back to them
        self.now, self._undo, self._redo = replace(self.now, objects=objects), [], []

    def _check_slice(self, index: int) -> None:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < self.slices:
            raise PromptError(f"a slice must be a whole number from 0 to {self.slices - 1}, got {index!r}")

    def _target(self, object_id: int | None) -> ObjectState:
        return self._new_object(None) if object_id is None and not self.now.objects else self.now.find(object_id)

    def _new_object(self, name: str | None, snapshot: Snapshot | None = None) -> ObjectState:
        objects = (snapshot or self.now).objects
        if len(objects) >= MAX_OBJECTS:
            raise PromptError(f"a session must have at most {MAX_OBJECTS} objects; save this one and start another")
        number = next(self._ids)
        kind = "fluid" if self.scan.modality == "OCT" else "object"
        return ObjectState(number, checked_name(name) if name else f"{kind} {number}")

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
        pixels = self.pixels(index)
        xy, labels = [point[:2] for point in points], [point[2] for point in points]
        mask, target = None if previous is None else previous.full(), item.target_among(self.predictor.spec.targets)
        prompt = Prompt(box, xy, labels, mask, target=target)
        spent = getattr(self.predictor.backend, "spent", dict)
        spent()
        found = choices(self.predictor, pixels, prompt)
        self.seconds = spent()
        return Answer(box, points, previous, tuple(found))

    def _decoded_anew(self, item: ObjectState) -> ObjectState:
        answers = {}
        for index, old in item.answers.items():
            if old.painted is not None:
                answers[index] = old
            else:
                new = self._decode(item, index, old.box, old.points, old.previous)
                answers[index] = replace(new, chosen=0) if old.chosen == 0 else replace(old, painted=old.region)
        return replace(item, answers=answers)

    def _store(self, item: ObjectState, index: int, answer: Answer) -> None:
        self._check_slice(index)
        answers = dict(sorted((item.answers | {index: answer}).items()))
        self._commit(self.now.with_object(replace(item, answers=answers)))

    def _commit(self, snapshot: Snapshot) -> None:
        self._undo = [*self._undo[-MAX_HISTORY + 1 :], self.now]
        self._redo = []
        self.now = snapshot


def _without(items: dict, key) -> dict:
    return {k: v for k, v in items.items() if k != key}
