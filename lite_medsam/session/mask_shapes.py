"""Masks put right by their shape: largest part, islands, holes, smooth edges, a rim more or less, overlaps."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from lite_medsam.errors import PromptError

MAX_RADIUS_PX = 500.0


def keep_largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part; neighbours touch at corners, too (8 in a picture, 26 in a volume).

    Args:
        mask: (H, W) or (D, H, W) bool.
    """
    parts, count = _parts(mask)
    if count < 2:
        return mask.copy()
    sizes = np.bincount(parts.ravel())
    return parts == 1 + int(np.argmax(sizes[1:]))


def remove_islands(mask: np.ndarray, smallest: float, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """Without the connected parts that are smaller than a size.

    Args:
        mask: (H, W) or (D, H, W) bool.
        smallest: In pixels or voxels; with a spacing in mm2 or mm3.
        spacing_mm: Of a pixel or voxel, in array order.
    """
    parts, _ = _parts(mask)
    kept = np.bincount(parts.ravel()) * _cell(spacing_mm) >= smallest
    kept[0] = False
    return kept[parts]


def fill_holes(mask: np.ndarray, largest: float | None = None, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """With the holes inside filled; background touches at sides only. Of a volume slice by slice.

    Args:
        mask: (H, W) or (D, H, W) bool.
        largest: Larger holes stay, in pixels, with a spacing in mm2; None: all are filled.
        spacing_mm: Of a pixel or voxel, in array order.
    """
    if mask.ndim == 3:
        within = None if spacing_mm is None else spacing_mm[1:]
        return np.stack([fill_holes(one, largest, within) for one in mask])
    holes = ndimage.binary_fill_holes(mask) & ~mask
    if largest is not None:
        parts, _ = ndimage.label(holes)
        holes &= (np.bincount(parts.ravel()) * _cell(spacing_mm) <= largest)[parts]
    return mask | holes


def smooth(mask: np.ndarray, radius: float, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """With a smoother edge: what a Gaussian of half the radius leaves above one half. Details below the radius go.

    Args:
        mask: (H, W) or (D, H, W) bool.
        radius: In pixels, of a volume within its slices; with a spacing in mm, and through slices.
        spacing_mm: Of a pixel or voxel, in array order.
    """
    steps = _steps(mask, spacing_mm)
    sigmas = [0.0 if step is None else checked_radius(radius, step) / 2 / step for step in steps]
    return ndimage.gaussian_filter(mask.astype(np.float32), sigmas, mode="nearest") > 0.5


def grow(mask: np.ndarray, radius: float, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """With every pixel that is at most a radius away, see `smooth` for its unit.

    Args:
        mask: (H, W) or (D, H, W) bool.
        radius: See `smooth`.
        spacing_mm: See `smooth`.
    """
    return _near(mask, radius, spacing_mm) if mask.any() else mask.copy()


def shrink(mask: np.ndarray, radius: float, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
    """Without the pixels that are at most a radius away from the background; the picture's border is none.

    Args:
        mask: (H, W) or (D, H, W) bool.
        radius: See `smooth`.
        spacing_mm: See `smooth`.
    """
    return mask.copy() if mask.all() else ~_near(~mask, radius, spacing_mm)


def without_overlaps(masks: Sequence[np.ndarray], order: Sequence[int]) -> list[np.ndarray]:
    """Masks that share no pixel.

    Args:
        masks: Bool, of one shape.
        order: Indices of all masks; of two that claim a pixel, the one that comes first has it.
    """
    taken = np.zeros_like(masks[0]) if masks else np.zeros(0, bool)
    found = list(masks)
    for index in order:
        found[index] = masks[index] & ~taken
        taken |= masks[index]
    return found


def checked_radius(radius: float, step: float = 1.0) -> float:
    """A radius that can be worked with.

    Raises:
        PromptError: If it is not positive, or more than `MAX_RADIUS_PX` pixels of a size.
    """
    if not 0 < radius <= MAX_RADIUS_PX * step:
        raise PromptError(f"a radius must be above 0 and at most {MAX_RADIUS_PX:g} px, got {radius / step:g} px")
    return radius


def _parts(mask: np.ndarray) -> tuple[np.ndarray, int]:
    return ndimage.label(mask, np.ones((3,) * mask.ndim, bool))


def _cell(spacing_mm: Sequence[float] | None) -> float:
    return 1.0 if spacing_mm is None else float(np.prod(spacing_mm))


def _steps(mask: np.ndarray, spacing_mm: Sequence[float] | None) -> list[float | None]:
    """Size of a pixel along each axis; None along the slices of a volume that are to be left apart."""
    if spacing_mm is not None:
        return list(spacing_mm)
    return [1.0, 1.0] if mask.ndim == 2 else [None, 1.0, 1.0]


def _near(mask: np.ndarray, radius: float, spacing_mm: Sequence[float] | None) -> np.ndarray:
    """The pixels that are at most a radius away from one of a mask."""
    steps = _steps(mask, spacing_mm)
    for step in steps:
        checked_radius(radius, step or 1.0)
    if steps[0] is None:
        return np.stack([_near(one, radius, None) if one.any() else one for one in mask])
    if not mask.any():
        return mask.copy()
    # (a hair more, so that a radius of whole steps takes them in)
    return ndimage.distance_transform_edt(~mask, sampling=steps) <= radius * (1 + 1e-6)
