"""Colour fundus photograph: optic disc and cup, branching vessels, macula, exudates and haemorrhages."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from lite_medsam.phantoms.shapes import Drawing, dilate, random_blob, soften
from lite_medsam.phantoms.texture import fractal_noise, ridges, smooth_noise

_MIN_LESION_PX = 20
_SUBPIXEL = 16


@dataclass(frozen=True, eq=False)
class _Eye:
    """Landmarks in pixels: field centre and radius, disc, fovea, and the disc's radius."""

    centre: tuple[float, float]
    radius: float
    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_px: float
    field: np.ndarray


def draw(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        hw: (H, W).

    Returns:
        A drawing of shape (H, W, 3); labels: the rim of the optic disc, the cup, then each exudate and
        haemorrhage. The pixel size follows from a field of 45 degrees, 13 mm across.
    """
    return _photograph(rng, hw)[0]


def draw_vessels(rng: np.random.Generator, hw: tuple[int, int]) -> Drawing:
    """The same picture as `draw`; the label is the vessel tree, one class with several parts."""
    drawn, vessels = _photograph(rng, hw)
    return Drawing(drawn.image, vessels.astype(np.uint8), {1: "vessels"}, drawn.spacing_mm)


def _photograph(rng: np.random.Generator, hw: tuple[int, int]) -> tuple[Drawing, np.ndarray]:
    """The case with disc and lesions labelled, and the (H, W) bool vessels."""
    eye = _landmarks(rng, hw)
    colour = _background(rng, eye)
    veins, arteries = _vessel_trees(rng, eye)
    disc, cup = _disc(rng, eye)
    lesions = _lesions(rng, eye, dilate(disc, eye.disc_px * 0.3))
    colour = _paint_disc(rng, colour, (disc, cup))
    for depth, tint in ((arteries, (0.10, 0.42, 0.40)), (veins, (0.22, 0.56, 0.45))):
        colour *= 1 - np.minimum(soften(depth, 0.7), 1)[..., None] * np.array(tint, np.float32)
    label = np.zeros(hw, np.uint8)
    label[disc], label[cup] = 1, 2
    names = {1: "optic disc", 2: "optic cup"}
    for kind, mask in lesions:
        alpha = soften(mask, 0.8)[..., None] * (0.85 if kind == "exudate" else 0.7)
        tint = (0.96, 0.86, 0.50) if kind == "exudate" else (0.40, 0.06, 0.04)
        colour = colour * (1 - alpha) + alpha * np.array(tint, np.float32)
        names[len(names) + 1] = kind
        label[mask] = len(names)
    mm = 13.0 / (2 * eye.radius)
    drawn = Drawing(_expose(rng, colour, eye), label, names, (mm, mm))
    covered = label > 2  # a lesion lies in front of the vessel
    return drawn, (np.maximum(veins, arteries) > 0.5) & eye.field & ~covered


def _landmarks(rng: np.random.Generator, hw: tuple[int, int]) -> _Eye:
    height, width = hw
    radius = min(height, width) * rng.uniform(0.465, 0.49)
    if width > 1.1 * height:  # a wide frame cuts the field above and below
        radius = min(width * 0.47, height * 0.56)
    side = rng.choice([-1, 1])
    middle = (width / 2, height / 2)
    disc = (
        middle[0] + side * radius * rng.uniform(0.46, 0.56),
        middle[1] + radius * rng.uniform(-0.10, 0.06),
    )
    fovea = (disc[0] - side * radius * rng.uniform(0.58, 0.66), disc[1] + radius * rng.uniform(0.03, 0.09))
    y, x = np.mgrid[:height, :width]
    field = np.hypot(x - middle[0], y - middle[1]) < radius
    return _Eye(middle, radius, disc, fovea, radius * rng.uniform(0.125, 0.155), field)


def _distance(eye: _Eye, point: tuple[float, float]) -> np.ndarray:
    """(H, W) float32 distance to a point in units of the field's radius."""
    y, x = np.mgrid[: eye.field.shape[0], : eye.field.shape[1]].astype(np.float32)
    return np.hypot(x - point[0], y - point[1]) / eye.radius


def _background(rng: np.random.Generator, eye: _Eye) -> np.ndarray:
    """(H, W, 3) float32: pigment, choroid, macula with its dark centre, nerve fibre sheen, uneven light."""
    hw = eye.field.shape
    base = np.array([rng.uniform(0.66, 0.86), rng.uniform(0.26, 0.40), rng.uniform(0.08, 0.20)], np.float32)
    away = _distance(eye, eye.fovea)
    choroid = ridges(smooth_noise(rng, hw, eye.radius / 11), 0.35) - 0.5
    mottle = fractal_noise(rng, hw, eye.radius / 4)
    grain = smooth_noise(rng, hw, max(eye.radius / 110, 1))
    light = 1 + 0.05 * mottle + 0.02 * grain + rng.uniform(0.0, 0.05) * choroid * (away > 0.3)
    macula = 0.30 * np.exp(-((away / 0.17) ** 2)) + 0.22 * np.exp(-((away / 0.07) ** 2))
    colour = base * light[..., None].astype(np.float32)
    colour *= 1 - macula[..., None] * np.array([0.7, 1.0, 1.0], np.float32)
    disc_away = _distance(eye, eye.disc)
    sheen = 0.16 * np.exp(-((disc_away / 0.45) ** 2))
    colour *= 1 + sheen[..., None] * np.array([0.4, 1.0, 0.8], np.float32)
    colour += (0.02 * np.exp(-((away / 0.012) ** 2)))[..., None]  # foveal reflex
    return colour.astype(np.float32)


def _disc(rng: np.random.Generator, eye: _Eye) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool rim with cup filled in, and the cup."""
    hw, r = eye.field.shape, eye.disc_px
    disc = random_blob(rng, eye.disc, (r * rng.uniform(0.88, 0.98), r * rng.uniform(1.0, 1.1)), 0, 0.025).mask(hw)
    ratio = rng.uniform(0.28, 0.52)
    shift = rng.normal(0, 0.06, 2) * r
    centre = (eye.disc[0] + shift[0], eye.disc[1] + shift[1])
    cup = random_blob(rng, centre, (r * ratio, r * ratio * rng.uniform(0.95, 1.15)), 0, 0.05).mask(hw)
    return disc & eye.field, cup & disc & eye.field


def _paint_disc(rng: np.random.Generator, colour: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    hw = colour.shape[:2]
    texture = 1 + 0.04 * smooth_noise(rng, hw, 5)
    rim = np.array([rng.uniform(0.92, 1.0), rng.uniform(0.54, 0.68), rng.uniform(0.28, 0.40)], np.float32)
    for mask, tint, blur in ((masks[0], rim, 1.6), (masks[1], np.array([1.0, 0.95, 0.80], np.float32), 1.8)):
        alpha = 0.92 * soften(mask, blur * hw[0] / 640)[..., None]
        colour = colour * (1 - alpha) + alpha * tint * texture[..., None]
    return colour


def _vessel_trees(rng: np.random.Generator, eye: _Eye) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 coverage 0..1 of the veins and of the arteries, each a tree rooted in the disc."""
    side = np.sign(eye.fovea[0] - eye.disc[0])
    trees = []
    for width in (0.021, 0.015):
        canvas = np.zeros(eye.field.shape, np.uint8)
        for up in (-1, 1):
            temporal = np.arctan2(up, 0.38 * side) + rng.normal(0, 0.10)
            nasal = np.arctan2(up * 0.9, -side) + rng.normal(0, 0.2)
            for angle, bend, share in ((temporal, -up * side * 0.95, 1.0), (nasal, rng.normal(0, 0.3), 0.72)):
                _grow(
                    rng,
                    canvas,
                    eye,
                    (eye.disc, angle, bend),
                    width * share * eye.radius * rng.uniform(0.9, 1.1),
                )
        for _ in range(2):  # small vessels that run straight to the macula
            angle = np.arctan2(rng.normal(0, 0.35), side)
            _grow(rng, canvas, eye, (eye.disc, angle, 0.0), 0.3 * width * eye.radius)
        trees.append(canvas.astype(np.float32) / 255 * eye.field)
    return trees[0], trees[1]


def _grow(rng: np.random.Generator, canvas: np.ndarray, eye: _Eye, start: tuple, width: float) -> None:
    """Draws a vessel and its branches, whose radii obey Murray's law, r0^3 = r1^3 + r2^3.

    Args:
        rng: Source of randomness.
        canvas: (H, W) uint8, drawn upon.
        eye: Landmarks.
        start: Point, direction in radians, and bending in radians per field radius.
        width: Diameter in pixels at the start.
    """
    pending = [(*start, width, 0)]
    step = eye.radius / 60
    while pending:
        point, angle, bend, wide, order = pending.pop()
        wiggle = rng.uniform(0, 6.3)
        for i in range(int(rng.uniform(60, 110) * (1.0 if order == 0 else 0.6))):
            sway = 0.10 * np.sin(i * rng.uniform(0.30, 0.40) + wiggle)
            angle += bend / 60 + sway * 0.5 + rng.normal(0, 0.03)
            after = (point[0] + step * np.cos(angle), point[1] + step * np.sin(angle))
            away = np.hypot(after[0] - eye.fovea[0], after[1] - eye.fovea[1]) / eye.radius
            outside = np.hypot(after[0] - eye.centre[0], after[1] - eye.centre[1]) > 1.02 * eye.radius
            if wide < 0.7 or away < 0.16 or outside:
                break
            _segment(canvas, point, after, wide)
            point, wide = after, wide * 0.994
            if i > 5 and rng.random() < 0.036 and wide > 1.0 and order < 3:
                share = rng.uniform(0.18, 0.5)
                turn = rng.choice([-1, 1])
                branch = (wide**3 * share) ** (1 / 3)
                pending.append(
                    (
                        point,
                        angle + turn * rng.uniform(0.5, 0.95),
                        -turn * rng.uniform(0, 0.8),
                        branch,
                        order + 1,
                    )
                )
                wide, angle = (wide**3 * (1 - share)) ** (1 / 3), angle - turn * 0.15


def _segment(canvas: np.ndarray, start: tuple, end: tuple, width: float) -> None:
    """An anti-aliased line of fractional width: a filled quadrilateral with round ends."""
    along = np.subtract(end, start)
    normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6) * width / 2
    corners = np.array([start + normal, end + normal, end - normal, start - normal])
    fixed = np.round(corners * _SUBPIXEL).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_AA, 4)
    centre = tuple(int(v) for v in np.round(np.array(end) * _SUBPIXEL))
    cv2.circle(canvas, centre, max(int(width / 2 * _SUBPIXEL), 6), 255, -1, cv2.LINE_AA, 4)


