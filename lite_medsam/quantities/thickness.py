"""Thickness between two surfaces: a map, its means over the fields of the ETDRS grid, the central subfield."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.quantities.etdrs import CENTRE, COMPLETE, EtdrsGrid
from lite_medsam.quantities.grid import EyeGrid
from lite_medsam.quantities.names import LAYERS, in_order
from lite_medsam.quantities.quantity import Quantity
from lite_medsam.quantities.surfaces import Surface, find_surface


def thickness_map(inner: Surface, outer: Surface, grid: EyeGrid) -> np.ndarray:
    """(D, W) depth of `outer` below `inner`, in um or px; NaN where one is not there or they are crossed."""
    rows = outer.rows - inner.rows
    return np.where(rows >= 0, rows, np.nan) * grid.depth(1.0)[0]


def thickness_quantities(inner: Surface, outer: Surface, grid: EyeGrid, fields: EtdrsGrid | None) -> list[Quantity]:
    """Mean thickness of the retina over the scan and over each field; the central one is the central subfield thickness."""
    between = f"{inner.name} to {outer.name}"
    values, unit = thickness_map(inner, outer, grid), grid.depth(1.0)[1]
    found = [
        Quantity("retinal thickness", _mean(values), unit, between),
        Quantity("thickness at the fovea", values[grid.foveal_b_scan, grid.foveal_a_scan], unit, between),
    ]
    if fields is not None:
        found += _by_field("retinal thickness", values, unit, between, fields)
        central = found[2]
        found.insert(0, Quantity("central subfield thickness", central.value, unit, between, "", None, central.covered,
                                 central.note))  # fmt: skip
    elif grid.is_line and grid.knows_distances:
        share = grid.within(0.5)
        weights = share * np.isfinite(values)
        mean = float((weights * np.nan_to_num(values)).sum() / weights.sum()) if weights.any() else float("nan")
        note = "along one B-scan, not over the circle"
        found.append(Quantity("retinal thickness", mean, unit, between, "within 1 mm of this B-scan", note=note))
    return found


def layer_thickness(masks: Mapping[str, np.ndarray], grid: EyeGrid, fields: EtdrsGrid | None) -> list[Quantity]:
    """Mean thickness of each labelled layer, from its top to its bottom, over the scan and over each field."""
    found: list[Quantity] = []
    for kind in in_order(masks, LAYERS):
        top, bottom = (find_surface(f"{side} of {kind}", {}, masks) for side in ("top", "bottom"))
        values, unit = thickness_map(top, bottom, grid), grid.depth(1.0)[1]
        found.append(Quantity("layer thickness", _mean(values), unit, kind))
        if fields is not None:
            found += _by_field("layer thickness", values, unit, kind, fields)
    return found


def _by_field(name: str, values: np.ndarray, unit: str, of: str, fields: EtdrsGrid) -> list[Quantity]:
    means, measured = fields.means(values)
    found = []
    for field, mean, inside, share in zip(fields.names, means, fields.covered, measured, strict=True):
        note = ""
        if inside < COMPLETE:
            note = f"the scan covers {inside:.0%} of this field" if inside > 0 else "the scan does not reach this field"
        elif share < COMPLETE:
            note = f"measured in {share:.0%} of this field"
        found.append(Quantity(name, float(mean), unit, of, field, covered=float(inside), note=note))
    assert found[0].where == CENTRE
    return found


def _mean(values: np.ndarray) -> float:
    there = np.isfinite(values)
    return float(values[there].mean()) if there.any() else float("nan")
