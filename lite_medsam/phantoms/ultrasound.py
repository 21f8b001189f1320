"""Ultrasound: breast tissue with a hypoechoic mass or a cyst, from a linear or a curved probe.

Echo strength is drawn in the picture. A curved probe's picture is then resampled to beams (depth x angle),
where speckle, attenuation and the shadow or enhancement behind the lesion belong, and back to the sector.
"""

import cv2
import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    depth_inside,
    dilate,
    largest_part,
    random_blob,
    soften,
    to_grey,
)
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise

_DECIBELS = 52.0


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W); labels: one or two lesions. Spacing for a depth of 40 (linear) or 60 mm.
    """
    curved = rng.random() < 0.4
    scan = _Sector(hw) if curved else None
    seen = scan.visible if scan else np.ones(hw, bool)
    echo, depth = _tissue(rng, hw, scan)
    label = np.zeros(hw, np.uint8)
    through = np.zeros(hw, np.float32)  # what each pixel adds to the transmission behind it
    for value in range(1, 2 + (rng.random() < 0.3)):
        mask, level, gain = _lesion(rng, hw, (depth, seen, label))
        if not mask.any():
            continue
        label[mask] = value
        inner = soften(mask, hw[0] / 512 * 1.5)
        texture = 0.05 * smooth_noise(rng, hw, hw[0] / 60)
        echo = echo * (1 - inner) + (level + texture) * inner
        wall = dilate(mask, hw[0] / 200) & ~mask
        echo[wall] += 0.05 * rng.uniform(0, 2)
        through += gain * mask / (hw[0] / 512)
    image = _beamform(rng, (echo, through, depth), scan)
    mm = (60.0 if curved else 40.0) / hw[0]
    names = dict.fromkeys(range(1, int(label.max()) + 1), "lesion")
    return Drawing(image, label, names, (mm, mm))


class _Sector:
    """Geometry of a curved probe: pixel to (depth, angle) and back."""

    def __init__(self, hw: tuple[int, int]):
        self.hw = hw
        height, width = hw
        half_angle = np.deg2rad(26)
        depth = min(height * 0.94, width * 0.97 / (2 * np.sin(half_angle)) / 1.32)
        self.near, self.far = 0.32 * depth, 1.32 * depth
        self.apex = (width / 2, height * 0.02 - self.near * np.cos(half_angle))
        y, x = np.mgrid[:height, :width].astype(np.float32)
        dx, dy = x - self.apex[0], y - self.apex[1]
        radius, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
        self.visible = (radius >= self.near) & (radius < self.far) & (np.abs(angle) < half_angle)
        self.depth = (radius - self.near) / (self.far - self.near)
        beams = round(2 * half_angle * self.far * 0.7)
        samples = round(self.far - self.near)
        self.row, self.beam = self.depth * samples, (angle / half_angle + 1) / 2 * beams
        r, a = np.mgrid[:samples, :beams].astype(np.float32)
        r, a = r + self.near, (a / beams * 2 - 1) * half_angle
        self.x = (self.apex[0] + r * np.sin(a)).astype(np.float32)
        self.y = (self.apex[1] + r * np.cos(a)).astype(np.float32)

    def to_beams(self, image: np.ndarray) -> np.ndarray:
        """(H, W) picture to (samples, beams)."""
        return cv2.remap(image, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def to_picture(self, beams: np.ndarray) -> np.ndarray:
        """(samples, beams) to (H, W), 0 outside the sector."""
        row, beam = self.row.astype(np.float32), self.beam.astype(np.float32)
        shown = cv2.remap(beams, beam, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(self.visible, shown, 0)


def _tissue(rng: np.random.Generator, hw: tuple[int, int], scan: _Sector | None) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) log echo strength 0..1 and (H, W) depth 0..1: skin, fat, gland, fascia, muscle."""
    height, width = hw
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
    depth = scan.depth.astype(np.float32) if scan else rows
    wave = smooth_noise(rng, (1, width), width / 4) * 0.018
    fine = smooth_noise(rng, hw, (height / 14, width / 9))
    borders = np.cumsum([rng.uniform(0.035, 0.05), rng.uniform(0.12, 0.22), rng.uniform(0.30, 0.42), 0.013])
    levels = (0.72, 0.36, 0.62, 0.82, 0.40)
    echo = np.full(hw, levels[0], np.float32)
    for k, (border, level) in enumerate(zip(borders, levels[1:], strict=True)):
        bumps = wave * (0.3 + 0.8 * min(k, 2)) + fine * (0, 0.006, 0.012, 0.011)[k]
        echo += (level - levels[k]) * np.clip((depth - border - bumps) / 0.008 + 0.5, 0, 1)
    gland = np.clip((depth - borders[1]) / 0.02, 0, 1) * np.clip((borders[2] - depth) / 0.02, 0, 1)
    muscle = np.clip((depth - borders[3]) / 0.02, 0, 1)
    fat = np.clip((depth - borders[0]) / 0.01, 0, 1) * np.clip((borders[1] - depth) / 0.02, 0, 1)
    lobules = fractal_noise(rng, hw, height / 9, 3)
    strands = ridges(smooth_noise(rng, hw, (height / 22, width / 5)), 0.10)
    septa = ridges(smooth_noise(rng, hw, (height / 16, width / 7)), 0.09)
    fibres = smooth_noise(rng, hw, (height / 80, width / 4))
    echo += gland * (0.10 * lobules + 0.14 * strands) + fat * 0.26 * septa
    echo += muscle * (0.10 * np.clip(fibres, -1, 2) + 0.05 * lobules)
    return echo, depth


