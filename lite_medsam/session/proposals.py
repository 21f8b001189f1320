"""Where an object may be: parts of a map that answers how like an object each pixel is."""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy import ndimage

LEVELS = (-0.4, -0.1, 0.2, 0.6)  # of the map; its examples are at 1, what is around them at -1
SMALLEST, LARGEST = 0.15, 5.0  # of a part, as shares of the examples' area
DIVIDED_FROM = 1.4  # parts larger than so many examples are also divided at their necks
DIVIDED_TO = 40.0  # and beyond this they are ground, not objects
SAME_BOX = 0.8
MAX_PROPOSALS = 160

Box = tuple[float, float, float, float]


def proposed_boxes(answer: np.ndarray, taken: np.ndarray, area_px: float, most: int = MAX_PROPOSALS) -> list[Box]:
    """Boxes around the connected parts of a map above several levels, and around the pieces of those that are large.

    Args:
        answer: (H, W) float32, see `likeness.FeatureMap.apply`.
        taken: (H, W) bool, pixels of objects that are there already.
        area_px: Of an example.
        most: At most so many, those first whose map and size are most like an example.

    Returns:
        x0, y0, x1, y1, last pixel inside.
    """
    free = ~taken
    smooth = cv2.GaussianBlur(answer, (0, 0), max(0.6, 0.06 * np.sqrt(area_px)))
    rated: list[tuple[float, Box]] = []
    for level in LEVELS:
        parts, _ = ndimage.label((smooth > level) & free, np.ones((3, 3), bool))
        for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
            # (the middle of an object often answers less than its rim)
            inside = ndimage.binary_fill_holes(parts[rows, columns] == number)
            pixels = int(np.count_nonzero(inside))
            if not SMALLEST * area_px <= pixels <= DIVIDED_TO * area_px:
                continue
            pieces = [inside] if pixels <= LARGEST * area_px else []
            if pixels > DIVIDED_FROM * area_px:
                pieces += _divided(inside, answer[rows, columns], area_px)
            rated += [
                (_rating(answer[rows, columns], piece, area_px), _box(piece, rows.start, columns.start))
                for piece in pieces
                if SMALLEST * area_px <= np.count_nonzero(piece) <= LARGEST * area_px
            ]
    rated.sort(key=lambda item: -item[0])
    return _different([box for _, box in rated])[:most]


def _divided(inside: np.ndarray, answer: np.ndarray, area_px: float) -> list[np.ndarray]:
    """The pieces of a part that may hold several objects: around its deep places, and around where the map is high."""
    radius = np.sqrt(area_px / np.pi)
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    found = []
    for surface in (
        cv2.GaussianBlur(depth, (0, 0), 0.12 * radius + 0.3),
        cv2.GaussianBlur(answer, (0, 0), 0.35 * radius + 0.3),
    ):
        reach = max(1, round(0.55 * radius))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        tops = (surface == cv2.dilate(surface, disc)) & inside & (depth > 0.3 * radius)
        numbers, count = ndimage.label(tops)
        if count < 2:
            continue
        near = ndimage.distance_transform_edt(numbers == 0, return_distances=False, return_indices=True)
        nearest = np.where(inside, numbers[tuple(near)], 0)
        found += [nearest == number for number in range(1, count + 1)]
    return found


def _rating(answer: np.ndarray, piece: np.ndarray, area_px: float) -> float:
    size = np.log(np.count_nonzero(piece) / area_px)
    return float(answer[piece].mean() - 0.25 * size * size)


def _box(piece: np.ndarray, y0: int, x0: int) -> Box:
    rows, columns = np.flatnonzero(piece.any(1)), np.flatnonzero(piece.any(0))
    return float(x0 + columns[0]), float(y0 + rows[0]), float(x0 + columns[-1]), float(y0 + rows[-1])


def _different(boxes: Sequence[Box]) -> list[Box]:
    """Those that are not nearly one that comes before."""
    kept: list[Box] = []
    array: np.ndarray = np.empty((0, 4))
    for box in boxes:
        if len(kept) and box_overlaps(np.array(box), array).max() > SAME_BOX:
            continue
        kept.append(box)
        array = np.array(kept)
    return kept


def box_overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) intersection over union of a box with (N, 4) others, last pixel inside."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.clip(high - low + 1, 0, None).prod(1)
    area = (others[:, 2:] - others[:, :2] + 1).prod(1)
    return common / (area + (box[2:] - box[:2] + 1).prod() - common)