def _lesions(rng: np.random.Generator, eye: _Eye, keep_out: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Exudates in a ring-like cluster beside the fovea, merged where they meet, and a few haemorrhages."""
    hw = eye.field.shape
    hub_angle = rng.uniform(0, 6.3)
    hub = np.array(eye.fovea) + eye.radius * 0.2 * np.array([np.cos(hub_angle), np.sin(hub_angle)])
    free = eye.field & ~keep_out
    yellow, red = np.zeros(hw, bool), np.zeros(hw, bool)
    for _ in range(int(rng.integers(10, 34))):
        angle = rng.uniform(0, 6.3)
        place = hub + eye.radius * rng.normal(0.13, 0.045) * np.array([np.cos(angle), np.sin(angle)])
        size = eye.radius * rng.uniform(0.006, 0.022)
        yellow |= random_blob(rng, tuple(place), (size * rng.uniform(0.8, 1.7), size), angle, 0.16).mask(hw)
    for _ in range(int(rng.integers(2, 7))):
        place = np.array(eye.fovea) + eye.radius * rng.uniform(-0.5, 0.5, 2)
        size = eye.radius * rng.uniform(0.012, 0.030)
        red |= random_blob(rng, tuple(place), (size * rng.uniform(0.8, 1.6), size), rng.uniform(0, 3), 0.14).mask(hw)
    found = []
    for kind, mask in (("exudate", yellow & free), ("haemorrhage", red & free & ~dilate(yellow, 2))):
        parts, count = ndimage.label(mask)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        found += [(kind, parts == part) for part in range(1, count + 1) if sizes[part] >= _MIN_LESION_PX]
    return found


def _expose(rng: np.random.Generator, colour: np.ndarray, eye: _Eye) -> np.ndarray:
    """(H, W, 3) uint8: vignette, off-axis light, sensor noise, black outside the field."""
    offset = rng.normal(0, 0.18, 2) * eye.radius
    from_light = _distance(eye, (eye.centre[0] + offset[0], eye.centre[1] + offset[1]))
    colour = colour * (1.08 - rng.uniform(0.22, 0.42) * from_light**2)[..., None]
    edge = soften(eye.field, 1.2)[..., None]
    noise = soften(rng.standard_normal(colour.shape, np.float32), 0.7) * 0.012
    picture = np.clip((colour + noise) * edge, 0, 1) ** 0.95
    picture[~eye.field] *= 0.2
    return (picture * 255 + 0.5).astype(np.uint8)
