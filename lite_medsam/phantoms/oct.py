"""Retinal OCT: a macular B-scan, or a slab of them, as a spectral-domain scanner shows it.

The frame is 1.92 mm deep and 9 mm wide (496 x 768 pixels of 3.9 x 11.7 um), so the picture is stretched about
three times in depth, as on the scanner's screen. Layers are as thick as in a
normal eye, in round numbers; the intensity is multi-look speckle shown on a logarithmic scale.
"""

from dataclasses import dataclass, field

import numpy as np

from lite_medsam.phantoms import fluid
from lite_medsam.phantoms.shapes import Drawing, soften, to_grey
from lite_medsam.phantoms.texture import smooth_noise, smooth_stack, speckle

FIELD_MM = (1.92, 9.0)  # depth, width
SPAN_MM = 3.0  # distance covered by the B-scans of a volume
# From the vitreous to the sclera; each surface is the upper border of the layer after it.
SURFACES = (
    "ilm", "rnfl_gcl", "gcl_ipl", "ipl_inl", "inl_opl", "opl_onl",
    "elm", "ez", "ez_os", "os_end", "rpe", "bm", "sclera",
)  # fmt: skip
# Brightness after log compression, 0..1: vitreous, then the layer below each surface (os_end: fluid if any).
_VITREOUS = 0.02
_BRIGHTNESS = (0.74, 0.54, 0.60, 0.42, 0.57, 0.37, 0.44, 0.76, 0.58, 0.10, 0.86, 0.56, 0.40)
_LAYER_NAMES = ("RNFL", "GCL+IPL", "INL", "OPL", "ONL", "photoreceptors", "RPE", "choroid")
_LAYER_BORDERS = ("ilm", "rnfl_gcl", "ipl_inl", "inl_opl", "opl_onl", "elm", "rpe", "bm", "sclera")
_DECIBELS = 34.0  # display range
_MIN_LAYER_PX = 1.3  # so that every layer has a pixel in every column


@dataclass(frozen=True, eq=False)
class Retina:
    """Geometry of one eye.

    Attributes:
        surfaces: Rows (float32 pixels from the top) of each of `SURFACES`, (D, W), never crossing.
        fluid: (D, H, W) uint8 instances of fluid, 0 none.
        x_mm: (W,) distance from the frame's centre.
        r_mm: (D, W) distance from the fovea.
        z_mm: (D,) slice positions, 0 through the fovea.
        um_per_px: (axial, lateral).
    """

    surfaces: dict[str, np.ndarray]
    fluid: np.ndarray
    x_mm: np.ndarray
    r_mm: np.ndarray
    z_mm: np.ndarray
    um_per_px: tuple[float, float]
    labels: dict[int, str] = field(default_factory=dict)


def draw(variant: str, rng: np.random.Generator, dhw: tuple[int, int, int]) -> Drawing:
    """One case.

    Args:
        variant: "healthy" (label: the layers), "cme" (each cyst) or "srf" (the subretinal fluid).
        rng: Source of randomness.
        dhw: (D, H, W); D = 1 gives the B-scan through the fovea.

    Returns:
        A drawing of shape (D, H, W) with spacing (z, y, x).
    """
    retina = make_retina(variant, rng, dhw)
    image = render(retina, rng)
    label, names = retina.fluid, retina.labels
    if variant == "healthy":
        label, names = _layer_labels(retina, dhw), dict(enumerate(_LAYER_NAMES, 1))
    axial, lateral = (um / 1000 for um in retina.um_per_px)
    return Drawing(image, label, names, (SPAN_MM / dhw[0], axial, lateral))


def make_retina(variant: str, rng: np.random.Generator, dhw: tuple[int, int, int]) -> Retina:
    """Draws surfaces and fluid; arguments as in `draw`."""
    depth, height, width = dhw
    um = (FIELD_MM[0] * 1000 / height, FIELD_MM[1] * 1000 / width)
    x_mm = (np.arange(width) - (width - 1) / 2) * um[1] / 1000
    z_mm = (np.arange(depth) - (depth - 1) / 2) * SPAN_MM / depth
    fovea_mm = rng.uniform(-0.7, 0.7)
    x = x_mm[None, :] - fovea_mm
    r_mm = np.sqrt(x**2 + z_mm[:, None] ** 2)
    layers = _normal_thickness_um(rng, x, r_mm)
    if variant == "cme":
        fluid.swell_um(rng, x, z_mm[:, None], layers)
    lift = fluid.dome_um(rng, x, z_mm[:, None]) if variant == "srf" else np.zeros_like(r_mm)
    layers["os_end"] = lift
    surfaces = _stack(rng, layers, (x, z_mm[:, None], um), height)
    if variant == "cme":
        label = fluid.place_cysts(rng, surfaces, (x[0], z_mm, um), height)
        names = {int(value): "cyst" for value in range(1, label.max() + 1)}
    else:
        label = fluid.between(surfaces["os_end"], surfaces["rpe"], height)
        names = {1: "subretinal fluid"} if variant == "srf" else {}
    return Retina(surfaces, label, x_mm, r_mm, z_mm, um, names)


