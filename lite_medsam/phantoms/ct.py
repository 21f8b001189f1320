"""CT: an axial slice, or a slab, through the upper abdomen in the portal venous phase, soft-tissue window.

Radiological orientation: the patient's right (the liver) is on the left of the picture, the spine at the
bottom. Lengths are millimetres from the centre of the trunk until they are drawn.
"""

import numpy as np

from lite_medsam.phantoms.shapes import (
    Drawing,
    depth_inside,
    erode,
    fill,
    largest_part,
    random_blob,
    soften,
    spline,
    to_grey,
)
from lite_medsam.phantoms.slab import Slab, new_slab, slice_heights
from lite_medsam.phantoms.texture import fractal_noise

SPAN_MM = 120.0  # height of a slab, whatever its number of slices
_WINDOW_HU = (-160.0, 240.0)
# Attenuation in Hounsfield units; the position in this table is the tissue's code.
_HU = {
    "air": -1000, "fat": -103, "skin": 20, "muscle": 58, "cortical bone": 620, "marrow": 190, "canal": 18,
    "disc": 85, "liver": 112, "vein": 168, "spleen": 124, "renal cortex": 182, "medulla": 148, "aorta": 158,
    "cava": 140, "wall": 74, "content": 22, "gas": -900, "pancreas": 92, "bile": 8, "lesion": 58,
    "table": -70,
}  # fmt: skip
_TRUNK = 0.035  # squareness of the trunk
_ORGANS = ("liver", "spleen", "right kidney", "left kidney", "aorta", "inferior vena cava", "gallbladder")
# Outlines in units of the abdominal cavity's half axes.
_LIVER = [
    (-1.08, 0.05), (-0.98, -0.6), (-0.55, -1.02), (-0.02, -1.0), (0.26, -0.78), (0.14, -0.52),
    (-0.10, -0.34), (-0.2, -0.08), (-0.42, 0.12), (-0.66, 0.48), (-0.97, 0.52),
]  # fmt: skip
_SPLEEN = [(0.9, -0.22), (1.06, 0.12), (0.98, 0.5), (0.72, 0.76), (0.54, 0.62), (0.68, 0.36), (0.73, 0.06)]


def draw(rng: np.random.Generator, dhw: tuple[int, int, int]) -> Drawing:
    """One case.

    Args:
        rng: Source of randomness.
        dhw: (D, H, W); D = 1 gives one slice.

    Returns:
        A drawing of shape (D, H, W) with spacing (z, y, x). Labels: the organs of `_ORGANS` that are in the
        slab, then each liver lesion.
    """
    half = (rng.uniform(158, 186), rng.uniform(108, 128))
    px_per_mm = min(dhw[2] / (2 * half[0] + 36), dhw[1] / (2 * half[1] + 64))
    scene = new_slab(rng, dhw, px_per_mm, tuple(_HU), slice_heights(dhw[0], SPAN_MM, rng.uniform(-12, 12)))
    scene.centre = (0.5, 0.485)
    cavity, radii = _trunk(scene, half)
    _bowel(scene, cavity, radii)
    _solid_organs(scene, cavity, radii)
    _spine(scene, half[1])
    for value in range(1, len(_ORGANS) + 1):  # an organ in front may have cut off a corner of another
        scene.keep_largest(value, "fat")
    lesions = _lesions(scene)
    names = dict(enumerate((*_ORGANS, *("liver lesion",) * lesions), 1))
    names = scene.renumber(names)
    return Drawing(_render(scene), scene.label, names, (SPAN_MM / dhw[0], 1 / px_per_mm, 1 / px_per_mm))


