"""Fluid: area on each B-scan, volume and number of pockets, the largest, and what lies near the fovea."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.quantities.names import FLUIDS, in_order
from lite_medsam.quantities.quantity import Quantity

DIAMETERS_MM = (1.0, 3.0, 6.0)
ALL = "all fluid"


def fluid_quantities(masks: Mapping[str, np.ndarray], grid: EyeGrid) -> list[Quantity]:
    """Numbers of each kind of fluid that has a mask, and of all of them together where there are several.

    A kind that is looked for and not there has 0, one that no label stands for has no numbers.

    Args:
        masks: (D, H, W) bool by structure; those of `names.FLUIDS` count.
        grid: Of the scan.
    """
    kinds = in_order(masks, FLUIDS)
    together = {kind: masks[kind] for kind in kinds}
    if len(kinds) > 1:
        together[ALL] = np.logical_or.reduce([masks[kind] for kind in kinds])
    found: list[Quantity] = []
    for kind, mask in together.items():
        found += _whole(kind, mask, grid)
        found += _by_b_scan(kind, mask, grid)
    return found


def fluid_map(masks: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """(D, W) pixels of fluid in each A-scan, of any kind; None where no label stands for fluid."""
    kinds = in_order(masks, FLUIDS)
    return np.logical_or.reduce([masks[kind] for kind in kinds]).sum(1) if kinds else None


def pockets(mask: np.ndarray) -> np.ndarray:
    """Voxels of each connected piece, largest first: 26 neighbours, or 8 in a single B-scan."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    return np.sort(np.bincount(pieces.ravel(), minlength=count + 1)[1:])[::-1]


def _whole(kind: str, mask: np.ndarray, grid: EyeGrid) -> list[Quantity]:
    sizes = pockets(mask)
    size, name = (grid.section, "fluid area") if grid.is_line else (grid.volume, "fluid volume")
    columns = mask.sum(1)
    found = [
        Quantity(name, *size(int(columns.sum())), kind),
        Quantity("fluid pockets", len(sizes), "count", kind),
        Quantity("largest pocket", *size(int(sizes[0]) if len(sizes) else 0), kind),
    ]
    if grid.knows_distances:
        for diameter in DIAMETERS_MM:
            share = grid.within(diameter / 2)
            place = f"within {diameter:g} mm circle" if not grid.is_line else f"within {diameter:g} mm of this B-scan"
            found.append(
                Quantity(
                    name, *size(float((share * columns).sum())), kind, place, covered=_covered(share, diameter, grid)
                )
            )
    at_fovea = int(columns[grid.foveal_b_scan, grid.foveal_a_scan])
    return [*found, Quantity("fluid height at the fovea", *grid.depth(at_fovea), kind)]


def _by_b_scan(kind: str, mask: np.ndarray, grid: EyeGrid) -> list[Quantity]:
    if grid.is_line:
        return []
    areas = mask.sum((1, 2)).tolist()
    return [Quantity("fluid area", *grid.section(area), kind, b_scan=z) for z, area in enumerate(areas)]


def _covered(share: np.ndarray, diameter_mm: float, grid: EyeGrid) -> float:
    """Which part of the circle, or of the line through it, the scan covers."""
    cell = float(grid.steps[2].um or 0) / 1000
    if grid.is_line:
        return min(1.0, float(share.sum()) * cell / diameter_mm)
    return min(1.0, float(share.sum()) * cell * float(grid.steps[0].um or 0) / 1000 / (np.pi * diameter_mm**2 / 4))
