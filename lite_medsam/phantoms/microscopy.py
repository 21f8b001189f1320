"""Microscopy: 40 to 80 cell nuclei as instances, in an H&E-stained section or under fluorescence."""

import numpy as np
from scipy import ndimage

from lite_medsam.phantoms.shapes import Blob, Drawing, depth_inside, largest_part, random_blob, soften
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise

_COUNT = (40, 80)
_MIN_NUCLEUS_PX = 30
# Optical density per stain and colour channel (R, G, B). Haematoxylin: Ruifrok and Johnston, Anal. Quant.
# Cytol. Histol. 2001; eosin as scanners show it, less magenta than that paper's.
_HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
_EOSIN = np.array([0.13, 0.86, 0.46], np.float32)


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W, 3); every nucleus is a label. Pixel size for 40x (h&e) or 20x.
    """
    stain = rng.choice(["h&e", "h&e", "fluorescence"])
    gaps: np.ndarray = np.zeros(hw, np.float32)  # lumina and tears, which hold no nuclei
    if stain != "fluorescence":
        gaps = np.clip(3 * (smooth_noise(rng, hw, np.sqrt(hw[0] * hw[1]) / 8) - rng.uniform(0.9, 1.8)), 0, 1)
    label = _nuclei(rng, gaps)
    shade = np.concatenate([[0.0], rng.normal(1, 0.22, int(label.max()))]).astype(np.float32)
    shade = np.clip(shade, 0, 1.6)
    image = (
        _fluorescence(rng, label, shade) if stain == "fluorescence" else _haematoxylin_eosin(rng, label, shade, gaps)
    )
    mm = 0.0005 if stain == "fluorescence" else 0.00025
    names = dict.fromkeys(range(1, int(label.max()) + 1), "nucleus")
    return Drawing(image, label, names, (mm, mm))


def _nuclei(rng: np.random.Generator, gaps: np.ndarray) -> np.ndarray:
    """(H, W) uint8 instances that may touch: where two would overlap, a pixel goes to the nearer centre."""
    hw = gaps.shape
    wanted = int(rng.integers(*_COUNT, endpoint=True))
    size = np.sqrt(hw[0] * hw[1]) * rng.uniform(0.026, 0.036)
    trend = rng.uniform(0, np.pi)  # nuclei of one tissue point the same way
    stretch = rng.uniform(1.1, 1.8)
    label = np.zeros(hw, np.uint8)
    nearest = np.full(hw, np.inf, np.float32)
    placed = 0
    clumps = smooth_noise(rng, hw, size * 5)
    for _ in range(wanted * 12):
        if placed == wanted:
            break
        x, y = rng.uniform(0, hw[1] - 1), rng.uniform(0, hw[0] - 1)
        if gaps[int(y), int(x)] > 0 or clumps[int(y), int(x)] < rng.normal(-0.5, 0.8):
            continue
        r = size * rng.lognormal(0, 0.16)
        long = np.sqrt(stretch * rng.lognormal(0, 0.12))
        angle = trend + rng.normal(0, 0.5)
        # a nucleus concerns only its surroundings
        reach = int(2 * r * long) + 2
        area = np.s_[max(int(y) - reach, 0) : int(y) + reach, max(int(x) - reach, 0) : int(x) + reach]
        near, best = label[area], nearest[area]
        at = (x - area[1].start, y - area[0].start)
        blob = random_blob(rng, at, (r * long, r / long), angle, 0.045)
        near_hw = near.shape[0], near.shape[1]
        mask, distance = blob.mask(near_hw), _elliptic(blob, near_hw)
        # keep off when it would hide a good part of itself or of a neighbour, or lie in a gap
        whole, overlap = np.count_nonzero(mask), np.count_nonzero(mask & (near > 0))
        if whole < _MIN_NUCLEUS_PX or overlap > 0.22 * whole or gaps[area][mask].max() > 0.3:
            continue
        placed += 1
        closer = mask & (distance < best)
        near[closer] = placed
        best[closer] = distance[closer]
    return _one_piece_each(label)


def _elliptic(blob: Blob, hw: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 distance to the centre in units of the ellipse's radius."""
    y, x = np.ogrid[: hw[0], : hw[1]]
    dx, dy = x - blob.centre[0], y - blob.centre[1]
    cos, sin = np.cos(blob.angle), np.sin(blob.angle)
    return np.hypot((cos * dx + sin * dy) / blob.radii[0], (cos * dy - sin * dx) / blob.radii[1]).astype(np.float32)


