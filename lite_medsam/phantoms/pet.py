"""FDG PET: a frontal maximum-intensity projection with hot lesions beside the organs that are always hot."""

import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    dilate,
    fill,
    largest_part,
    random_blob,
    soften,
    spline,
    to_grey,
)
from lite_medsam.phantoms.texture import fractal_noise, smooth_noise

# Half of the body's outline from head to thighs, x and y in units of its height in the picture.
_BODY = [
    (0.0, 0.02), (0.055, 0.035), (0.062, 0.09), (0.04, 0.135), (0.05, 0.165), (0.13, 0.19),
    (0.175, 0.225), (0.165, 0.33), (0.145, 0.45), (0.135, 0.56), (0.155, 0.68), (0.175, 0.80),
    (0.16, 1.05), (0.0, 1.05),
]  # fmt: skip
# Organ: centre x (left of the body positive), y, radii, uptake.
_ORGANS = (
    ("brain", 0.0, 0.068, 0.045, 0.042, 1.25), ("heart", 0.035, 0.345, 0.032, 0.036, 0.55),
    ("liver", -0.055, 0.445, 0.075, 0.052, 0.36), ("spleen", 0.095, 0.44, 0.024, 0.036, 0.32),
    ("right kidney", -0.062, 0.545, 0.021, 0.042, 0.62), ("left kidney", 0.066, 0.53, 0.021, 0.042, 0.62),
    ("bladder", 0.0, 0.80, 0.040, 0.030, 1.4),
)  # fmt: skip
_LUNGS = ((-0.08, 0.315, 0.048, 0.085), (0.085, 0.31, 0.044, 0.085))
_SITES = (
    (-0.10, 0.24), (0.10, 0.24), (0.0, 0.28), (-0.06, 0.31), (0.09, 0.34), (-0.08, 0.43), (0.02, 0.50),
    (0.03, 0.62), (-0.09, 0.70), (0.10, 0.72), (0.03, 0.17), (-0.04, 0.165),
)  # fmt: skip


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W); labels: urinary bladder, then each lesion.
    """
    scale = min(hw[0] * 0.98, hw[1] / 0.42)

    def px(x: float, y: float) -> tuple[float, float]:
        """Body units to pixels."""
        return hw[1] / 2 + x * scale, hw[0] / 2 + (y - 0.5) * scale

    body = _body(rng, hw, px)
    uptake = _background(rng, body, (px, scale))
    label = np.zeros(hw, np.uint8)
    for name, x, y, rx, ry, level in _ORGANS:
        at = px(x + rng.normal(0, 0.006), y + rng.normal(0, 0.006))
        size = scale * rng.uniform(0.85, 1.15)
        angle = 0.35 * np.sign(x) if "kidney" in name else rng.normal(0, 0.1)
        mask = random_blob(rng, at, (rx * size, ry * size), angle, 0.06).mask(hw) & body
        rough = 1 + 0.12 * smooth_noise(rng, hw, scale / 50)
        if "kidney" in name:
            rough = rough * (0.8 + 0.5 * (smooth_noise(rng, hw, scale / 55) > 0.2))
        present = rng.random() < 0.6 if name == "heart" else True
        uptake = np.maximum(uptake, mask * level * rng.uniform(0.8, 1.15) * rough * present)
        if name == "bladder":
            label[mask] = 1
    lesions = _lesions(rng, body & ~dilate(label > 0, scale / 60), (px, scale))
    for value, mask in enumerate(lesions, 2):
        uptake = np.where(mask, rng.uniform(0.75, 1.3), uptake)
        label[mask] = value
    names = {1: "urinary bladder"} | dict.fromkeys(range(2, len(lesions) + 2), "lesion")
    image = _reconstruct(rng, uptake.astype(np.float32), scale)
    mm = 1000.0 / scale
    return Drawing(image, label, names, (mm, mm))


def _body(rng: np.random.Generator, hw: tuple[int, int], px) -> np.ndarray:
    """(H, W) bool silhouette with arms at the sides."""
    broad = rng.uniform(0.88, 1.12)
    half = np.array(_BODY) + np.r_["1,2", rng.normal(0, 0.003, (len(_BODY), 1)), np.zeros((len(_BODY), 1))]
    half[[0, -1], 0] = 0
    side = np.array([px(x * (broad if y > 0.15 else 1), y) for x, y in half])
    other = side[::-1] * (-1, 1) + (hw[1], 0)
    mask = fill(hw, np.vstack([spline(side, 150, closed=False), spline(other, 150, closed=False)]))
    for sign in (-1, 1):
        arm = np.array(
            [
                (0.15, 0.20),
                (0.195, 0.23),
                (0.215, 0.40),
                (0.225, 0.60),
                (0.20, 0.74),
                (0.19, 0.60),
                (0.175, 0.40),
            ]
        )
        arm = arm * (sign * broad, 1) + rng.normal(0, 0.002, arm.shape)
        mask |= fill(hw, spline(np.array([px(x, y) for x, y in arm])))
    return mask


def _background(rng: np.random.Generator, body: np.ndarray, where: tuple) -> np.ndarray:
    """(H, W) float32 low uptake: muscle, marrow of the spine and pelvis, bowel, cold lungs."""
    px, scale = where
    hw = body.shape
    uptake = body * (0.12 + 0.012 * fractal_noise(rng, hw, scale / 12))
    for x, y, rx, ry in _LUNGS:
        lung = random_blob(rng, px(x, y), (rx * scale, ry * scale), 0, 0.05).mask(hw)
        uptake -= 0.045 * soften(lung & body, scale / 160)
    for i in range(19):
        x, y = px(rng.normal(0, 0.002), 0.17 + i * 0.029)
        bone = random_blob(rng, (x, y), (0.014 * scale, 0.011 * scale), 0, 0.05).mask(hw)
        uptake = np.maximum(uptake, bone * rng.uniform(0.19, 0.25))
    vessels = random_blob(rng, px(0.004, 0.30), (0.022 * scale, 0.075 * scale), 0, 0.08).mask(hw)
    uptake = np.maximum(uptake, vessels * 0.20)
    gut = np.clip(smooth_noise(rng, hw, scale / 45) - 0.35, 0, 1)
    area = random_blob(rng, px(0, 0.63), (0.10 * scale, 0.11 * scale), 0, 0.1).mask(hw)
    return np.maximum(uptake, soften(area & body, scale / 60) * gut * rng.uniform(0.2, 0.5))


def _lesions(rng: np.random.Generator, room: np.ndarray, where: tuple) -> list[np.ndarray]:
    """Three to nine separate hot spots at typical nodal, lung, liver and bone sites."""
    px, scale = where
    taken = ~room
    found: list[np.ndarray] = []
    for site in rng.permutation(len(_SITES))[: int(rng.integers(3, 9))]:
        x, y = px(*(np.array(_SITES[site]) + rng.normal(0, 0.012, 2)))
        size = scale * rng.uniform(0.007, 0.020)
        blob = random_blob(rng, (x, y), (size * rng.uniform(1, 1.5), size), rng.uniform(0, 3), 0.12)
        mask = largest_part(blob.mask(room.shape) & ~taken)
        if np.count_nonzero(mask) > max(20, 0.5 * np.pi * size**2):
            found.append(mask)
            taken |= dilate(mask, scale / 100)
    return found


def _reconstruct(rng: np.random.Generator, uptake: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) uint8: scanner blur, counting noise that grows with uptake, saturating grey scale."""
    blurred = soften(uptake, scale / 380)
    noise = soften(rng.standard_normal(uptake.shape, np.float32), max(scale / 420, 0.6))
    noise /= max(float(noise.std()), 1e-6)
    level = np.clip(blurred + 0.05 * noise * np.sqrt(np.clip(blurred, 0, None)), 0, None)
    return to_grey(level * rng.uniform(1.0, 1.2))
