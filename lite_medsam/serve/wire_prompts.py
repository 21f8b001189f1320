"""Boxes, points, scribbles and lassos of a volume as prompts on its slices."""

import math
from collections.abc import Sequence

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import Box
from lite_medsam.prompts.strokes import CLICKS_PER_STROKE
from lite_medsam.serve.voxels import Bounds, hull, window

Shape = tuple[int, int, int]
Voxel = tuple[int, int, int]
NO_3D_BOX = (
    "a box must be one voxel thick along one axis, got {size}: the model is 2D and takes a box on a slice; it follows the "
    "object through the others by itself"
)


def checked_point(coordinates, shape: Shape) -> Voxel:
    """The voxel of a point.

    Args:
        coordinates: Three numbers in array order; fractions are rounded.
        shape: (X, Y, Z).

    Raises:
        PromptError: If it is no point in the volume.
    """
    x, y, z = (round(value) for value in _numbers(coordinates, 3, "a point"))
    if not all(0 <= v < size for v, size in zip((x, y, z), shape, strict=True)):
        raise PromptError(f"a point must lie in the volume of {list(shape)} voxels, got {[x, y, z]}")
    return x, y, z


def checked_bounds(coords, shape: Shape, what: str = "a box") -> Bounds:
    """First voxel and the one behind the last, of each axis, cut to the volume.

    Args:
        coords: Three pairs; fractions are rounded.
        shape: (X, Y, Z).
        what: Who asks, for messages.

    Raises:
        PromptError: If these are no pairs, one is empty or reversed, or nothing lies in the volume.
    """
    if not isinstance(coords, list | tuple) or len(coords) != 3:
        raise PromptError(f"{what} must be three pairs [first, behind the last], one for each axis")
    bounds = []
    for pair, size in zip(coords, shape, strict=True):
        low, high = (round(value) for value in _numbers(pair, 2, f"each side of {what}"))
        if low >= high:
            raise PromptError(f"{what} must have a size of at least one voxel along each axis, got {[low, high]}")
        if high <= 0 or low >= size:
            raise PromptError(f"{what} must meet the volume of {list(shape)} voxels, got {[low, high]}")
        bounds.append((max(low, 0), min(high, size)))
    return tuple(bounds)


def box_on_slice(coords, shape: Shape, preferred: Sequence[int]) -> tuple[int, int, Box]:
    """The axis, the slice and the box on it (x0 y0 x1 y1, last pixel inside) of a flat box.

    Args:
        coords: As `checked_bounds`.
        shape: (X, Y, Z).
        preferred: Which axis is taken where the box is one voxel thick along several, first choice first.

    Raises:
        PromptError: If it is no box in the volume, or a 3D one.
    """
    bounds = checked_bounds(coords, shape)
    # what was drawn counts, not what is left of it in the volume
    flat = [axis for axis, (low, high) in enumerate(coords) if round(high) - round(low) == 1]
    if not flat:
        raise PromptError(NO_3D_BOX.format(size=[high - low for low, high in bounds]))
    axis = next((a for a in preferred if a in flat), flat[0])
    (top, bottom), (left, right) = (bounds[a] for a in range(3) if a != axis)
    return axis, bounds[axis][0], (float(left), float(top), right - 1.0, bottom - 1.0)


def checked_area(mask: np.ndarray, bounds, shape: Shape) -> tuple[np.ndarray, Voxel]:
    """What was drawn, and where its first voxel lies.

    Args:
        mask: Three axes, above 0 inside.
        bounds: Where the mask lies, as `checked_bounds`; None: it is as large as the volume.
        shape: (X, Y, Z).

    Returns:
        The drawn part, bool, cut to the box around it.

    Raises:
        PromptError: If the mask does not fit, or nothing is drawn.
    """
    if bounds is None:
        if mask.shape != shape:
            raise PromptError(f"a mask must have the volume's shape {list(shape)}, got {list(mask.shape)}")
        start = [0, 0, 0]
    else:
        given = checked_bounds(bounds, shape, "interaction_bbox")
        size = [round(high) - round(low) for low, high in bounds]
        if size != [high - low for low, high in given]:
            raise PromptError(f"interaction_bbox must lie in the volume of {list(shape)} voxels, got {bounds}")
        if list(mask.shape) != size:
            raise PromptError(f"a mask must have the size of its interaction_bbox, {size}, got {list(mask.shape)}")
        start = [low for low, _ in given]
    drawn = mask > 0
    held = hull(drawn)
    if held is None:
        raise PromptError("a mask must have voxels above 0, got an empty one; draw something")
    x, y, z = (low + first for (low, _), first in zip(held, start, strict=True))
    return drawn[window(held)], (x, y, z)


def flattest_axis(drawn: np.ndarray, preferred: Sequence[int]) -> int:
    """The axis along which a drawing is thinnest; of several the one that is preferred.

    Args:
        drawn: Cut to the box around it.
        preferred: All axes, first choice first.
    """
    return min(preferred, key=lambda axis: drawn.shape[axis])


def scribble_clicks(drawn: np.ndarray, start: Voxel, axis: int) -> list[Voxel]:
    """Clicks along a scribble: far from one another, in the middle of the line, at most 8 on a slice.

    Models are trained on clicks, not on lines.

    Args:
        drawn: Cut to the box around it.
        start: Where that lies.
        axis: The slices' axis.
    """
    from scipy import ndimage

    clicks = []
    for index, plane in enumerate(np.moveaxis(drawn, axis, 0)):
        if not plane.any():
            continue
        depth = ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
        spots = np.argwhere(depth >= max(1.0, 0.75 * depth.max()))
        for row, column in _spread(spots, int(depth[tuple(spots.T)].argmax()), CLICKS_PER_STROKE):
            place = [row, column]
            place.insert(axis, index)
            x, y, z = (int(v + s) for v, s in zip(place, start, strict=True))
            clicks.append((x, y, z))
    return clicks


def lasso_slices(drawn: np.ndarray, start: Voxel, axis: int, shape: Shape) -> dict[int, np.ndarray]:
    """What a lasso encloses, (H, W) bool by slice; an outline is filled.

    Args:
        drawn: Cut to the box around it.
        start: Where that lies.
        axis: The slices' axis.
        shape: (X, Y, Z).
    """
    from scipy import ndimage

    rest = [a for a in range(3) if a != axis]
    areas = {}
    for index, plane in enumerate(np.moveaxis(drawn, axis, 0)):
        if plane.any():
            area = np.zeros([shape[a] for a in rest], bool)
            corner = [start[a] for a in rest]
            part = tuple(slice(low, low + size) for low, size in zip(corner, plane.shape, strict=True))
            area[part] = ndimage.binary_fill_holes(plane)
            areas[start[axis] + index] = area
    return areas


def _spread(spots: np.ndarray, first: int, count: int) -> list[tuple[int, int]]:
    """Some of the spots, each as far as it can be from those before it (farthest-point sampling)."""
    chosen = [first]
    away = ((spots - spots[first]) ** 2).sum(1)
    while len(chosen) < min(count, len(spots)):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, ((spots - spots[chosen[-1]]) ** 2).sum(1))
    return [(int(row), int(column)) for row, column in spots[chosen]]


def _numbers(values, count: int, what: str) -> list[float]:
    numbers = values if isinstance(values, list | tuple) else []
    if len(numbers) != count or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 2**31 and math.isfinite(v) for v in numbers
    ):
        raise PromptError(f"{what} must be {count} finite numbers")
    return list(numbers)
