"""Further columns of a row of scores: every measure of a mask with its unit, and the scores after each click."""

import importlib.util
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.evaluation import score_tables, scores
from lite_medsam.evaluation.metrics import agreement, dice, interactive, iou, registry, surface_dice
from lite_medsam.evaluation.report import Evaluation

OCT_UNIT, OTHER_UNIT = ("um", 1000.0), ("mm", 1.0)
_ALWAYS = ("dice", "iou", "surface_dice")  # columns that every row has anyway, in pixels
SIZES = "size_true", "size_predicted"


def dice_after(click: int, truth: np.ndarray, mask: np.ndarray) -> scores.Row:
    """The column `dice_<k>` of a row: Dice after k clicks."""
    return {f"dice_{click}": dice(truth, mask)}


@dataclass(frozen=True)
class Columns:
    """What is added to every row.

    Attributes:
        of_object: Columns from case, truth and prediction, (H, W) or (D, H, W) bool.
        after_click: Columns from the number of clicks so far, truth and mask.
    """

    of_object: Callable[[Case, np.ndarray, np.ndarray], scores.Row] = lambda case, truth, prediction: {}
    after_click: Callable[[int, np.ndarray, np.ndarray], scores.Row] = dice_after


def measure_columns(tolerance_px: float) -> Columns:
    """Every measure of `metrics.registry`, distances in pixels, or where the spacing is known in um (OCT) or mm.

    Measures that need a missing package are left out; `missing_measures` names them.

    Args:
        tolerance_px: Of surface Dice.
    """
    known = [metric for metric in registry.METRICS if metric.name not in (*_ALWAYS, *missing_measures())]

    def of_object(case: Case, truth: np.ndarray, prediction: np.ndarray) -> scores.Row:
        unit, factor = OCT_UNIT if case.modality == "OCT" else OTHER_UNIT
        spacing = None if case.spacing_mm is None else [length * factor for length in case.spacing_mm]
        if spacing is None:
            unit = "px"
        units = {"length": f"_{unit}", "size": "_px" if spacing is None else f"_mm{truth.ndim}", "count": "", "": ""}
        values = registry.measure_all(truth, prediction, spacing, tolerance_px, known)
        pixel = 1.0 if case.spacing_mm is None else math.prod(case.spacing_mm)
        # areas in um^2 have too many digits: mm2 and mm3 for every modality
        scale = 1.0 if spacing is None else factor**truth.ndim
        row = {
            metric.name + units[metric.unit]: values[metric.name] / (scale if metric.unit == "size" else 1.0)
            for metric in known
        }
        return row | {
            f"{name}{units['size']}": np.count_nonzero(mask) * pixel
            for name, mask in zip(SIZES, (truth, prediction), strict=True)
        }

    return Columns(of_object)


def missing_measures() -> tuple[str, ...]:
    """Measures whose extra is not installed."""
    if importlib.util.find_spec("panoptica") is not None:
        return ()
    return tuple(metric.name for metric in registry.METRICS if metric.extra)


def click_columns(tolerance_px: float) -> Columns:
    """Dice, IoU and surface Dice after each click; `add_click_scores` makes the areas and counts of them."""

    def after_click(click: int, truth: np.ndarray, mask: np.ndarray) -> scores.Row:
        return {
            f"dice_{click}": dice(truth, mask),
            f"iou_{click}": iou(truth, mask),
            f"surface_dice_{click}": surface_dice(truth, mask, tolerance_px),
        }

    return Columns(after_click=after_click)


def add_click_scores(rows: Iterable[scores.Row]) -> None:
    """Adds the columns of `registry.CLICK_METRICS` to rows that were made with `click_columns`, in place."""
    for row in rows:
        series = {name: _series(row, name) for name in ("dice", "iou", "surface_dice")}
        first = min(click for click, _ in series["dice"])
        values = {name: [value for _, value in sorted(pairs)] for name, pairs in series.items()}
        for short, name in (("dsc", "dice"), ("nsd", "surface_dice")):
            row[f"{short}_auc"] = interactive.click_auc(values[name], first=first)
            row[f"{short}_auc_normalised"] = interactive.normalised_click_auc(values[name], first=first)
            row[f"{short}_final"] = interactive.after_clicks(values[name], interactive.CLICKS, first)
        for name in ("dice", "iou"):
            for goal in interactive.GOALS:
                needed = interactive.clicks_needed(values[name], goal, first=first)
                row[f"noc{goal * 100:.0f}_{name}"] = needed.clicks
                row[f"reached{goal * 100:.0f}_{name}"] = float(needed.reached)


