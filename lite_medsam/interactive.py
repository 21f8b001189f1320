"""An interactive session: objects and their prompts on a picture or volume, masks that follow, undo and redo"""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.choices import Choice, choices
from lite_medsam.errors import PromptError
from lite_medsam.instances import split_instances
from lite_medsam.predictor import Predictor
from lite_medsam.prompts import Prompt, validate
from lite_medsam.region import Region
from lite_medsam.scan import Scan
from lite_medsam.strokes import brushed, checked_stroke, clicks_along

MAX_OBJECTS = 100
MAX_HISTORY = 60
MAX_POINTS = 400  # per object and slice
MAX_NAME = 60
_FLUID = re.compile(r"fluid|cyst|\b(irf|srf|ped)\b")  # what `take_home` counts as fluid


@dataclass(frozen=True, eq=False)
class Answer:
    """What was said about an object on one slice, and the mask that it led to.

    Attributes:
        box: x0, y0, x1, y1 in pixels, last pixel inside.
        points: (x, y, 1 object or 0 background).
        previous: The mask that was refined, None at the start.
        choices: What the prompts can mean, the model's answer first; () for a mask that was painted or given.
        chosen: Index into `choices`.
        painted: The mask where it is no choice of the model: painted, merged, split or followed from another slice.
    """

    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float, int], ...] = ()
    previous: Region | None = None
    choices: tuple[Choice, ...] = ()
    chosen: int = 0
    painted: Region | None = None

    @property
    def region(self) -> Region:
        """The mask that is shown."""
        return self.painted if self.painted is not None else self.choices[self.chosen].region

    @property
    def score(self) -> float | None:
        """The model's estimate of the mask's IoU, None for a painted one."""
        return None if self.painted is not None else self.choices[self.chosen].score

    def prompt(self, name: str | None = None) -> Prompt:
        """The prompt that `Predictor.segment` answers with exactly the mask that is shown.

        A mask that the model does not answer by itself, painted or an alternative, is a final one.
        """
        final = self.painted is not None or self.chosen > 0
        mask = self.region if final else self.previous
        xy, labels = [point[:2] for point in self.points], [point[2] for point in self.points]
        return Prompt(self.box, xy, labels, None if mask is None else mask.full(), name, final)


@dataclass(frozen=True, eq=False)
class ObjectState:
    """One object: its name, and what is known of it by slice (slice 0 of a picture).

    Attributes:
        id: Never used twice in a session.
        name: What outputs call it.
        answers: Slices that the user has said something about.
        followed: Masks that propagation found on other slices.
        scores: The model's estimate for the followed ones.
    """

    id: int
    name: str
    answers: dict[int, Answer] = field(default_factory=dict)
    followed: dict[int, Region] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)

    def region(self, index: int) -> Region | None:
        """The mask on a slice, None where there is none."""
        if index in self.answers:
            return self.answers[index].region
        return self.followed.get(index)

    def regions(self) -> dict[int, Region]:
        """Every slice that has a mask with at least one pixel."""
        both = self.followed | {index: answer.region for index, answer in self.answers.items()}
        return {index: region for index, region in sorted(both.items()) if region.area_px}


