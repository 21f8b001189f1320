"""The scores of one object: its mask against the true one, in pixels and millimetres."""

import math

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.cases.fields import dataset_from_name
from lite_medsam.evaluation import scores
from lite_medsam.evaluation.metrics import dice, hausdorff95, iou, surface_dice

UNKNOWN_MODALITY = "unknown"


def score_object(case: Case, label: int, truth: np.ndarray, prediction: np.ndarray, tolerance_px: float) -> scores.Row:
    """The scores of one object; truth and prediction (H, W) or (D, H, W) bool."""
    unit_px, mm_per_px = _units(case)
    hd95 = hausdorff95(truth, prediction, unit_px)
    hd95_mm: float | None
    if mm_per_px is not None:
        hd95_mm = hd95 * mm_per_px
    else:
        hd95_mm = hausdorff95(truth, prediction, case.spacing_mm) if case.spacing_mm else None
    return {
        "case": case.name,
        "dataset": dataset_from_name(case.name),
        "modality": case.modality or UNKNOWN_MODALITY,
        "group": case.group or case.name,
        "label": label,
        "label_name": (case.label_names or {}).get(label, ""),
        "area_px": int(np.count_nonzero(truth)),
        "area_fraction": float(np.count_nonzero(truth)) / truth.size,
        "box_area_fraction": _box_size(truth) / truth.size,
        "dice": dice(truth, prediction),
        "iou": iou(truth, prediction),
        "surface_dice": surface_dice(truth, prediction, tolerance_px, unit_px),
        "hd95": hd95,
        "hd95_mm": hd95_mm,
    }


def _units(case: Case) -> tuple[tuple[float, ...] | None, float | None]:
    """The spacing in which "pixels" are measured, and mm per such pixel (None: no single factor)."""
    if case.spacing_mm is None:
        return None, None
    *_, y_mm, x_mm = case.spacing_mm
    pixel_mm = (y_mm * x_mm) ** 0.5
    if case.is_volume:
        return tuple(value / pixel_mm for value in case.spacing_mm), pixel_mm
    return None, pixel_mm if y_mm == x_mm else None


def _box_size(mask: np.ndarray) -> int:
    """Pixels in the smallest box around a mask of any number of axes; 0 for an empty one."""
    sides = []
    for axis in range(mask.ndim):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(int(filled[-1] - filled[0]) + 1 if filled.size else 0)
    return math.prod(sides)
