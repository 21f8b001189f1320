"""MR: an axial slice, or a slab, through a brain with a tumour, as T1 with contrast, T2 or FLAIR.

Lengths are millimetres from the centre of the head until they are drawn; the nose points up.
"""

import cv2
import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    depth_inside,
    dilate,
    erode,
    fill,
    largest_part,
    soften,
    spline,
    to_grey,
)
from lite_medsam.phantoms.slab import Slab, new_slab, slice_heights
from lite_medsam.phantoms.texture import smooth_noise, smooth_stack

SPAN_MM = 96.0  # height of a slab, whatever its number of slices
_TISSUES = (
    "air", "scalp", "skull", "diploe", "csf", "grey", "white", "deep grey", "oedema", "rim", "core", "vessel",
)  # fmt: skip
# Brightness 0..1 in the order of _TISSUES.
_CONTRAST = {
    "t1c": (0.0, 0.80, 0.05, 0.42, 0.10, 0.38, 0.54, 0.44, 0.33, 0.88, 0.20, 0.85),
    "t2": (0.0, 0.62, 0.04, 0.26, 0.95, 0.56, 0.38, 0.46, 0.76, 0.58, 0.82, 0.08),
    "flair": (0.0, 0.55, 0.04, 0.22, 0.07, 0.50, 0.40, 0.47, 0.84, 0.70, 0.30, 0.10),
}
_NAMES = {1: "tumour", 2: "oedema", 3: "right lateral ventricle", 4: "left lateral ventricle"}
# The left half of a lateral ventricle seen from above, in mm: frontal horn, body, trigone.
_VENTRICLE = [
    (2.5, -30), (9, -36), (15, -33), (12, -24), (7, -12), (9, 2), (17, 16), (24, 27), (19, 31),
    (10, 20), (3.5, 4), (2.5, -14),
]  # fmt: skip