@dataclass(frozen=True)
class Snapshot:
    """All that undo brings back."""

    objects: tuple[ObjectState, ...] = ()
    selected: int | None = None

    def find(self, object_id: int | None) -> ObjectState:
        """The object of this id, by default the selected one.

        Raises:
            PromptError: If there is none.
        """
        wanted = self.selected if object_id is None else object_id
        for item in self.objects:
            if item.id == wanted:
                return item
        raise PromptError("an object must be one of the list, got one that is not there any more; select another")

    def with_object(self, item: ObjectState) -> "Snapshot":
        """The object in place of the one with its id, or at the end; selected."""
        if any(old.id == item.id for old in self.objects):
            objects = tuple(item if old.id == item.id else old for old in self.objects)
        else:
            objects = (*self.objects, item)
        return Snapshot(objects, item.id)


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
        self._commit(self.now.with_object(replace(item, name=_checked_name(name))))

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
        """Makes one object of several: on each slice the union of their masks, under the name of the first."""
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
                part = replace(part, answers={index: Answer(painted=Region.of(piece))})
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
        self._store(item, index, self._decode(index, checked, old.points, None))

    def draw_new(self, box, index: int = 0) -> None:
        """Draws the box of an object that is not there yet."""
        item = self._new_object(None)
        self._store(item, index, self._decode(index, validate(Prompt(box=box), self.image_hw).box, (), None))

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
            self._store(item, index, self._decode(index, old.box, points, None))

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
        """The objects that have a mask on a slice, with the prompt that makes it."""
        found = []
        for item in self.now.objects:
            region = item.region(index)
            if region is None or not region.area_px:
                continue
            answer = item.answers.get(index) or Answer(painted=region)
            found.append((item, answer.prompt(item.name)))
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
        items = [item for item in self.now.objects if _is_seen(item)]
        if not items:
            raise PromptError("an object must have a mask on one slice to be followed, got none; draw a box first")
        return items

    def propagate(
        self,
        on_slice: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Snapshot:
        """Follows all objects from the slices that were prompted into the others, both ways.

        It only computes; `adopt` makes the result the session's, so that it can run beside other calls.

        Args:
            on_slice: Called with slices done and slices in all.
            stop: Polled for every slice; what is finished by then is returned.

        Raises:
            PromptError: As `followable`.
        """
        from lite_medsam.volume import propagate

        items, snapshot = self.followable(), self.now
        seeds = [_seed(item) for item in items]
        found = propagate(self.predictor, self.volume(), seeds, on_slice=on_slice, stop=stop)
        for number, item in enumerate(items):
            mask, followed, scores = found.mask(number), {}, {}
            for z in np.flatnonzero(mask.any((1, 2))).tolist():
                if z not in item.answers:
                    followed[z] = Region.of(mask[z])
                    scores[z] = float(found.scores[number, z])
            snapshot = snapshot.with_object(replace(item, followed=followed, scores=scores))
        return replace(snapshot, selected=self.now.selected)

    def adopt(self, found: Snapshot) -> None:
        """Takes the masks that `propagate` found; objects that were changed meanwhile keep what they have."""
        by_id = {item.id: item for item in found.objects}
        objects = tuple(
            replace(item, followed=by_id[item.id].followed, scores=by_id[item.id].scores)
            if item.id in by_id and by_id[item.id].answers is item.answers
            else item
            for item in self.now.objects
        )
        self._commit(replace(self.now, objects=objects))

    def volume_objects(self) -> tuple[list, list[np.ndarray], list[float | None]]:
        """For volumes: what was settled of each object that has a mask, its (D, H, W) bool mask, and its mean score."""
        seeds, masks, scores = [], [], []
        for item in self.now.objects:
            regions = item.regions()
            if not regions or not _is_seen(item):
                continue
            mask = np.zeros((self.slices, *self.image_hw), bool)
            for z, region in regions.items():
                mask[z] = region.full()
            known = [item.answers[z].score if z in item.answers else item.scores.get(z) for z in regions]
            known = [score for score in known if score is not None and np.isfinite(score)]
            seeds.append(_seed(item))
            masks.append(mask)
            scores.append(float(np.mean(known)) if known else None)
        return seeds, masks, scores

    def label_map(self) -> np.ndarray:
        """(H, W) or (D, H, W), values from 1 in the order of the list; a later object covers an earlier one.

        Objects without any mask have no value.
        """
        labels = np.zeros((self.slices, *self.image_hw), np.uint8)
        seen = [item for item in self.now.objects if item.regions()]
        for value, item in enumerate(seen, start=1):
            for z, region in item.regions().items():
                labels[z][region.full()] = value
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
        return ObjectState(number, _checked_name(name) if name else f"{kind} {number}")

    def _add_points(self, points: list, positive: bool, index: int, object_id: int | None) -> None:
        item = self._target(object_id)
        old = item.answers.get(index, Answer())
        before = item.region(index)
        previous = before if before is not None and before.area_px else None
        if len(old.points) + len(points) > MAX_POINTS:
            raise PromptError(f"an object must have at most {MAX_POINTS} clicks on a slice; clear it and start again")
        added = tuple((x, y, int(positive)) for x, y in points)
        self._store(item, index, self._decode(index, old.box, old.points + added, previous))

    def _decode(self, index: int, box, points: tuple, previous: Region | None) -> Answer:
        pixels = self.pixels(index)
        xy, labels = [point[:2] for point in points], [point[2] for point in points]
        prompt = Prompt(box, xy, labels, None if previous is None else previous.full())
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
                new = self._decode(index, old.box, old.points, old.previous)
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


def is_fluid(name: str) -> bool:
    """Whether an object's name says that it is fluid in the retina: fluid, cyst, IRF, SRF, PED."""
    return bool(_FLUID.search(name.lower()))


def _is_seen(item: ObjectState) -> bool:
    return any(answer.region.area_px for answer in item.answers.values())


def _seed(item: ObjectState):
    """What was settled of an object, slice by slice; an empty mask says that it is not there."""
    from lite_medsam.volume import VolumeObject

    given = {z: Prompt(mask=answer.region.full(), name=item.name) for z, answer in item.answers.items()}
    return VolumeObject(given, item.name)


def _without(items: dict, key) -> dict:
    return {k: v for k, v in items.items() if k != key}


def _checked_name(name: str) -> str:
    cleaned = " ".join(str(name).split())
    if not cleaned or len(cleaned) > MAX_NAME or not cleaned.isprintable():
        raise PromptError(f"a name must be 1 to {MAX_NAME} characters, got {len(cleaned)}")
    return cleaned
