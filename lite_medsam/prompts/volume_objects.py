"""What is asked of a volume: objects with prompts on slices, limits of following them, 3D boxes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.prompts.prompt_set import Prompt, validate


@dataclass(frozen=True, eq=False)
class VolumeObject:
    """One object of a volume and what the user says about it.

    Attributes:
        prompts: Slice index -> prompt, for one slice or more. Further entries are corrections: a slice with a prompt
            keeps that prompt's own answer, and its neighbours follow from it. A prompt with a mask alone or a final one
            is taken as the finished answer of its slice and not segmented again; an empty mask says that the object is not
            there.
        name: What the object is called.
        z_range: First and last slice of the object, both inside. None: it is followed until it ends by itself.
        bounds: x0, y0, x1, y1, last pixel inside: no slice of the object reaches beyond, as a 3D box promises. None:
            it may move anywhere.
        target: What the object is, as `Prompt.target`, on every slice; None: what its prompts say, which must agree.
        number: As `Prompt.number`.
    """

    prompts: Mapping[int, Prompt] = field(default_factory=dict)
    name: str | None = None
    z_range: tuple[int, int] | None = None
    bounds: tuple[float, float, float, float] | None = None
    target: str | None = None
    number: int | None = None


@dataclass(frozen=True)
class PropagationLimits:
    """How an object is followed from slice to slice, and when it has ended.

    A model asked with a box finds something in every box, so an object is followed beyond its end unless something says
    that what is found is not the object any more: compared with the prompted slice it comes from, the model is less sure,
    or the object stands out less from what surrounds it. Chosen on the 3D validation cases, see `volume_study`.

    Attributes:
        margin: The box of the mask before grows by this share of its width and height on each side.
        margin_px: And by this many pixels.
        use_mask: The mask before is part of the prompt, for weights that were trained on previous masks.
        minimum_score: An object ends where the model's own estimate of the IoU is below this.
        relative_score: Or below this share of the estimate on the prompted slice.
        relative_strength: Or where the mean logit inside is below this share of that on the prompted slice.
        relative_contrast: Or where its mean intensity differs from its surroundings' by less than this share of what it
            did on the prompted slice, or to the other side.
        maximum_growth: Or where its area is more than this many times that of the slice before: it has leaked.
        minimum_area_px: Or where its mask has fewer pixels.
        doubt: How far from a limit towards what the prompted slice has: a slice where a share lies below that needs a look.
        minimum_common: And where less of the smaller mask than this lies in the other, of a slice and the one before.
        patience: So many slices in a row may say so, repeated ones counted once, and the object goes on if it is found again
            behind them; they need a look then.
    """

    margin: float = 0.0
    margin_px: float = 1.0
    use_mask: bool = False
    minimum_score: float = 0.3
    relative_score: float = 0.7
    relative_strength: float = 0.5
    relative_contrast: float = 0.3
    maximum_growth: float = 3.0
    minimum_area_px: int = 1
    doubt: float = 0.5
    minimum_common: float = 0.5
    patience: int = 1


def seeds_from_boxes(boxes: np.ndarray, names: Sequence[str | None] | None = None) -> list[VolumeObject]:
    """Objects from 3D boxes: each starts on the middle slice of its box with the box's rectangle, and stays within the box.

    Args:
        boxes: (N, 6) x0 y0 z0 x1 y1 z1 in pixels and slices; a closed interval along every axis, so the last pixel and
            the last slice are inside, and z0 == z1 is an object of one slice.
        names: A name for each.

    Raises:
        PromptError: If the boxes have another shape, are not finite or are reversed.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.size == 0:
        return []
    if boxes.ndim != 2 or boxes.shape[1] != 6:
        raise PromptError(f"boxes must be (N, 6) as x0 y0 z0 x1 y1 z1, got shape {boxes.shape}")
    if names is not None and len(names) != len(boxes):
        raise PromptError(f"names must be one for each of the {len(boxes)} boxes, got {len(names)}")
    objects = []
    for i, (x0, y0, z0, x1, y1, z1) in enumerate(boxes.tolist()):
        if not np.isfinite(boxes[i]).all() or x0 > x1 or y0 > y1 or z0 > z1:
            raise PromptError(f"box {i + 1} must be finite, each first edge up to the last, got {boxes[i].tolist()}")
        first, last = math.ceil(z0 - 0.5), math.floor(z1 + 0.5)  # half a slice counts, at both ends alike
        rectangle, name = (x0, y0, x1, y1), names[i] if names is not None else None
        prompt = Prompt(box=rectangle, name=name)
        objects.append(VolumeObject({(first + last) // 2: prompt}, name, (first, last), rectangle))
    return objects


def as_box(item: VolumeObject) -> tuple[float, ...] | None:
    """x0 y0 z0 x1 y1 z1 of an object that is a 3D box and nothing else, as `seeds_from_boxes` makes it; None of others."""
    if item.bounds is None or item.z_range is None or len(item.prompts) != 1:
        return None
    ((z, prompt),) = item.prompts.items()
    (x0, y0, x1, y1), (first, last) = item.bounds, item.z_range
    # of an even number of slices either one is in the middle: turning the volume over turns one into the other
    in_middle = abs(2 * z - (first + last)) <= 1
    alone = prompt.mask is None and not len(prompt.points)
    return (x0, y0, first, x1, y1, last) if in_middle and alone and prompt.box == tuple(item.bounds) else None


def check_volume(volume: np.ndarray) -> None:
    """Raises CaseError unless the volume is (D, H, W) or (D, H, W, 3) uint8 and not empty."""
    if not isinstance(volume, np.ndarray) or volume.dtype != np.uint8:
        kind = volume.dtype if isinstance(volume, np.ndarray) else type(volume).__name__
        raise CaseError(f"volume must be a uint8 array, got {kind}; map it with volume_io.window or its to_uint8")
    if not (volume.ndim == 3 or (volume.ndim == 4 and volume.shape[3] == 3)) or not volume.size:
        raise CaseError(f"volume must be (D, H, W) or (D, H, W, 3) and not empty, got shape {volume.shape}")


def checked_objects(seeds: Iterable[VolumeObject], shape: tuple[int, int, int]) -> list[VolumeObject]:
    """The objects with their prompts checked against the slices; 3D boxes that reach over the ends are cut.

    Args:
        seeds: The objects.
        shape: (D, H, W).

    Raises:
        PromptError: If an object has no prompt, one outside the volume or its range, or one that does not fit a slice.
    """
    return [_checked(item, f"object {i + 1}", shape) for i, item in enumerate(seeds)]


def target_of_object(item: VolumeObject) -> str | None:
    """What an object is: its own target, else that of the first slice that says it."""
    said = (prompt.target for _, prompt in sorted(item.prompts.items()) if prompt.target is not None)
    return next(said, None) if item.target is None else item.target


def is_finished(prompt: Prompt) -> bool:
    """Whether the prompt's mask is the answer itself, nothing to segment: a final one, or a mask alone."""
    return prompt.mask is not None and (prompt.final or (prompt.box is None and not len(prompt.points)))


def _checked(item: VolumeObject, what: str, shape: tuple[int, int, int]) -> VolumeObject:
    if not isinstance(item, VolumeObject):
        raise PromptError(f"{what} must be a VolumeObject, got {type(item).__name__}; see seeds_from_boxes")
    depth = shape[0]
    if not item.prompts:
        raise PromptError(f"{what} must have a prompt on one slice at least, got none")
    z_range = _checked_range(item.z_range, what, depth)
    bounds = _checked_bounds(item.bounds, what, shape[1:])
    if z_range and item.z_range and z_range != tuple(item.z_range) and as_box(item) is not None:
        # a 3D box over the end of the volume starts in the middle of what is inside
        item = replace(item, prompts={sum(z_range) // 2: next(iter(item.prompts.values()))})
    prompts = {}
    for z, prompt in sorted(item.prompts.items()):
        if isinstance(z, bool) or not isinstance(z, (int, np.integer)) or not 0 <= z < depth:
            raise PromptError(f"{what}: prompts must lie on slices 0 to {depth - 1}, got slice {z}")
        if z_range is not None and not z_range[0] <= z <= z_range[1]:
            raise PromptError(f"{what}: prompts must lie within its slices {z_range[0]} to {z_range[1]}, got slice {z}")
        if not isinstance(prompt, Prompt):
            raise PromptError(f"{what}, slice {z}: must be a Prompt, got {type(prompt).__name__}")
        prompts[int(z)] = _checked_prompt(prompt, f"{what}, slice {z}", shape[1:])
    target = target_of_object(item)
    for z, prompt in prompts.items():
        if prompt.target not in (None, target):
            raise PromptError(
                f"{what}, slice {z}: target must be that of the object, {target!r}, got {prompt.target!r}"
            )
        prompts[z] = replace(prompt, target=target)
    return replace(item, prompts=prompts, z_range=z_range, bounds=bounds, target=target)


def _checked_prompt(prompt: Prompt, where: str, image_hw: tuple[int, int]) -> Prompt:
    try:
        if (
            is_finished(prompt) and prompt.mask is not None and not (prompt.mask > 0).any()
        ):  # "not here" is an answer, but no prompt for a model
            if prompt.mask.shape != tuple(image_hw):
                raise PromptError(f"mask must have the slice's shape {tuple(image_hw)}, got {prompt.mask.shape}")
            return prompt
        return validate(prompt, image_hw)
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from None


def _checked_bounds(bounds: tuple | None, what: str, image_hw: tuple[int, int]) -> tuple | None:
    if bounds is None:
        return None
    try:
        return validate(Prompt(box=bounds), image_hw).box
    except PromptError as error:
        raise PromptError(f"{what}: bounds: {error}") from None


def _checked_range(z_range: tuple[int, int] | None, what: str, depth: int) -> tuple[int, int] | None:
    if z_range is None:
        return None
    try:
        first, last = (int(z) for z in z_range)
    except (TypeError, ValueError):
        raise PromptError(f"{what}: z_range must be the first and the last slice, got {z_range!r}") from None
    if first > last or last < 0 or first >= depth:
        raise PromptError(
            f"{what}: z_range must be first <= last and meet slices 0 to {depth - 1}, got {first} to {last}"
        )
    return max(first, 0), min(last, depth - 1)
