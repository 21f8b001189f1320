"""What a user says about one object: a box, clicks, a previous mask; and its checks against an image."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.errors import PromptError

Box = tuple[float, float, float, float]  # x0, y0, x1, y1, last pixel inside
MAX_NAME = 200
MAX_NUMBER = 65_535  # the largest value of label maps that all writers know


def corners_of(values: Iterable[float]) -> Box:
    """Four numbers as a box."""
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _no_points() -> np.ndarray:
    return np.zeros((0, 2), np.float32)


def _no_labels() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is said about one object. Coordinates are pixel indices in the image; fractions are kept.

    Construction checks types and shapes; `validate` checks the values against an image.

    Attributes:
        box: x0, y0, x1, y1, last pixel inside.
        points: (K, 2) float32, x y.
        point_labels: (K,) int64, 1 on the object, 0 on the background.
        mask: A previous mask to refine: (H, W) bool, or float32 logits (above 0 is inside).
        name: What the object is called in outputs.
        final: The mask is the answer, taken as it is: painted by hand, say. Nothing is asked of the model then.
        target: What the object is, in the words of `ModelSpec.targets`, for models that know names; beside a box, points
            or a mask, never alone. None: not said.
        number: What files call the object, from 1: its value in label maps. None: its place in the list.

    Raises:
        PromptError: If a field has another type or shape, or a final prompt has no mask.
    """

    box: Box | None = None
    points: np.ndarray = field(default_factory=_no_points)
    point_labels: np.ndarray = field(default_factory=_no_labels)
    mask: np.ndarray | None = None
    name: str | None = None
    final: bool = False
    target: str | None = None
    number: int | None = None

    def __post_init__(self):
        if self.box is not None:
            box = _numbers(self.box, "box", "x0 y0 x1 y1")
            if box.shape != (4,):
                raise PromptError(f"box must be four numbers x0 y0 x1 y1, got shape {box.shape}")
            object.__setattr__(self, "box", tuple(box.tolist()))
        points = _numbers(self.points, "points", "x y")
        if points.size == 0:
            points = points.reshape(0, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            hint = "; wrap a single point: [[x, y]]" if points.shape == (2,) else ""
            raise PromptError(f"points must be (K, 2) as x y, got shape {points.shape}{hint}")
        labels = _numbers(self.point_labels, "point_labels", "1 object, 0 background")
        if labels.shape != (len(points),):
            raise PromptError(
                f"point_labels must be one number a point, got shape {labels.shape} for {len(points)} points"
            )
        if not np.isin(labels, (0, 1)).all():
            raise PromptError(f"point_labels must be 1 (object) or 0 (background), got {_short(labels)}")
        with np.errstate(over="ignore"):  # becomes infinite, which validate refuses
            object.__setattr__(self, "points", points.astype(np.float32))
        object.__setattr__(self, "point_labels", labels.astype(np.int64))
        object.__setattr__(self, "mask", _checked_mask(self.mask))
        for field_name, text in (("name", self.name), ("target", self.target)):
            if text is not None and not (isinstance(text, str) and 1 <= len(text) <= MAX_NAME):
                raise PromptError(f"{field_name} must be a text of 1 to {MAX_NAME} characters, got {_short(text)!r}")
        if self.final and self.mask is None:
            raise PromptError("a final prompt must have a mask, which is taken as the answer; got none")


def validate(prompt: Prompt, image_hw: tuple[int, int]) -> Prompt:
    """Checks a prompt against an image.

    A box that reaches over the image's border is cut to it. A box with x0 == x1 is one pixel wide and fine.

    Args:
        prompt: The prompt of one object.
        image_hw: (H, W) of the image.

    Returns:
        The prompt with its box inside the image, and points on the outermost half pixel moved to pixel
        centres.

    Raises:
        PromptError: If a number is NaN or infinite, a box is reversed or wholly outside, a point is outside,
            the mask has another shape than the image, or nothing says where the object is.
    """
    height, width = (int(v) for v in image_hw)
    size = f"the image is {width} x {height}"
    box = None if prompt.box is None else _clipped_box(prompt.box, width, height, size)
    points = prompt.points
    if not np.isfinite(points).all():
        raise PromptError(f"points must be finite numbers, got {_short(points)}")
    limits = np.array([width, height], np.float32)
    outside = ((points < -0.5) | (points >= limits - 0.5)).any(axis=1)
    if outside.any():
        x, y = points[int(outside.argmax())].tolist()
        raise PromptError(f"points must lie inside the image, got x={x:g} y={y:g}; {size}")
    if prompt.mask is not None and prompt.mask.shape != (height, width):
        raise PromptError(f"mask must have the image's shape {(height, width)}, got {prompt.mask.shape}")
    has_mask = prompt.mask is not None and bool((prompt.mask > 0).any())
    if box is None and not has_mask and not (prompt.point_labels == 1).any():
        got = "only background points" if len(points) else "an empty mask" if prompt.mask is not None else "nothing"
        raise PromptError(f"a prompt must have a box, a point on the object or a previous mask, got {got}")
    return replace(prompt, box=box, points=np.clip(points, 0, limits - 1))


def as_prompts(boxes_or_prompts: "np.ndarray | Iterable[Prompt | Sequence[float]] | Prompt") -> list[Prompt]:
    """Turns boxes, prompts or a mixture into a list of prompts, one per object.

    Args:
        boxes_or_prompts: (N, 4) array-like of x0 y0 x1 y1, last pixel inside; or a list whose items are
            prompts or such boxes; or one `Prompt`.

    Raises:
        PromptError: If it is none of these.
    """
    if isinstance(boxes_or_prompts, Prompt):
        return [boxes_or_prompts]
    try:
        items = list(boxes_or_prompts)
    except TypeError:
        kind = type(boxes_or_prompts).__name__
        raise PromptError(f"boxes must be (N, 4) as x0 y0 x1 y1 or a list of Prompt, got {kind}") from None
    if any(isinstance(item, Prompt) for item in items):
        return [item if isinstance(item, Prompt) else _prompt_of_box(item, i) for i, item in enumerate(items)]
    boxes = _numbers(items, "boxes", "(N, 4) as x0 y0 x1 y1")
    if boxes.size == 0 and boxes.shape[0] == 0:
        return []
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        hint = "; wrap a single box: [[x0, y0, x1, y1]]" if boxes.shape == (4,) else ""
        raise PromptError(f"boxes must be (N, 4) as x0 y0 x1 y1, got shape {boxes.shape}{hint}")
    return [Prompt(box=tuple(row)) for row in boxes.tolist()]


def _numbers(values, what: str, meaning: str) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "buif" and array.size:
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):  # ragged lists, texts, None inside
        raise PromptError(f"{what} must be numbers, {meaning}, got {_short(values)}") from None


