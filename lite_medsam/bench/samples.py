"""Synthetic images of the sizes that are measured, as arrays and as files."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.phantoms import MIN_SIDE_PX, make_phantom

DRAWN_SIDE = 1024  # larger pictures are drawn at this size and enlarged: drawing takes longer than all measurements


@dataclass(frozen=True, eq=False)
class Sample2D:
    """An image with boxes.

    Attributes:
        image: (H, W, 3) uint8.
        boxes: (N, 4) x0 y0 x1 y1, last pixel inside.
    """

    image: np.ndarray
    boxes: np.ndarray


@lru_cache(maxsize=8)
def one_object(side: int) -> Sample2D:
    """A square skin picture with one lesion, which fills a good part of it."""
    return _scaled("dermoscopy", side)


@lru_cache(maxsize=8)
def many_objects(side: int, count: int) -> Sample2D:
    """A square microscopy picture with boxes of nuclei; more than it has are shifted copies, cut at the edges."""
    drawn = _scaled("microscopy", side)
    boxes, rng = list(drawn.boxes), np.random.default_rng(0)
    while len(boxes) < count:
        x0, y0, x1, y1 = drawn.boxes[rng.integers(len(drawn.boxes))]
        dx, dy = rng.integers(-side // 3, side // 3, 2)
        x, y = np.clip((x0 + dx, y0 + dy), 0, (side - 1 - (x1 - x0), side - 1 - (y1 - y0)))
        boxes.append(np.array((x, y, x + x1 - x0, y + y1 - y0)))
    return Sample2D(drawn.image, np.array(boxes[:count], float))


def write_variants(sample: Sample2D, folder: Path, count: int) -> list[Path]:
    """The image as PNG files that differ by a shift of some columns, so that nothing can be kept from one to the next.

    Args:
        sample: The image.
        folder: Is created.
        count: Number of files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        bgr = np.ascontiguousarray(np.roll(sample.image, i, axis=1)[:, :, ::-1])
        paths.append(folder / f"image{i:03d}.png")
        cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tofile(paths[-1])
    return paths


def _scaled(kind: str, side: int) -> Sample2D:
    drawn_side = min(max(side, MIN_SIDE_PX), DRAWN_SIDE)
    case = make_phantom(kind, 0, (drawn_side, drawn_side))
    image = case.image if case.image.ndim == 3 else np.repeat(case.image[:, :, None], 3, axis=2)
    assert case.boxes is not None  # phantoms have them
    boxes = case.boxes[:, :4].astype(float)
    if side != drawn_side:
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        last = np.array((0, 0, 1, 1))  # the last pixel is inside: scale the outer edges
        boxes = (boxes + last) * (side / drawn_side) - last
    return Sample2D(image, boxes)
