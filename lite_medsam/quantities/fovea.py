"""Finding the fovea: where the retina is thinnest near the middle of the scan, or where a user or the file says."""

import numpy as np

SEARCH_MM, SMOOTH_MM, PIT_MM = 1.5, 0.15, 0.75


def find_fovea(thickness: np.ndarray, step_zx_um: tuple[float | None, float | None]) -> tuple[float, float] | None:
    """The place of the foveal pit: where the retina is thinnest near the middle of the scan.

    The thickness is smoothed with a Gaussian of 0.15 mm and its minimum looked for up to 1.5 mm from the middle (in the central
    half of the A-scans and B-scans where the scale is unknown). Where the scale is known, the place is then the centre of the pit:
    of what lies within 0.75 mm, below half its depth, weighted by depth. Oedema may fill the pit: then the place is wrong, and must
    be set by hand.

    Args:
        thickness: (D, W) of the retina from ILM to its outer limit, NaN where unknown.
        step_zx_um: Distance of B-scans and of A-scans.

    Returns:
        B-scan and A-scan, or None where less than half of the middle was measured, or the minimum is no pit but at its rim.
    """
    from scipy import ndimage

    depth, width = thickness.shape
    sizes = [None if um is None else um / 1000 for um in step_zx_um]
    sigmas = [
        0.0 if count == 1 else SMOOTH_MM / mm if mm else count / 40
        for count, mm in zip((depth, width), sizes, strict=True)
    ]
    there = np.isfinite(thickness)
    weights = ndimage.gaussian_filter(there.astype(np.float64), sigmas, mode="constant")
    sums = ndimage.gaussian_filter(np.where(there, thickness, 0.0), sigmas, mode="constant")
    smooth = np.divide(sums, weights, out=np.full(thickness.shape, np.inf), where=(weights > 1e-3) & there)
    places = [np.abs(np.arange(count) - (count - 1) / 2) for count in (depth, width)]
    near = [
        place <= (SEARCH_MM / mm if mm else count / 4)
        for place, count, mm in zip(places, (depth, width), sizes, strict=True)
    ]
    middle = near[0][:, None] & near[1][None, :]
    if there[middle].mean() < 0.5:
        return None
    z, x = (int(v) for v in np.unravel_index(int(np.where(middle, smooth, np.inf).argmin()), smooth.shape))
    columns = np.flatnonzero(near[1])
    rows = np.flatnonzero(near[0])
    at_rim = x in (columns[0], columns[-1]) or (len(rows) > 2 and z in (rows[0], rows[-1]) and len(rows) < depth)
    if at_rim and width > 2:
        return None
    if sizes[1] is None or (sizes[0] is None and depth > 1):
        return float(z), float(x)
    return _centre_of_pit(np.where(np.isfinite(smooth), smooth, np.nan), (z, x), (sizes[0] or 0.0, sizes[1]))


def _centre_of_pit(
    thickness: np.ndarray, lowest: tuple[int, int], sizes_mm: tuple[float, float]
) -> tuple[float, float]:
    z, x = np.indices(thickness.shape)
    away = np.hypot((z - lowest[0]) * sizes_mm[0], (x - lowest[1]) * sizes_mm[1])
    near = (away <= PIT_MM) & np.isfinite(thickness)
    bottom, rim = float(thickness[lowest]), float(np.quantile(thickness[near], 0.9))
    depth = np.where(near, np.clip((bottom + rim) / 2 - thickness, 0, None), 0)
    if not depth.sum() > 0:
        return float(lowest[0]), float(lowest[1])
    return float((depth * z).sum() / depth.sum()), float((depth * x).sum() / depth.sum())


def place_fovea(
    grid_hw: tuple[int, int],
    step_zx_um: tuple[float | None, float | None],
    said: tuple[float, float] | None,
    of_file: tuple[float, float] | None,
    thickness: np.ndarray | None,
) -> tuple[tuple[float, float], str]:
    """The fovea and where its place comes from: the user, the file, the pit that was found, or the middle of the scan.

    Args:
        grid_hw: B-scans and A-scans.
        step_zx_um: Their distances.
        said: By the user, z and x.
        of_file: By the file.
        thickness: (D, W) of the retina, None where it is unknown.
    """
    if said is not None:
        return said, "user"
    if of_file is not None:
        return of_file, "file"
    found = None if thickness is None else find_fovea(thickness, step_zx_um)
    if found is not None:
        return found, "found: thinnest retina near the middle"
    depth, width = grid_hw
    return ((depth - 1) / 2, (width - 1) / 2), "assumed: the middle of the scan"
