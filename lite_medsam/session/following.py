"""Objects of a session followed through a volume, and what has become of them there."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Source
from lite_medsam.session.plane_following import followed_across
from lite_medsam.session.shown import ShownScan
from lite_medsam.session.state import ObjectState, Snapshot
from lite_medsam.volumes.planes import planes_of
from lite_medsam.volumes.propagation import VolumeObject, propagate

# what following finds of an object
_FOUND = ("followed", "scores", "ended", "weak", "followed_with", "followed_from")


def follow(
    volume: np.ndarray,
    snapshot: Snapshot,
    on_slice: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Snapshot:
    """Follows objects from the slices that were settled into the others, both ways.

    A settled slice stays as it is. An empty mask on it says that the object is not there.

    Args:
        volume: (D, H, W) or (D, H, W, 3) uint8.
        snapshot: The model and the objects; those without a settled mask and locked ones are left as they are.
        on_slice: Called with slices done and slices in all.
        stop: Polled for every slice; what is finished by then is returned.
    """
    items = [item for item in snapshot.objects if _is_settled_on_slice(item) and not item.locked]
    assert snapshot.given is not None  # there are objects, so there was a model
    predictor, source = snapshot.given.predictor, snapshot.given.source
    seeds = [seed_of(item, source, predictor.spec.targets) for item in items]
    found = propagate(predictor, volume, seeds, on_slice=on_slice, stop=stop)
    selected = snapshot.selected
    for number, item in enumerate(items):
        mask, followed, scores = found.mask(number), {}, {}
        for z in np.flatnonzero(mask.any((1, 2))).tolist():
            if z not in item.answers:
                followed[z] = Region.of(mask[z])
                scores[z] = float(found.scores[number, z])
        weak = {z: why for z, why in sorted(found.weak[number].items()) if z not in item.answers}
        item = replace(item, followed=followed, scores=scores, ended=found.ends[number], weak=weak)
        snapshot = snapshot.with_object(replace(item, followed_with=source, followed_from=item.answers))
    return replace(snapshot, selected=selected)


def _is_settled_on_slice(item: ObjectState) -> bool:
    return any(answer.region.area_px for answer in item.answers.values())


def adopted(now: Snapshot, found: Snapshot) -> Snapshot:
    """The objects with the masks that `follow` found; those that were changed meanwhile keep what they have."""
    by_id = {item.id: item for item in found.objects}
    objects = tuple(
        replace(item, **{name: getattr(by_id[item.id], name) for name in _FOUND})
        if item.id in by_id and _is_unchanged(item, by_id[item.id]) and not item.locked
        else item
        for item in now.objects
    )
    return replace(now, objects=objects)


def _is_unchanged(item: ObjectState, before: ObjectState) -> bool:
    return before.answers is item.answers and before.planes is item.planes


def seed_of(item: ObjectState, source: Source | None, known: Sequence[str] = ()) -> VolumeObject:
    """What was said of an object, slice by slice, with the masks that the model does not answer by itself.

    Args:
        item: The object.
        source: What the model is asked with.
        known: The names that it knows; the object has its target where that is one of them.
    """
    target = item.target_among(known)
    given = {
        z: answer.prompt(source, item.name, target) if answer.region.area_px else _final(answer.region, item.name)
        for z, answer in item.answers.items()
    }
    return VolumeObject(given, item.name, target=target)


def saved_of(item: ObjectState, source: Source | None, known: Sequence[str] = ()) -> VolumeObject:
    """What makes an object's masks once more on every slice: what was said of it.

    Where its slices do not follow from that as it stands (it was not followed, not to the end, with another model or
    before the last correction), its followed masks are final ones, and it goes no further.
    """
    seed = seed_of(item, source, known)
    stopped = any(end.why == "stopped" for end in item.ended)
    if item.followed_from is item.answers and item.followed_with == source and not stopped and not item.planes:
        return seed
    shown = sorted(item.regions())
    if not shown:
        return seed
    given = {z: prompt for z, prompt in seed.prompts.items() if shown[0] <= z <= shown[-1]}
    for z in set(shown) - set(given):
        given[z] = _final(item.followed[z], item.name)
    for low, high in itertools.pairwise(sorted(given)):
        for z in {low + 1, high - 1} - {low, high}:  # not in between
            given[z] = _final(Region.of(np.zeros(item.regions()[shown[0]].image_hw, bool)), item.name)
    return replace(seed, prompts=dict(sorted(given.items())), z_range=(shown[0], shown[-1]))


def _final(region: Region, name: str) -> Prompt:
    return Prompt(mask=region.full(), name=name, final=True)


def volume_objects(
    snapshot: Snapshot, shape: tuple[int, int, int]
) -> tuple[list[VolumeObject], list[np.ndarray], list[float | None]]:
    """What makes each object that has a mask, see `saved_of`, its (D, H, W) bool mask, and the mean of its scores.

    Args:
        snapshot: The objects.
        shape: (D, H, W).
    """
    source = None if snapshot.given is None else snapshot.given.source
    known = () if snapshot.given is None else snapshot.given.predictor.spec.targets
    seeds, masks, scores = [], [], []
    for item in with_masks(snapshot):
        regions = item.regions()
        mask = np.zeros(shape, bool)
        for z, region in regions.items():
            mask[z][region.window] = region.inside
        given = [item.answers[z].score if z in item.answers else item.scores.get(z) for z in regions]
        sure = [score for score in given if score is not None and np.isfinite(score)]
        seeds.append(replace(saved_of(item, source, known), number=item.number))
        masks.append(mask)
        scores.append(float(np.mean(sure)) if sure else None)
    return seeds, masks, scores


def label_map(snapshot: Snapshot, shape: tuple[int, int, int]) -> np.ndarray:
    """(D, H, W) unsigned integers, the objects' numbers; a later object covers an earlier one.

    Objects without a settled mask are not in it.
    """
    labels = np.zeros(shape, np.min_scalar_type(snapshot.next_number))
    for item in with_masks(snapshot):
        for z, region in item.regions().items():
            labels[z][region.window][region.inside] = item.number
    return labels


def with_masks(snapshot: Snapshot) -> list[ObjectState]:
    """The objects with a settled mask."""
    return [item for item in snapshot.objects if item.is_settled]


class FollowedScan(ShownScan):
    """The part of a session that is about slices."""

    def followable(self) -> list[ObjectState]:
        """The objects that can be followed: those with a mask that the user has settled on one slice at least.

        Raises:
            PromptError: If this is a picture, or there is none, or all are locked.
        """
        if not self.scan.is_volume:
            raise PromptError("only volumes have slices to follow an object through, this is a picture")
        settled = with_masks(self.now)
        if not settled:
            raise PromptError("an object must have a mask on one slice to be followed, got none; draw a box first")
        items = [item for item in settled if not item.locked]
        if not items:
            raise PromptError("every object with a mask is locked, so none can be followed; unlock one first")
        return items

    def propagate(
        self, on_slice: Callable[[int, int], None] | None = None, stop: Callable[[], bool] | None = None
    ) -> Snapshot:
        """Follows all objects from the slices that were settled into the others, both ways, see `follow`.

        It only computes; `adopt` makes the result the session's, so that it can run beside other calls.

        Raises:
            PromptError: As `followable`.
        """
        self.followable()
        found = follow(self.volume(), self.now, on_slice, stop)
        planes = planes_of(self.scan.geometry, self.scan.modality)
        return followed_across(self.volume(), found, planes, self.spacing_mm, on_slice, stop)

    def adopt(self, found: Snapshot) -> None:
        """Takes the masks that `propagate` found; objects that were changed meanwhile keep what they have."""
        self.commit(adopted(self.now, found))

    def volume_objects(self) -> tuple[list, list[np.ndarray], list[float | None]]:
        """See the function of this name."""
        return volume_objects(self.now, (self.slices, *self.image_hw))

    def label_map(self) -> np.ndarray:
        """(H, W) or (D, H, W), see the function of this name."""
        labels = label_map(self.now, (self.slices, *self.image_hw))
        return labels if self.scan.is_volume else labels[0]