def _normal_thickness_um(rng: np.random.Generator, x: np.ndarray, r: np.ndarray) -> dict[str, np.ndarray]:
    """Thickness in um of the layer below each surface but the fluid's, (D, W), varied per eye."""
    nasal = x * rng.choice([-1.0, 1.0])  # the side of the optic disc, right or left eye
    pit = 1 - np.exp(-((r / rng.uniform(0.5, 0.78)) ** 2.2))
    fovea = np.exp(-((r / 0.5) ** 2))
    ring = np.exp(-(((r - 1.0) / 1.5) ** 2))  # the parafoveal ganglion-cell wall
    bulk = rng.uniform(0.9, 1.12)
    layers = {
        "ilm": 4 + pit * (13 + 3 * r + 4.2 * np.clip(nasal, 0, None) ** 1.6),
        "rnfl_gcl": 2 + pit * bulk * (14 + 38 * ring),
        "gcl_ipl": 2 + pit * bulk * (22 + 19 * ring),
        "ipl_inl": 4 + pit * bulk * (27 + 13 * ring),
        "inl_opl": 8 + pit * rng.uniform(18, 26),
        "opl_onl": rng.uniform(54, 66) + 12 * ring + rng.uniform(38, 55) * fovea,
        "elm": 22 + 8 * fovea,
        "ez": np.full_like(r, 13.0),
        "ez_os": 20 + 16 * fovea,
        "rpe": np.full_like(r, rng.uniform(19, 24)),
        "bm": rng.uniform(170, 340) * np.clip(1 - 0.06 * r - 0.05 * nasal, 0.4, 1.3),
    }
    waviness = {"bm": 14.0, "opl_onl": 3.0}
    for name, thickness in layers.items():
        wobble = smooth_noise(rng, r.shape, (12, r.shape[1] / 12))
        layers[name] = thickness * (1 + 0.02 * wobble) + waviness.get(name, 0.6) * wobble * pit
    return layers


def _stack(rng: np.random.Generator, layers: dict, where: tuple, height: int) -> dict[str, np.ndarray]:
    """Surfaces in rows: Bruch's membrane on a tilted bowl, the layers piled on it, the choroid below."""
    x, z, um = where
    axial = um[0]
    bowl = rng.uniform(4, 17) * (x**2 + z**2) + rng.uniform(-28, 28) * x + rng.uniform(-15, 15) * z
    bowl = bowl + 3.0 * smooth_noise(rng, bowl.shape, (16, bowl.shape[1] / 6))
    bm = height * rng.uniform(0.53, 0.63) - bowl / axial
    surfaces = {"bm": bm, "sclera": bm + np.maximum(layers["bm"] / axial, _MIN_LAYER_PX)}
    row = bm
    for name in reversed(SURFACES[: SURFACES.index("bm")]):
        # on a slope a layer needs more height to stay in one piece; only fluid may vanish
        steps = np.pad(np.abs(np.diff(row, axis=1)), ((0, 0), (1, 1)), mode="edge")
        least = 0.0 if name == "os_end" else _MIN_LAYER_PX + np.maximum(steps[:, :-1], steps[:, 1:])
        row = row - np.maximum(layers[name] / axial, least)
        surfaces[name] = row
    # a high myope or thick oedema must not leave the frame
    shift = max(0.0, 0.04 * height - float(row.min())) - max(0.0, float(surfaces["bm"].max()) - 0.9 * height)
    return {name: (surfaces[name] + shift).astype(np.float32) for name in SURFACES}


def _layer_labels(retina: Retina, dhw: tuple[int, int, int]) -> np.ndarray:
    """(D, H, W) uint8: the layers of `_LAYER_NAMES` from 1."""
    rows = np.arange(dhw[1], dtype=np.float32)[None, :, None]
    label = np.zeros(dhw, np.uint8)
    for border in _LAYER_BORDERS[:-1]:
        label += rows >= retina.surfaces[border][:, None]
    label[np.broadcast_to(rows >= retina.surfaces["sclera"][:, None], dhw)] = 0
    return label


