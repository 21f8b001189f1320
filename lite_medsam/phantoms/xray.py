"""Chest film: the shadows that lungs, ribs, clavicles, heart, spine and diaphragm cast on one another.

Anatomy is summed as attenuation, which is what a film does; dense tissue is bright. Coordinates are in units
of the picture's usable square, x to the right from the midline (the patient's left), y down from the top.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    depth_inside,
    erode,
    fill,
    largest_part,
    soften,
    spline,
    to_grey,
)
from lite_medsam.phantoms.texture import fractal_noise, smooth_noise

# One lung and the heart, before jitter.
_LUNG = [
    (0.085, 0.20), (0.14, 0.125), (0.205, 0.14), (0.26, 0.23), (0.305, 0.38), (0.335, 0.55),
    (0.345, 0.70), (0.325, 0.735), (0.24, 0.655), (0.15, 0.635), (0.085, 0.65), (0.068, 0.50),
    (0.075, 0.36),
]  # fmt: skip
_HEART = [
    (-0.075, 0.46), (-0.03, 0.40), (0.045, 0.40), (0.095, 0.455), (0.15, 0.53), (0.19, 0.61),
    (0.175, 0.675), (0.06, 0.70), (-0.07, 0.69), (-0.098, 0.61), (-0.095, 0.52),
]  # fmt: skip
_TRUNK = [
    (-0.09, -0.05), (-0.11, 0.04), (-0.28, 0.10), (-0.42, 0.15), (-0.52, 0.26), (-0.54, 0.40),
    (-0.43, 0.45), (-0.405, 0.62), (-0.41, 0.85), (-0.42, 1.05),
]  # fmt: skip


@dataclass(eq=False)
class _Film:
    """Frame of the film: where the unit square lies, and the patient's proportions."""

    rng: np.random.Generator
    hw: tuple[int, int]
    wide: float
    tilt: float

    @property
    def unit(self) -> float:
        return float(min(self.hw[0], self.hw[1] * 0.98))

    def px(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) x, y in units to pixels."""
        x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        x, y = x * self.wide - self.tilt * (y - 0.5), y + self.tilt * x
        return np.stack([x * self.unit + self.hw[1] / 2, y * self.unit + (self.hw[0] - self.unit) / 2], -1)

    def jitter(self, outline: list, amount: float = 0.008) -> np.ndarray:
        """(K, 2) the outline with random displacements."""
        return np.array(outline) + self.rng.normal(0, amount, (len(outline), 2))

    def solid(self, outline: np.ndarray) -> np.ndarray:
        """(H, W) bool inside of a spline outline."""
        return fill(self.hw, spline(self.px(outline)))

    def blurred(self, mask: np.ndarray, sigma: float) -> np.ndarray:
        """(H, W) float32 mask with an edge of the given width in units."""
        return soften(mask, sigma * self.unit)


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W); labels: right lung, left lung (aerated, outside the heart's shadow) and
        heart.
    """
    film = _Film(rng, hw, rng.uniform(0.95, 1.12), rng.normal(0, 0.012))
    deeper = rng.normal(0, 0.022)
    lungs = []
    for side in (-1, 1):
        shape = film.jitter(_LUNG)
        base, lift = (0.022, 0.015) if side < 0 else (0.03, 0.0)  # the liver pushes the right dome up
        shape[:, 1] += np.where(shape[:, 1] > 0.6, deeper + base, 0) - lift
        lungs.append(film.solid(shape * (side, 1)))
    swell = rng.uniform(0.88, 1.18)
    heart_shape = film.jitter(_HEART, 0.006) * (swell, 1) + (0, 0.6 * deeper)
    heart = film.solid(heart_shape)
    right, left = (largest_part(lung & ~heart) for lung in lungs)
    heart = largest_part(heart & ~(right | left))
    label = np.zeros(hw, np.uint8)
    for value, mask in enumerate((right, left, heart), 1):
        label[mask] = value
    image = _expose(film, (right, left, heart))
    mm = 400.0 / film.unit
    return Drawing(image, label, {1: "right lung", 2: "left lung", 3: "heart"}, (mm, mm))


