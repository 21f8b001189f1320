"""Crops that near objects share, where each with a crop of its own would need too many."""

import math
from collections.abc import Sequence

import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import Zoom
from lite_medsam.segment.zoom import Box, is_small, span_around

# places along an axis that are tried for a shared crop
_PLACES = 24


def fewer_crops(
    boxes: Sequence[Box | None], own: list[Frame | None], image_hw: tuple[int, int], zoom: Zoom
) -> list[Frame | None]:
    """Crops for the objects of an image, no more than `own_crops` or as few as the largest shared context allows.

    The larger the shared crops may be, the fewer there are, so the smallest context is taken that needs no more than
    `own_crops`, else `shared_context`.

    Args:
        boxes: Around each object, x0 y0 x1 y1; None for the whole image.
        own: The crop that each object would have alone; None for the whole image.
        image_hw: Shape of the image.
        zoom: The model's policy.
    """
    best, fewest = own, len(set(own) - {None})
    bound = zoom.context
    small = [
        (i, box, crop)
        for i, (box, crop) in enumerate(zip(boxes, own, strict=True))
        if box is not None and crop is not None and is_small(box, image_hw, zoom)
    ]
    while fewest > zoom.own_crops and len(small) > 1 and bound < zoom.shared_context:
        bound = min(bound * math.sqrt(2), zoom.shared_context)
        shared = _share([box for _, box, _ in small], [crop for _, _, crop in small], image_hw, zoom.context, bound)
        frames = list(own)
        for (i, _, _), frame in zip(small, shared, strict=True):
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
    left, width = span_around((low[0] + high[0]) / 2, side, image_hw[1])
    top, height = span_around((low[1] + high[1]) / 2, side, image_hw[0])
    return Frame(left, top, width, height, size)
