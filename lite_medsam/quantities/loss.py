"""What is lost in the retina: the ellipsoid zone en face, and the order of the inner layers on B-scans (DRIL)."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.quantities.grid import EyeGrid, a_scans
from lite_medsam.quantities.quantity import Quantity

INNER_LAYERS = ("GCL+IPL", "INL", "OPL")


def ez_loss_quantities(masks: Mapping[str, np.ndarray], grid: EyeGrid) -> list[Quantity]:
    """Area and share of the A-scans in which nothing lies between EZ and RPE: labelled as lost, or without a pixel of the EZ.

    Without a label of the loss, an A-scan counts as measured where other layers of the retina are labelled.
    """
    if "EZ loss" in masks:
        lost, note = a_scans(masks["EZ loss"]), "labelled as lost"
        measured = np.ones(lost.shape, bool)
    elif "EZ" in masks and ("RPE" in masks or "OS-RPE" in masks):
        measured = a_scans(masks["RPE" if "RPE" in masks else "OS-RPE"])
        lost, note = measured & ~a_scans(masks["EZ"]), "no EZ where the RPE is labelled"
    else:
        return []
    if grid.is_line:
        return [Quantity("EZ loss extent", *grid.width(int(lost.sum())), "EZ", note=note)]
    found = _area("", np.ones(lost.shape), lost, measured, grid, note)
    if grid.knows_distances:
        for diameter in (1.0, 3.0, 6.0):
            found += _area(f"within {diameter:g} mm circle", grid.within(diameter / 2), lost, measured, grid, note)
    return found


def dril_quantities(masks: Mapping[str, np.ndarray], grid: EyeGrid) -> list[Quantity]:
    """Extent along each B-scan in the central 1 mm without separable inner layers; their mean and the largest.

    DRIL is taken from its label; without one, from A-scans in which a label of GCL+IPL, INL or OPL is missing while the
    retina is labelled. (In a healthy foveal pit the inner layers end: labels that end there count, too.)
    """
    if grid.steps[2].um is None or not grid.knows_distances:
        return []
    if "DRIL" in masks:
        lost, note = a_scans(masks["DRIL"]), "labelled"
    elif all(kind in masks for kind in INNER_LAYERS):
        layers = np.stack([a_scans(masks[kind]) for kind in INNER_LAYERS])
        retina = np.logical_or.reduce([a_scans(mask) for mask in masks.values()])
        lost, note = retina & ~layers.all(0), "a label of GCL+IPL, INL or OPL is missing"
    else:
        return []
    share = grid.within(0.5)
    central = np.flatnonzero(share.any(1))
    if not len(central):
        return []
    extents = [grid.width(float((share[z] * lost[z]).sum()))[0] for z in central]
    place = "central 1 mm" if not grid.is_line else "central 1 mm of this B-scan"
    found = [Quantity("DRIL extent", float(np.mean(extents)), "um", "mean over B-scans", place, note=note)]
    if grid.is_line:
        return [Quantity("DRIL extent", extents[0], "um", "DRIL", place, note=note)]
    found.append(Quantity("DRIL extent", float(np.max(extents)), "um", "largest", place, note=note))
    return found + [
        Quantity("DRIL extent", extent, "um", "DRIL", place, b_scan=int(z), note=note)
        for z, extent in zip(central, extents, strict=True)
    ]


def _area(
    place: str, share: np.ndarray, lost: np.ndarray, measured: np.ndarray, grid: EyeGrid, note: str
) -> list[Quantity]:
    cells, whole = float((share * lost).sum()), float((share * measured).sum())
    return [
        Quantity("EZ loss area", *grid.en_face(cells), "EZ", place, note=note),
        Quantity("EZ loss share", 100 * cells / whole if whole else float("nan"), "%", "EZ", place, note=note),
    ]