def _trunk(scene: Slab, half: tuple[float, float]) -> tuple[np.ndarray, tuple[float, float]]:
    """Skin, fat, muscle wall with ribs, back muscles and the table; returns the cavity and its half axes."""
    rng = scene.rng
    fat_mm = rng.uniform(9, 26)
    wall_mm = rng.uniform(9, 13)
    outer = scene.blob((0, 0, 0), (*half, 900), 0, 0.012, _TRUNK)
    inner = scene.blob((0, -0.1 * fat_mm, 0), (half[0] - fat_mm, half[1] - 0.9 * fat_mm, 900), 0, 0.010, _TRUNK)
    radii = (half[0] - fat_mm - wall_mm, half[1] - 0.9 * fat_mm - wall_mm)
    cavity = scene.blob((0, -0.1 * fat_mm - 3, 0), (*radii, 900), 0, 0.012, _TRUNK)
    scene.paint(outer, "skin")
    thin = max(1.0, 1.7 * scene.px_per_mm)
    scene.paint(np.stack([erode(p, thin) for p in outer]), "fat")
    scene.paint(inner, "muscle")
    cleft = scene.noise(14, 30)
    scene.paint(inner & (np.abs(cleft) < 0.06), "fat")  # fat planes between the muscles
    scene.paint(cavity, "fat")
    for side in (-1, 1):
        back = scene.blob((side * 36, half[1] - fat_mm * 0.8 - 27, 0), (31, 21, 900), side * -0.15, 0.05)
        scene.paint(back, "muscle")
        scene.paint(scene.blob((side * 39, 0.4 * half[1] + 6, 0), (15, 19, 160), 0, 0.06), "muscle")  # psoas
        for rib in range(5):
            _rib(scene, side, rib, (half[0] - fat_mm - 6, half[1] - 0.9 * fat_mm - 6))
    _table(scene, half[1])
    return cavity, radii


def _rib(scene: Slab, side: int, rib: int, radii: tuple[float, float]) -> None:
    """An oblique section of one rib in the muscle wall; it moves forward from slice to slice downwards."""
    angle = np.deg2rad(58 - 36 * rib + scene.rng.normal(0, 4))
    length, thick = scene.rng.uniform(8, 15), scene.rng.uniform(3.4, 4.6)
    for k, z in enumerate(scene.z_mm):
        a = angle + z * 0.006
        centre = scene.px(np.array([side * radii[0] * np.cos(a), radii[1] * np.sin(a) - 3]))
        tangent = np.arctan2(radii[1] * np.cos(a), -side * radii[0] * np.sin(a))
        size = np.array([length, thick]) * scene.px_per_mm
        shape = random_blob(np.random.default_rng([rib, side + 1]), tuple(centre), tuple(size), tangent, 0.05)
        bone = shape.mask(scene.hw)
        scene.tissue[k][bone] = scene.codes["cortical bone"]
        scene.tissue[k][erode(bone, 1.6 * scene.px_per_mm)] = scene.codes["marrow"]


def _table(scene: Slab, half_height: float) -> None:
    """The top of the scanner's table, a thin curved line under the patient."""
    x = np.linspace(-210, 210, 60)
    y = half_height + 9 + (np.abs(x) / 210) ** 2.6 * -26
    upper, lower = np.stack([x, y], 1), np.stack([x, y + 2.6], 1)
    line = fill(scene.hw, scene.px(np.vstack([upper, lower[::-1]])))
    scene.paint(line[None] & (scene.tissue == scene.codes["air"]), "table")


def _bowel(scene: Slab, cavity: np.ndarray, radii: tuple[float, float]) -> None:
    """Stomach with a gas level, colon, small bowel loops, pancreas and small vessels in the fat."""
    rng, (rx, ry) = scene.rng, radii
    tubes = _tubes(scene, 16.0, 0.17)
    scene.paint(cavity & tubes, "vein")
    loops = [(rng.uniform(-0.12, 0.55) * rx, rng.uniform(-0.42, 0.12) * ry, rng.uniform(9, 15)) for _ in range(9)]
    for x, y, r in loops:
        loop = scene.blob((x, y, rng.uniform(-30, 30)), (r * rng.uniform(1, 1.5), r, 45), rng.uniform(0, 3), 0.08)
        _hollow(
            scene,
            loop & cavity,
            rng.choice(["content", "content", "wall", "gas"], p=[0.4, 0.2, 0.3, 0.1]),
            2.2,
        )
    colon = scene.blob((0.78 * rx, -0.28 * ry, 0), (20, 23, 200), 0.2, 0.1)
    _hollow(scene, colon & cavity, "gas", 2.2)
    at = (rng.uniform(0.40, 0.5) * rx, rng.uniform(-0.58, -0.46) * ry, 30)
    stomach = scene.blob(at, (rng.uniform(36, 50), rng.uniform(28, 38), 95), rng.uniform(-0.5, 0.2), 0.08)
    _hollow(scene, stomach & cavity, "content", 3.6)
    # gas collects at the front, which is up in the picture
    gas_below = scene.px(np.array([0, at[1] - rng.uniform(2, 14)]))[1]
    rows = np.arange(scene.hw[0])[None, :, None]
    lumen = scene.each(erode, stomach & cavity, 3.6)
    scene.paint(lumen & (rows < gas_below), "gas")
    lobules = scene.noise(7)
    bend = np.array([(-0.16, 0.02), (0.04, -0.16), (0.3, -0.1), (0.52, 0.1), (0.5, 0.17), (0.26, 0.02), (0.02, 0.0)])
    pancreas = scene.loft(bend * (rx, ry) + rng.normal(0, 3, bend.shape), 0, 50)
    scene.paint(pancreas & cavity & (lobules < 1.1), "pancreas")


