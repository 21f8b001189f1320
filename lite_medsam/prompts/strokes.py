"""What a hand draws: a scribble as clicks along it, a brush as the pixels under it."""

import numpy as np

from lite_medsam.errors import PromptError

MAX_STROKE_POINTS = 20_000
CLICKS_PER_STROKE = 8  # what the protocol "scribble" gives, too


def checked_stroke(points) -> np.ndarray:
    """A stroke as (K, 2) float64 x y.

    Raises:
        PromptError: If it is not a list of 1 to MAX_STROKE_POINTS pairs of finite numbers.
    """
    try:
        stroke = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        stroke = np.zeros(0)
    if stroke.ndim != 2 or stroke.shape[1] != 2 or not 1 <= len(stroke) <= MAX_STROKE_POINTS:
        raise PromptError(f"a stroke must be 1 to {MAX_STROKE_POINTS} points x y, got shape {stroke.shape}")
    if not np.isfinite(stroke).all() or np.abs(stroke).max() > 1e6:
        raise PromptError("a stroke must be finite numbers near the image, got others")
    return stroke


def clicks_along(stroke: np.ndarray, image_hw: tuple[int, int], count: int = CLICKS_PER_STROKE) -> np.ndarray:
    """Clicks at equal distances along a stroke, each on a pixel of the image, none twice.

    Models are trained on clicks, not on lines; eight clicks along a line say the same.

    Args:
        stroke: (K, 2) x y in image pixels.
        image_hw: (H, W); parts outside are moved to the border.
        count: At most this many.

    Returns:
        (N, 2) float64 whole numbers.
    """
    steps = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = (np.arange(count) + 0.5) / count * along[-1]  # the ends of a stroke are the least careful part
    taken = np.stack([np.interp(wanted, along, stroke[:, axis]) for axis in (0, 1)], axis=1)
    pixels = np.clip(np.rint(taken), 0, np.array([image_hw[1], image_hw[0]]) - 1)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return pixels[np.sort(first)]


def brushed(stroke: np.ndarray, image_hw: tuple[int, int], radius_px: float) -> np.ndarray:
    """The pixels under a round brush: those whose centre is at most its radius from a pixel that the line passes.

    Args:
        stroke: (K, 2) x y in image pixels.
        image_hw: (H, W).
        radius_px: 0 marks only the pixels that the line passes.

    Returns:
        (H, W) bool.
    """
    import cv2

    margin = int(radius_px) + 2
    low = np.floor(stroke.min(0)).astype(int) - margin
    high = np.ceil(stroke.max(0)).astype(int) + margin + 1
    limits = np.array([image_hw[1], image_hw[0]])
    # a window that reaches beyond the image by the brush, so that a line outside still paints inside
    low, high = np.clip(low, -margin, limits + margin), np.clip(high, -margin, limits + margin)
    mask = np.zeros(image_hw, bool)
    if (low >= high).any():
        return mask
    free = np.ones((high - low)[::-1], np.uint8)
    points = np.rint(stroke - low).astype(np.int32)
    cv2.polylines(free, [points], False, 0, 1, cv2.LINE_8)
    for x, y in points[[0, -1]].tolist():
        if 0 <= x < free.shape[1] and 0 <= y < free.shape[0]:
            free[y, x] = 0
    if free.all():
        return mask
    under = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius_px
    (x0, y0), (x1, y1) = np.clip(low, 0, limits), np.clip(high, 0, limits)
    mask[y0:y1, x0:x1] = under[y0 - low[1] : y1 - low[1], x0 - low[0] : x1 - low[0]]
    return mask


def enclosed(outline: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies inside a closed outline; where it crosses itself, every second part is outside.

    Args:
        outline: (K, 2) x y of the corners in image pixels.
        image_hw: (H, W).

    Returns:
        (H, W) bool.
    """
    height, width = image_hw
    (ax, ay), (bx, by) = outline.T, np.roll(outline, -1, axis=0).T
    # the rows whose centres a side passes: its lower end belongs to it, its upper end to the next side
    first = np.clip(np.ceil(np.minimum(ay, by)), 0, height).astype(int)
    count = np.maximum(np.clip(np.ceil(np.maximum(ay, by)), 0, height).astype(int) - first, 0)
    side = np.repeat(np.arange(len(outline)), count)
    rows = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[side]
    x = ax[side] + (rows - ay[side]) * (bx[side] - ax[side]) / (by[side] - ay[side])
    crossings = np.zeros((height, width + 1), np.int32)
    np.add.at(crossings, (rows, np.clip(np.ceil(x), 0, width).astype(int)), 1)
    return np.cumsum(crossings[:, :width], axis=1) % 2 == 1