def _short(values) -> str:
    text = " ".join(str(values.tolist() if isinstance(values, np.ndarray) else values).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _checked_mask(mask: np.ndarray | None) -> np.ndarray | None:
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise PromptError(f"mask must be (H, W), got shape {mask.shape}")
    if mask.dtype.kind in "bui":
        return mask > 0
    if mask.dtype.kind != "f" or not np.isfinite(mask).all():
        raise PromptError(f"mask must be bool or finite float32 logits, got {mask.dtype} with NaN or of another kind")
    return mask.astype(np.float32, copy=False)


def _clipped_box(box: tuple, width: int, height: int, size: str) -> tuple[float, float, float, float]:
    shown = ", ".join(f"{v:g}" for v in box)
    if not all(math.isfinite(v) for v in box):
        raise PromptError(f"box must be finite numbers x0, y0, x1, y1, got {shown}")
    x0, y0, x1, y1 = box
    if x0 > x1 or y0 > y1:
        raise PromptError(f"box must be x0, y0, x1, y1 with x0 <= x1 and y0 <= y1, got {shown}; swap its corners")
    # pixel i reaches from i - 0.5 to i + 0.5
    if x1 < -0.5 or y1 < -0.5 or x0 >= width - 0.5 or y0 >= height - 0.5:
        raise PromptError(f"box must overlap the image, got {shown}; {size}")
    right, bottom = width - 1.0, height - 1.0
    return _within(x0, right), _within(y0, bottom), _within(x1, right), _within(y1, bottom)


def _within(value: float, high: float) -> float:
    return min(max(value, 0.0), high)


def _prompt_of_box(item, index: int) -> Prompt:
    try:
        return Prompt(box=item)
    except PromptError as error:
        raise PromptError(f"object {index}: {error}") from None