def _hollow(scene: Slab, mask: np.ndarray, content: str, wall_mm: float) -> None:
    scene.paint(mask, "wall")
    scene.paint(scene.each(erode, mask, wall_mm), content)


def _tubes(scene: Slab, scale_mm: float, width: float) -> np.ndarray:
    """(D, H, W) bool of branching vessels: where two independent noise fields are both near zero."""
    first, second = (scene.noise(scale_mm, 1.5 * scale_mm) for _ in range(2))
    return first**2 + second**2 < width**2


def _solid_organs(scene: Slab, cavity: np.ndarray, radii: tuple[float, float]) -> None:
    """Liver with vessels, gallbladder, spleen, kidneys, aorta and cava."""
    rng, size = scene.rng, np.array(radii)
    inside = scene.each(erode, cavity, 1.5)

    def jitter(outline: list) -> np.ndarray:
        return (np.array(outline) + rng.normal(0, 0.03, (len(outline), 2))) * size * rng.uniform(0.94, 1.04)

    liver = scene.loft(jitter(_LIVER), 25, 125) & inside
    scene.paint(liver, "liver", 1)
    scene.paint(liver & _tubes(scene, 22.0, 0.29), "vein", None)
    bladder = scene.blob((-0.30 * size[0], -0.16 * size[1], -12), (rng.uniform(11, 17), rng.uniform(14, 22), 42), 0.5)
    scene.paint(bladder & inside, "bile", 7)
    scene.paint(scene.loft(jitter(_SPLEEN), 25, 85) & inside, "spleen", 2)
    for value, side in ((3, -1), (4, 1)):
        _kidney(scene, value, side, (side * 0.47 * size[0], 0.36 * size[1], -8 + 10 * side))
    front = 0.42 * size[1]
    scene.paint(scene.blob((rng.uniform(4, 12), front - 31, 0), (11.5, 11.5, 900), 0, 0.02), "aorta", 5)
    scene.paint(
        scene.blob((rng.uniform(-26, -20), front - 26, 0), (13.5, rng.uniform(8, 11), 900), 0.2, 0.05),
        "cava",
        6,
    )
    mesenteric_artery = scene.blob((2, front - 52, 0), (4.5, 4.5, 900), 0, 0.02)
    scene.paint(mesenteric_artery, "vein")


def _kidney(scene: Slab, value: int, side: int, centre: tuple) -> None:
    """A bean with its hilum towards the spine: cortex, darker pyramids, fat in the sinus."""
    rng = scene.rng
    size = rng.uniform(0.92, 1.12)
    angle = side * rng.uniform(0.35, 0.7)
    bean = scene.blob(centre, (25 * size, 32 * size, 58), angle, 0.035)
    hilum = (centre[0] - side * 21 * size, centre[1] - 9 * size, centre[2])
    sinus = scene.blob(hilum, (19 * size, 11 * size, 26), side * -0.4, 0.12)
    bean &= ~sinus
    deep = np.stack([depth_inside(p | s) for p, s in zip(bean, sinus, strict=True)]) / scene.px_per_mm
    lobes = scene.noise(9)
    scene.paint(bean, "renal cortex", value)
    scene.paint(bean & (deep > 6.5) & (lobes > -0.35), "medulla", value)


