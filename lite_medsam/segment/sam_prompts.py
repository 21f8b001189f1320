"""Prompts as segment_anything's scripts give them, checked, as the tokens of the decoder."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.model.prompt_tokens import FIRST_TARGET, POINT_TOKENS
from lite_medsam.model.spec import OWN_FAMILY, ModelSpec
from lite_medsam.prompts.vocabulary import check_target

PADDING, PADDING_POINT = -1, -2


@dataclass(frozen=True, eq=False)
class SamPrompts:
    """Prompts of N objects, all of the same kinds.

    Attributes:
        points: (N, K, 2) float, x y; None for none.
        labels: (N, K) float32, 1 object, 0 background, -1 padding; None for none.
        boxes: (N, 4) float, x0 y0 x1 y1; None for none.
        masks: (N, 1, L, L) float32 logits; None for none.
    """

    points: np.ndarray | None
    labels: np.ndarray | None
    boxes: np.ndarray | None
    masks: np.ndarray | None

    def __len__(self) -> int:
        return next((len(part) for part in (self.points, self.boxes, self.masks) if part is not None), 1)

    @property
    def kinds(self) -> set[str]:
        """In the words of `ModelSpec.prompts`."""
        points, box = self.points is not None, self.boxes is not None
        kinds = {"box+points"} if points and box else {"points"} if points else {"box"} if box else set()
        return kinds | ({"mask"} if self.masks is not None else set())


def checked_sam_prompts(
    point_coords: Any, point_labels: Any, boxes: Any, mask_input: Any, mask_size: int
) -> SamPrompts:
    """Prompts of one object or of several.

    Args:
        point_coords: (K, 2), or (N, K, 2) for several objects; or None.
        point_labels: (K,) or (N, K); or None.
        boxes: (4,) or (N, 4); or None.
        mask_input: (1, L, L), (N, L, L) or (N, 1, L, L); or None.
        mask_size: L.

    Raises:
        PromptError: If a part has another shape, or they are not of equally many objects.
    """
    if (point_coords is None) != (point_labels is None):
        raise PromptError("point_coords and point_labels must come together, got one of them")
    points = labels = corners = masks = None
    if point_coords is not None:
        several = np.ndim(point_coords) == 3
        wanted: tuple[int | None, ...] = (None, None, 2) if several else (None, 2)
        points = numbers(point_coords, wanted, "point_coords", "x y per point")
        labels = numbers(point_labels, points.shape[:-1], "point_labels", "one per point").astype(np.float32)
        if not np.isin(labels, (-1, 0, 1)).all():
            raise PromptError("point_labels must be 1 (object), 0 (background) or -1 (padding), got others")
        points, labels = (points, labels) if several else (points[None], labels[None])
    if boxes is not None:
        several = np.ndim(boxes) == 2
        corners = numbers(boxes, (None, 4) if several else (4,), "box", "x0 y0 x1 y1").reshape(-1, 4)
    if mask_input is not None:
        maps = np.asarray(mask_input)
        maps = maps[:, 0] if maps.ndim == 4 and maps.shape[1] == 1 else maps
        count = next((len(part) for part in (points, corners) if part is not None), None)
        masks = numbers(maps, (count, mask_size, mask_size), "mask_input", "logits of an earlier answer")
        masks = masks[:, None].astype(np.float32)
    if points is not None and corners is not None and len(points) != len(corners):
        raise PromptError(
            f"point_coords and box must be of equally many objects, got {len(points)} and {len(corners)}; points of "
            "several objects are (N, K, 2)"
        )
    return SamPrompts(points, labels, corners, masks)


def sam_tokens(prompts: SamPrompts, spec: ModelSpec, target: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Tokens for the decoder: coords (N, P, 2) and labels (N, P), float32.

    Args:
        prompts: Of N objects, points and boxes in pixels of the model frame.
        spec: Of the model.
        target: What they all are.

    Raises:
        PromptError: If the model does not know the target, or it comes alone.
    """
    count, own = len(prompts), spec.architecture.family == OWN_FAMILY
    coords: list[np.ndarray] = [np.zeros((count, 0, 2), np.float32)]
    labels: list[np.ndarray] = [np.zeros((count, 0), np.float32)]
    if prompts.points is not None and prompts.labels is not None:
        marks = prompts.labels.copy()
        if not own:
            marks[marks == PADDING] = PADDING_POINT  # published models: PADDING would be no token at all
        coords.append(prompts.points.astype(np.float32))
        labels.append(marks)
    if prompts.boxes is not None:
        coords.append(prompts.boxes.astype(np.float32).reshape(count, 2, 2))
        labels.append(np.tile(np.array([2, 3], np.float32), (count, 1)))
    used = sum(part.shape[1] for part in labels)
    padding = 0
    if used == 0:
        padding = 1  # a graph wants at least one token; this one says nothing
    elif prompts.points is not None and own:
        padding = max(0, POINT_TOKENS - used)  # as in training
    coords.append(np.zeros((count, padding, 2), np.float32))
    labels.append(np.full((count, padding), PADDING, np.float32))
    if target is not None:
        check_target(target, spec.targets, spec.name)
        if not prompts.kinds:
            raise PromptError(f"target must come with a box, points or a mask, got {target!r} alone")
        coords.append(np.zeros((count, 1, 2), np.float32))
        labels.append(np.full((count, 1), FIRST_TARGET + spec.targets.index(target), np.float32))
    return np.concatenate(coords, 1), np.concatenate(labels, 1)


def numbers(values: Any, shape: tuple[int | None, ...], name: str, meaning: str) -> np.ndarray:
    """Finite numbers of a shape, None for any length, as float64.

    Raises:
        PromptError: If they are others.
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise PromptError(f"{name} must be numbers, {meaning}, got {type(values).__name__}") from None
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        wanted = ", ".join("K" if n is None else str(n) for n in shape)
        raise PromptError(f"{name} must be ({wanted}) finite numbers, {meaning}, got shape {array.shape}")
    return array
