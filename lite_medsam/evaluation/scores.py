"""Tables of scores: how rows are averaged, decided once, and how they are written.

A row is one object (a label of an image) as a dict with the keys `COLUMNS`. An average is the mean over the
objects of an image, then over the images of a modality, then over modalities: an image with 60 nuclei counts
as much as one with a single lesion, and a modality with 3 images as much as one with 300. NaN scores are left
out and counted.
"""

import csv
import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lite_medsam.storage.files import atomic_write

Row = dict[str, Any]

COLUMNS = (
    "image",
    "case",
    "dataset",
    "modality",
    "group",
    "label",
    "label_name",
    "area_px",
    "area_fraction",
    "box_area_fraction",
    "dice",
    "iou",
    "surface_dice",
    "hd95",
    "hd95_mm",
    "score",
    "seconds",
)
"""The keys of a row in the order of the CSV file; after clicks, `dice_<k>` follows: Dice after k clicks."""

SMALL_FRACTION = 0.01  # of the image's area: below it an object is small
RESAMPLES = 1000
MEAN = "mean over modalities"


def size_class(row: Row) -> str:
    """Small or large by the object's share of the image; an object that only the prediction has is
    neither."""
    if row["area_px"] == 0:
        return "not in the truth"
    small = row["area_fraction"] < SMALL_FRACTION
    return f"{'<' if small else '>='} {SMALL_FRACTION:.0%} of the image"


_KEYS: dict[str, Callable[[Row], str]] = {
    "modality": lambda row: row["modality"],
    "dataset": lambda row: row["dataset"] or "unknown",
    "size": size_class,
}


def summarise(rows: Iterable[Row], by: str = "modality", seed: int = 0) -> list[Row]:
    """Averages rows by modality (then the mean over modalities), by data set, or by the object's size.

    Columns of a line:
        groups, images, objects: What was averaged.
        not_scored: Objects whose Dice is NaN, left out.
        missed: Objects with no overlap at all, Dice 0; they count in every mean.
        dice, iou, surface_dice, score, seconds, dice_<k>: Means over objects, then images; with `by="size"`
            and in the last line of `by="modality"` then over modalities.
        dice_low, dice_high: 95 % bootstrap interval of `dice`: groups (patients, videos) are drawn with
            replacement within each modality, 1000 times. NaN with a single group: it shows no spread.
        hd95_median: Median over objects, in pixels; a mean would be inf with the first object missed. Lines
            over modalities hold the mean of the modalities' medians.

    Args:
        rows: One per object, see `COLUMNS`.
        by: "modality", "dataset" or "size".
        seed: Of the bootstrap.

    Raises:
        ValueError: If `by` is none of these.
    """
    if by not in _KEYS:
        raise ValueError(f"by must be one of {', '.join(_KEYS)}, got {by!r}")
    rows = list(rows)
    table = []
    for name, part in sorted(_split(rows, _KEYS[by]).items()):
        average = _over_modalities if by == "size" else _over_images
        table.append(_line(by, name, *average(part, seed)))
    if by == "modality" and table:
        table.append(_line(by, MEAN, *_over_modalities(rows, seed)))
    return table


def average(rows: Iterable[Row], measure: str, over_modalities: bool = False) -> float:
    """The mean of one measure over objects, then images, then (if asked) modalities; NaN where nothing is known."""
    parts = _split(rows, lambda row: row["modality"]).values() if over_modalities else [list(rows)]
    return _mean([_mean([_mean([row.get(measure) for row in image]) for image in _images(part)]) for part in parts])


def interval(rows: Iterable[Row], measure: str, over_modalities: bool = False, seed: int = 0) -> tuple[float, float]:
    """The 95 % bootstrap interval of `average`, see `summarise`; NaN if a modality has a single group."""
    rows = list(rows)
    parts = _split(rows, lambda row: row["modality"]).values() if over_modalities else [rows]
    draws = [_bootstrap(_images(part), seed, measure) for part in parts if part]
    low, high = np.percentile(np.mean(draws, axis=0), (2.5, 97.5)) if draws else (math.nan, math.nan)
    return float(low), float(high)


