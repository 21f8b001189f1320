"""Surfaces between which thickness is measured: those that the device drew, and the edges of labelled layers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.evaluation.metrics.boundary import layer_boundaries
from lite_medsam.quantities.names import LAYERS, in_order, meaning

_DEVICE_INNER, _DEVICE_OUTER = ("ILM",), ("BM", "BRM", "RPE", "OB_RPE")


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface through a scan.

    Attributes:
        name: What it is called in results.
        rows: (D, W) float64, depth in pixels, NaN where it is not there.
    """

    name: str
    rows: np.ndarray


def find_surface(name: str, drawn: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> Surface:
    """A surface by its name: one that the device drew, or `top of LAYER` and `bottom of LAYER` of a label.

    Raises:
        CaseError: If there is none of that name; the message lists those that there are.
    """
    by_case = {key.casefold(): key for key in drawn}
    if name.casefold() in by_case:
        key = by_case[name.casefold()]
        return Surface(f"{key} (of the device)", np.asarray(drawn[key], np.float64))
    side, _, layer = name.partition(" of ")
    kinds = {key.casefold(): key for key in masks}
    kind = kinds.get(layer.casefold(), meaning(layer))
    if side in ("top", "bottom") and kind in masks:
        return Surface(f"{side} of {kind}", layer_boundaries(masks[kind])[side == "bottom"])
    there = [*drawn, *(f"{side} of {kind}" for kind in masks for side in ("top", "bottom"))]
    raise CaseError(f"surface must be one of {', '.join(there) or 'none: neither surfaces nor labels'}, got {name!r}")


def default_surfaces(drawn: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> tuple[str, str] | None:
    """The names of the inner and the outer limit of the retina, as far as they are there.

    Surfaces of the device come first, ILM to Bruch's membrane; then a label `retina`; then the uppermost and the lowest of the
    labelled layers, which must be RNFL and one that holds the retinal pigment epithelium.

    Returns:
        None if the retina has no such limits.
    """
    upper = {key.upper(): key for key in drawn}
    inner = next((upper[key] for key in _DEVICE_INNER if key in upper), None)
    outer = next((upper[key] for key in _DEVICE_OUTER if key in upper), None)
    if inner is not None and outer is not None:
        return inner, outer
    if "retina" in masks:
        return "top of retina", "bottom of retina"
    there = [kind for kind in in_order(masks, LAYERS) if kind != "choroid" and masks[kind].any()]
    if there and there[0] == "RNFL" and there[-1] in ("RPE", "OS-RPE"):
        return f"top of {there[0]}", f"bottom of {there[-1]}"
    return None
