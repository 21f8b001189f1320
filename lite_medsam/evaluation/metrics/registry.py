"""Every measure with its name, unit, direction, range, definition and source: one list for code, command and page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.evaluation.metrics import biomarkers, boundary, classification, detection, region, surface
from lite_medsam.evaluation.metrics.interactive import GOALS

UNDEFINED, FAR, FORMULA = "NaN; 0", "NaN; inf", "by the formula"
Measure = Callable[[np.ndarray, np.ndarray, Sequence[float] | None, float], float]


@dataclass(frozen=True)
class Metric:
    """A measure of a predicted mask against the true one.

    Attributes:
        name: Column of tables, without its unit.
        title: What people call it.
        measure: Of truth, prediction (bool), spacing in array order or None, and the tolerance in the same unit.
        unit: "" for a share or a number of its own, "length", "size" (area or volume), "count".
        better: "higher", "lower", or "zero" where it has a sign.
        bounds: Range in words.
        definition: Formula or words; A is the truth, B the prediction.
        source: Where the definition is from.
        empty: Both masks empty; one of them.
        of_review: Whether the OCT review has it.
        extra: Extra of the package that it needs, "" for none.
        from_distances: The same from distances that are known already, and the tolerance; None where it needs none.
    """

    name: str
    title: str
    measure: Measure
    unit: str
    better: str
    bounds: str
    definition: str
    source: str
    empty: str
    of_review: bool = False
    extra: str = ""
    from_distances: Callable[[surface.Distances, float], float] | None = None

    @property
    def shown_unit(self) -> str:
        """The unit for people."""
        return {"": "1", "length": "px, um or mm", "size": "px, mm2 or mm3", "count": "lesions"}[self.unit]


def _plain(function: Callable[[np.ndarray, np.ndarray], float]) -> Measure:
    return lambda truth, prediction, spacing, tolerance: function(truth, prediction)


def _spaced(function: Callable[[np.ndarray, np.ndarray, Sequence[float] | None], float]) -> Measure:
    return lambda truth, prediction, spacing, tolerance: function(truth, prediction, spacing)


def _axial(function: Callable[[np.ndarray, np.ndarray, float | None], float]) -> Measure:
    def measure(truth, prediction, spacing, tolerance):
        return function(truth, prediction, None if spacing is None else float(spacing[-2]))

    return measure


METRICS = (
    Metric("dice", "Dice", _plain(region.dice), "", "higher", "0..1",
           "2 TP / (2 TP + FP + FN)", "Dice 1945", UNDEFINED, True),
    Metric("iou", "IoU, Jaccard", _plain(region.iou), "", "higher", "0..1",
           "TP / (TP + FP + FN)", "Jaccard 1912", UNDEFINED, True),
    Metric("precision", "Precision", _plain(region.precision), "", "higher", "0..1",
           "TP / (TP + FP)", "confusion matrix", UNDEFINED, True),
    Metric("recall", "Recall, sensitivity", _plain(region.recall), "", "higher", "0..1",
           "TP / (TP + FN)", "confusion matrix", UNDEFINED, True),
    Metric("hausdorff", "Hausdorff distance", _spaced(surface.hausdorff), "length", "lower", ">= 0",
           "the largest distance from a boundary pixel of one mask to the nearest of the other; all contours",
           "Hausdorff 1914", FAR, True,
           from_distances=lambda distances, tolerance: distances.largest()),
    Metric("hausdorff95", "HD95", _spaced(surface.hausdorff95), "length", "lower", ">= 0",
           "the larger of the two directed 95th percentiles of those distances", "MONAI's definition", FAR, True,
           from_distances=lambda distances, tolerance: distances.percentile95()),
    Metric("assd", "ASSD", _spaced(surface.average_surface_distance), "length", "lower", ">= 0",
           "mean of the two directed mean distances", "Heimann 2009, as the review averages", FAR, True,
           from_distances=lambda distances, tolerance: distances.mean_of_means()),
    Metric("mad", "MAD of the boundaries", _spaced(surface.mean_absolute_distance), "length", "lower", ">= 0",
           "mean distance over the boundary pixels of both masks, pooled",
           "what the review means; its code takes mean abs(y - p)", FAR, True,
           from_distances=lambda distances, tolerance: distances.pooled_mean()),
    Metric("mse", "MSE", _plain(classification.mean_squared_error), "", "lower", "0..1",
           "mean over all pixels of (y - p)^2", "the review's code", FORMULA, True),
    Metric("rmse", "RMSE", _plain(classification.root_mean_squared_error), "", "lower", "0..1",
           "square root of MSE", "the review's code", FORMULA, True),
    Metric("thickness_difference", "Thickness difference", _spaced(biomarkers.thickness_difference), "length", "lower",
           ">= 0", "mean over A-scans of the absolute difference of mask pixels, times their height",
           "the review's code", "NaN; by the formula", True),
    Metric("vascularity_difference", "Vascularity index, difference",
           _plain(biomarkers.vascularity_index_difference), "", "lower", "0..1",
           "difference of vessel area / tissue area; here the tissue is the whole image", "Agrawal 2016 for the index",
           "NaN; by the formula", True),
    Metric("accuracy", "Accuracy", _plain(classification.accuracy), "", "higher", "0..1",
           "(TP + TN) / N over all pixels", "confusion matrix", FORMULA, True),
    Metric("specificity", "Specificity", _plain(classification.specificity), "", "higher", "0..1",
           "TN / (TN + FP); NaN without background", "confusion matrix", FORMULA, True),
    Metric("auc", "AUC", _plain(classification.auc), "", "higher", "0..1",
           "chance that an object pixel scores above a background pixel; of a mask (sensitivity + specificity) / 2",
           "Hanley and McNeil 1982", "NaN; NaN if the truth is", True),
    Metric("surface_dice", "Surface Dice, NSD", lambda truth, prediction, spacing, tolerance:
           surface.surface_dice(truth, prediction, tolerance, spacing), "", "higher", "0..1",
           "share of the boundary pixels of both masks within a tolerance of the other boundary",
           "Nikolov 2018; pixels count one each, as in MONAI", UNDEFINED,
           from_distances=lambda distances, tolerance: distances.within(tolerance)),
    Metric("boundary_mae", "Boundary MAE", _axial(boundary.boundary_mae), "length", "lower", ">= 0",
           "mean absolute distance along the A-scan, top and bottom of the mask", "OCT layer papers, Chiu 2015", FAR),
    Metric("boundary_rmse", "Boundary RMSE", _axial(boundary.boundary_rmse), "length", "lower", ">= 0",
           "root of the mean squared distance along the A-scan", "OCT layer papers", FAR),
    Metric("size_difference", "Area or volume difference", _spaced(biomarkers.size_difference), "size", "zero",
           "any", "size of B - size of A", "-", "NaN; by the formula"),
    Metric("relative_size_difference", "Relative area or volume difference",
           _plain(biomarkers.relative_size_difference), "", "zero", ">= -1", "size of B / size of A - 1", "-",
           "NaN; -1 or inf"),
    Metric("count_error", "Count error", _plain(detection.count_error), "count", "zero", "any",
           "connected components of B - those of A", "-", "NaN; by the formula"),
    Metric("lesion_f1", "Lesion-wise F1", _plain(detection.lesion_f1), "", "higher", "0..1",
           "2 TP / (2 TP + FP + FN), lesions matched from an IoU of 0.5", "panoptica", UNDEFINED, extra="metrics"),
    Metric("panoptic_quality", "Panoptic quality", _plain(detection.panoptic_quality), "", "higher", "0..1",
           "lesion-wise F1 x mean IoU of the matched pairs", "Kirillov 2019; panoptica", UNDEFINED, extra="metrics"),
)  # fmt: skip
"""All measures of a mask, those of the review first."""


@dataclass(frozen=True)
class SeriesMetric:
    """A score of a dialogue or of a series of measurements, for tables.

    Attributes:
        name: Column, or name of the function.
        definition: Formula or words.
        source: Where it is from.
        unit: For people.
        better: "higher", "lower" or "zero".
        bounds: Range in words.
    """

    name: str
    definition: str
    source: str
    unit: str
    better: str
    bounds: str


def _click_metrics() -> tuple[SeriesMetric, ...]:
    published, own = "CVPR 2025 challenge", "the same over 4"
    found = []
    for short, name in (("dsc", "Dice"), ("nsd", "surface Dice")):
        found += [
            SeriesMetric(f"{short}_auc", f"trapezoid of {name} after clicks 1 to 5, the box left out", published, "1",
                         "higher", "0..4"),
            SeriesMetric(f"{short}_auc_normalised", f"the same over 4: mean {name} over the clicks", own, "1", "higher",
                         "0..1"),
            SeriesMetric(f"{short}_final", f"{name} after 5 clicks", published, "1", "higher", "0..1"),
        ]  # fmt: skip
    for name in ("Dice", "IoU"):
        for goal in GOALS:
            number, column = f"{goal * 100:.0f}", name.lower()
            found += [
                SeriesMetric(f"noc{number}_{column}", f"clicks until {name} is {goal:g} or more, 20 where it is not",
                             "NoC, Sofiiuk 2022 (IoU there)", "clicks", "lower", "0..20"),
                SeriesMetric(f"reached{number}_{column}", f"share of the objects that reach {name} {goal:g} in time", "-",
                             "1", "higher", "0..1"),
            ]  # fmt: skip
    return tuple(found)


CLICK_METRICS = _click_metrics()
"""Scores of a dialogue; the code is `metrics.interactive`."""

SERIES_METRICS = (
    SeriesMetric("icc", "intraclass correlation, absolute agreement of single measurements, ICC(A,1)",
                 "McGraw and Wong 1996; pingouin", "1", "higher", "<= 1"),
    SeriesMetric("bland_altman", "mean difference and mean +- 1.96 standard deviations of the differences",
                 "Bland and Altman 1986", "as measured", "zero", "any"),
    SeriesMetric("boundary_error", "MAE, RMSE and bias of two boundaries over the A-scans that have both",
                 "OCT layer papers", "px or um", "lower", ">= 0"),
    SeriesMetric("vascularity_index", "vessel area / tissue area, of one mask", "Agrawal 2016", "1", "zero", "0..1"),
)  # fmt: skip
"""Measures of series, boundaries and single masks: functions of `metrics`."""


def metrics_table() -> str:
    """The table of measures of a mask in docs/evaluation.md, Markdown."""
    head = ("column", "name", "definition", "source", "unit", "range", "better", "both empty; one empty")
    rows = [
        (f"`{m.name}`", m.title, m.definition, m.source, m.shown_unit, m.bounds, m.better, m.empty) for m in METRICS
    ]
    return _table([head, *rows])


def series_table() -> str:
    """The table of the other scores in docs/evaluation.md, Markdown."""
    head = ("name", "definition", "source", "unit", "range", "better")
    listed = (*CLICK_METRICS, *SERIES_METRICS)
    return _table([head, *((f"`{m.name}`", m.definition, m.source, m.unit, m.bounds, m.better) for m in listed)])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rest))


def measure_all(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float] | None = None,
    tolerance: float = 2.0,
    metrics: Sequence[Metric] = METRICS,
) -> dict[str, float]:
    """All measures of one object.

    Args:
        truth: (H, W) or (D, H, W) bool.
        prediction: Same shape.
        spacing: Size of a pixel per axis in array order; None measures in pixels.
        tolerance: Of surface Dice, in the unit of the spacing.
        metrics: Which; those of an extra need it.

    Returns:
        By name.

    Raises:
        ValueError: If the masks, the spacing or the tolerance are not as above.
        MissingExtraError: If a package is missing.
    """
    distances = None
    if any(metric.from_distances for metric in metrics):  # the slow part, once for all of them
        distances = surface.distances_of(truth, prediction, spacing)
    values = {}
    for metric in metrics:
        if metric.from_distances is not None and distances is not None:
            values[metric.name] = metric.from_distances(distances, tolerance)
        else:
            values[metric.name] = float(metric.measure(truth, prediction, spacing, tolerance))
    return values
