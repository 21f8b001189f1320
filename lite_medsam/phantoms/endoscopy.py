"""Colonoscopy: a view down the folded colon with a polyp on its wall, in the processor's octagonal window."""

from dataclasses import replace

import numpy as np

from lite_medsam.phantoms.shapes import Drawing, depth_inside, fill, largest_part, random_blob, soften
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W, 3) without spacing; one label, the polyp.
    """
    window = _window(hw)
    light, lumen = _colon(rng, hw)
    mask, bump = _polyp(rng, (window, lumen))
    # the polyp stands in front of the folds: it is lit by its own distance, not by what is behind it
    own = np.clip(float(light[mask].mean()) * 1.15 + 0.1, 0.45, 1.0)
    inside = soften(mask, 0.8)
    light = light * (1 - inside) + own * inside
    shading, glints = _shade(rng, bump, hw)
    colour = _mucosa(rng, hw, mask) * (light * shading)[..., None]
    rim = soften(mask, min(hw) / 90) * (1 - mask)  # contact shadow around the base
    colour *= 1 - 0.5 * rim[..., None]
    colour = soften(colour + (glints * np.clip(light * 1.4, 0, 1))[..., None], 0.7)
    noise = soften(rng.standard_normal(colour.shape, np.float32), 0.7) * 0.012
    picture = np.clip((colour + noise), 0, 1) * window[..., None] + 0.035 * ~window[..., None]
    return Drawing((picture * 255 + 0.5).astype(np.uint8), mask.astype(np.uint8), {1: "polyp"}, None)


def _window(hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool octagon that the processor shows."""
    height, width = hw
    cut = 0.17 * min(hw)
    x0, x1, y0, y1 = 0.03 * width, 0.97 * width, 0.03 * height, 0.97 * height
    corners = [(x0 + cut, y0), (x1 - cut, y0), (x1, y0 + cut), (x1, y1 - cut),
               (x1 - cut, y1), (x0 + cut, y1), (x0, y1 - cut), (x0, y0 + cut)]  # fmt: skip
    return fill(hw, np.array(corners))


def _colon(rng: np.random.Generator, hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) light falling off into the tube, and how far down the tube a pixel looks, 0 near to 1.

    The folds are painted from the far end to the near one. The crest of a fold catches the lamp, and the wall
    behind it lies in its shadow.
    """
    height, width = hw
    unit = min(hw)
    eye = np.array([width * rng.uniform(0.3, 0.7), height * rng.uniform(0.25, 0.55)])
    drift = rng.normal(0, 0.22, 2) * unit
    triangle = rng.uniform(0, 2 * np.pi)
    light: np.ndarray = np.full(hw, 0.05, np.float32)
    lumen = np.zeros(hw, np.float32)
    radii = np.geomspace(0.07, rng.uniform(0.62, 0.8), int(rng.integers(4, 6))) * rng.uniform(0.85, 1.2)
    for k, radius in enumerate(radii):
        size = radius * unit
        blob = random_blob(rng, tuple(eye + drift * radius), (size * rng.uniform(1, 1.3), size), 0.3 * k, 0.08)
        three_sided = (0.09, 3, triangle + rng.normal(0, 0.3), 0)  # as haustra are
        waves = np.vstack([blob.waves, three_sided])
        hole = replace(blob, waves=waves).mask(hw)
        outside, inside = depth_inside(~hole), depth_inside(hole)
        crest = np.clip(
            0.65 + 0.45 * smooth_noise(rng, hw, size * 0.9), 0.05, 1
        )  # a fold does not go all the way round
        level = 0.18 + 0.95 * (radius / radii[-1]) ** 0.8
        lit = level * (0.78 + 0.42 * crest * np.exp(-outside / (0.20 * size)))
        shadow = 1 - 0.62 * crest * np.exp(-inside / (0.16 * size))
        light = np.where(hole, light * shadow, lit).astype(np.float32)
        lumen[hole] += 1
    light *= 1 + 0.10 * smooth_noise(rng, hw, unit / 5)
    return soften(light, unit / 260), lumen / len(radii)


def _polyp(rng: np.random.Generator, where: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool outline and (H, W) height of a dome inside the window, off the lumen."""
    window, lumen = where
    hw, unit = window.shape, min(window.shape)
    size = unit * rng.uniform(0.08, 0.19)
    framed = np.pad(np.ones((hw[0] - 2, hw[1] - 2), bool), 1)
    room = depth_inside(window & framed & (lumen < 0.55))
    spots = np.argwhere(room > min(1.15 * size, 0.9 * room.max()))
    row, column = spots[rng.integers(len(spots))]
    radii = (size * rng.uniform(1.0, 1.4), size)
    mask = random_blob(rng, (column, row), radii, rng.uniform(0, 3), 0.07).mask(hw)
    if rng.random() < 0.5:  # a second lobe
        turn = rng.uniform(0, 6.3)
        lobe = (column + 0.7 * size * np.cos(turn), row + 0.7 * size * np.sin(turn))
        mask |= random_blob(rng, lobe, (0.65 * size, 0.6 * size), turn, 0.07).mask(hw)
    mask = largest_part(mask & window)
    deep = np.clip(depth_inside(mask) / size, 0, 1)
    lobes = 1 + 0.08 * smooth_noise(rng, hw, size / 2.5)
    return mask, (0.9 * np.sqrt(np.clip(1 - (1 - deep) ** 2, 0, 1)) * lobes * mask).astype(np.float32)


