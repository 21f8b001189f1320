"""Where a picture looks like examples: the model's features and grey values, told apart by a linear rule."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.segment.encoding import EncodedImage
from lite_medsam.segment.predictor import Predictor

OBJECT_PX = 24  # how long an example is in the model's frame, where the whole picture would show it shorter
MAX_TILES = 49
OVERLAP = 0.25  # of a tile's side: what is near its border is taken from its neighbour
SHRINKAGE = (
    0.8  # of the rule's covariance towards that of independent features: one example has few pixels for 300 of them
)


@dataclass(frozen=True, eq=False)
class Rule:
    """A linear rule: above 0 is more like the examples than like what is around them.

    Attributes:
        weights: (C,) float32.
        bias: Added.
    """

    weights: np.ndarray
    bias: float


@dataclass(frozen=True, eq=False)
class Tile:
    """A window of the picture as the encoder sees it.

    Attributes:
        rows: First row and end of what is taken from it.
        columns: First column and end.
        encoded: The window, encoded.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    encoded: EncodedImage

    @property
    def frame(self) -> Frame:
        """The window of the picture."""
        return self.encoded.frame

    @property
    def features(self) -> list[np.ndarray]:
        """(c, h, w) float32 each, the coarsest first."""
        return [feature[0] for feature in self.encoded.features]

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height of the whole model frame in pixels of the picture; the window fills its top left."""
        frame = self.frame
        side = max(frame.width, frame.height)
        return (frame.width, frame.height) if frame.fit == "stretch" else (side, side)

    def sampled(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(n, C) float32 features of pixels, between the middles of feature cells linearly."""
        width, height = self.extent
        return np.concatenate(
            [
                _between(
                    feature,
                    (rows + 0.5 - self.frame.y0) / height * feature.shape[1] - 0.5,
                    (columns + 0.5 - self.frame.x0) / width * feature.shape[2] - 0.5,
                )
                for feature in self.features
            ],
            axis=1,
        )

    def answer(self, weights: np.ndarray) -> np.ndarray:
        """(rows, columns) float32: the weighted sum of the features of every pixel that is taken from here."""
        total, at = np.zeros(self.extent[::-1], np.float32), 0
        for feature in self.features:
            level = np.tensordot(weights[at : at + len(feature)], feature, 1)
            total += cv2.resize(level, self.extent, interpolation=cv2.INTER_LINEAR)
            at += len(feature)
        (y0, y1), (x0, x1) = self.rows, self.columns
        return total[y0 - self.frame.y0 : y1 - self.frame.y0, x0 - self.frame.x0 : x1 - self.frame.x0]


