"""Dermoscopy: a pigmented lesion on skin, with pigment network, globules, hairs and a vignette."""

import cv2
import numpy as np

from lite_medsam.phantoms.shapes import Drawing, depth_inside, largest_part, random_blob, soften, spline
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W, 3); one label, the lesion.
    """
    unit = min(hw) / 512
    mask = _lesion(rng, hw)
    colour = _skin(rng, hw, unit)
    colour = _pigment(rng, colour, mask, unit)
    colour *= 1 - _hairs(rng, hw, unit)[..., None] * np.array([0.72, 0.76, 0.74], np.float32)
    colour = _light(rng, colour)
    return Drawing(colour, mask.astype(np.uint8), {1: "lesion"}, (0.02 / unit, 0.02 / unit))


def _lesion(rng: np.random.Generator, hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: one or two overlapping growths with a notched border."""
    size = min(hw) * rng.uniform(0.17, 0.31)
    centre = (hw[1] / 2 + rng.normal(0, 0.05) * hw[1], hw[0] / 2 + rng.normal(0, 0.05) * hw[0])
    angle = rng.uniform(0, np.pi)
    radii = (size * rng.uniform(1.0, 1.35), size)
    mask = random_blob(rng, centre, radii, angle, 0.11).mask(hw)
    if rng.random() < 0.6:
        turn = rng.uniform(0, 2 * np.pi)
        beside = (centre[0] + 0.7 * size * np.cos(turn), centre[1] + 0.7 * size * np.sin(turn))
        mask |= random_blob(rng, beside, (0.7 * size, 0.55 * size), turn, 0.12).mask(hw)
    signed = depth_inside(mask) - depth_inside(~mask)
    jagged = fractal_noise(rng, hw, size / 4, 3, 0.4)
    return largest_part(signed + size * 0.05 * jagged > 0)


def _skin(rng: np.random.Generator, hw: tuple[int, int], unit: float) -> np.ndarray:
    """(H, W, 3) float32 skin with fine relief and a few dilated vessels."""
    tones = np.array([[0.90, 0.74, 0.66], [0.86, 0.66, 0.56], [0.92, 0.70, 0.68], [0.82, 0.70, 0.62]])
    base = tones[rng.integers(len(tones))] + rng.normal(0, 0.015, 3)
    relief = fractal_noise(rng, hw, 40 * unit, 5, 0.7)
    lines = ridges(smooth_noise(rng, hw, (13 * unit, 26 * unit)), 0.16)
    colour = base * (1 + 0.025 * relief - 0.025 * lines)[..., None]
    vessels = ridges(smooth_noise(rng, hw, 34 * unit), 0.07) * (smooth_noise(rng, hw, 90 * unit) > 0.9)
    colour *= 1 - soften(vessels, unit)[..., None] * np.array([0.02, 0.16, 0.12])
    return colour.astype(np.float32)


def _pigment(rng: np.random.Generator, colour: np.ndarray, mask: np.ndarray, unit: float) -> np.ndarray:
    """(H, W, 3) float32 with melanin inside the lesion: uneven, netted at the rim, with dark globules."""
    hw = mask.shape
    deep = depth_inside(mask)
    edge = 1 - np.exp(-deep / (rng.uniform(3, 9) * unit))
    blotches = fractal_noise(rng, hw, 80 * unit, 4)
    network = ridges(smooth_noise(rng, hw, rng.uniform(6, 9) * unit), 0.42)
    globules = np.clip(smooth_noise(rng, hw, 7 * unit) - 1.3, 0, 1)
    centre = np.clip(deep / max(float(deep.max()), 1), 0, 1)
    melanin = 0.62 + 0.20 * blotches + rng.uniform(0.05, 0.3) * network * (1 - 0.6 * centre)
    melanin += rng.uniform(0.1, 0.5) * globules + rng.uniform(-0.05, 0.35) * centre
    melanin = np.clip(melanin, 0.22, 1.5) * soften(mask, 2.2 * unit) * (0.45 + 0.55 * edge)
    absorption = np.array([rng.uniform(0.55, 0.85), 1.15, rng.uniform(1.3, 1.6)], np.float32)
    colour = colour * np.exp(-rng.uniform(0.9, 1.3) * melanin[..., None] * absorption)
    if rng.random() < 0.4:  # a blue-white veil over the thickest part
        veil = np.clip(blotches - 0.5, 0, 1) * np.clip(centre * 2 - 0.5, 0, 1)
        veil = 0.35 * soften(veil, 6 * unit)[..., None]
        colour = colour * (1 - veil) + veil * np.array([0.45, 0.50, 0.60], np.float32)
    return colour.astype(np.float32)


def _hairs(rng: np.random.Generator, hw: tuple[int, int], unit: float) -> np.ndarray:
    """(H, W) float32 coverage 0..1 by a few curved hairs."""
    canvas = np.zeros(hw, np.uint8)
    direction = rng.uniform(0, np.pi)
    for _ in range(int(rng.choice([0, 2, 5, 9]))):
        start = rng.uniform(0, 1, 2) * (hw[1], hw[0])
        angle = direction + rng.normal(0, 0.5)
        length = rng.uniform(0.25, 0.8) * min(hw)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]]) * rng.normal(0, 0.08) * length
        knots = np.array([start, start + 0.5 * length * along + across, start + length * along])
        points = np.round(spline(knots, 40, closed=False) * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, int(rng.uniform(150, 255)), max(1, round(2 * unit)), cv2.LINE_AA, 4)
    return soften(canvas.astype(np.float32) / 255, 0.6)


def _light(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: vignette, in some pictures the dermatoscope's round frame, and noise."""
    height, width = colour.shape[:2]
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((x - width / 2), (y - height / 2)) / (min(height, width) / 2)
    colour = colour * (1.05 - rng.uniform(0.05, 0.16) * radius**2)[..., None]
    if rng.random() < 0.3:
        colour = colour * np.clip((rng.uniform(1.12, 1.3) - radius) / 0.06, 0.03, 1)[..., None]
    noise = soften(rng.standard_normal(colour.shape, np.float32), 0.7) * 0.012
    return (np.clip(colour.astype(np.float32) + noise, 0, 1) * 255 + 0.5).astype(np.uint8)