def _expose(film: _Film, organs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """(H, W) uint8: attenuation of everything in the beam, scatter, and the film's curve."""
    rng = film.rng
    right, left, heart = organs
    trunk = _trunk(film)
    thick = np.clip(depth_inside(trunk) / (0.16 * film.unit), 0, 1) ** 0.5
    density = trunk * (0.24 + 0.36 * thick)
    for lung in (right, left):
        # less air in the beam near the chest wall
        rim = np.clip(depth_inside(lung) / (0.06 * film.unit), 0, 1) ** 0.6
        density -= lung * (0.13 + rng.uniform(0.25, 0.30) * rim)
    density += 0.24 * film.blurred(heart, 0.002) * np.clip(depth_inside(heart) / (0.10 * film.unit) + 0.4, 0, 1)
    density += _mediastinum(film) + _belly(film, right | left | heart)
    lung_tissue = film.blurred(right | left, 0.003)
    density += lung_tissue * (_lung_vessels(film) + 0.018 * fractal_noise(rng, film.hw, film.unit / 20))
    density += _ribs(film) + _shoulders(film)
    density *= film.blurred(trunk, 0.0025)
    scatter = soften(density, 0.07 * film.unit)
    density = 0.80 * density + 0.20 * scatter
    grain = soften(rng.standard_normal(film.hw, np.float32), 0.7)
    shown = 1.05 * (1 - np.exp(-1.9 * np.clip(density + rng.uniform(-0.03, 0.05), 0, None)))
    return to_grey(soften(shown, 0.6) + rng.uniform(0.006, 0.014) * grain)


def _trunk(film: _Film) -> np.ndarray:
    """(H, W) bool silhouette: neck, shoulders, upper arms and flanks."""
    half = film.jitter(_TRUNK, 0.006)
    half[[0, -1]] = _TRUNK[0], _TRUNK[-1]
    other = film.jitter(_TRUNK, 0.006)[::-1] * (-1, 1)
    other[[0, -1]] = (0.42, 1.05), (0.09, -0.05)
    return fill(film.hw, film.px(np.vstack([spline(half, closed=False), spline(other, closed=False)])))


def _mediastinum(film: _Film) -> np.ndarray:
    """(H, W) spine with disc spaces, great vessels with the aortic knob, and the dark trachea."""
    rng = film.rng
    y, x = np.linspace(-0.05, 1.05, 140), np.zeros(140)
    x = 0.006 * np.sin(4 * y + rng.uniform(0, 6))
    spine = _band(film, np.stack([x, y], 1), 0.052)
    levels = np.clip(np.cos(2 * np.pi * (np.arange(film.hw[0]) / film.unit) / 0.052) * 3 - 1.8, 0, 1)
    total = film.blurred(spine, 0.004) * (0.15 - 0.045 * levels[:, None])
    vessels = [
        (-0.062, 0.16), (-0.055, 0.30), (-0.085, 0.46), (-0.06, 0.66), (0.05, 0.66), (0.075, 0.44),
        (0.072, 0.37), (0.092, 0.325), (0.082, 0.285), (0.05, 0.265), (0.05, 0.16),
    ]  # fmt: skip
    total += 0.20 * film.blurred(film.solid(film.jitter(vessels, 0.004)), 0.004)
    aorta = np.array([(0.078, 0.33), (0.082, 0.42), (0.07, 0.55), (0.045, 0.72)])
    total += 0.04 * film.blurred(_band(film, spline(aorta, 60, closed=False), 0.028), 0.004)
    trachea = np.array([(0.0, -0.05), (0.003, 0.1), (-0.006, 0.2), (-0.004, 0.30)])
    total -= 0.17 * film.blurred(_band(film, spline(trachea, 60, closed=False), 0.021), 0.003)
    for side, length in ((-1, 0.05), (1, 0.07)):
        main = np.array([(-0.004, 0.295), (side * length * 0.5, 0.33), (side * length, 0.365)])
        total -= 0.09 * film.blurred(_band(film, spline(main, 30, closed=False), 0.014), 0.003)
    return total


def _band(film: _Film, line: np.ndarray, half_width: float) -> np.ndarray:
    """(H, W) bool stroke of a curve in units."""
    canvas = np.zeros(film.hw, np.uint8)
    points = np.round(film.px(line) * 16).astype(np.int32)
    cv2.polylines(canvas, [points], False, 1, max(1, round(2 * half_width * film.unit)), cv2.LINE_8, 4)
    return canvas.astype(bool)


def _belly(film: _Film, chest: np.ndarray) -> np.ndarray:
    """(H, W) tissue below the diaphragm, with the stomach's gas bubble under the left dome."""
    rng = film.rng
    columns = np.flatnonzero(chest.any(0))
    bottom = film.hw[0] - 1 - np.argmax(chest[::-1, columns], axis=0)
    dome = np.interp(np.arange(film.hw[1]), columns, bottom)  # level beside the lungs
    below = np.arange(film.hw[0])[:, None] > soften(dome[None], 0.006 * film.unit)
    # beside the lungs the wall is as thick above the diaphragm as below it
    flank = 1 - soften(np.broadcast_to(np.isin(np.arange(film.hw[1]), columns), film.hw), 0.022 * film.unit)
    bubble = np.array([(0.10, 0.745), (0.16, 0.72), (0.21, 0.76), (0.19, 0.81), (0.12, 0.80)]) + rng.normal(
        0, 0.008, (5, 2)
    )
    gas = film.solid(bubble) & erode(below, 0.012 * film.unit)
    belly = film.blurred(below, 0.004) * (1 - flank) + 0.6 * flank
    return 0.16 * belly - rng.uniform(0.08, 0.16) * film.blurred(gas, 0.004)


def _lung_vessels(film: _Film) -> np.ndarray:
    """(H, W) branching vessels that thin out from each hilum."""
    rng = film.rng
    hila = np.zeros(film.hw, np.float32)
    strokes = []
    for side in (-1, 1):
        hilum = np.array([side * 0.085, 0.415 + 0.015 * (side < 0)])
        for _ in range(6):
            puff = hilum + rng.normal(0, 0.014, 2)
            hila += _band(film, np.stack([puff, np.add(puff, (0.003, 0.012))]), 0.010)
        pending = [(hilum, angle, 0.010 * rng.uniform(0.8, 1.1), 0) for angle in np.linspace(-1.35, 1.4, 9)]
        while pending:
            start, angle, width, order = pending.pop()
            length = rng.uniform(0.05, 0.10) * (1 - 0.12 * order)
            bend = rng.normal(0, 0.25)
            steps = np.linspace(0, 1, 6)[:, None]
            heading = angle + bend * steps
            line = start + length * steps * np.hstack([side * np.cos(heading), np.sin(heading)])
            strokes.append((order, line, width))
            if order < 4:
                for turn in (-1, 1):
                    aim = angle + bend + turn * rng.uniform(0.15, 0.5)
                    pending.append((line[-1], aim, width * 0.68, order + 1))
    canvas = np.zeros(film.hw, np.uint8)
    for order, line, width in sorted(strokes, key=lambda stroke: -stroke[0]):  # thick ones over thin ones
        points = np.round(film.px(line) * 16).astype(np.int32)
        shade = round(255 * (1 - 0.17 * order))
        cv2.polylines(canvas, [points], False, shade, max(1, round(width * film.unit)), cv2.LINE_AA, 4)
    vessels = soften(canvas, 0.0022 * film.unit) / 255
    return 0.10 * vessels + 0.05 * film.blurred(hila, 0.007)


def _ribs(film: _Film) -> np.ndarray:
    """(H, W) posterior ribs falling from the spine, and fainter anterior ribs that cross them."""
    rng = film.rng
    total = np.zeros(film.hw, np.float32)
    pitch, first = rng.uniform(0.058, 0.066), rng.uniform(0.115, 0.135)
    for side in (-1, 1):
        for i in range(10):
            y = first + pitch * i + rng.normal(0, 0.002)
            reach = 0.13 + 0.24 * np.sqrt(min((i + 0.6) / 7.5, 1))
            back = np.array([(0.035, y), (0.4 * reach, y - 0.022), (0.75 * reach, y + 0.005), (reach, y + 0.075)])
            total += _one_rib(film, spline(back * (side, 1), 60, closed=False), 0.0125, 0.085)
            if i > 0:
                front = np.array([(reach, y + 0.075), (0.93 * reach, y + 0.135), (0.66 * reach, y + 0.175),
                                  (0.42 * reach, y + 0.17)])  # fmt: skip
                total += _one_rib(film, spline(front * (side, 1), 60, closed=False), 0.0145, 0.045)
    return total


def _one_rib(film: _Film, line: np.ndarray, half_width: float, strength: float) -> np.ndarray:
    """(H, W) a bony tube: the wall is longest in the beam at its edges."""
    outer = film.blurred(_band(film, line, half_width), 0.0016)
    inner = film.blurred(_band(film, line, half_width * 0.72), 0.0022)
    return strength * (outer - 0.42 * inner)


def _shoulders(film: _Film) -> np.ndarray:
    """(H, W) clavicles and the outlines of scapula and upper arm."""
    rng = film.rng
    total = np.zeros(film.hw, np.float32)
    raised = rng.normal(0, 0.012)
    for side in (-1, 1):
        clavicle = np.array([(0.028, 0.185), (0.11, 0.165 + raised), (0.21, 0.115 + raised), (0.31, 0.105 + raised)])
        clavicle = clavicle * (side, 1) + rng.normal(0, 0.004, (4, 2))
        total += _one_rib(film, spline(clavicle, 60, closed=False), 0.0145, 0.15)
        blade = np.array([(0.33, 0.15), (0.36, 0.20), (0.335, 0.31), (0.31, 0.42), (0.275, 0.36), (0.285, 0.22)])
        mask = film.solid((blade + rng.normal(0, 0.006, blade.shape)) * (side, 1))
        total += 0.05 * film.blurred(mask, 0.003) + 0.05 * film.blurred(mask & ~erode(mask, 0.007 * film.unit), 0.0015)
        arm = np.array([(0.375, 0.16), (0.43, 0.26), (0.56, 0.52)]) * (side, 1)
        total += _one_rib(film, spline(arm, 40, closed=False), 0.028, 0.16)
    return total * (1 + 0.04 * smooth_noise(rng, film.hw, film.unit / 60))
