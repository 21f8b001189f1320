"""3D prompts followed slice by slice: each slice is encoded once for all objects on their way."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.preprocessing import Frame
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.prompts.volume_objects import (
    PropagationLimits,
    VolumeObject,
    check_volume,
    checked_objects,
    is_finished,
    seeds_from_boxes,
)
from lite_medsam.segment.checks import check_kinds
from lite_medsam.segment.prediction import Prediction
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.paths import (
    UP,
    Path,
    between,
    common_share,
    ending_of,
    grown,
    limits_of_doubt,
    look_of,
    paths_of,
    why_different,
)
from lite_medsam.volumes.prediction import Ending, SliceMask, VolumePrediction

__all__ = [
    "PropagationLimits",
    "VolumeObject",
    "VolumePrediction",
    "propagate",
    "seeds_from_boxes",
]


def propagate(
    predictor: Predictor,
    volume: np.ndarray,
    seeds: Iterable[VolumeObject],
    *,
    limits: PropagationLimits | None = None,
    on_slice: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    axis: int = 0,
) -> VolumePrediction:
    """Segments objects in a volume from prompts on a few of its slices.

    Two passes, one towards the last slice and one back. Each visits a slice once for all objects that need it, so a slice
    is encoded once (and once per shared crop) where the objects' prompts lie on one slice, and at most twice otherwise.
    Each object is decoded once per slice. An object is prompted with the box of its mask on the slice before, a little
    larger. Between two prompted slices of an object the box comes from both masks, by distance. Once an object has ended
    it is not found again beyond.

    Args:
        predictor: The model.
        volume: (D, H, W) or (D, H, W, 3) uint8.
        seeds: The objects.
        limits: How to follow, and when an object has ended.
        on_slice: Called after each slice of the two passes with how many are done, and how many there are at most.
        stop: Asked before each slice; when it says True, what is finished is returned.
        axis: Of the array, which slices lie across: the model sees the plane of the two others, the earlier one as rows.
            Prompts count slices along it, and columns and rows in that plane.

    Returns:
        The masks; memory grows with the objects' boxes, not with the number of slices times objects.

    Raises:
        CaseError: If the volume has another type or shape.
        PromptError: If a prompt does not fit its slice, is of a kind that the model was not trained on, or an object has a
            target that the model does not know.
    """
    check_volume(volume)
    if axis not in (0, 1, 2):
        raise CaseError(f"axis must be 0, 1 or 2 of the volume's (D, H, W), got {axis!r}")
    if axis:  # slices are taken one by one: fast only where each lies together
        volume = np.ascontiguousarray(np.moveaxis(volume, axis, 0))
    objects = checked_objects(seeds, (volume.shape[0], volume.shape[1], volume.shape[2]))
    for i, item in enumerate(objects):
        place = f"object {i + 1}"
        try:
            if item.target is not None:
                check_target(item.target, predictor.spec.targets, predictor.spec.name)
            for z, prompt in item.prompts.items():
                place = f"object {i + 1}, slice {z}"
                if not is_finished(prompt):
                    check_kinds(prompt, predictor.spec)
        except PromptError as error:
            raise PromptError(f"{place}: {error}") from None
    limits = limits or PropagationLimits()
    if limits.use_mask and "mask" not in predictor.spec.prompts:
        limits = replace(limits, use_mask=False)
    follower = _Follower(predictor.for_slices(), volume, objects, limits)
    steps = follower.steps()
    stopped = False
    for done, (z, members) in enumerate(steps, start=1):
        if stop is not None and stop():
            stopped = True
            break
        follower.visit(z, members)
        if on_slice is not None:
            on_slice(done, len(steps))
    return replace(follower.result(stopped), axis=axis)


# what is found there may be the object all the same; a mask that has leaked is of no use
_USABLE = ("score", "strength", "contrast")


class _Follower:
    """The state of one call of `propagate`: what was found, and which objects are still on their way."""

    def __init__(
        self, predictor: Predictor, volume: np.ndarray, objects: list[VolumeObject], limits: PropagationLimits
    ):
        self.predictor, self.volume, self.objects, self.limits = predictor, volume, objects, limits
        self.threshold = predictor.spec.mask_threshold
        self.stricter = limits_of_doubt(limits)
        self.found: list[dict[int, SliceMask]] = [{} for _ in objects]
        self.weak: list[dict[int, str]] = [{} for _ in objects]
        self.scores = np.full((len(objects), len(volume)), np.nan, np.float32)
        self.paths = [paths_of(item, len(volume)) for item in objects]
        self.same: dict[tuple[int, int], bool] = {}  # whether two neighbours are one picture
        self.logits: dict[tuple[int, int], np.ndarray] = {}  # (object, path) -> what the mask prompt is made of

    def steps(self) -> list[tuple[int, list[tuple[int, Path]]]]:
        """The slices in the order of the two passes, each with the objects and paths that visit it."""
        steps = []
        for direction in (UP, -UP):
            by_slice: dict[int, list[tuple[int, Path]]] = {}
            for i, paths in enumerate(self.paths):
                for path in paths:
                    if path.direction == direction:
                        for z in path.slices:
                            by_slice.setdefault(z, []).append((i, path))
            steps += [(z, by_slice[z]) for z in sorted(by_slice, reverse=direction != UP)]
        return steps

    def visit(self, z: int, members: list[tuple[int, Path]]) -> None:
        """Segments the objects that need this slice."""
        asked: list[tuple[int, Path, Prompt]] = []
        for i, path in members:
            if path.ended is None and self._is_repeated(i, path, z):
                self._repeat(i, path, z)
            elif path.ended is None:
                prompt = self._prompt(i, path, z)
                if prompt is None:
                    path.ended = "empty"
                elif path.is_seed and prompt.mask is not None and is_finished(prompt):
                    self._keep(i, z, SliceMask.cut(np.greater(prompt.mask, 0), None, (0, 0), 1.0))
                else:
                    asked.append((i, path, prompt))
        if not asked:
            return
        prediction = self.predictor.segment(self.volume[z], [prompt for _, _, prompt in asked])
        for k, (i, path, _) in enumerate(asked):
            mask = self._cut(prediction, k, i)
            why = self._why_ended(mask, i, path, z)
            if why is None:
                self._accept_doubtful(i, path)
                self._keep(i, z, mask)
                if self.limits.use_mask:
                    self.logits[i, path.direction] = prediction.image_logits(k)
            else:
                if why != "empty" and not path.doubtful:
                    self.scores[i, z] = mask.score
                self._doubt(path, z, mask, why)

    def _doubt(self, path: Path, z: int, mask: SliceMask, why: str) -> None:
        """Notes that a slice does not show the object; after too many of them it has ended."""
        path.doubtful.append((z, mask if why in _USABLE else None, why))
        path.misses += 1
        if path.misses > self.limits.patience:
            path.ended = path.doubtful[0][2]

    def _accept_doubtful(self, i: int, path: Path) -> None:
        """Takes the slices before one that shows the object again: they need a look."""
        for z, mask, why in path.doubtful:
            self.weak[i][z] = why
            if mask is not None:
                self._keep(i, z, mask)
        path.doubtful, path.misses = [], 0

    def _repeat(self, i: int, path: Path, z: int) -> None:
        """Takes what was found on the slice before for its repetition."""
        before = z - path.direction
        if path.doubtful:
            _, mask, why = path.doubtful[-1]
            path.doubtful.append((z, mask, why))
        else:
            self._keep(i, z, self.found[i][before])
            if before in self.weak[i]:
                self.weak[i][z] = self.weak[i][before]

    def _is_repeated(self, i: int, path: Path, z: int) -> bool:
        """Whether a slice is the one before once more, as in volumes that were resampled by repeating: then so is the mask.

        Asking again and again with the box of the answer before would let the mask drift where nothing has changed.
        """
        before = z - path.direction
        if path.is_seed or path.between is not None or not (path.doubtful or before in self.found[i]):
            return False
        drawn = self.objects[i].prompts.get(before)
        if drawn is not None and is_finished(drawn):  # what was drawn is for its slice
            return False
        if (z, before) not in self.same:
            self.same[z, before] = np.array_equal(self.volume[z], self.volume[before])
        return self.same[z, before]

    def _keep(self, i: int, z: int, mask: SliceMask) -> None:
        self.scores[i, z] = mask.score
        self.found[i][z] = mask

    def _cut(self, prediction: Prediction, k: int, i: int) -> SliceMask:
        frame = prediction.frames[k]
        logits = prediction.window_logits(k) - np.float32(self.threshold)
        inside = logits > 0
        bounds = self.objects[i].bounds
        if bounds is not None:
            inside &= _within(bounds, frame)
        return SliceMask.cut(inside, logits, (frame.x0, frame.y0), float(prediction.scores[k]))

    def _prompt(self, i: int, path: Path, z: int) -> Prompt | None:
        """What the model is asked on a slice; None where the object has nothing to come from."""
        item, found = self.objects[i], self.found[i]
        if path.is_seed:
            return item.prompts[z]
        image_hw = self.volume.shape[1:3]
        if path.between is not None:
            before, after = (found.get(end) for end in path.between)
            share = (z - path.between[0]) / (path.between[1] - path.between[0])
            box = between(before, after, share)
            box = None if box is None else grown(box, self.limits, image_hw, item.bounds)
            return None if box is None else Prompt(box=box, target=item.target)
        mask = found.get(path.source_of(z))
        if mask is None or mask.box is None:
            return None
        previous = self.logits.get((i, path.direction)) if self.limits.use_mask else None
        box = grown(mask.box, self.limits, image_hw, item.bounds)
        return Prompt(box=box, mask=previous, target=item.target)

    def _why_ended(self, mask: SliceMask, i: int, path: Path, z: int) -> str | None:
        """Why the object is not on this slice any more, None if it is. What the user asked for is never refused."""
        if path.is_seed or path.between is not None:
            return None
        before = self.found[i][path.source_of(z)]
        area = mask.area_px
        if area < max(1, self.limits.minimum_area_px):
            return "empty"
        # (small masks may triple by a few pixels)
        if area > self.limits.maximum_growth * before.area_px + 16:
            return "area"
        look = look_of(mask, self.volume[z])
        if path.look is None:
            start = path.slices[0] - path.direction  # the prompted slice
            # a mask that the user drew says nothing of how sure the model is: then the first answer is what counts
            is_drawn = is_finished(self.objects[i].prompts[start])
            path.look = look if is_drawn else look_of(self.found[i][start], self.volume[start])
        why = why_different(look, path.look, self.limits)
        if why is None:
            doubt = why_different(look, path.look, self.stricter)
            if doubt is None and common_share(mask, before) < self.limits.minimum_common:
                doubt = "jump"
            if doubt is not None:
                self.weak[i][z] = doubt
        return why

    def result(self, stopped: bool) -> VolumePrediction:
        ends = tuple(self._ends(i, stopped) for i in range(len(self.objects)))
        names = tuple(_name(item) for item in self.objects)
        facts = (self.volume.shape[:3], tuple(self.found), self.scores, names, ends, stopped)
        return VolumePrediction(*facts, weak=tuple(self.weak))

    def _ends(self, i: int, stopped: bool) -> tuple[Ending, Ending]:
        held = [z for z, mask in self.found[i].items() if mask.strength.size]
        visited = (self.paths[i], self.found[i], len(self.volume), stopped)
        return ending_of(-UP, min(held, default=None), *visited), ending_of(UP, max(held, default=None), *visited)


def _within(bounds: tuple[float, float, float, float], frame: Frame) -> np.ndarray:
    """(h, w) bool, the pixels of a frame's window that a rectangle touches."""
    x0, y0, x1, y1 = bounds
    x, y = np.arange(frame.width) + frame.x0, np.arange(frame.height) + frame.y0
    return ((y > y0 - 1) & (y < y1 + 1))[:, None] & ((x > x0 - 1) & (x < x1 + 1))[None]


def _name(item: VolumeObject) -> str | None:
    return item.name or next((prompt.name for prompt in item.prompts.values() if prompt.name), None)
