"""From what was said about an object to its mask in the whole volume."""

from collections.abc import Callable, Mapping

import numpy as np

from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.serve.planes import Planes
from lite_medsam.serve.spoken import Said, Spoken
from lite_medsam.serve.voxels import Voxels, window
from lite_medsam.volumes.propagation import propagate


def follow(
    predictor: Predictor, planes: Planes, spoken: Spoken, stop: Callable[[], bool] | None = None
) -> tuple[Spoken, bool]:
    """Answers what was said.

    Along each axis on which something was said, the object is followed from the prompted slices into the others, as
    `propagate` does; what was found along several axes is united. Beside an initial segmentation, which stays on the slices
    that nothing was said of, words on the object add what they lead to in the whole volume, and words on what it is not
    change their own slices.

    Args:
        predictor: The model.
        planes: The volume.
        spoken: What was said.
        stop: Asked before each slice; what is finished by then is the answer.

    Returns:
        The same with its answer, and whether slices may be missing.
    """
    initial, stopped = spoken.initial, False
    if spoken.refines and initial is not None:
        refined, stopped = _refined(predictor, planes, initial, stop)
        initial = Voxels.of(refined)
    mask = np.zeros(spoken.shape, bool) if initial is None else initial.full()
    found = {}
    for axis, said in spoken.said.items():
        prompts = {index: each.prompt(predictor.spec.prompts) for index, each in said.items()}
        asked = {index: prompt for index, prompt in prompts.items() if prompt is not None}
        if not asked:
            continue
        kept_to = None if initial is None or any(each.is_positive for each in said.values()) else said
        part, early = _followed(predictor, planes.along(axis), asked, kept_to, stop)
        stopped |= early
        if initial is not None:
            view = np.moveaxis(mask, axis, 0)
            for index, each in said.items():
                if each.previous is not None:
                    view[index] = False  # the mask there was refined, the answer takes its place
        turned = np.moveaxis(part, 0, axis)
        found[axis] = Voxels.of(turned)
        mask |= turned
    for taken in spoken.cut:
        if taken.bounds is not None:
            mask[window(taken.bounds)] &= ~taken.inside()
    return spoken.answered(Voxels.of(mask), found, initial), stopped


def _followed(
    predictor: Predictor,
    volume: np.ndarray,
    prompts: Mapping[int, Prompt],
    kept_to: Mapping[int, Said] | None,
    stop: Callable[[], bool] | None,
) -> tuple[np.ndarray, bool]:
    """(D, H, W) bool of one object; `kept_to` are the slices that it is not followed beyond."""
    z_range = None if kept_to is None else (min(prompts), max(prompts))
    result = propagate(predictor, volume, [VolumeObject(prompts, z_range=z_range)], stop=stop)
    mask = result.mask(0)
    if kept_to is not None:
        mask[[z for z in range(len(mask)) if z not in kept_to]] = False
    return mask, result.stopped


def _refined(
    predictor: Predictor, planes: Planes, initial: Voxels, stop: Callable[[], bool] | None
) -> tuple[np.ndarray, bool]:
    """(X, Y, Z) bool: a segmentation asked for anew on each of its slices, from its own mask and the box around that."""
    axis = planes.usual_axis
    prompts = {}
    for z, plane in enumerate(np.moveaxis(initial.full(), axis, 0)):
        box = Region.of(plane).box
        if box is not None:
            x0, y0, x1, y1 = (float(v) for v in box)
            prompts[z] = Prompt((x0, y0, x1, y1), mask=plane if "mask" in predictor.spec.prompts else None)
    if not prompts:
        return initial.full(), False
    item = VolumeObject(prompts, z_range=(min(prompts), max(prompts)))
    result = propagate(predictor, planes.along(axis), [item], stop=stop)
    kept = result.mask(0)
    if result.stopped:  # slices that were not reached stay as they were
        for z in set(prompts) - set(result.found[0]):
            kept[z] = prompts[z].mask if prompts[z].mask is not None else kept[z]
    return np.moveaxis(kept, 0, axis), result.stopped