def measures_table(rows: Sequence[scores.Row]) -> list[scores.Row]:
    """A line per measure and unit over all rows.

    Columns of a line:
        measure, unit, better: What it is.
        mean: Mean over the objects of an image, then over images; NaN where a value is infinite.
        median: Over objects.
        objects: Objects with a value, infinite ones included.
        undefined: Objects without one (NaN), left out.
        infinite: Objects where one of the masks is empty.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = []
    for metric in registry.METRICS:
        for suffix in ("", "_px", "_um", "_mm", "_mm2", "_mm3"):
            column = metric.name + suffix
            if column not in names or (suffix and not metric.unit):
                continue
            table.append({"measure": metric.title, "unit": suffix[1:] or ("px" if metric.unit == "length" else "1")}
                         | {"better": metric.better} | _statistics(rows, column))  # fmt: skip
    return table


def click_table(rows: Sequence[scores.Row]) -> list[scores.Row]:
    """A line per score of the dialogue: `registry.CLICK_METRICS`, with the same columns as `measures_table`."""
    return [
        {"measure": m.name, "unit": m.unit, "better": m.better} | _statistics(rows, m.name)
        for m in registry.CLICK_METRICS
    ]


def size_agreement(rows: Sequence[scores.Row]) -> list[scores.Row]:
    """How the predicted areas or volumes agree with the true ones, over objects: ICC(A,1) and Bland-Altman, per unit."""
    table = []
    for suffix in ("_px", "_mm2", "_mm3"):
        pairs = [(row[SIZES[0] + suffix], row[SIZES[1] + suffix]) for row in rows if SIZES[0] + suffix in row]
        if not pairs:
            continue
        true, predicted = zip(*pairs, strict=True)
        found = agreement.bland_altman(true, predicted)
        line = {"size in": suffix[1:], "pairs": found.pairs, "bias": found.bias, "limit low": found.low}
        line["limit high"] = found.high
        if importlib.util.find_spec("pingouin") is not None:
            correlation = agreement.icc(true, predicted)
            line |= {"ICC(A,1)": correlation.value, "ICC low": correlation.low, "ICC high": correlation.high}
        table.append(line)
    return table


def _series(row: scores.Row, name: str) -> list[tuple[int, float]]:
    """(clicks, score) of the columns <name>_<k>."""
    found = [(column.removeprefix(f"{name}_"), value) for column, value in row.items() if column.startswith(f"{name}_")]
    return [(int(number), value) for number, value in found if number.isdigit()]


def _statistics(rows: Sequence[scores.Row], column: str) -> scores.Row:
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    known = [value for value in values if not math.isnan(value)]
    infinite = sum(math.isinf(value) for value in known)
    return {
        "mean": math.nan if infinite else scores.average(rows, column),
        "median": statistics.median(known) if known else math.nan,
        "objects": len(known),
        "undefined": len(values) - len(known),
        "infinite": infinite,
    }


@dataclass(frozen=True, eq=False)
class Measures(Evaluation):
    """The scores of a run with all measures, or with those of the clicks; its tables have a line per measure.

    Attributes:
        of_clicks: Whether the rows are those of `click_columns`.
    """

    of_clicks: bool = False

    def tables(self) -> dict[str, list[scores.Row]]:
        """The summaries by name."""
        if self.of_clicks:
            return {"clicks": click_table(self.rows)}
        return {"measures": measures_table(self.rows), "agreement of sizes": size_agreement(self.rows)}

    def format_table(self, by: str = "modality") -> str:
        """The summaries as aligned text; `by` changes nothing."""
        return "\n\n".join(score_tables.format_table(_rounded(table)) for table in self.tables().values())

    def to_markdown(self) -> str:
        """Settings and summaries as Markdown."""
        lines = [", ".join(f"{key.replace('_', ' ')} {value}" for key, value in self.settings.items())]
        for name, table in self.tables().items():
            lines += ["", f"{name.capitalize()}:", "", score_tables.format_table(_rounded(table), markdown=True)]
        lines += ["", *(f"- left out: {name}: {reason}" for name, reason in self.skipped)]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Settings and summaries as JSON; NaN and inf are null."""
        skipped = [{"case": name, "reason": reason} for name, reason in self.skipped]
        return score_tables.to_json({"settings": self.settings, "summary": self.tables(), "skipped": skipped})


def _rounded(table: list[scores.Row]) -> list[scores.Row]:
    """Numbers with four digits that count, as measures of pixels can be very small."""
    return [
        {
            name: f"{value:.4g}" if isinstance(value, float) and not math.isnan(value) else value
            for name, value in line.items()
        }
        for line in table
    ]