def draw(rng: np.random.Generator, dhw: tuple[int, int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        dhw: (D, H, W); D = 1 gives one slice at the level of the lateral ventricles.

    Returns:
        A drawing of shape (D, H, W) with spacing (z, y, x). Labels: tumour (rim and core), oedema and the
        lateral ventricles.
    """
    half = (rng.uniform(70, 78), rng.uniform(88, 97))
    px_per_mm = min(dhw[2] / (2 * half[0] + 22), dhw[1] / (2 * half[1] + 22))
    head = new_slab(rng, dhw, px_per_mm, _TISSUES, slice_heights(dhw[0], SPAN_MM, rng.uniform(-5, 9)))
    brain = _skull(head, half)
    _cortex(head, brain)
    _deep_structures(head, half)
    _tumour(head, brain, half)
    names = head.renumber(dict(_NAMES))
    sequence = str(rng.choice(list(_CONTRAST)))
    return Drawing(_render(head, brain, sequence), head.label, names, (SPAN_MM / dhw[0], 1 / px_per_mm, 1 / px_per_mm))


def _skull(head: Slab, half: tuple[float, float]) -> np.ndarray:
    """Scalp, skull with diploe, and the fluid around the brain; returns the brain's hull."""
    rng = head.rng
    radius_z = rng.uniform(82, 95)
    scalp_mm, skull_mm = rng.uniform(4, 6.5), rng.uniform(5.5, 7.5)
    outer = head.blob((0, 0, -8), (*half, radius_z), 0, 0.010, 0.012)
    bone = head.each(erode, outer, scalp_mm)
    inner = head.each(erode, bone, skull_mm)
    for mask, name in ((outer, "scalp"), (bone, "skull"), (head.each(erode, bone, 2.2), "diploe")):
        head.tissue[mask] = head.codes[name]
    head.tissue[head.each(dilate, inner, 1.6)] = head.codes["skull"]
    head.tissue[inner] = head.codes["csf"]
    return head.each(erode, inner, rng.uniform(1.4, 2.6))


def _cortex(head: Slab, brain: np.ndarray) -> None:
    """Grey ribbon folded along sulci over white matter, and the fissure between the hemispheres.

    Sulci are the zero lines of a noise field stretched towards the surface; they hold less fluid with depth
    and end as a seam between two grey walls. Grey matter is what lies within the cortical thickness of a
    sulcus.
    """
    rng, k = head.rng, head.px_per_mm
    thickness_mm = rng.uniform(2.4, 3.0)
    atrophy = rng.uniform(0.8, 1.3)
    field, fine = _radial_noise(head, rng.uniform(6.3, 7.8)), head.noise(4)
    columns = (np.arange(head.hw[1]) - head.hw[1] / 2) / k
    rows = (np.arange(head.hw[0])[:, None] - head.hw[0] / 2) / k
    falx = 1.1 * smooth_noise(rng, (head.hw[0], 1), 40 * k)
    # none across the corpus callosum
    gap = np.abs(columns - falx) < np.where(np.abs(rows + 2) > 33, 0.9 * atrophy, 0.0)
    for i, hull in enumerate(brain):
        deep_mm = depth_inside(hull) / k
        fold = np.abs(field[i] + 0.12 * fine[i])
        open_width = atrophy * np.clip(0.16 - 0.0092 * deep_mm, 0, None)
        seam = fold < np.where(deep_mm < 21 + 4 * fine[i], 0.05, 0)
        fluid = (hull & ((fold < open_width) | gap)) | ~hull
        to_sulcus_mm = depth_inside(~(fluid | seam)) / k
        planes = head.tissue[i]
        planes[hull] = head.codes["white"]
        planes[hull & (to_sulcus_mm < thickness_mm * (1 + 0.12 * fine[i]))] = head.codes["grey"]
        planes[fluid & hull] = head.codes["csf"]


def _radial_noise(head: Slab, scale_mm: float) -> np.ndarray:
    """(D, H, W) noise whose features point at the middle of the head, so that sulci enter from outside."""
    height, width = head.hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - width / 2, y - height / 2
    radius = np.sqrt(dx**2 + dy**2)
    # moving the sampling point a part of the way inwards stretches the noise along the radius
    stretched = (0.55 * radius + 18 * head.px_per_mm) / np.maximum(radius, 1)
    source = head.noise(scale_mm)
    map_x = dx * stretched + width / 2
    map_y = dy * stretched + height / 2
    return np.stack([cv2.remap(p, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for p in source])


def _deep_structures(head: Slab, half: tuple[float, float]) -> None:
    """Caudate, putamen, thalamus and the lateral ventricles, nearly mirrored."""
    rng = head.rng
    size = rng.uniform(0.85, 1.3)
    scale = (half[0] / 74, half[1] / 92)
    shape = np.array(_VENTRICLE) * (size, rng.uniform(0.92, 1.05)) * scale
    for side in (-1, 1):
        for centre, radii in (
            ((16, -24, 6), (6, 9, 22)),
            ((26, -8, -2), (7, 16, 20)),
            ((12, 6, -2), (9, 13, 20)),
        ):
            place = (side * centre[0] * scale[0], centre[1] * scale[1], centre[2])
            nucleus = head.blob(place, radii, side * 0.25, 0.06)
            head.tissue[nucleus & (head.tissue == head.codes["white"])] = head.codes["deep grey"]
    for value, side in ((3, -1), (4, 1)):
        outline = (shape + rng.normal(0, 0.7, shape.shape)) * (side, 1)
        centre = outline.mean(0)
        for i, z in enumerate(head.z_mm):
            shrink = np.sqrt(max(1 - ((z - 8) / 26) ** 2, 0))
            if shrink < 0.3:
                continue
            # the horns part from the body above and below; keep the piece that is there narrow, not short
            polygon = head.px(centre + (outline - centre) * (shrink, 0.4 + 0.6 * shrink))
            cavity = fill(head.hw, spline(polygon))
            head.tissue[i][cavity], head.label[i][cavity] = head.codes["csf"], value


def _tumour(head: Slab, brain: np.ndarray, half: tuple[float, float]) -> None:
    """A lobulated tumour with an enhancing rim and a core, and oedema that spreads along white matter."""
    rng, k = head.rng, head.px_per_mm
    side, angle, reach = rng.choice([-1, 1]), rng.uniform(-1.1, 1.1), rng.uniform(0.46, 0.56)
    radius = rng.uniform(9, 17)
    radii = (radius, radius * rng.uniform(0.75, 1.3), radius * 1.3)
    x, y = side * half[0] * reach * np.cos(angle), half[1] * reach * 1.1 * np.sin(angle)
    centre = (x, y, float(head.z_mm.mean()) + rng.uniform(-0.4, 0.4) * radius)
    inside = head.each(erode, brain, 3.5)
    mass = largest_part(head.blob(centre, radii, rng.uniform(0, 3), 0.09) & inside)
    oedema = _oedema(head, mass, centre, radius) & inside & ~mass
    oedema = largest_part(oedema & ~head.each(dilate, head.label > 2, 1.0))
    head.paint(oedema, "oedema", 2)
    head.paint(mass, "rim", 1)
    rough = 1 + 0.22 * head.noise(7)
    for i, plane in enumerate(mass):
        core = depth_inside(plane) / k > np.clip(0.24 * radius * rough[i], 1.8, None)
        head.tissue[i][core] = head.codes["core"]
    for value in (3, 4):  # the mass may have cut a ventricle in two
        head.keep_largest(value, "white")


def _oedema(head: Slab, mass: np.ndarray, centre: tuple, radius: float) -> np.ndarray:
    """(D, H, W) bool: all around the mass, further out with fingers in white matter only."""
    reach = head.rng.uniform(1.5, 2.3)
    fringe = 1 + 0.16 * head.noise(9) + 0.06 * head.noise(3)
    x, y = head.px(np.array(centre[:2]))
    rows, columns = np.mgrid[: head.hw[0], : head.hw[1]]
    distance = np.hypot(columns - x, rows - y) / head.px_per_mm
    soft = np.isin(head.tissue, [head.codes[name] for name in ("white", "deep grey")])
    planes = []
    for z, bumps, white in zip(head.z_mm, fringe, soft, strict=True):
        far = np.hypot(distance, 0.9 * (z - centre[2])) / radius / bumps
        planes.append((far < 0.72 * reach) | (white & (far < reach)))
    return np.stack(planes) | head.each(dilate, mass, 2.5)


def _render(head: Slab, brain: np.ndarray, sequence: str) -> np.ndarray:
    """(D, H, W) uint8: contrast, texture, partial volume, coil bias and Rician noise."""
    rng, k = head.rng, head.px_per_mm
    level = np.array(_CONTRAST[sequence], np.float32)
    level[1:] *= rng.uniform(0.95, 1.05, len(level) - 1).astype(np.float32)
    mottle, scalp = head.noise(3.0), head.noise(6.0)
    bias = 1 + 0.13 * smooth_stack(rng, head.tissue.shape, (12, head.hw[0] / 2.2, head.hw[1] / 2.2))
    sigma = rng.uniform(0.018, 0.04)
    planes = []
    for i, tissue in enumerate(head.tissue):
        signal = level[tissue]
        signal = signal * (1 + 0.035 * mottle[i] * brain[i])
        signal = signal * np.where(np.isin(tissue, (head.codes["core"], head.codes["oedema"])), 1 + 0.09 * scalp[i], 1)
        signal = np.where(tissue == head.codes["scalp"], signal * (1 + 0.07 * scalp[i]), signal).astype(np.float32)
        signal = soften(signal, 0.55 * k / 2.4 + 0.35) * bias[i]
        grain = [soften(rng.standard_normal(tissue.shape, np.float32), 0.6) * (sigma * 1.8) for _ in range(2)]
        planes.append(to_grey(np.hypot(signal + grain[0], grain[1])))
    return np.stack(planes)
