"""Score calibration for the card: fitted on one half of the groups, its error told on the other half."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lite_medsam.model.calibration import apply, expected_calibration_error, fit_calibration, reliability
from lite_medsam.model.spec import ScoreCalibration

SALT = "0"  # chosen by counting only: both halves of our validation split hold groups of every modality
FITTED_KINDS = ("box", "clicks", "box+clicks")


@dataclass(frozen=True)
class Observation:
    """The score that a mask was given, and the IoU that it had.

    Attributes:
        kind: "box", "moved boxes", "clicks" or "box+clicks".
        group: Patient, eye or video.
        modality: Of the image.
        score: Of the network, 0..1; NaN where there is none.
        iou: Measured.
    """

    kind: str
    group: str
    modality: str
    score: float
    iou: float


def halves(observations: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """Splits by the parity of a hash of the group's name, so that a group is in the same half whatever cases are measured.

    Returns:
        The half to fit on, the half to report; no group is in both, no matter which cases were left out.
    """
    known = [entry for entry in observations if math.isfinite(entry.score) and math.isfinite(entry.iou)]
    return [e for e in known if is_fitted(e.group)], [e for e in known if not is_fitted(e.group)]


def is_fitted(group: str) -> bool:
    """Whether a group belongs to the half that calibration is fitted on."""
    return hashlib.sha256(f"{SALT}/{group}".encode()).digest()[0] % 2 == 0


def fit(observations: Sequence[Observation]) -> ScoreCalibration:
    """Fits the map on the first half; box, clicks and box with clicks weigh the same however many masks they have.

    Raises:
        ValueError: If the half holds fewer than two objects.
    """
    mine = [entry for entry in halves(observations)[0] if entry.kind in FITTED_KINDS]
    return fit_calibration(*_arrays(mine), _weights(mine))


def report(observations: Sequence[Observation], calibration: ScoreCalibration) -> dict[str, Any]:
    """How honest the scores are on the half that no calibration was fitted on.

    Returns:
        Plain values: slope and intercept; groups of both halves; by kind (and over the fitted kinds, "all") the number of
        masks, the error and the bias (score minus IoU) before and after the map; the bins of both; and the bias after it of
        the masks from boxes, by modality.
    """
    first, second = halves(observations)
    lines: list[dict[str, Any]] = []
    bins: dict[str, Any] = {}
    kinds = ["all", *dict.fromkeys(entry.kind for entry in second)]
    for kind in kinds:
        part = [e for e in second if e.kind == kind or (kind == "all" and e.kind in FITTED_KINDS)]
        scores, ious = _arrays(part)
        weights = _weights(part)
        line: dict[str, Any] = {"kind": kind, "masks": len(part)}
        for name, values in (("before", scores), ("after", apply(scores, calibration))):
            table = reliability(values, ious, weights)
            line[f"error_{name}"] = expected_calibration_error(table)
            line[f"bias_{name}"] = float(np.average(values - ious, weights=weights)) if len(part) else math.nan
            bins.setdefault(kind, {})[name] = [[b.score, b.iou, b.objects] for b in table if b.objects]
        lines.append(line)
    return {
        "slope": calibration.slope,
        "intercept": calibration.intercept,
        "groups_fitted": len({entry.group for entry in first}),
        "groups_reported": len({entry.group for entry in second}),
        "kinds": lines,
        "modalities": _by_modality([entry for entry in second if entry.kind == "box"], calibration),
        "bins": bins,
    }


def _by_modality(entries: Sequence[Observation], calibration: ScoreCalibration) -> list[dict[str, Any]]:
    lines = []
    for modality in sorted({entry.modality for entry in entries}):
        scores, ious = _arrays([entry for entry in entries if entry.modality == modality])
        lines.append(
            {"name": modality, "masks": len(scores), "bias": float((apply(scores, calibration) - ious).mean())}
        )
    return lines


def _arrays(entries: Sequence[Observation]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([e.score for e in entries], float), np.array([e.iou for e in entries], float)


def _weights(entries: Sequence[Observation]) -> np.ndarray:
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.kind] = counts.get(entry.kind, 0) + 1
    return np.array([1 / counts[entry.kind] for entry in entries], float)
