"""What a hand draws: a scribble as clicks along it, a brush as the pixels under it"""

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
    """The pixels under a round brush: those whose centre is at most its radius from the stroke.

    Args:
        stroke: (K, 2) x y in image pixels.
        image_hw: (H, W).
        radius_px: 0 marks only the pixels that the line passes.

    Returns:
        (H, W) bool.
    """
    import cv2

    shift = 4  # OpenCV takes sixteenths of a pixel
    canvas = np.zeros(image_hw, np.uint8)
    points = np.rint(stroke * 2**shift).astype(np.int32)
    if len(points) == 1 or not radius_px:
        cv2.polylines(canvas, [points], False, 1, 1, cv2.LINE_8, shift)
    else:
        cv2.polylines(canvas, [points], False, 1, max(1, round(2 * radius_px)), cv2.LINE_8, shift)
    if radius_px:
        for x, y in points[[0, -1]].tolist():
            cv2.circle(canvas, (x, y), round(radius_px * 2**shift), 1, cv2.FILLED, cv2.LINE_8, shift)
    return canvas.astype(bool)
