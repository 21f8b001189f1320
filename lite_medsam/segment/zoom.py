"""Which objects are segmented from a crop, where that crop lies, and which of them share one."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import Preprocessing, Zoom
from lite_medsam.prompts.prompt_set import Prompt, box_from_mask

Box = tuple[float, float, float, float]

# Crops come in sides of the image's longer side / 2 ** (k / STEPS_PER_OCTAVE), and begin at multiples of side / GRID: most
# boxes that differ by a pixel then see the same crop, so that their masks differ by no more than the prompt's own effect.
STEPS_PER_OCTAVE, GRID = 8, 32
# places along an axis that are tried for a shared crop
_PLACES = 24


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
    left, width = _span((x0 + x1 + 1) / 2, side, image_hw[1])
    top, height = _span((y0 + y1 + 1) / 2, side, image_hw[0])
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
    left, width = _span((x0 + x1 + 1) / 2, side, image_hw[1], grid)
    top, height = _span((y0 + y1 + 1) / 2, side, image_hw[0], grid)
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


def plan_frames(
    boxes: Sequence[Box | None], image_hw: tuple[int, int], zoom: Zoom, settings: Preprocessing, share: bool = True
) -> list[Frame]:
    """The view of each object of an image: a crop of its own, a shared one, or the whole image.

    Up to `zoom.own_crops` crops every object has the crop that it would have alone. Where more would be needed, small objects
    share: the larger the crops may be, the fewer there are, so the smallest context is taken that needs no more than
    `own_crops`, else `shared_context`. The plan depends on which objects are asked for, never on their order.

    Args:
        boxes: Around each object; None for the whole image.
        image_hw: Shape of the image.
        zoom: The model's policy.
        settings: Of the model, for its frames.
        share: Whether crops may be shared.
    """
    whole = Frame.for_model(image_hw, settings)
    own = [None if box is None else zoom_frame(box, image_hw, zoom, settings.image_size) for box in boxes]
    frames = _fewer_crops(boxes, own, image_hw, zoom) if share else own
    return [whole if frame is None else replace(frame, fit=whole.fit, geometry=whole.geometry) for frame in frames]


def is_small(box: Box, image_hw: tuple[int, int], zoom: Zoom) -> bool:
    """Whether a crop of its own would magnify an object so much that it may share one."""
    length = max(box[2] - box[0] + 1, box[3] - box[1] + 1, zoom.minimum_px / zoom.context)
    return max(image_hw) / (zoom.context * length) >= zoom.shared_gain


def _fewer_crops(
    boxes: Sequence[Box | None], own: list[Frame | None], image_hw: tuple[int, int], zoom: Zoom
) -> list[Frame | None]:
    """The plan with no more than `own_crops` crops, or with as few as the largest shared context allows."""
    best, fewest = own, len(set(own) - {None})
    bound = zoom.context
    small = [i for i, frame in enumerate(own) if frame is not None and is_small(boxes[i], image_hw, zoom)]
    while fewest > zoom.own_crops and len(small) > 1 and bound < zoom.shared_context:
        bound = min(bound * math.sqrt(2), zoom.shared_context)
        shared = _share([boxes[i] for i in small], [own[i] for i in small], image_hw, zoom.context, bound)
        frames = list(own)
        for i, frame in zip(small, shared, strict=True):
            frames[i] = frame
        count = len(set(frames) - {None})
        if count < fewest:
            best, fewest = frames, count
    return best


def _share(boxes: list[Box], own: list[Frame], image_hw: tuple[int, int], context: float, bound: float) -> list[Frame]:
    """Crops for objects of which near ones share, greedily: the smallest object that has none yet takes along as many
    others as fit a crop of `bound` times its own longer side.

    Each member is in its crop with `context` around it, as far as the image goes. Members are never smaller than the
    object that began, so the crop is no more than `bound` times any member's longer side.
    """
    corners = np.array(boxes, np.float64)
    middle = (corners[:, :2] + corners[:, 2:] + 1) / 2
    length = (corners[:, 2:] - corners[:, :2] + 1).max(1)
    limit = np.array(image_hw[::-1], np.float64)
    low = np.maximum(middle - context * length[:, None] / 2, 0)  # (n, 2) what a member needs to see
    high = np.minimum(middle + context * length[:, None] / 2, limit)
    waiting = np.ones(len(boxes), bool)
    frames = list(own)
    for first in np.lexsort((*corners.T, length)):
        if not waiting[first]:
            continue
        side = min(math.floor(bound * length[first]), max(image_hw) - 1)
        near = waiting & (np.maximum(high, high[first]) - np.minimum(low, low[first]) <= side).all(1)
        members = _most_covered(np.flatnonzero(near), first, low, high, side)
        waiting[members] = False
        if len(members) > 1:
            needed = max(own[i].width if own[i].width >= own[i].height else own[i].height for i in members)
            shared = _around(low[members].min(0), high[members].max(0), min(needed, side), own[first].size, image_hw)
            for i in members:
                frames[i] = shared
    return frames


def _most_covered(near: np.ndarray, first: int, low: np.ndarray, high: np.ndarray, side: int) -> np.ndarray:
    """Those of `near` that the best place of a square of `side` around object `first` holds, `first` among them."""
    inside = []
    for axis in (0, 1):
        begin = np.unique(low[near, axis])
        begin = begin[(begin <= low[first, axis]) & (begin + side >= high[first, axis])]
        begin = begin[np.unique(np.linspace(0, len(begin) - 1, min(_PLACES, len(begin))).round().astype(int))]
        inside.append((low[near, axis] >= begin[:, None]) & (high[near, axis] <= begin[:, None] + side))
    covered = inside[0].astype(np.int64) @ inside[1].astype(np.int64).T  # (places along x, places along y)
    x, y = np.unravel_index(covered.argmax(), covered.shape)
    return near[inside[0][x] & inside[1][y]]


def _around(low: np.ndarray, high: np.ndarray, least: float, size: int, image_hw: tuple[int, int]) -> Frame:
    """The smallest square window that holds an area, of at least a side."""
    side = math.ceil(max(least, (np.ceil(high) - np.floor(low)).max()))
    left, width = _span((low[0] + high[0]) / 2, side, image_hw[1])
    top, height = _span((low[1] + high[1]) / 2, side, image_hw[0])
    return Frame(left, top, width, height, size)


def _span(centre: float, side: int, limit: int, grid: int = 1) -> tuple[int, int]:
    """First index and length of an interval of `side` around `centre`, on a grid, moved and cut to fit in 0..limit."""
    length = min(side, limit)
    start = round((centre - length / 2) / grid) * grid
    return min(max(start, 0), limit - length), length
