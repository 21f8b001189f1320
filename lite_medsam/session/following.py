"""Objects of a session followed through a volume, and what has become of them there."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.state import ObjectState, Snapshot
from lite_medsam.volumes.propagation import VolumeObject, propagate


def follow(
    predictor: Predictor,
    volume: np.ndarray,
    snapshot: Snapshot,
    on_slice: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Snapshot:
    """Follows objects from the slices that were settled into the others, both ways.

    A settled slice stays as it is. An empty mask on it says that the object is not there.

    Args:
        predictor: The model.
        volume: (D, H, W) or (D, H, W, 3) uint8.
        snapshot: The objects; those without a settled mask are left as they are.
        on_slice: Called with slices done and slices in all.
        stop: Polled for every slice; what is finished by then is returned.
    """
    items = [item for item in snapshot.objects if item.is_settled and not item.locked]
    seeds = [seed_of(item, predictor.spec.targets) for item in items]
    found = propagate(predictor, volume, seeds, on_slice=on_slice, stop=stop)
    selected = snapshot.selected
    for number, item in enumerate(items):
        mask, followed, scores = found.mask(number), {}, {}
        for z in np.flatnonzero(mask.any((1, 2))).tolist():
            if z not in item.answers:
                followed[z] = Region.of(mask[z])
                scores[z] = float(found.scores[number, z])
        snapshot = snapshot.with_object(replace(item, followed=followed, scores=scores, ended=found.ends[number]))
    return replace(snapshot, selected=selected)


def adopted(now: Snapshot, found: Snapshot) -> Snapshot:
    """The objects with the masks that `follow` found; those that were changed meanwhile keep what they have."""
    by_id = {item.id: item for item in found.objects}
    objects = tuple(
        replace(item, followed=by_id[item.id].followed, scores=by_id[item.id].scores, ended=by_id[item.id].ended)
        if item.id in by_id and by_id[item.id].answers is item.answers and not item.locked
        else item
        for item in now.objects
    )
    return replace(now, objects=objects)


def seed_of(item: ObjectState, known: Sequence[str] = ()) -> VolumeObject:
    """What was settled of an object, slice by slice; its target where it is one of the known names."""
    given = {z: Prompt(mask=answer.region.full(), name=item.name) for z, answer in item.answers.items()}
    return VolumeObject(given, item.name, target=item.target_among(known))


def volume_objects(
    snapshot: Snapshot, shape: tuple[int, int, int], known: Sequence[str] = ()
) -> tuple[list[VolumeObject], list[np.ndarray], list[float | None]]:
    """What was settled of each object that has a mask, its (D, H, W) bool mask, and the mean of its scores.

    Args:
        snapshot: The objects.
        shape: (D, H, W).
        known: The names that the model knows.
    """
    seeds, masks, scores = [], [], []
    for item in _with_masks(snapshot):
        regions = item.regions()
        mask = np.zeros(shape, bool)
        for z, region in regions.items():
            mask[z] = region.full()
        given = [item.answers[z].score if z in item.answers else item.scores.get(z) for z in regions]
        sure = [score for score in given if score is not None and np.isfinite(score)]
        seeds.append(seed_of(item, known))
        masks.append(mask)
        scores.append(float(np.mean(sure)) if sure else None)
    return seeds, masks, scores


def label_map(snapshot: Snapshot, shape: tuple[int, int, int]) -> np.ndarray:
    """(D, H, W) uint8, values from 1 in the order of the list; a later object covers an earlier one.

    Objects without a settled mask have no value.
    """
    labels = np.zeros(shape, np.uint8)
    for value, item in enumerate(_with_masks(snapshot), start=1):
        for z, region in item.regions().items():
            labels[z][region.full()] = value
    return labels


def _with_masks(snapshot: Snapshot) -> list[ObjectState]:
    return [item for item in snapshot.objects if item.is_settled]
