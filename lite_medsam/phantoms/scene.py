"""Scenes of no modality: shapes x textures x contrast drawn at random, to train on.

Domain randomisation (Tobin et al., 2017): what a network can only learn from them is that an object is what differs from
its surroundings inside the prompt, whatever its shape, texture, colour and polarity.
"""

import itertools
from collections.abc import Callable

import cv2
import numpy as np

from lite_medsam.phantoms.shapes import Drawing, fill, random_blob, soften, spline, to_grey
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise, speckle

MIN_AREA_PX = 24
COLOUR_SHARE, DISTRACTOR_SHARE, LAYERED_SHARE = 0.5, 0.25, 0.25
Mask = np.ndarray


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """A scene of 3 to 9 things, some of them not labelled."""
    channels = 3 if rng.random() < COLOUR_SHARE else 1
    image = _textured(rng, hw, channels, rng.uniform(0.1, 0.9, channels))
    label = np.zeros(hw, np.uint8)
    masks = _layers(rng, hw) if rng.random() < LAYERED_SHARE else []
    masks += [SHAPES[rng.integers(len(SHAPES))](rng, hw) for _ in range(rng.integers(3, 8))]
    for mask in masks:
        image, shown = _paint(rng, image, mask)
        if rng.random() < DISTRACTOR_SHARE:
            label[shown] = 0
        else:
            label[shown] = label.max() + 1
    image = _record(rng, image)
    label = _renumbered(label)
    names = {int(i): "thing" for i in np.unique(label) if i}
    return Drawing(image[..., 0] if channels == 1 else image, label, names, None)