class FeatureMap:
    """Features of every pixel of a picture: the encoder's at several scales, seen tile by tile, and grey values.

    Args:
        predictor: The model.
        image: (H, W) or (H, W, 3) uint8.
        object_px: How long the examples are; tiles are so small that the encoder sees them well.
    """

    def __init__(self, predictor: Predictor, image: np.ndarray, object_px: float):
        size = predictor.spec.preprocessing.image_size
        whole = Frame.for_model(image.shape[:2], predictor.spec.preprocessing)
        self.tiles: list[Tile] = []
        for y0, height, rows in (layout := tile_layout(image.shape[:2], object_px, size))[0]:
            for x0, width, columns in layout[1]:
                frame = replace(whole, x0=x0, y0=y0, width=width, height=height)
                self.tiles.append(Tile(rows, columns, predictor.encode(image, frame)))
        self._grey = grey_channels(image, object_px)

    @property
    def parts(self) -> list[slice]:
        """Where in C the features of each scale are, the coarsest first, and at the end the grey values."""
        sizes = [len(feature) for feature in self.tiles[0].features] + [len(self._grey)]
        ends = np.cumsum(sizes).tolist()
        return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(n, C) float32 features of pixels.

        Args:
            rows: (n,) integers.
            columns: (n,) integers.
        """
        found = np.zeros((len(rows), self.parts[-1].start), np.float32)
        for tile in self.tiles:
            inside = (rows >= tile.rows[0]) & (rows < tile.rows[1])
            inside &= (columns >= tile.columns[0]) & (columns < tile.columns[1])
            if inside.any():
                found[inside] = tile.sampled(rows[inside], columns[inside])
        return np.concatenate([found, *(channel[rows, columns][:, None] for channel in self._grey)], axis=1)

    def apply(self, rule: Rule) -> np.ndarray:
        """(H, W) float32: the rule at every pixel."""
        found = np.full(self._grey[0].shape, np.float32(rule.bias))
        for tile in self.tiles:
            found[slice(*tile.rows), slice(*tile.columns)] += tile.answer(rule.weights)
        for weight, channel in zip(rule.weights[-len(self._grey) :], self._grey, strict=True):
            found += weight * channel
        return found


def fit_rule(inside: np.ndarray, outside: np.ndarray) -> Rule:
    """Fisher's linear discriminant with a shrunken covariance.

    Args:
        inside: (n, C) features of pixels of the examples.
        outside: (m, C) of pixels that belong to none.

    Returns:
        The rule, scaled so that the two means are at +1 and -1.
    """
    middle = (inside.mean(0) + outside.mean(0)) / 2
    spread = np.concatenate([inside, outside]).std(0) + 1e-6
    a, b = ((part - middle) / spread for part in (inside, outside))
    within = (np.cov(a.T) + np.cov(b.T)) / 2
    within = (1 - SHRINKAGE) * within + SHRINKAGE * np.eye(len(within)) * max(np.trace(within) / len(within), 1e-6)
    apart = a.mean(0) - b.mean(0)
    direction = np.linalg.solve(within, apart)
    weights = direction * (2 / max(float(direction @ apart), 1e-9)) / spread
    return Rule(weights.astype(np.float32), -float(weights @ middle))


Span = tuple[int, int, tuple[int, int]]


def tile_layout(image_hw: tuple[int, int], object_px: float, size: int) -> tuple[list[Span], list[Span]]:
    """Windows that cover a picture so that an object in them is `OBJECT_PX` long for the model, at most `MAX_TILES`.

    Args:
        image_hw: Of the picture.
        object_px: Length of the object.
        size: Side of the model's frame.

    Returns:
        Along rows and along columns: first pixel, length, and (first, end) of what is taken from it.
    """
    side = max(16.0, size * object_px / OBJECT_PX)
    while True:
        spans = tuple(_spans(length, math.ceil(side)) for length in image_hw)
        if len(spans[0]) * len(spans[1]) <= MAX_TILES:
            return spans[0], spans[1]
        side *= 1.1


def _spans(length: int, side: int) -> list[Span]:
    if length <= side:
        return [(0, length, (0, length))]
    count = math.ceil((length - side) / (side * (1 - OVERLAP))) + 1
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    ends = [(a + side + b) // 2 for a, b in pairwise(starts)]
    return [(a, side, (b, c)) for a, b, c in zip(starts, [0, *ends], [*ends, length], strict=True)]


def grey_channels(image: np.ndarray, object_px: float) -> list[np.ndarray]:
    """(H, W) float32 each: colour or grey, its means over parts of an object, and how much it varies there.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        object_px: Length of the object.
    """
    colours = [np.ascontiguousarray(image)] if image.ndim == 2 else list(cv2.split(np.ascontiguousarray(image)))
    found = []
    for colour in colours:
        values = colour.astype(np.float32) / 255
        near = cv2.GaussianBlur(values, (0, 0), max(0.6, object_px / 12))
        wide = cv2.GaussianBlur(values, (0, 0), max(1.0, object_px / 5))
        around = cv2.GaussianBlur(values, (0, 0), max(2.0, object_px))
        varied = np.sqrt(
            np.maximum(cv2.GaussianBlur(values * values, (0, 0), max(1.0, object_px / 5)) - wide * wide, 0)
        )
        found += [values, near, wide, wide - around, varied]
    return found


def _between(feature: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n, c) values of a (c, h, w) feature at places between its cells."""
    y, x = np.clip(y, 0, feature.shape[1] - 1), np.clip(x, 0, feature.shape[2] - 1)
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    below, right = np.minimum(top + 1, feature.shape[1] - 1), np.minimum(left + 1, feature.shape[2] - 1)
    dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    upper = feature[:, top, left] * (1 - dx) + feature[:, top, right] * dx
    lower = feature[:, below, left] * (1 - dx) + feature[:, below, right] * dx
    return (upper * (1 - dy) + lower * dy).T
