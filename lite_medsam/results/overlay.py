"""Pictures of a result: masks and prompts over the image, in colours that colour-blind readers can tell apart."""

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

PALETTE = np.array(
    [
        (230, 159, 0),  # orange
        (86, 180, 233),  # sky blue
        (0, 158, 115),  # bluish green
        (240, 228, 66),  # yellow
        (0, 114, 178),  # blue
        (213, 94, 0),  # vermillion
        (204, 121, 167),  # reddish purple
    ],
    dtype=np.uint8,
)
"""Okabe and Ito's seven colours (Color Universal Design, 2008), RGB; label i takes row (i - 1) % 7.

Their eighth, black, is left out: most medical images are dark.
"""

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_STRIP_ROWS = 256  # blending works on this many rows at a time, so it needs no second image in memory


def label_colours() -> np.ndarray:
    """(256, 3) uint8 RGB: the colour of each label up to 255, black for 0."""
    return np.concatenate([np.zeros((1, 3), np.uint8), np.resize(PALETTE, (255, 3))])


def draw_masks(
    image: np.ndarray,
    masks: np.ndarray,
    opacity: float = 0.45,
    contours: bool = True,
    numbers: Sequence[int] | None = None,
) -> np.ndarray:
    """Colours the objects of an image; pixels of no object keep their value.

    Args:
        image: (H, W) or (H, W, 3) uint8, RGB.
        masks: Either a label map (H, W) of integers, 0 background, or a stack of masks (N, H, W) bool, drawn
            in order with mask i in the colour of label i + 1 (where they overlap, the colours mix).
        opacity: 0 (only contours) to 1 (plain colour).
        contours: Draws the rim of every object in plain colour, inside the object, thicker on larger images.
        numbers: The label of each mask of a stack, whose colour it has; None: 1, 2, 3 and so on.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: If an argument is not as above.
    """
    rgb = _to_rgb(image)
    masks = np.asarray(masks)
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be between 0 and 1, got {opacity}")
    if masks.ndim not in (2, 3) or masks.shape[-2:] != rgb.shape[:2]:
        raise ValueError(
            f"masks must be a label map (H, W) or a stack (N, H, W) of the image's size {rgb.shape[:2]}, "
            f"got shape {masks.shape}"
        )
    if masks.ndim == 2:
        if masks.dtype.kind not in "bui":
            raise ValueError(f"a label map must hold integers, got dtype {masks.dtype}")
        _paint(rgb, masks, opacity, contours, 1)
        return rgb
    if masks.dtype != bool:
        raise ValueError(f"a stack of masks must be bool, got dtype {masks.dtype}; pass masks > 0")
    for index, mask in enumerate(masks):
        _paint(rgb, mask, opacity, contours, index + 1 if numbers is None else numbers[index])
    return rgb


def draw_prompts(image: np.ndarray, prompts: Iterable[Any], numbers: Sequence[int] | None = None) -> np.ndarray:
    """Draws boxes and points: object points as discs with a plus, background points as rings with a cross.

    Args:
        image: (H, W) or (H, W, 3) uint8, RGB; what `draw_masks` returned, for instance.
        prompts: One per object: a `Prompt`, or a box as four numbers x0 y0 x1 y1, last pixel inside. Object i
            is drawn in the colour of label i + 1; parts outside the image are cut off.
        numbers: The label of each object; None: 1, 2, 3 and so on.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        ValueError: If an image or a box is not as above.
    """
    rgb = _to_rgb(image)
    width = line_width(rgb.shape[:2])
    for index, prompt in enumerate(prompts):
        colour = _colour(index + 1 if numbers is None else numbers[index])
        box = prompt.box if hasattr(prompt, "box") else prompt
        if box is not None:
            _draw_box(rgb, box, colour, width)
        for (x, y), label in zip(getattr(prompt, "points", ()), getattr(prompt, "point_labels", ()), strict=True):
            _draw_point(rgb, (float(x), float(y)), label == 1, colour, width)
    return rgb


def line_width(image_hw: tuple[int, int]) -> int:
    """Width of a line in pixels: one for every 500 pixels of the longer side, at least one."""
    return max(1, round(max(image_hw) / 500))


