"""Outlines of masks, and masks filled from them, so that each gives the other back exactly."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np


class Outline(NamedTuple):
    """One connected part of a mask.

    Attributes:
        outer: (K, 2) x, y of the ring around it; not closed: the last corner is followed by the first.
        holes: The same of the rings around its holes.
    """

    outer: np.ndarray
    holes: list[np.ndarray]


def edge_outlines(mask: np.ndarray) -> list[Outline]:
    """The outlines along the edges of pixels.

    Pixel i reaches from i - 0.5 to i + 0.5, so corners lie at half pixels. Rings touch neither themselves nor cross: the
    area inside less that of the holes is the number of pixels. Pixels that meet at a corner alone are two parts.

    Args:
        mask: (H, W) bool.
    """
    mask = np.asarray(mask, bool)
    if not mask.any():
        return []
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    outer: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = {}
    for ring in _simple_rings(mask):
        (x0, y0), (x1, y1) = ring[0], ring[1]
        # the pixel to the right of the first edge is inside: y runs down, so outer rings run clockwise as seen
        column = min(x0, x1) if y0 == y1 else x0 - (y1 > y0)
        row = min(y0, y1) if x0 == x1 else y0 - (x1 < x0)
        part = int(parts[row, column])
        corners = _without_straight(ring)
        if _doubled_area(corners) > 0:
            outer[part] = corners - 0.5
        else:
            holes.setdefault(part, []).append(corners - 0.5)
    return [Outline(ring, holes.get(part, [])) for part, ring in sorted(outer.items())]


def fill_outlines(rings: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, the pixels whose middle lies inside an odd number of the rings; the way back of `edge_outlines`.

    Args:
        rings: (K, 2) x, y each, closed by themselves; holes are further rings.
        shape: (H, W).
    """
    height, width = shape
    crossed = np.zeros((height, width + 1), bool)
    for ring in rings:
        corners = np.asarray(ring, np.float64).reshape(-1, 2)
        for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            rows = np.arange(max(0, int(np.ceil(y0))), min(height, int(np.ceil(y1))))
            if len(rows):
                x = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
                crossed[rows, np.clip(np.ceil(x), 0, width).astype(int)] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :width]


def border_contours(mask: np.ndarray) -> list[Outline]:
    """The contours through the middles of the border pixels, as OpenCV's `findContours` gives them: whole numbers.

    A ring includes the pixels that it passes through. Of a hole it passes through the pixels of the object around it.
    Pixels that meet at a corner are one part.

    Args:
        mask: (H, W) bool.
    """
    found, tree = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if tree is None:
        return []
    parts: dict[int, Outline] = {}
    for i, (ring, (_, _, _, parent)) in enumerate(zip(found, tree[0].tolist(), strict=True)):
        if parent < 0:
            parts[i] = Outline(ring[:, 0], [])
    for ring, (_, _, _, parent) in zip(found, tree[0].tolist(), strict=True):
        if parent >= 0:
            parts[parent].holes.append(ring[:, 0])
    return list(parts.values())


def fill_contours(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, the union of rings with the pixels that they pass through; the way back of `border_contours` without holes.

    Args:
        rings: (K, 2) x, y each in pixels; fractions are rounded.
        shape: (H, W).
    """
    filled = np.zeros(shape, np.uint8)
    for ring in rings:
        corners = np.floor(np.asarray(ring, np.float64).reshape(-1, 2) + 0.5)
        corners = np.clip(corners, -(2**20), 2**20).astype(np.int32)
        cv2.fillPoly(filled, [corners[:, None]], (1,))
    return filled > 0


def _simple_rings(mask: np.ndarray) -> Iterator[list[tuple[int, int]]]:
    """Closed walks along pixel edges, corner by corner, the object to the right; none visits a corner twice."""
    following = _edges(mask)
    while following:
        start = next(iter(following))
        corner, step = start, following[start][0]
        walk: list[tuple[int, int]] = []
        while corner in following and step in following[corner]:
            walk.append(corner)
            following[corner].remove(step)
            if not following[corner]:
                del following[corner]
            corner = corner[0] + step[0], corner[1] + step[1]
            ways = following.get(corner, ())
            right = -step[1], step[0]  # where two ways lead on, that around the same pixel
            step = right if right in ways or not ways else ways[0]
        yield from _split(walk)


def _split(walk: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The loops of a closed walk, each without a corner that comes twice."""
    kept: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for corner in walk:
        if corner in place:
            first = place[corner]
            yield kept[first:]
            for passed in kept[first + 1 :]:
                del place[passed]
            del kept[first + 1 :]
        else:
            place[corner] = len(kept)
            kept.append(corner)
    yield kept


def _edges(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Corner -> the steps (dx, dy) of the edges from there; the corner x, y is the upper left one of pixel x, y."""
    padded = np.pad(mask, 1)
    here = padded[1:-1, 1:-1]
    # beside the pixel, start and end of the edge, seen from its upper left corner
    sides = (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for beside, (sx, sy), (ex, ey) in sides:
        rows, columns = (index.tolist() for index in np.nonzero(here & ~beside))
        for x, y in zip(columns, rows, strict=True):
            following.setdefault((x + sx, y + sy), []).append((ex - sx, ey - sy))
    return following


def _without_straight(ring: list[tuple[int, int]]) -> np.ndarray:
    corners = np.array(ring, np.float64)
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    return corners[(before != after).any(axis=1)]


def _doubled_area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