def _blob(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    side = min(hw)
    radius = side * np.exp(rng.uniform(np.log(0.03), np.log(0.35)))
    radii = (radius, radius * rng.uniform(0.4, 1.0))
    centre = rng.uniform(0.05, 0.95, 2) * (hw[1], hw[0])
    return random_blob(rng, tuple(centre), radii, rng.uniform(0, np.pi), rng.uniform(0, 0.25)).mask(hw)


def _ring(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    """A rim: what is left of a blob around a smaller, shifted one; a crescent where that reaches over its edge."""
    outer = random_blob(
        rng,
        tuple(rng.uniform(0.2, 0.8, 2) * (hw[1], hw[0])),
        (radius := min(hw) * rng.uniform(0.06, 0.3),) * 2,
        0.0,
        0.08,
    )
    centre = np.array(outer.centre[:2]) + rng.uniform(-0.4, 0.4, 2) * radius
    return outer.mask(hw) & ~random_blob(rng, tuple(centre), (radius * rng.uniform(0.4, 0.8),) * 2).mask(hw)


def _polygon(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    radius = min(hw) * rng.uniform(0.05, 0.3) * rng.uniform(0.5, 1.0, len(angles))
    centre = rng.uniform(0.1, 0.9, 2) * (hw[1], hw[0])
    return fill(hw, centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))


def _tube(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    canvas = np.zeros(hw, np.uint8)
    _line(canvas, rng, rng.uniform(0, 1, 2) * (hw[1], hw[0]), rng.uniform(0.008, 0.06) * min(hw))
    return canvas > 0


def _tree(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    """Branching lines that grow thinner, from one place."""
    canvas = np.zeros(hw, np.uint8)
    root, width = rng.uniform(0, 1, 2) * (hw[1], hw[0]), rng.uniform(0.008, 0.02) * min(hw)
    for _ in range(rng.integers(2, 5)):
        path = _line(canvas, rng, root, width)
        for _ in range(rng.integers(1, 5)):
            _line(canvas, rng, path[rng.integers(len(path) // 4, len(path))], max(width * 0.6, 1.0))
    return canvas > 0


def _line(canvas: np.ndarray, rng: np.random.Generator, start: np.ndarray, width: float) -> np.ndarray:
    """Draws a winding line and returns its points."""
    steps = rng.normal(rng.normal(0, 1, 2), 0.5, (4, 2)) * min(canvas.shape) * rng.uniform(0.05, 0.25)
    path = spline(start + np.vstack([np.zeros(2), np.cumsum(steps, 0)]), closed=False)
    points = np.round(np.clip(path, -1e4, 1e4)).astype(np.int32)
    cv2.polylines(canvas, [points.reshape(-1, 1, 2)], False, 1, max(1, round(width)))
    return path


def _cluster(rng: np.random.Generator, hw: tuple[int, int]) -> Mask:
    """Several parts that are one object, as spots of a lesion are."""
    centre, spread = rng.uniform(0.2, 0.8, 2) * (hw[1], hw[0]), min(hw) * rng.uniform(0.03, 0.12)
    mask = np.zeros(hw, bool)
    for _ in range(rng.integers(2, 7)):
        radius = spread * rng.uniform(0.15, 0.5)
        mask |= random_blob(rng, tuple(rng.normal(centre, spread)), (radius, radius), 0.0, 0.15).mask(hw)
    return mask


SHAPES: tuple[Callable[[np.random.Generator, tuple[int, int]], Mask], ...] = (
    _blob, _blob, _blob, _ring, _polygon, _tube, _tree, _cluster,
)  # fmt: skip


def _layers(rng: np.random.Generator, hw: tuple[int, int]) -> list[Mask]:
    """Two to six bands across the picture, one upon the other."""
    count = rng.integers(2, 7)
    tops = rng.uniform(0.1, 0.5) + np.cumsum(rng.uniform(0.015, 0.09, count + 1))
    shape = smooth_noise(rng, (1, hw[1]), (1, hw[1] / rng.uniform(1, 5)))[0] * rng.uniform(0.005, 0.06)
    rows = np.arange(hw[0])[:, None]
    borders = [
        (top + shape + 0.006 * smooth_noise(rng, (1, hw[1]), (1, hw[1] / rng.uniform(4, 16)))[0]) * hw[0]
        for top in tops
    ]
    return [(rows >= a) & (rows < b) for a, b in itertools.pairwise(borders)]


def _textured(rng: np.random.Generator, hw: tuple[int, int], channels: int, colour: np.ndarray) -> np.ndarray:
    """(H, W, C) float32 of a colour with a texture of its own."""
    scale = min(hw) * np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    kind = rng.random()
    if kind < 0.5:
        noise = fractal_noise(rng, hw, scale, octaves=int(rng.integers(1, 5)))
    elif kind < 0.75:
        noise = smooth_noise(rng, hw, (scale, scale * np.exp(rng.uniform(-1.2, 1.2))))
    else:
        noise = 2 * ridges(smooth_noise(rng, hw, max(scale, 6)), rng.uniform(0.1, 0.5)) - 1
    strength = rng.uniform(0, 0.12) * rng.uniform(0.6, 1.4, channels)
    return (colour + noise[..., None] * strength).astype(np.float32)


def _paint(rng: np.random.Generator, image: np.ndarray, mask: Mask) -> tuple[np.ndarray, Mask]:
    """The picture with a thing of another mean, and where it is; sometimes it lets its ground shine through."""
    if np.count_nonzero(mask) < MIN_AREA_PX:
        return image, np.zeros_like(mask)
    ground = image[mask].mean(0)
    step = np.exp(rng.uniform(np.log(0.06), np.log(0.45))) * rng.choice([-1, 1])
    if not 0 <= ground.mean() + step <= 1:
        step = -step
    colour = ground + step * rng.uniform(0.5, 1.5, len(ground))
    thing = _textured(rng, mask.shape, image.shape[2], colour)
    if rng.random() < 0.3:
        thing = thing + 0.7 * (image - ground)
    soft = soften(mask, rng.uniform(0.3, 2.0))[..., None]
    return image * (1 - soft) + thing * soft, mask


def _record(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What a device does to it: uneven light, blur, noise or speckle, a curve; uint8."""
    hw = image.shape[:2]
    if rng.random() < 0.5:
        image = image * (1 + rng.uniform(0, 0.3) * smooth_noise(rng, hw, min(hw) * rng.uniform(0.5, 1.5)))[..., None]
    if rng.random() < 0.5:
        image = soften(image, rng.uniform(0.3, 1.5)).reshape(image.shape)
    kind = rng.random()
    if kind < 0.4:
        image = image + rng.normal(0, rng.uniform(0, 0.1), image.shape)
    elif kind < 0.6:
        image = image * speckle(rng, hw, rng.uniform(4, 30), tuple(rng.uniform(0.5, 1.5, 2)))[..., None]
    return to_grey(np.clip(image, 0, 1) ** np.exp(rng.uniform(-0.5, 0.5)))


def _renumbered(label: np.ndarray) -> np.ndarray:
    """1 .. N without gaps, what is nearly hidden left out."""
    result = np.zeros_like(label)
    values, areas = np.unique(label, return_counts=True)
    for value in values[(values > 0) & (areas >= MIN_AREA_PX)]:
        result[label == value] = result.max() + 1
    return result
