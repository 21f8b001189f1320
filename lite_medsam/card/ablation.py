"""What each part of the training brings: short runs that differ in one thing, as a table of scores."""

import json
from pathlib import Path
from typing import Any

from lite_medsam.card.markdown import number, table, with_interval
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.scores import MEAN


def read_reports(folder: Path) -> list[dict[str, Any]]:
    """The mean over modalities of each report of a folder, in the order of the files' names.

    Args:
        folder: Holds files `<number>-<name>.json` from `lite-medsam evaluate --report`.

    Returns:
        Lines with name, groups, images, objects, dice, dice_low, dice_high and surface_dice.

    Raises:
        CaseError: If there is no report, or a file is none, or they were not measured alike.
    """
    lines, settings = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            mean = next(line for line in record["summary"]["modality"] if line["modality"] == MEAN)
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            raise CaseError(f"{path} must be a report of lite-medsam evaluate --report, got something else") from None
        lines.append(mean | {"name": path.stem.partition("-")[2] or path.stem})
        settings.append(record["settings"] | {"objects": mean["objects"]})
    if not lines:
        raise CaseError(f"{folder} must hold reports of lite-medsam evaluate --report, got none")
    if any(other != settings[0] for other in settings):
        raise CaseError(f"the reports in {folder} must be of one protocol and one set of objects, but they differ")
    return lines


def ablation_table(lines: list[dict[str, Any]]) -> str:
    """The lines as Markdown, each with its change against the line above."""
    rows = []
    for line, before in zip(lines, [None, *lines], strict=False):
        change = "" if before is None else f"{100 * (line['dice'] - before['dice']):+.1f}"
        rows.append([line["name"], with_interval(line, "dice"), change, number(line["surface_dice"])])
    return table(["short run", "Dice", "points against the line above", "surface Dice"], rows)
