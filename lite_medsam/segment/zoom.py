"""Which objects are segmented from a crop, and where that crop lies."""

import math

import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import Zoom
from lite_medsam.prompts.prompt_set import Prompt, box_from_mask

Box = tuple[float, float, float, float]

# Crops come in sides of the image's longer side / 2 ** (k / STEPS_PER_OCTAVE), and begin at multiples of side / GRID: most
# boxes that differ by a pixel then see the same crop, so that their masks differ by no more than the prompt's own effect.
STEPS_PER_OCTAVE, GRID = 8, 32


def crop_frame(box: Box, image_hw: tuple[int, int], context: float, minimum_px: int, size: int) -> Frame:
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
    left, width = span_around((x0 + x1 + 1) / 2, side, image_hw[1])
    top, height = span_around((y0 + y1 + 1) / 2, side, image_hw[0])
    return Frame(left, top, width, height, size)


def zoom_frame(box: Box, image_hw: tuple[int, int], zoom: Zoom, size: int) -> Frame | None:
    """The crop that a boxed object is segmented from, or None where the plain whole image does as well.

    A crop as large as the image would only move the object to a place that training never showed, so the whole image is
    used unless the crop magnifies. The crop is a function of the box alone. Its side is the wanted one within 5 %, its
    middle that of the box within 2 % of the side, see STEPS_PER_OCTAVE.

    Args:
        box: x0 y0 x1 y1, last pixel inside.
        image_hw: Shape of the image.
        zoom: The model's policy.
        size: Side of the model frame.
    """
    x0, y0, x1, y1 = box
    longest, length = max(image_hw), max(x1 - x0 + 1, y1 - y0 + 1)
    wanted = max(zoom.minimum_px, zoom.context * length)
    step = round(STEPS_PER_OCTAVE * math.log2(longest / wanted))
    side = math.ceil(longest * 2 ** (-step / STEPS_PER_OCTAVE))
    if side < max(zoom.minimum_px, length + 2):
        side = math.ceil(longest * 2 ** (-(step - 1) / STEPS_PER_OCTAVE))
    if side >= longest or longest / side <= zoom.minimum_gain:
        return None
    grid = max(1, min(side // GRID, int(side - length) // 2))
    left, width = span_around((x0 + x1 + 1) / 2, side, image_hw[1], grid)
    top, height = span_around((y0 + y1 + 1) / 2, side, image_hw[0], grid)
    return Frame(left, top, width, height, size)


def anchor_box(prompt: Prompt) -> Box | None:
    """Where a prompt says that its object is: its box, else that of its mask, with all clicks on the object; None if open."""
    box = prompt.box
    if box is None and prompt.mask is not None and (prompt.mask > 0).any():
        box = box_from_mask(prompt.mask > 0)
    points = prompt.points[prompt.point_labels == 1]
    if box is None or not len(points):
        return box
    low, high = points.min(0), points.max(0)  # a click on the object may lie outside the box that was drawn
    return min(box[0], low[0]), min(box[1], low[1]), max(box[2], high[0]), max(box[3], high[1])


def found_box(part: tuple[tuple[slice, slice], np.ndarray], prompt: Prompt) -> Box | None:
    """The box around what clicks have found: the connected parts of a mask under them, else all of it; with the clicks.

    Args:
        part: Rows and columns of the image, and the (h, w) bool mask there.
        prompt: The clicks.

    Returns:
        x0 y0 x1 y1 in image pixels, None for an empty mask.
    """
    import cv2

    (rows, columns), inside = part
    if not inside.any():
        return None
    count, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    clicks = prompt.points[prompt.point_labels == 1]
    places = np.rint(clicks).astype(int) - (columns.start, rows.start)
    places = places[((places >= 0) & (places < inside.shape[::-1])).all(1)]
    hit = np.unique(parts[places[:, 1], places[:, 0]])
    hit = hit[hit > 0]
    x0, y0, x1, y1 = box_from_mask(np.isin(parts, hit) if len(hit) and count > 2 else inside)
    x0, x1, y0, y1 = x0 + columns.start, x1 + columns.start, y0 + rows.start, y1 + rows.start
    (left, top), (right, bottom) = clicks.min(0), clicks.max(0)
    return min(x0, left), min(y0, top), max(x1, right), max(y1, bottom)


def is_small(box: Box, image_hw: tuple[int, int], zoom: Zoom) -> bool:
    """Whether a crop of its own would magnify an object so much that it may share one."""
    length = max(box[2] - box[0] + 1, box[3] - box[1] + 1, zoom.minimum_px / zoom.context)
    return max(image_hw) / (zoom.context * length) >= zoom.shared_gain


def span_around(centre: float, side: int, limit: int, grid: int = 1) -> tuple[int, int]:
    """First index and length of an interval of `side` around `centre`, on a grid, moved and cut to fit in 0..limit."""
    length = min(side, limit)
    start = round((centre - length / 2) / grid) * grid
    return min(max(start, 0), limit - length), length