def _to_rgb(image: np.ndarray) -> np.ndarray:
    """A contiguous RGB copy to draw on."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        got = f"{image.dtype} {image.shape}"
        raise ValueError(f"image must be uint8 (H, W) or (H, W, 3), got {got}; convert it with to_uint8")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return image.copy(order="C")


def _colour(label: int) -> tuple[int, int, int]:
    red, green, blue = PALETTE[(label - 1) % len(PALETTE)]
    return int(red), int(green), int(blue)


def _paint(rgb: np.ndarray, labels: np.ndarray, opacity: float, contours: bool, first: int) -> None:
    """Colours `rgb` in place; labels bool take the colour of label `first`, integers their own."""
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    if rows.size == 0:
        return
    width = line_width(rgb.shape[:2])
    # one pixel more than the object, so that its outermost pixels see the background (but not beyond the
    # image: an object that the image cuts off gets no line there)
    top, bottom = max(0, rows[0] - 1), rows[-1] + 2
    left, right = max(0, columns[0] - 1), columns[-1] + 2
    rgb, labels = rgb[top:bottom, left:right], labels[top:bottom, left:right]
    rim = _rim(labels, width) if contours else None
    for start in range(0, len(rgb), _STRIP_ROWS):
        strip = slice(start, start + _STRIP_ROWS)
        inside = labels[strip] != 0
        if labels.dtype == bool:
            colours = np.broadcast_to(PALETTE[(first - 1) % len(PALETTE)], rgb[strip].shape)
        else:
            colours = PALETTE[(labels[strip].astype(np.int64) - 1) % len(PALETTE)]
        colours = np.ascontiguousarray(colours)
        blended = cv2.addWeighted(colours, opacity, np.ascontiguousarray(rgb[strip]), 1 - opacity, 0)
        rgb[strip][inside] = blended[inside]
        if rim is not None:
            rgb[strip][rim[strip]] = colours[rim[strip]]


def _rim(labels: np.ndarray, width: int) -> np.ndarray:
    """The pixels of objects at most `width` pixels from another label or the background; (h, w) bool."""
    edge = np.zeros(labels.shape, dtype=np.uint8)
    differs = labels[1:] != labels[:-1]
    edge[1:] |= differs
    edge[:-1] |= differs
    differs = labels[:, 1:] != labels[:, :-1]
    edge[:, 1:] |= differs
    edge[:, :-1] |= differs
    if width > 1:
        # the edge is already a pixel wide on both sides
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width - 1, 2 * width - 1))
        edge = cv2.dilate(edge, kernel)
    return (edge != 0) & (labels != 0)


def _draw_box(rgb: np.ndarray, box: Sequence[float], colour: tuple[int, int, int], width: int) -> None:
    corners = np.asarray(box, dtype=np.float64)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise ValueError(f"box must be four finite numbers x0 y0 x1 y1, got {box}")
    height_px, width_px = rgb.shape[:2]
    # far outside is as good as just outside, and keeps OpenCV's integers from overflowing
    limits = np.array([width_px, height_px, width_px, height_px]) + 10 * width
    x0, y0, x1, y1 = (int(value) for value in np.rint(np.clip(corners, -10 * width, limits)))
    # a dark edge shows on bright images
    cv2.rectangle(rgb, (x0, y0), (x1, y1), _BLACK, width + 2, cv2.LINE_8)
    cv2.rectangle(rgb, (x0, y0), (x1, y1), colour, width, cv2.LINE_8)


def _draw_point(
    rgb: np.ndarray, point_xy: tuple[float, float], positive: bool, colour: tuple[int, int, int], width: int
) -> None:
    height_px, width_px = rgb.shape[:2]
    x, y = round(point_xy[0]), round(point_xy[1])
    if not (0 <= x < width_px and 0 <= y < height_px):
        return
    radius = 3 * width + 1
    arm = radius - width if positive else round((radius - width) * 0.7)
    cv2.circle(rgb, (x, y), radius + width, _WHITE, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(rgb, (x, y), radius, colour if positive else _BLACK, cv2.FILLED, cv2.LINE_AA)
    sign = _BLACK if positive else _WHITE
    if positive:
        cv2.line(rgb, (x - arm, y), (x + arm, y), sign, width)
        cv2.line(rgb, (x, y - arm), (x, y + arm), sign, width)
    else:
        cv2.line(rgb, (x - arm, y - arm), (x + arm, y + arm), sign, width)
        cv2.line(rgb, (x - arm, y + arm), (x + arm, y - arm), sign, width)
