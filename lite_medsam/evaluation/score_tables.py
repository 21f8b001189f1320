"""Tables of scores as files and text: CSV, aligned or Markdown, JSON."""

import csv
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lite_medsam.evaluation.scores import COLUMNS, Row, column_names
from lite_medsam.storage.files import atomic_write


def write_csv(path: str | os.PathLike, rows: Sequence[Row]) -> None:
    """Writes rows as UTF-8 CSV with a header, atomically; None becomes an empty field, NaN and inf stay
    words.

    Raises:
        OSError: If the file can't be written; nothing is left behind.
    """
    columns = list(COLUMNS) + [name for name in column_names(rows) if name not in COLUMNS]
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _exact(value) for name, value in row.items()})


def format_table(table: Sequence[Row], markdown: bool = False) -> str:
    """Lays out the lines of `summarise` as text for a terminal, or as a Markdown table.

    Columns without a single value are left out; `dice_low` and `dice_high` share one column.

    Args:
        table: Lines with the same keys.
        markdown: Pipes between the columns, for a file.

    Returns:
        The lines joined by newlines, without one at the end; empty for an empty table.
    """
    if not table:
        return ""
    lines = [_shown(line) for line in table]
    columns = [name for name in column_names(lines) if any(line.get(name) not in ("", "-") for line in lines)]
    cells = [columns] + [[line.get(name, "-").replace("|", "/") for name in columns] for line in lines]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    # the first column holds names, the others numbers
    padded = [
        [cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(row)]
        for row in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    if not markdown:
        return "\n".join("  ".join(row).rstrip() for row in padded)
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [padded[0], rule, *padded[1:]])


def to_json(value: Any) -> str:
    """Valid JSON: numpy numbers as numbers; NaN and inf, which JSON does not have, as null."""
    return json.dumps(_plain(value), indent=1, allow_nan=False, ensure_ascii=False)


def _exact(value: Any) -> Any:
    """A field of the CSV file: every digit of a float, for whoever averages again."""
    return repr(float(value)) if isinstance(value, float | np.floating) else "" if value is None else value


def _shown(line: Row) -> dict[str, str]:
    """A line as text, with the interval in one column."""
    shown = {}
    for name, value in line.items():
        if name == "dice_high":
            continue
        if name == "dice_low":
            known = not math.isnan(value)
            shown["95 % interval"] = f"{value:.3f}..{line['dice_high']:.3f}" if known else "-"
        else:
            shown[name.replace("_", " ")] = _short(name, value)
    return shown


def _short(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}" if name.startswith("hd95") else f"{value:.3f}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
