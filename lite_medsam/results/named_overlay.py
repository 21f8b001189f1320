"""The overlay for slides and letters: each object with its number and its name beside it."""

from collections.abc import Sequence

import numpy as np

from lite_medsam.images.png_writing import png_bytes
from lite_medsam.results.overlay import draw_masks, label_colours

Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1; the last ones outside


def named_overlay_png(
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    numbers: Sequence[int],
    names: Sequence[str | None],
    opacity: float = 0.45,
    contours: bool = True,
) -> bytes:
    """The picture with its objects coloured, and number and name of each at its upper left, as RGB PNG.

    Args:
        image: (H, W) or (H, W, 3) uint8 RGB.
        masks: (H, W) bool, one per object; of empty ones nothing is drawn.
        numbers: Of the objects.
        names: Of the objects.
        opacity: 0 (only contours) to 1.
        contours: Draw the rims.
    """
    from PIL import Image, ImageDraw

    stack = np.stack(masks) if len(masks) else np.zeros((0, *image.shape[:2]), bool)
    drawn = Image.fromarray(draw_masks(image, stack, opacity, contours, numbers))
    pen, font = ImageDraw.Draw(drawn), _font(max(11, round(max(image.shape[:2]) / 55)))
    taken: list[Rectangle] = []
    for mask, number, name in sorted(zip(masks, numbers, names, strict=True), key=lambda row: row[1]):
        if not mask.any():
            continue
        text = f"{number} {name}" if name else str(number)
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        size = int(right - left) + 6, int(bottom - top) + 6
        place = _place(mask, size, taken)
        taken.append(place)
        colour = label_colours()[(number - 1) % 255 + 1].tolist()
        pen.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=tuple(colour), outline=(0, 0, 0))
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 120
        pen.text(
            (place[0] + 3 - left, place[1] + 3 - top), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font
        )
    return png_bytes(np.asarray(drawn), 4)


def _place(mask: np.ndarray, size: tuple[int, int], taken: Sequence[Rectangle]) -> Rectangle:
    """Where a tag goes: above its object, else below, beside or on it; inside the picture, on no other tag where that works."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    (width, height), (rows_in, columns_in) = size, mask.shape
    wanted = [(x0, y0 - height), (x0, y1), (x1, y0), (x0 - width, y0), (x1 - width, y0 - height), (x0, y0)]
    found = []
    for x, y in wanted:
        x, y = max(0, min(x, columns_in - width)), max(0, min(y, rows_in - height))
        found.append((x, y, x + width, y + height))
    return next((place for place in found if not any(_meet(place, other) for other in taken)), found[0])


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _font(size: int):
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow 10.0 has one small font
        return ImageFont.load_default()