def _spine(scene: Slab, half_height: float) -> None:
    """Vertebra with cortex, marrow, canal, arch and processes; a disc between two vertebrae."""
    rng, k = scene.rng, scene.px_per_mm
    y = 0.42 * half_height + 3
    body = scene.blob((0, y, 0), (rng.uniform(22, 26), rng.uniform(16, 19), 900), 0, 0.03)
    body &= ~scene.blob((0, y + 27, 0), (14, 13, 900), 0, 0.02)  # the concave back of the body
    spinous = np.array([(-3, 24), (3, 24), (4, 46), (1.5, 52), (-1.5, 52), (-4, 46)])
    wing = np.array([(9, 10), (20, 14), (36, 17), (46, 23), (44, 27), (34, 23), (22, 24), (10, 30), (3, 27)])
    arch = np.zeros(scene.hw, bool)
    for part in (spinous, wing, wing * (-1, 1)):
        points = (part + rng.normal(0, 0.8, part.shape)) * rng.uniform(0.92, 1.05) + (0, y)
        arch |= fill(scene.hw, spline(scene.px(points)))
    canal = scene.blob((0, y + 24, 0), (9.5, 8, 900), 0, 0.04)
    phase = rng.uniform(0.2, 0.6) if len(scene.z_mm) == 1 else 0.0
    for i, z in enumerate(scene.z_mm):
        disc = np.cos(2 * np.pi * z / 36 + phase) < -0.75
        bone = arch | body[i]
        scene.tissue[i][bone], scene.label[i][bone] = scene.codes["cortical bone"], 0
        scene.tissue[i][erode(bone, 2.0 * k)] = scene.codes["marrow"]
        if disc:
            scene.tissue[i][body[i]] = scene.codes["disc"]
        scene.tissue[i][canal[i]] = scene.codes["canal"]


def _lesions(scene: Slab) -> int:
    """Hypodense round-to-lobulated lesions deep in the liver, labelled after the organs; returns how many."""
    rng, k = scene.rng, scene.px_per_mm
    first = len(_ORGANS) + 1
    count = 0
    for _ in range(int(rng.integers(1, 4))):
        room = np.stack([depth_inside(p) for p in scene.label == 1]) / k
        radius = rng.uniform(7, 17)
        spots = np.argwhere(room > min(radius * 0.8, 0.85 * room.max()))
        z, row, column = spots[rng.integers(len(spots))]
        centre = scene.mm(row, column)
        radii = (radius, radius * rng.uniform(0.75, 1.2), radius)
        blob = scene.blob((*centre, scene.z_mm[z]), radii, rng.uniform(0, 3), 0.07) & (scene.label == 1)
        scene.paint(largest_part(blob), "lesion", first + count)
        count += 1
    scene.keep_largest(1, "lesion")
    return count


def _render(scene: Slab) -> np.ndarray:
    """(D, H, W) uint8: attenuation with texture, blur and noise, through the soft-tissue window."""
    rng, k = scene.rng, scene.px_per_mm
    attenuation = np.array(list(_HU.values()), np.float32)
    attenuation[1:] += rng.normal(0, 4, len(attenuation) - 1)
    attenuation[scene.codes["lesion"]] = rng.uniform(35, 72)
    noise_hu = rng.uniform(9, 17)
    soft = np.isin(np.arange(len(_HU)), [scene.codes[n] for n in ("air", "gas")], invert=True)
    trabeculae = scene.noise(2.2, 10)
    fat_strands = scene.noise(6)
    low, high = _WINDOW_HU
    planes = []
    for i, tissue in enumerate(scene.tissue):
        hu = attenuation[tissue] + 32 * trabeculae[i] * (tissue == scene.codes["marrow"])
        hu += np.where(tissue == scene.codes["fat"], 9 * fat_strands[i] + 22 * (np.abs(fat_strands[i]) < 0.06), 0)
        hu = soften(hu, 0.75)
        grain = soften(rng.standard_normal(tissue.shape, np.float32), 0.8)
        hu += noise_hu * grain / grain.std() * soft[tissue]
        hu += 2.5 * fractal_noise(rng, tissue.shape, 24 * k)
        planes.append(to_grey((hu - low) / (high - low)))
    return np.stack(planes)