def _lesion(rng: np.random.Generator, hw: tuple[int, int], where: tuple) -> tuple[np.ndarray, float, float]:
    """A mass in the gland: its (H, W) mask, its echo, and what it does to the sound behind it."""
    depth, seen, label = where
    unit = min(hw)
    cyst = rng.random() < 0.4
    radius = unit * rng.uniform(0.055, 0.13)
    framed = np.pad(np.ones((hw[0] - 2, hw[1] - 2), bool), 1)
    room = depth_inside(framed & seen & (depth > 0.16) & (depth < 0.62) & ~dilate(label > 0, radius * 0.5))
    spots = np.argwhere(room > min(1.05 * radius, 0.9 * room.max()))
    row, column = spots[rng.integers(len(spots))]
    wide = radius * rng.uniform(1.0, 1.7)
    roughness = 0.03 if cyst else rng.uniform(0.06, 0.12)
    blob = random_blob(rng, (column, row), (wide, radius * rng.uniform(0.65, 1.0)), rng.normal(0, 0.2), roughness)
    mask = largest_part(blob.mask(hw) & seen & (label == 0))
    if cyst:  # fluid lets the sound through
        return mask, rng.uniform(0.02, 0.10), rng.uniform(0.0014, 0.0024)
    behind = rng.choice([rng.uniform(0.0006, 0.0014), -rng.uniform(0.0008, 0.0018)])
    return mask, rng.uniform(0.16, 0.27), float(behind)


def _beamform(rng: np.random.Generator, drawn: tuple, scan: _Sector | None) -> np.ndarray:
    """(H, W) uint8: attenuation, transmission behind lesions, raw speckle, the beam's focus, log scale."""
    echo, through, depth = drawn
    if scan:
        echo, through, depth = (scan.to_beams(plane) for plane in (echo, through, depth))
    height, width = echo.shape
    unit = height / 512
    behind = cv2.GaussianBlur(np.cumsum(through, axis=0), (0, 0), sigmaX=4 * unit, sigmaY=6 * unit)
    shadows = 0.05 * np.cumsum(np.clip(smooth_noise(rng, (height, width), (height / 3, width / 26)) - 1.6, 0, 1), 0)
    level = echo + behind - shadows / (height / 9) - rng.uniform(0.12, 0.3) * np.clip(depth - 0.3, 0, 1)
    amplitude = 10 ** (_DECIBELS / 20 * np.clip(level, -0.3, 1.2)).astype(np.float32)
    near, far = _scatter(rng, amplitude, unit * 1.5), _scatter(rng, amplitude, unit * 3.4)
    focus = np.clip(np.abs(depth - rng.uniform(0.3, 0.5)) * 1.7, 0, 1)  # beams widen away from the focus
    power = (1 - focus) * near + focus * far + (10 ** (_DECIBELS / 20 * 0.05)) ** 2
    shown = np.log10(power) * (10 / _DECIBELS)
    shown += 0.25 * np.exp(-depth * 60)  # the probe's own ringing
    if scan:
        shown = scan.to_picture(shown.astype(np.float32))
    return to_grey(soften(shown, 0.5) * rng.uniform(0.88, 1.0) - 0.02)


def _scatter(rng: np.random.Generator, amplitude: np.ndarray, lateral_px: float) -> np.ndarray:
    """Power of scatterers summed coherently: complex Gaussian reflectors blurred by the pulse."""
    sigma_y = max(0.42 * lateral_px, 0.6)
    parts = []
    for _ in range(2):
        field = cv2.GaussianBlur(
            rng.standard_normal(amplitude.shape, np.float32), (0, 0), sigmaX=lateral_px, sigmaY=sigma_y
        )
        parts.append(amplitude * field / max(float(field.std()), 1e-6))
    return (parts[0] ** 2 + parts[1] ** 2) / 2
