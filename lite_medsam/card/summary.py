"""From rows to the numbers that the card tells: tables and curves, and nothing that is not read."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from lite_medsam.card.halves import report
from lite_medsam.card.measure import BASELINES, ORACLE, CardSettings, Measured
from lite_medsam.card.refining import PLAIN, REFINED
from lite_medsam.card.sweeps import GOALS, MAX_CLICKS, clicks_shown, moved_protocols
from lite_medsam.evaluation.scores import MEAN, Row, average, interval, size_class
from lite_medsam.model.spec import ScoreCalibration
from lite_medsam.prompts.prompt_set import load_protocol

VERSION = 2
DIGITS = 4
TABLES: dict[str, Callable[[Row], str]] = {
    "modality": lambda row: row["modality"],
    "dataset": lambda row: row["dataset"] or "unknown",
    "size": size_class,
    "family": lambda row: row["family"],
    "target": lambda row: f"{row['dataset'] or row['modality']}: {row['target']}" if row["target"] else "",
}
_MEASURES = ("dice", "surface_dice", "challenge_nsd", "iou", "score")


def summarise_card(measured: Measured, settings: CardSettings, calibration: ScoreCalibration) -> dict[str, Any]:
    """Everything that the card tells, as plain JSON values.

    Args:
        measured: From `measure`.
        settings: Those of the measurement.
        calibration: The map of scores to report.

    Returns:
        `settings`, `runs` (tables by name of run and key), `moved`, `clicks` and `calibration`; numbers rounded to four
        digits, unknown ones null.
    """
    runs: dict[str, Any] = {"box": {by: table(measured.runs["box"], by, measures=_MEASURES) for by in TABLES}}
    plain = ("dice", "surface_dice", "challenge_nsd")
    runs["box, zoom off"] = {by: table(measured.runs["box, zoom off"], by, plain) for by in ("modality", "size")}
    for kind in (*BASELINES, ORACLE):
        name = f"baseline {kind}"
        runs[name] = {by: table(measured.runs[name], by, plain) for by in ("modality", "dataset", "family")}
    for name in ("box, unnamed", "box, named"):
        if name in measured.runs:
            runs[name] = {by: table(measured.runs[name], by, plain) for by in ("modality", "family", "target")}
    for name in (PLAIN, REFINED):
        runs[name] = {"modality": table(measured.runs.get(name, []), "modality", ("dice", "surface_dice"))}
    box = load_protocol("box")
    record = {
        "version": VERSION,
        "settings": {
            "protocol": box.name,
            "protocol_sha256": box.sha256,
            "tolerance_px": settings.tolerance_px,
            "slices_per_volume": settings.slices_per_volume,
            "zoom": settings.zoom,
            "refine": settings.refine,
            "refine_scale": measured.refine_scale,
            "cases": measured.cases,
            "images": measured.images,
            "curves_every": settings.curves_every,
            "curve_cases": measured.curve_cases,
            "curve_images": measured.curve_images,
            "views_reused": measured.reused,
        },
        "skipped": [{"case": name, "reason": reason} for name, reason in measured.skipped],
        "runs": runs,
        "moved": [_curve_line(measured, name) for name in ("box, curves", *moved_protocols(box))],
        "clicks": {name: _clicks(measured.runs.get(name, [])) for name in ("clicks", "box+clicks")},
        "calibration": report(measured.observations, calibration),
    }
    return plain_values(record)


def table(rows: Sequence[Row], by: str, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Averages by one of `TABLES`, in alphabetical order; by modality also their mean.

    Args:
        rows: One per object. Those with no name for the key are left out.
        by: The key.
        measures: What to average; Dice and surface Dice come with their bootstrap interval over groups.

    Returns:
        Lines with name, groups, images, objects, missed (no overlap at all) and the measures.
    """
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(TABLES[by](row), []).append(row)
    lines = [_line(name, part, measures, by == "size") for name, part in sorted(parts.items()) if name]
    if by == "modality" and rows:
        lines.append(_line(MEAN, rows, measures, True))
    return lines


def _line(name: str, rows: Sequence[Row], measures: Sequence[str], over_modalities: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": name,
        "groups": len({row["group"] for row in rows}),
        "images": len({row["image"] for row in rows}),
        "objects": len(rows),
        "missed": sum(row["dice"] == 0 for row in rows),
    }
    for measure in measures:
        line[measure] = average(rows, measure, over_modalities)
        if measure in ("dice", "surface_dice"):
            line[f"{measure}_low"], line[f"{measure}_high"] = interval(rows, measure, over_modalities)
    return line


def _curve_line(measured: Measured, name: str) -> dict[str, Any]:
    rows = measured.runs.get(name, [])
    line = {"name": name, "objects": len(rows), "dice": average(rows, "dice", True)}
    line["dice_low"], line["dice_high"] = interval(rows, "dice", True)
    return line | {"by_modality": _by_modality(rows, "dice")}


def _clicks(rows: Sequence[Row]) -> dict[str, Any]:
    if not rows:
        return {}
    first, most = (0 if "dice_0" in rows[0] else 1), (MAX_CLICKS if "noc_iou_90%" in rows[0] else 10)
    shown = clicks_shown(first, most)
    found: dict[str, Any] = {
        "objects": len(rows),
        "clicks": shown,
        "dice": [average(rows, f"dice_{k}", True) for k in shown],
        "intervals": [interval(rows, f"dice_{k}", True) for k in shown],
        "by_modality": {},
        "surface_dice": average(rows, "surface_dice", True),
    }
    for k in shown:
        for modality, value in _by_modality(rows, f"dice_{k}").items():
            found["by_modality"].setdefault(modality, []).append(value)
    if most == MAX_CLICKS:
        names = [
            f"{kind}_{measure}_{goal:.0%}" for kind in ("noc", "never") for measure in ("iou", "dice") for goal in GOALS
        ]
        found["noc"] = {name: average(rows, name, True) for name in names}
    return found


def _by_modality(rows: Sequence[Row], measure: str) -> dict[str, float]:
    modalities = sorted({row["modality"] for row in rows})
    return {name: average([row for row in rows if row["modality"] == name], measure) for name in modalities}


def plain_values(value: Any) -> Any:
    """Numbers rounded to four digits, NaN and inf as null, tuples as lists: what JSON can say."""
    if isinstance(value, dict):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
