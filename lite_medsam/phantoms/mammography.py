"""Mammogram: an oblique view with pectoral muscle or a frontal one, glandular tissue and a dense mass."""

import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    depth_inside,
    dilate,
    fill,
    largest_part,
    random_blob,
    soften,
    spline,
    to_grey,
)
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise

# Outline from top to bottom: x in units of the nipple's distance from the chest wall, y of the picture.
_OBLIQUE = [
    (0.45, -0.05), (0.50, 0.08), (0.66, 0.24), (0.90, 0.40), (1.0, 0.55), (0.93, 0.70), (0.66, 0.83),
    (0.30, 0.90), (0.16, 0.96), (0.14, 1.05),
]  # fmt: skip
_FRONTAL = [
    (-0.07, 0.06), (0.20, 0.085), (0.58, 0.17), (0.88, 0.33), (1.0, 0.5), (0.90, 0.69), (0.60, 0.85),
    (0.20, 0.925), (-0.07, 0.94),
]  # fmt: skip


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W); labels: mass, and in oblique views the pectoral muscle.
    """
    oblique, right = rng.random() < 0.6, rng.random() < 0.5
    breast, muscle = _outline(rng, hw, oblique)
    gland = _gland(rng, breast & ~muscle)
    mass, spikes = _mass(rng, breast & ~dilate(muscle, hw[0] / 60))
    image = _expose(rng, (breast, muscle, gland), (mass, spikes))
    label: np.ndarray = np.zeros(hw, np.uint8)
    label[mass] = 1
    names = {1: "mass"}
    if muscle.any():
        label[muscle & ~mass] = 2
        names[2] = "pectoral muscle"
    if right:  # the chest wall is on the right of the picture
        image, label = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(label[:, ::-1])
    mm = 230.0 / hw[0]
    return Drawing(image, label, names, (mm, mm))


def _outline(rng: np.random.Generator, hw: tuple[int, int], oblique: bool) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool breast, with its base on the left edge, and pectoral muscle (empty in a frontal view)."""
    height, width = hw
    reach = rng.uniform(0.60, 0.85)
    nipple = rng.uniform(0.5, 0.6) if oblique else rng.uniform(0.46, 0.54)
    points = np.array(_OBLIQUE if oblique else _FRONTAL)
    points[points[:, 0] == 1, 1] = nipple
    points = (points + rng.normal(0, 0.006, points.shape)) * (reach, 1)
    edge = spline(points, 200, closed=False)
    closed = np.vstack([edge, (-0.1, edge[-1, 1]), (-0.1, edge[0, 1])]) * (width, height)
    breast = fill(hw, closed)
    bud = random_blob(rng, (reach * width, nipple * height), (0.018 * width, 0.018 * height)).mask(hw)
    breast = largest_part(breast | bud)
    if not oblique:
        return breast, np.zeros(hw, bool)
    top, foot = rng.uniform(0.30, 0.42) * reach, rng.uniform(0.48, 0.68)
    line = spline(np.array([(top, -0.05), (0.72 * top, 0.2), (0.35 * top, 0.43), (-0.03, foot)]), 60, closed=False)
    muscle = fill(hw, np.vstack([line, (-0.1, foot), (-0.1, -0.05)]) * (width, height))
    return breast, largest_part(muscle & breast)


def _gland(rng: np.random.Generator, inside: np.ndarray) -> np.ndarray:
    """(H, W) float32 amount of fibroglandular tissue 0..1: clouds behind the nipple, crossed by strands."""
    hw = inside.shape
    unit = hw[0] / 640
    rows, columns = np.nonzero(inside)
    centre = (np.quantile(columns, 0.62), np.median(rows) + 0.02 * hw[0])
    y, x = np.ogrid[: hw[0], : hw[1]]
    spread = rng.uniform(0.7, 1.2)
    away = np.hypot((x - centre[0]) / (0.30 * np.ptp(columns)), (y - centre[1]) / (0.24 * np.ptp(rows))) / spread
    clouds = fractal_noise(rng, hw, 90 * unit, 5, 0.62)
    amount = np.clip(rng.uniform(0.55, 0.95) - 0.55 * away**2 + 0.42 * clouds * np.exp(-0.5 * away**2), 0, 1)
    strands = ridges(smooth_noise(rng, hw, 44 * unit) + 0.4 * smooth_noise(rng, hw, 15 * unit), 0.09)
    strands += 0.6 * ridges(smooth_noise(rng, hw, 22 * unit), 0.10)
    fine = 0.5 + 0.5 * fractal_noise(rng, hw, 14 * unit, 3)
    return (amount * (0.6 + 0.35 * fine) + 0.14 * strands * np.exp(-0.35 * away)).astype(np.float32)


def _mass(rng: np.random.Generator, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool mass, smooth or irregular, and (H, W) float32 spicules around an irregular one."""
    hw = room.shape
    size = hw[0] * rng.uniform(0.025, 0.055)
    deep = depth_inside(np.pad(room, 1))[1:-1, 1:-1]
    spots = np.argwhere(deep > min(1.8 * size, 0.8 * deep.max()))
    row, column = spots[rng.integers(len(spots))]
    irregular = rng.random() < 0.6
    blob = random_blob(
        rng, (column, row), (size * rng.uniform(1, 1.3), size), rng.uniform(0, 3), 0.13 if irregular else 0.05
    )
    mask = largest_part(blob.mask(hw) & room)
    spikes = np.zeros(hw, np.float32)
    if irregular:
        y, x = np.mgrid[: hw[0], : hw[1]].astype(np.float32)
        angle, away = np.arctan2(y - row, x - column), np.hypot(y - row, x - column) / size
        waves = np.cos(angle * 11 + 3 * np.cos(2 * angle + rng.uniform(0, 6)) + rng.uniform(0, 6))
        spikes = np.clip(waves - 0.55, 0, 1) * np.exp(-((np.maximum(away - 1, 0) / 0.55) ** 1.5)) * (away > 0.8)
    return mask, spikes.astype(np.float32)


def _expose(rng: np.random.Generator, tissue: tuple, lesion: tuple) -> np.ndarray:
    """(H, W) uint8: compressed thickness, skin line, glandular density, mass, quantum noise."""
    breast, muscle, gland = tissue
    mass, spikes = lesion
    hw = breast.shape
    unit = hw[0] / 640
    deep = depth_inside(np.pad(breast, ((0, 0), (1, 0)), mode="edge"))[:, 1:]
    thick = 1 - np.exp(-deep / (26 * unit))
    skin = np.exp(-((deep / (3.2 * unit)) ** 2)) * breast
    density = breast * (0.06 + 0.22 * thick) + 0.07 * skin + 0.42 * gland * thick * breast
    density *= 1 + 0.05 * fractal_noise(rng, hw, 60 * unit, 4)
    wall = soften(muscle, 2.2 * unit)
    density += wall * rng.uniform(0.22, 0.34) * (1 + 0.05 * smooth_noise(rng, hw, (70 * unit, 12 * unit)))
    dome = np.clip(depth_inside(mass) / max(float(depth_inside(mass).max()), 1), 0, 1) ** 0.5
    density += rng.uniform(0.18, 0.30) * soften(mass * (0.55 + 0.45 * dome), 1.2 * unit)
    density += 0.14 * soften(spikes, 0.8 * unit) * breast
    grain = soften(rng.standard_normal(hw, np.float32), 0.7)
    return to_grey(1.15 * density**0.95 + 0.014 * grain * (0.3 + breast))
