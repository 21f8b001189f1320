"""Objects of label files: a name, and a mask on each slice where they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import MAX_NAME, MAX_NUMBER, Prompt

MAX_MASK_PIXELS = 8_000_000_000  # of all objects of a file together


@dataclass(frozen=True, eq=False)
class LabelObject:
    """One object of a label file.

    Attributes:
        slices: Slice (0 of a picture) -> (H, W) bool mask, which is not empty.
        name: What it is called.
        number: Its value in the file, as `Prompt.number`; None where the file numbers nothing.
    """

    slices: Mapping[int, np.ndarray]
    name: str | None = None
    number: int | None = None

    def prompts(self, final: bool) -> dict[int, Prompt]:
        """Slice -> the mask as a prompt: as the answer, or to be refined together with the box around it."""
        if final:
            return {z: Prompt(mask=mask, name=self.name, final=True) for z, mask in self.slices.items()}
        return {z: Prompt(_box_around(mask), mask=mask, name=self.name) for z, mask in self.slices.items()}


def objects_of_array(
    labels: np.ndarray, shape: tuple[int, ...], names: Mapping[int, str] | None = None
) -> list[LabelObject]:
    """The objects of a label map, one for each value above 0, or of a stack with a mask for each object of a picture.

    Without names, values are told in the name ("label 7") where they are not 1, 2, 3 and so on.

    Args:
        labels: Integers or bool: of the shape, or (N, H, W) for a picture.
        shape: (H, W) or (D, H, W) of what the labels are for.
        names: Of label values.

    Raises:
        PromptError: If the labels have another shape, no integers, or none above 0.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind == "f" and np.array_equal(labels, np.rint(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "bui":
        raise PromptError(f"labels must be integers, got {labels.dtype}")
    is_stack = len(shape) == 2 and labels.ndim == 3 and labels.shape[0] != 1
    if labels.ndim == len(shape) + 1 and labels.shape[0] == 1:
        labels = labels[0]
    elif labels.ndim == len(shape) - 1 and shape[0] == 1:
        labels = labels[None]
    if labels.shape[-2:] != tuple(shape[-2:]) or (not is_stack and labels.shape != tuple(shape)):
        raise PromptError(f"labels must have the shape of what they are for, {tuple(shape)}, got {labels.shape}")
    if is_stack:
        _check_size(len(labels), shape)
        found = [LabelObject({0: page > 0}) for page in labels if page.any()]
    else:
        found = _by_value(labels, names or {})
    if not found:
        raise PromptError("labels must hold an object, got background alone")
    return found


def check_names(name: object) -> str | None:
    """A name of a file as a prompt takes it; None for what is no text."""
    return name.strip()[:MAX_NAME] or None if isinstance(name, str) else None


def with_numbers(objects: Sequence[LabelObject], numbers: Sequence[object]) -> list[LabelObject]:
    """The objects with the numbers that their file gives them, if each has one of its own that a label map can hold."""
    held = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_NUMBER]
    if len(set(held)) < len(objects):
        return list(objects)
    return [replace(item, number=number) for item, number in zip(objects, held, strict=True)]


def picture_prompts(objects: Sequence[LabelObject], final: bool = True) -> list[Prompt]:
    """The objects of a picture as prompts.

    Args:
        objects: With slice 0 alone.
        final: The masks are the answers; else they are refined, with the boxes around them.
    """
    return [replace(item.prompts(final)[0], number=item.number) for item in objects]


def _by_value(labels: np.ndarray, names: Mapping[int, str]) -> list[LabelObject]:
    if labels.min(initial=0) < 0:
        raise PromptError(f"labels must be integers from 0, got {labels.min()}")
    planes = labels if labels.ndim == 3 else labels[None]
    held = [[value for value in np.unique(plane).tolist() if value] for plane in planes]
    values = sorted({value for plane in held for value in plane})
    _check_size(sum(map(len, held)), planes.shape)
    is_counted = values == list(range(1, len(values) + 1)) or len(values) == 1
    slices: dict[int, dict[int, np.ndarray]] = {value: {} for value in values}
    for z, inside in enumerate(held):
        for value in inside:
            slices[value][z] = planes[z] == value
    found = [
        LabelObject(slices[value], check_names(names.get(value)) or (None if is_counted else f"label {value}"))
        for value in values
    ]
    # (a mask of 0 and 255 numbers nothing)
    return found if values == [255] else with_numbers(found, [int(value) for value in values])


def _check_size(masks: int, shape: tuple[int, ...]) -> None:
    pixels = masks * int(shape[-1]) * int(shape[-2])
    if pixels > MAX_MASK_PIXELS:
        raise PromptError(f"labels must have at most {MAX_MASK_PIXELS} pixels in all masks, got {pixels}")


def _box_around(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])