def _mucosa(rng: np.random.Generator, hw: tuple[int, int], mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 pink to orange surface with fine vessels; the polyp is redder or paler."""
    unit = min(hw)
    base = np.array([rng.uniform(0.80, 0.95), rng.uniform(0.48, 0.62), rng.uniform(0.34, 0.48)], np.float32)
    cloud = fractal_noise(rng, hw, unit / 5, 4)
    colour = base * (1 + 0.06 * cloud)[..., None]
    warped = smooth_noise(rng, hw, unit / 9) + 0.35 * smooth_noise(rng, hw, unit / 30)
    vessels = ridges(warped, 0.05) * np.clip(0.7 + smooth_noise(rng, hw, unit / 5), 0, 1) * (1 - 0.7 * mask)
    colour *= 1 - soften(vessels, 0.8)[..., None] * np.array([0.14, 0.34, 0.26], np.float32)
    tint = np.array(rng.choice([[1.02, 0.80, 0.80], [1.0, 0.90, 0.92], [1.05, 1.06, 1.04]]), np.float32)
    pits = 1 + 0.03 * smooth_noise(rng, hw, max(unit / 110, 1.5))
    inside = soften(mask, 1.0)[..., None]
    return colour * (1 - inside) + colour * tint * pits[..., None] * inside


def _shade(rng: np.random.Generator, bump: np.ndarray, hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) diffuse shading and (H, W) wet highlights of a surface lit from the scope."""
    unit = min(hw)
    slope_y, slope_x = np.gradient(soften(bump, unit / 120) * unit * 0.10)
    tissue_y, tissue_x = np.gradient(smooth_noise(rng, hw, unit / 14) * unit * 0.0025)
    lamp = rng.normal(0, 0.25, 2)
    slope_x, slope_y = slope_x + tissue_x, slope_y + tissue_y
    facing = (1 - lamp[0] * slope_x - lamp[1] * slope_y) / np.sqrt((1 + slope_x**2 + slope_y**2) * (1 + lamp @ lamp))
    wet = smooth_noise(rng, hw, unit / 14) > rng.uniform(1.1, 1.6)
    drops = np.clip(smooth_noise(rng, hw, (unit / 60, unit / 40)) - 1.0, 0, 1) * 3 * soften(wet, unit / 200)
    on_top = np.clip(facing - 0.985, 0, 1) * 60 * (bump > 0.45) * (smooth_noise(rng, hw, unit / 40) > 0.7)
    return np.clip(0.25 + 0.8 * facing, 0.15, 1.3), soften(np.clip(drops + on_top, 0, 1), 0.8)
