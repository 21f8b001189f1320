"""What the page needs to measure and to find its way in a volume: the scale with its origin, and an OCT scan seen from above."""

import math
from dataclasses import replace

import numpy as np

from lite_medsam.scans.scale import Scale, Step, origin_words, scale_json
from lite_medsam.scans.scan import Scan, window
from lite_medsam.session.interactive import Session


def steps_of(session: Session) -> Scale:
    """The steps of the scan in array order, with what the user typed in instead of the file's sizes."""
    steps = session.scan.steps
    if session.spacing_mm is None:
        return steps
    typed = (None,) * (len(steps) - len(session.spacing_mm)) + tuple(session.spacing_mm)
    return tuple(_step(step, mm) for step, mm in zip(steps, typed, strict=True))


def _step(step: Step, mm: float | None) -> Step:
    if mm is None:
        return step if step.um is None else Step(step.along, basis="left open by the user")
    um = 1000 * mm
    if step.um is not None and math.isclose(um, step.um, rel_tol=1e-5):  # the page shows six digits of it
        return step
    return replace(step, um=um, origin="user", basis=f"instead of {step.um:.5g} um ({step.origin})" if step.um else "")


def scale_view(session: Session) -> dict:
    """`steps` as records have them, and `origin` of the two axes of a slice in words, None where neither is known."""
    steps = steps_of(session)
    return {"steps": scale_json(steps), "origin": origin_words(steps[-2:])}


def has_top_view(scan: Scan) -> bool:
    """Whether the rows of its slices are depth, so that their mean is a view from above: OCT volumes, not turned."""
    return scan.is_volume and scan.modality == "OCT" and scan.values.shape[0] > 1


def runs_upwards(scan: Scan) -> bool:
    """Whether the last B-scan lies above the first one in the picture of the fundus; False where that is not known."""
    lines = None if scan.enface is None else scan.enface.b_scans_px
    return lines is not None and bool(lines[-1, :, 1].mean() < lines[0, :, 1].mean())


def top_view(scan: Scan) -> np.ndarray:
    """The mean of each A-scan: (D, W) or (D, W, 3) uint8, one row a B-scan, the topmost of the fundus first where known."""
    means = np.stack([b_scan.mean(axis=0, dtype=np.float64) for b_scan in scan.values])
    low, high = np.percentile(means, (0.5, 99.5))  # means lie close together: their own range, not that of the scan
    above = window(means, (low + high) / 2, high - low) if high > low else np.zeros(means.shape, np.uint8)
    return above[::-1] if runs_upwards(scan) else above
