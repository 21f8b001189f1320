"""Calibrated scores: a two-number map from the network's score to the measured IoU, and its error."""

from dataclasses import dataclass

import numpy as np

from lite_medsam.model.spec import ModelSpec, ScoreCalibration

EDGE = 1e-3  # scores are kept this far from 0 and 1, where the logit is infinite
BINS = 10
SLOPES, INTERCEPTS = (0.05, 20.0), (-10.0, 10.0)  # a slope near 0 would make all scores alike


def calibrated(scores: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """A model's scores as its spec corrects them.

    Args:
        scores: Any shape, 0..1, as the network gives them; NaN stays NaN.
        spec: Its `score_calibration` is applied; the default leaves the scores untouched.

    Returns:
        Same shape and dtype, in the same order from low to high.
    """
    return apply(scores, spec.score_calibration)


def apply(scores: np.ndarray, calibration: ScoreCalibration) -> np.ndarray:
    """sigmoid(slope * logit(score) + intercept), see `calibrated`."""
    scores = np.asarray(scores)
    if calibration == ScoreCalibration():
        return scores
    corrected = _sigmoid(calibration.slope * _logit(scores) + calibration.intercept)
    return corrected.astype(scores.dtype if scores.dtype.kind == "f" else np.float64)


def fit_calibration(scores: np.ndarray, ious: np.ndarray, weights: np.ndarray | None = None) -> ScoreCalibration:
    """The map that predicts measured IoUs best: a logistic regression with fractions as targets (Papke, Wooldridge 1996).

    Its cross-entropy is lowest where the calibrated score is the mean IoU of such objects, which is what calibrated means.

    Args:
        scores: (N,) scores of the network, 0..1, without NaN.
        ious: (N,) measured IoU, 0..1.
        weights: (N,) what each object counts; None for all alike.

    Raises:
        ValueError: If there are fewer than two scores, or the shapes differ, or a number is outside 0..1.
    """
    from scipy.optimize import minimize

    scores, ious, weights = _checked(scores, ious, weights)
    if len(scores) < 2:
        raise ValueError(f"a calibration must be fitted on at least two objects, got {len(scores)}; measure more cases")
    logits, weights = _logit(scores), weights / weights.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * logits + parameters[1]
        residual = weights * (_sigmoid(z) - ious)
        value = (weights * (np.logaddexp(0, z) - ious * z)).sum()
        return value, np.array([(residual * logits).sum(), residual.sum()])

    # rounded: a spec is read by people, and the last digits depend on the optimiser
    found = minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=(SLOPES, INTERCEPTS)).x
    return ScoreCalibration(*(round(float(value), 4) for value in found))


@dataclass(frozen=True)
class ReliabilityBin:
    """Objects with scores from `low` to `high`.

    Attributes:
        low: Lowest score of the bin.
        high: Highest; it belongs to the next bin, but for 1.
        objects: How many.
        weight: Their share of all weights.
        score: Mean score; NaN in an empty bin.
        iou: Mean measured IoU.
    """

    low: float
    high: float
    objects: int
    weight: float
    score: float
    iou: float


def reliability(
    scores: np.ndarray, ious: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> list[ReliabilityBin]:
    """Scores against measured IoU, in bins of equal width.

    Args:
        scores: (N,) 0..1.
        ious: (N,) 0..1.
        weights: (N,) what each object counts; None for all alike.
        bins: How many.

    Raises:
        ValueError: If the shapes differ or a number is outside 0..1.
    """
    scores, ious, weights = _checked(scores, ious, weights)
    place = np.minimum((scores * bins).astype(int), bins - 1)
    table = []
    for index in range(bins):
        members = place == index
        total = weights[members].sum()
        mean = [
            float((weights[members] * values[members]).sum() / total) if total else np.nan for values in (scores, ious)
        ]
        share = float(total / weights.sum()) if len(weights) else 0.0
        table.append(ReliabilityBin(index / bins, (index + 1) / bins, int(members.sum()), share, *mean))
    return table


def expected_calibration_error(table: list[ReliabilityBin]) -> float:
    """Mean distance between score and IoU over the bins, by their weights; NaN without objects (Naeini 2015)."""
    filled = [entry for entry in table if entry.objects]
    return sum(entry.weight * abs(entry.score - entry.iou) for entry in filled) if filled else float("nan")


def _checked(scores, ious, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, ious = np.asarray(scores, np.float64), np.asarray(ious, np.float64)
    weights = np.ones(scores.shape) if weights is None else np.asarray(weights, np.float64)
    if scores.ndim != 1 or not scores.shape == ious.shape == weights.shape:
        raise ValueError(f"scores, ious and weights must be (N,), got {scores.shape}, {ious.shape}, {weights.shape}")
    for name, values in (("scores", scores), ("ious", ious)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"{name} must lie in 0..1, got others; leave NaN out")
    return scores, ious, weights


def _logit(scores: np.ndarray) -> np.ndarray:
    kept = np.clip(np.asarray(scores, np.float64), EDGE, 1 - EDGE)
    return np.log(kept / (1 - kept))


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(values / 2))  # does not overflow