def write_csv(path: str | os.PathLike, rows: Sequence[Row]) -> None:
    """Writes rows as UTF-8 CSV with a header, atomically; None becomes an empty field, NaN and inf stay
    words.

    Raises:
        OSError: If the file can't be written; nothing is left behind.
    """
    columns = list(COLUMNS) + [name for name in _names(rows) if name not in COLUMNS]
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
    columns = [name for name in _names(lines) if any(line.get(name) not in ("", "-") for line in lines)]
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


def _over_images(rows: list[Row], seed: int) -> tuple[Row, np.ndarray]:
    """The averages of the rows of one modality or data set, and the bootstrap's (RESAMPLES,) means of
    Dice."""
    images = _images(rows)
    scores = np.array([row["dice"] for row in rows], dtype=np.float64)
    values: Row = {
        "groups": len({row["group"] for row in rows}),
        "images": len(images),
        "objects": len(rows),
        "not_scored": int(np.isnan(scores).sum()),
        "missed": int((scores == 0).sum()),
        "hd95_median": _median([row["hd95"] for row in rows]),
    }
    for name in _measures(rows):
        values[name] = _mean([_mean([row.get(name) for row in image]) for image in images])
    return values, _bootstrap(images, seed)


def _over_modalities(rows: list[Row], seed: int) -> tuple[Row, np.ndarray]:
    """The same over several modalities, each with one vote."""
    modalities = sorted(_split(rows, lambda row: row["modality"]).items())
    parts = [_over_images(part, seed) for _, part in modalities]
    values: Row = {}
    for name in _names([part for part, _ in parts]):
        column = [part.get(name) for part, _ in parts]
        counted = name in ("groups", "images", "objects", "not_scored", "missed")
        values[name] = sum(column) if counted else _mean(column)
    return values, np.mean([draws for _, draws in parts], axis=0)


def _line(by: str, name: str, values: Row, draws: np.ndarray) -> Row:
    low, high = np.percentile(draws, (2.5, 97.5))  # NaN if any draw is
    head = ("groups", "images", "objects", "not_scored", "missed", "dice")
    line: Row = {by: name} | {key: values[key] for key in head}
    line |= {"dice_low": float(low), "dice_high": float(high)}
    clicks = sorted((key for key in values if _click_of(key) is not None), key=lambda key: _click_of(key) or 0)
    for key in ("iou", "surface_dice", "hd95_median", *clicks, "score", "seconds"):
        line[key] = values[key]
    return line


def _images(rows: Iterable[Row]) -> list[list[Row]]:
    return list(_split(rows, lambda row: row["image"]).values())


def _bootstrap(images: list[list[Row]], seed: int, measure: str = "dice") -> np.ndarray:
    """Means of a measure over images with whole groups drawn with replacement; NaN if there are not two groups."""
    sums: dict[str, list[float]] = {}
    for image in images:
        mean = _mean([row.get(measure) for row in image])
        if not math.isnan(mean):
            entry = sums.setdefault(image[0]["group"], [0.0, 0])
            entry[0] += mean
            entry[1] += 1
    if len(sums) < 2:
        return np.full(RESAMPLES, np.nan)
    table = np.array([sums[group] for group in sorted(sums)])
    # one stream per modality: adding another modality leaves the intervals of the others as they are
    rng = np.random.default_rng([seed, zlib.crc32(images[0][0]["modality"].encode())])
    drawn = table[rng.integers(len(table), size=(RESAMPLES, len(table)))].sum(axis=1)
    return drawn[:, 0] / drawn[:, 1]


def _split(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    parts: dict[Any, list[Row]] = {}
    for row in rows:
        parts.setdefault(key(row), []).append(row)
    return parts


def _measures(rows: list[Row]) -> list[str]:
    clicks = [name for name in _names(rows) if _click_of(name) is not None]
    return ["dice", "iou", "surface_dice", "score", "seconds", *clicks]


def _click_of(name: str) -> int | None:
    """3 for the column dice_3."""
    number = name.removeprefix("dice_")
    return int(number) if number != name and number.isdigit() else None


def _names(rows: Iterable[Row]) -> list[str]:
    """All keys, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def _mean(values: Iterable[float | None]) -> float:
    known = _known(values)
    return math.fsum(known) / len(known) if known else math.nan


def _median(values: Iterable[float | None]) -> float:
    known = sorted(_known(values))
    middle = known[(len(known) - 1) // 2 : len(known) // 2 + 1]
    return sum(middle) / len(middle) if middle else math.nan


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
