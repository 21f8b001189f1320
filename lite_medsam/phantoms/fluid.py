"""Fluid in the retina for the OCT phantoms: cystoid oedema inside it, and a subretinal dome below it."""

import numpy as np

from lite_medsam.phantoms.shapes import dilate, largest_part, random_blob
from lite_medsam.phantoms.texture import smooth_noise

_MAX_CYSTS = 28


def swell_um(rng: np.random.Generator, x: np.ndarray, z: np.ndarray, layers: dict[str, np.ndarray]) -> None:
    """Thickens ONL, INL and (a little) GCL around the fovea, in place.

    Args:
        rng: Source of randomness.
        x: (1, W) mm from the fovea.
        z: (D, 1) mm from the foveal B-scan.
        layers: Thickness in um by layer, (D, W).
    """
    off_x, off_z = rng.normal(0, 0.22), rng.normal(0, 0.12)
    r2 = (x - off_x) ** 2 + (z - off_z) ** 2
    broad = rng.uniform(90, 240) * np.exp(-r2 / (2 * rng.uniform(0.75, 1.4) ** 2))
    inner = sum(layers[name] for name in ("ilm", "rnfl_gcl", "gcl_ipl", "ipl_inl", "inl_opl", "opl_onl", "ez_os"))
    pit = np.clip(np.percentile(inner, 90) - inner, 0, None) * np.exp(-(((x**2 + z**2) / 1.1**2) ** 2))
    pit = rng.uniform(0.75, 1.25) * pit  # the swelling lifts the floor of the foveal pit, or leaves a dimple
    bumps = 1 + 0.05 * smooth_noise(rng, broad.shape, (6, x.shape[1] / 10))
    layers["opl_onl"] += (0.6 * broad + 0.9 * pit) * bumps
    layers["ipl_inl"] += (0.38 * broad + 0.10 * pit) * bumps
    layers["rnfl_gcl"] += 0.06 * broad


def dome_um(rng: np.random.Generator, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(D, W) float64 height in um of subretinal fluid near the fovea; arguments as in `swell_um`."""
    off_x, off_z = rng.normal(0, 0.35), rng.normal(0, 0.15)
    half_mm, steep = rng.uniform(0.9, 2.2), rng.uniform(1.5, 2.2)
    skew = 1 + rng.uniform(-0.3, 0.3) * np.tanh((x - off_x) / half_mm)
    r = np.sqrt(((x - off_x) / (half_mm * skew)) ** 2 + ((z - off_z) / (half_mm * 0.9)) ** 2)
    shape = np.clip(1 - r**2, 0, None) ** steep
    bumps = 1 + 0.10 * smooth_noise(rng, r.shape, (8, x.shape[1] / 12))
    return rng.uniform(90, 190) * np.sqrt(half_mm) * shape * bumps


def between(top: np.ndarray, bottom: np.ndarray, height: int) -> np.ndarray:
    """(D, H, W) uint8, 1 in the largest part of the rows from `top` to before `bottom`, each (D, W)."""
    rows = np.arange(height, dtype=np.float32)[None, :, None]
    mask = (rows >= top[:, None]) & (rows < bottom[:, None])
    return largest_part(mask).astype(np.uint8) if mask.any() else mask.astype(np.uint8)


def place_cysts(rng: np.random.Generator, surfaces: dict, where: tuple, height: int) -> np.ndarray:
    """Cysts inside the ONL and INL, parted by thin septa, as instances.

    A later cyst yields to the ones before it, which gives neighbours the flattened, petal-like walls of
    cystoid oedema.

    Args:
        rng: Source of randomness.
        surfaces: Rows by name, (D, W).
        where: x_mm (W,) and z_mm (D,) from the fovea, and um per pixel (axial, lateral).
        height: Rows of the picture.

    Returns:
        (D, H, W) uint8, 0 none, instances from 1 in order of size.
    """
    x_mm, z_mm, um = where
    margin = max(1.0, 9 / um[0])
    bands = {
        "onl": (surfaces["opl_onl"] + margin, surfaces["elm"] - margin),
        "inl": (surfaces["ipl_inl"] + margin, surfaces["inl_opl"] - margin),
    }
    more = 1 if len(z_mm) == 1 else 2
    wanted = [("onl", k) for k in range(more * int(rng.integers(4, 9)))]
    wanted += [("inl", k) for k in range(more * int(rng.integers(3, 9)))]
    rows = np.arange(height, dtype=np.float32)[None, :, None]
    taken = np.zeros((len(z_mm), height, len(x_mm)), bool)
    cysts: list[np.ndarray] = []
    for band, rank in wanted:
        top, bottom = bands[band]
        room = (rows >= top[:, None]) & (rows <= bottom[:, None])
        for _ in range(6):
            cyst = _one_cyst(rng, (band, rank), (x_mm, z_mm, um), (top, bottom), height)
            whole = np.count_nonzero(cyst)
            cyst = largest_part(cyst & room & ~taken)
            if np.count_nonzero(cyst) > max(0.45 * whole, 20):
                cysts.append(cyst)
                taken |= np.stack([dilate(plane, max(1.0, 10 / um[0])) for plane in cyst])
                break
    label = np.zeros(taken.shape, np.uint8)
    for value, cyst in enumerate(sorted(cysts, key=np.count_nonzero, reverse=True)[:_MAX_CYSTS], 1):
        label[cyst] = value
    return label


def _one_cyst(rng: np.random.Generator, kind: tuple[str, int], where: tuple, band: tuple, height: int) -> np.ndarray:
    """(D, H, W) bool: a tall cyst in the ONL, the first under the fovea, or a small round one in the INL."""
    x_mm, z_mm, um = where
    spread = 0.1 if kind == ("onl", 0) else 0.6 if kind[0] == "onl" else 0.9
    centre_x = float(np.clip(rng.normal(0, spread), x_mm[0] * 0.8, x_mm[-1] * 0.8))
    centre_z = float(np.clip(rng.normal(0, 0.7 * spread), z_mm[0], z_mm[-1])) if len(z_mm) > 1 else 0.0
    column = int(np.argmin(np.abs(x_mm - centre_x)))
    plane = int(np.argmin(np.abs(z_mm - centre_z)))
    top, bottom = band[0][plane, column], band[1][plane, column]
    tall = max(float(bottom - top), 4.0)
    half_mm = rng.uniform(0.11, 0.32) if kind[0] == "onl" else rng.uniform(0.05, 0.17)
    if kind == ("onl", 0):
        half_mm *= 1.25
    radii = (half_mm * 1000 / um[1], tall * rng.uniform(0.38, 0.62), half_mm * rng.uniform(0.8, 1.4))
    row = (top + bottom) / 2 + tall * rng.uniform(-0.12, 0.12)
    centre = (column, row, centre_z)
    blob = random_blob(rng, centre, radii, angle=rng.normal(0, 0.06), roughness=0.07)
    return np.stack([blob.mask((height, len(x_mm)), z) for z in z_mm])