def render(retina: Retina, rng: np.random.Generator) -> np.ndarray:
    """(D, H, W) uint8 picture of the geometry: brightness, vessel shadows, speckle, log compression."""
    dhw = retina.fluid.shape
    averaged = rng.random() < 0.6  # many exposures averaged and a black vitreous, or a single grainy scan
    looks, floor = (rng.uniform(9, 24), 0.10) if averaged else (rng.uniform(2.5, 4.5), 0.20)
    px_scale = dhw[1] / 496
    vessels = _vessels(rng)
    choroid = _choroid_noise(rng, dhw, retina.um_per_px)
    mottle = smooth_stack(rng, dhw, (3, 6 * px_scale, 9 * px_scale))
    fade = 1 + 0.1 * smooth_noise(rng, (1, dhw[2]), (1, dhw[2] / 5))  # beam alignment along the scan
    foci, hyaloid = _foci(rng, retina), _hyaloid(rng, retina)
    slices = []
    for k in range(dhw[0]):
        value = _brightness(retina, k, (choroid[k], mottle[k])) * fade + foci[k]
        value = np.maximum(value, hyaloid[k])
        value -= _shadows(retina, k, vessels, value)
        power = 10 ** (_DECIBELS / 10 * value) * speckle(rng, dhw[1:], looks, (0.75 * px_scale, 0.85 * px_scale))
        noise = 10 ** (_DECIBELS / 10 * floor) * speckle(rng, dhw[1:], looks, (0.5 * px_scale, 0.5 * px_scale))
        shown = np.log10(power + noise) * (10 / _DECIBELS)
        low = floor + (0.05 if averaged else -0.04)
        slices.append(to_grey((shown - low) / (0.98 - low)))
    return np.stack(slices)


def _choroid_noise(rng: np.random.Generator, dhw: tuple[int, int, int], um: tuple[float, float]) -> np.ndarray:
    """(D, H, W) float32 noise, positive in the vessels: large oval lumina among small ones."""
    large = smooth_stack(rng, dhw, (4, 62 / um[0], 170 / um[1]))
    small = smooth_stack(rng, dhw, (3, 26 / um[0], 70 / um[1]))
    return 0.75 * large + 0.6 * small