def _one_piece_each(label: np.ndarray) -> np.ndarray:
    """(H, W) uint8 with stray pixels and slivers removed and the values made consecutive."""
    result = np.zeros_like(label)
    value = 0
    for old, area in enumerate(ndimage.find_objects(label), 1):
        if area is None:
            continue
        part = largest_part(label[area] == old)
        if np.count_nonzero(part) >= _MIN_NUCLEUS_PX:
            value += 1
            result[area][part] = value
    return result


def _rims(label: np.ndarray) -> np.ndarray:
    """(H, W) float32 distance in pixels of a nucleus' pixels to its own border, 0 outside."""
    borders = np.zeros(label.shape, bool)
    borders[:, 1:] |= label[:, 1:] != label[:, :-1]
    borders[1:] |= label[1:] != label[:-1]
    return depth_inside((label > 0) & ~borders)


def _haematoxylin_eosin(rng: np.random.Generator, label: np.ndarray, shade: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: light absorbed by two stains."""
    hw = label.shape
    unit = np.sqrt(hw[0] * hw[1]) / 512
    rim = _rims(label)
    inside = soften(label > 0, 0.7)
    membrane = np.exp(-((rim / (1.8 * unit)) ** 2)) * (label > 0)
    chromatin = fractal_noise(rng, hw, 7 * unit, 3)
    nucleoli = np.clip(smooth_noise(rng, hw, 4.5 * unit) - 1.7, 0, 1) * (rim > 3 * unit)
    blue = shade[label] * (0.62 + 0.14 * chromatin + 0.22 * membrane) + 0.7 * nucleoli
    blue = soften(blue, 0.6) * inside * rng.uniform(0.75, 1.15)
    fibres = ridges(smooth_noise(rng, hw, (16 * unit, 44 * unit)), 0.3)
    cytoplasm = fractal_noise(rng, hw, 34 * unit, 4)
    around = soften(label > 0, 8 * unit)
    pink = 0.24 + 0.07 * cytoplasm + 0.10 * fibres + 0.16 * around
    pink = np.clip(pink, 0.03, 1) * (1 - 0.95 * gaps * (1 - inside)) * rng.uniform(0.8, 1.25)
    density = np.clip(blue, 0, 2)[..., None] * _HAEMATOXYLIN + pink[..., None] * _EOSIN + 0.06 * blue[..., None]
    light = np.array([0.97, 0.955, 0.965], np.float32) * 10 ** (-0.95 * density)
    noise = soften(rng.standard_normal((*hw, 3), np.float32), 0.6) * 0.012
    return (np.clip(light + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


def _fluorescence(rng: np.random.Generator, label: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: blue-white nuclei on black, with haze, shot noise and uneven light."""
    hw = label.shape
    unit = np.sqrt(hw[0] * hw[1]) / 512
    rim = _rims(label)
    dome = np.clip(rim / (5 * unit), 0, 1) ** 0.5
    texture = 1 + 0.16 * fractal_noise(rng, hw, 9 * unit, 3)
    spots = np.clip(smooth_noise(rng, hw, 4 * unit) - 1.5, 0, 1.5)
    signal = shade[label] * (label > 0) * (0.30 + 0.28 * dome) * texture + 0.12 * spots * (rim > 2 * unit)
    signal = soften(signal, 1.0 * unit)
    haze = soften(signal, 14 * unit)
    light = 1 + 0.12 * smooth_noise(rng, hw, hw[0] / 2)
    signal = (signal + 0.25 * haze + 0.025) * light * rng.uniform(0.75, 1.25)
    signal += np.sqrt(np.clip(signal, 0, None)) * 0.045 * soften(rng.standard_normal(hw, np.float32), 0.5)
    tint = np.array(rng.choice([[1.0, 1.0, 1.0], [0.25, 0.45, 1.0]]), np.float32)
    return (np.clip(signal[..., None] * tint, 0, 1) * 255 + 0.5).astype(np.uint8)
