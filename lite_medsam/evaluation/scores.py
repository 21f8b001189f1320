"""Rows of scores, and how they are averaged, decided once.

A row is one object (a label of an image) as a dict with the keys `COLUMNS`. An average is the mean over the
objects of an image, then over the images of a modality, then over modalities: an image with 60 nuclei counts
as much as one with a single lesion, and a modality with 3 images as much as one with 300. NaN scores are left
out and counted.
"""

import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

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
    for name in column_names([part for part, _ in parts]):
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
    clicks = [name for name in column_names(rows) if _click_of(name) is not None]
    return ["dice", "iou", "surface_dice", "score", "seconds", *clicks]


def _click_of(name: str) -> int | None:
    """3 for the column dice_3."""
    number = name.removeprefix("dice_")
    return int(number) if number != name and number.isdigit() else None


def column_names(rows: Iterable[Row]) -> list[str]:
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
