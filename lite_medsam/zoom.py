"""Which objects are segmented from a crop of their own, and where that crop lies."""

import math

from lite_medsam.preprocessing import Frame
from lite_medsam.spec import Zoom


def crop_frame(
    box: tuple[float, float, float, float], image_hw: tuple[int, int], context: float, minimum_px: int, size: int
) -> Frame:
    """A square around a box, moved inside the image; cut to the image where it is larger along an axis.

    Args:
        box: x0 y0 x1 y1, last pixel inside.
        image_hw: Shape of the image.
        context: Side of the square over the longer side of the box, >= 1.
        minimum_px: Smallest side, image pixels.
        size: Side of the model frame.

    Returns:
        A frame whose window lies within the image and holds the box as far as the image does.
    """
    x0, y0, x1, y1 = box
    side = math.ceil(max(minimum_px, context * max(x1 - x0 + 1, y1 - y0 + 1)))
    left, width = _span((x0 + x1 + 1) / 2, side, image_hw[1])
    top, height = _span((y0 + y1 + 1) / 2, side, image_hw[0])
    return Frame(left, top, width, height, size)


def zoom_frame(
    box: tuple[float, float, float, float], image_hw: tuple[int, int], zoom: Zoom, size: int
) -> Frame | None:
    """The crop that a boxed object is segmented from, or None where the plain whole image does as well.

    A crop as large as the image would only move the object to a place that training never showed, so the whole image is
    used unless the crop magnifies.

    Args:
        box: x0 y0 x1 y1, last pixel inside.
        image_hw: Shape of the image.
        zoom: The model's policy.
        size: Side of the model frame.
    """
    frame = crop_frame(box, image_hw, zoom.context, zoom.minimum_px, size)
    gain = max(image_hw) / max(frame.width, frame.height)
    return frame if gain > zoom.minimum_gain else None


def _span(centre: float, side: int, limit: int) -> tuple[int, int]:
    """First index and length of an interval of `side` around `centre`, moved and cut to fit in 0..limit."""
    length = min(side, limit)
    start = round(centre - length / 2)
    return min(max(start, 0), limit - length), length