def _brightness(retina: Retina, k: int, textures: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(H, W) float32 log brightness of slice `k` without shadows and speckle, about 0..1."""
    choroid, mottle = textures
    height = choroid.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    s = {name: surface[k] for name, surface in retina.surfaces.items()}
    soft = max(height / 496 * 1.6, 0.8)
    value = np.full(choroid.shape, _VITREOUS, np.float32)
    above = _VITREOUS
    for name, here in zip(SURFACES, _BRIGHTNESS, strict=True):
        edge = 70 / retina.um_per_px[0] if name == "sclera" else soft  # the choroid ends gradually
        value += np.float32(here - above) * np.clip((rows - s[name]) / edge + 0.5, 0, 1)
        above = here
    tissue = np.clip((rows - s["ilm"]) / soft + 0.5, 0, 1)
    value += 0.018 * mottle * tissue
    thin = soft * 0.9
    for name, gain, offset in (
        ("ilm", 0.13, 0.5),
        ("elm", 0.12, 0.0),
        ("ez_os", 0.10, -1.2),
        ("rpe", 0.10, 1.5),
    ):
        value += np.float32(gain) * np.exp(-(((rows - s[name] - offset * soft) / thin) ** 2))
    value += _below_bruch(rows, s, choroid, retina.um_per_px[0])
    value += _outer_segments(rows, s, mottle)
    wet = soften(retina.fluid[k] > 0, 0.55)
    return value * (1 - wet) + (0.13 + 0.01 * mottle) * wet


def _outer_segments(rows: np.ndarray, s: dict, mottle: np.ndarray) -> np.ndarray:
    """(H, W) bright grains on the underside of a detached retina."""
    lifted = np.clip((s["rpe"] - s["os_end"]) / 6, 0, 1)
    return 0.16 * lifted * np.clip(0.5 + mottle, 0, 1.5) * np.exp(-(((rows - s["os_end"] + 2) / 2.5) ** 2))


def _below_bruch(rows: np.ndarray, s: dict, choroid: np.ndarray, axial_um: float) -> np.ndarray:
    """(H, W) change of brightness under Bruch's membrane: vessels that grow with depth, and decay."""
    depth_um = np.clip((rows - s["bm"]) * axial_um, 0, None)
    inside = (depth_um > 0) * np.clip((s["sclera"] - rows) * axial_um / 70 + 0.5, 0, 1)
    lumen = np.clip(1.2 * choroid - 0.25, -0.25, 1)
    vessels = -0.13 * lumen * np.clip((depth_um - 15) / 90, 0, 1) * inside
    capillaries = 0.10 * np.exp(-((depth_um / 25) ** 2)) * (depth_um > 0)
    return vessels + capillaries - 0.20 * (1 - np.exp(-depth_um / 200)) - 0.00032 * depth_um


def _foci(rng: np.random.Generator, retina: Retina) -> np.ndarray:
    """(D, H, W) float32 added brightness of hyperreflective dots in eyes with cysts, zero in others."""
    dots = np.zeros(retina.fluid.shape, np.float32)
    if "cyst" not in retina.labels.values():
        return dots
    count = int(rng.integers(4, 26) * (1 + 0.3 * (len(dots) - 1)))
    plane = rng.integers(0, len(dots), count)
    column = np.argmin(np.abs(retina.x_mm - rng.normal(0, 1.1, (count, 1))), axis=1)
    top, bottom = (retina.surfaces[name][plane, column] for name in ("rnfl_gcl", "elm"))
    row = np.clip(top + (bottom - top) * rng.beta(2, 2, count), 0, dots.shape[1] - 1).astype(int)
    dry = retina.fluid[plane, row, column] == 0
    plane, row, column = plane[dry], row[dry], column[dry]
    dots[plane, row, column] = rng.uniform(2, 7, len(row)) * (dots.shape[1] / 496) ** 2
    dots = np.stack([np.minimum(soften(p, 1.3 * dots.shape[1] / 496), 0.4) for p in dots])
    return dots * (retina.fluid == 0)


def _hyaloid(rng: np.random.Generator, retina: Retina) -> np.ndarray:
    """(D, H, W) float32 brightness of a detached posterior vitreous face, a thin line in some eyes."""
    line = np.zeros(retina.fluid.shape, np.float32)
    if rng.random() < 0.7:
        return line
    rows = np.arange(line.shape[1], dtype=np.float32)[:, None]
    touch, open_um = rng.uniform(-3.5, 3.5), rng.uniform(12, 35)
    away = np.abs(retina.x_mm - touch)
    height_um = open_um * away**1.5 + 12 * smooth_noise(rng, (1, len(away)), (1, len(away) / 6))[0]
    strength = 0.27 + 0.06 * smooth_noise(rng, (1, len(away)), (1, len(away) / 25))
    for k, ilm in enumerate(retina.surfaces["ilm"]):
        row = np.minimum(ilm.max(), ilm.mean() + 5) - (90 + height_um) / retina.um_per_px[0]
        row = np.minimum(row, ilm - 6 / retina.um_per_px[0])
        line[k] = strength * np.exp(-(((rows - row) / (line.shape[1] / 496)) ** 2))
    return line


def _vessels(rng: np.random.Generator) -> np.ndarray:
    """(N, 4) retinal vessels: x in mm, half width in mm, shadow depth, drift in mm per mm of z."""
    count = int(rng.integers(5, 11))
    side = rng.choice([-1, 1], count)
    x = side * rng.uniform(0.55, 4.4, count)
    half_width = rng.uniform(0.026, 0.064, count) * np.clip(np.abs(x) / 2.2, 0.6, 1.3)
    return np.stack([x, half_width, rng.uniform(0.05, 0.20, count), rng.normal(0, 0.25, count)], 1)


def _shadows(retina: Retina, k: int, vessels: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(H, W) darkening below the retinal vessels; the vessel's own top is made brighter."""
    rows = np.arange(value.shape[0], dtype=np.float32)[:, None]
    top = retina.surfaces["ilm"][k]
    change = np.zeros_like(value)
    for x, half, strength, drift in vessels:
        away = (retina.x_mm - x - drift * retina.z_mm[k]) / half
        profile = np.exp(-(np.abs(away) ** 2.4))
        at = top + 26 / retina.um_per_px[0]  # vessel centre
        change += strength * profile * np.clip((rows - at) / (60 / retina.um_per_px[0]), 0, 1)
        radius_px = half * 900 / retina.um_per_px[0]
        body = np.exp(-(((rows - at + 0.4 * radius_px) / radius_px) ** 2)) * np.exp(-(away**2))
        change -= 0.12 * body * (rows > top)
    return change
