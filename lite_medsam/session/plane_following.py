"""Objects of a session followed from what was said of them on other planes than that of the slices."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Source
from lite_medsam.session.state import ObjectState, Snapshot
from lite_medsam.volumes.planes import Plane, Squared, follow_across
from lite_medsam.volumes.prediction import Ending


def followed_across(
    volume: np.ndarray,
    found: Snapshot,
    planes: Sequence[Plane],
    spacing_mm: tuple[float, ...] | None,
    on_slice: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Snapshot:
    """Follows objects from their pictures on other planes, beside what was followed through the slices.

    A voxel belongs to an object where it was found either way; slices and pictures with prompts keep their own masks.

    Args:
        volume: (D, H, W) or (D, H, W, 3) uint8.
        found: The model, and the objects as they were followed through the slices.
        planes: By axis of the array.
        spacing_mm: (z, y, x), None where it is not known.
        on_slice: Called with pictures done, and how many there are at most.
        stop: Polled for every picture.
    """
    items = [item for item in found.objects if item.planes and not item.locked]
    if not items or found.given is None:
        return found
    predictor, selected = found.given.predictor, found.selected
    masks = {item.id: _through_slices(item, volume.shape[:3]) for item in items}
    for axis in (1, 2):
        own = [item for item in items if any(key[0] == axis for key in item.planes)]
        if not own:
            continue
        seeds = [{i: answer.region.full() for (a, i), answer in item.planes.items() if a == axis} for item in own]
        targets = [item.target_among(predictor.spec.targets) for item in own]
        plane = planes[axis]
        squared = Squared.of(plane, spacing_mm)
        across = follow_across(predictor, volume, plane, squared, seeds, targets, on_slice, stop)
        for item, pictures in zip(own, across, strict=True):
            turned = plane.turned(masks[item.id])
            for index, mask in pictures.items():
                turned[index] |= mask
    for item in items:
        found = found.with_object(_with_masks(item, masks[item.id], planes, found.given.source))
    return replace(found, selected=selected)


def _through_slices(item: ObjectState, shape: tuple[int, ...]) -> np.ndarray:
    """What was said on slices, and what was followed from there just now; nothing that is left from before."""
    mask = np.zeros(shape, bool)
    is_new = bool(item.answers) and item.followed_from is item.answers
    regions = item.regions() if is_new else {z: answer.region for z, answer in item.answers.items()}
    for z, region in regions.items():
        mask[z] = region.full()
    return mask


def _with_masks(item: ObjectState, mask: np.ndarray, planes: Sequence[Plane], source: Source) -> ObjectState:
    for (axis, index), answer in item.planes.items():
        planes[axis].turned(mask)[index] = answer.region.full()
    slices = np.flatnonzero(mask.any((1, 2))).tolist()
    followed = {z: Region.of(mask[z]) for z in slices if z not in item.answers}
    ended = item.ended
    if slices and not item.answers:  # its own ways along the slices did not end, it was followed on another plane
        ended = (Ending(slices[0], "plane"), Ending(slices[-1], "plane"))
    return replace(item, followed=followed, ended=ended, followed_with=source, followed_from=item.answers)
