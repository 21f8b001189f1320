"""A comparison of models as tables: for a terminal, and as Markdown for a page.

python -m lite_medsam.challenge.side_by_side_text RECORD.json PAGE.md

puts the tables between the page's lines `<!-- beside -->` and `<!-- /beside -->`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lite_medsam.evaluation.score_tables import format_table
from lite_medsam.storage.files import atomic_write

LEAST_GROUPS = 4  # an interval over fewer is too narrow
BEGIN, END = "<!-- beside -->", "<!-- /beside -->"


def format_record(record: Mapping[str, Any]) -> str:
    """The table of all ways, then by modality, one column per way; and where a way is better than the first.

    Args:
        record: From `side_by_side.summarise`.
    """
    ways = record["ways"]
    head = f"{record['objects']} objects on {record['images']} images of {record['groups']} groups, protocol {record['protocol']}"
    rows = [
        {"": way["title"], "Dice": _cell(way["mean"]["dice"]), "surface Dice": _cell(way["mean"]["surface_dice"])}
        for way in ways
    ]
    blocks = [head, format_table(rows)]
    for measure, title in (("dice", "Dice"), ("surface_dice", "Surface Dice")):
        lines = [
            {title: name} | {way["title"]: f"{way['modalities'][name][measure][0]:.3f}" for way in ways}
            for name in ways[0]["modalities"]
        ]
        blocks.append(format_table(lines))
    blocks += [text for way in ways[1:] if (text := better_text(way, ways[0]["title"]))]
    return "\n\n".join(blocks)


def format_page(record: Mapping[str, Any]) -> str:
    """The same as Markdown with narrow columns: ways have numbers, which the tables by modality use."""
    ways = record["ways"]
    numbers = {str(number): way for number, way in enumerate(ways, start=1)}
    rows = [
        f"| {number} | {way['title']} | {_cell(way['mean']['dice'])} | {_cell(way['mean']['surface_dice'])} |"
        for number, way in numbers.items()
    ]
    blocks = [
        f"{record['objects']} objects on {record['images']} images of {record['groups']} groups; in brackets the 95 % "
        "bootstrap interval over groups.",
        "\n".join(["| | model | Dice | surface Dice |", "| --- | --- | --- | --- |", *rows]),
    ]
    for measure, title in (("dice", "Dice"), ("surface_dice", "surface Dice")):
        lines = [f"| {title} | {' | '.join(numbers)} |", "| --- |" + " --- |" * len(numbers)]
        for name in ways[0]["modalities"]:
            cells = [f"{way['modalities'][name][measure][0]:.3f}" for way in ways]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        blocks.append("\n".join(lines))
    blocks += [text for way in ways[1:] if (text := better_text(way, ways[0]["title"]))]
    return "\n\n".join(blocks)


def write_page(record: Mapping[str, Any], page: Path) -> None:
    """Puts the tables into a page, between its two marks.

    Raises:
        ValueError: If the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} must have the lines {BEGIN} and {END}, where the tables go")
    with atomic_write(page) as path:
        path.write_text(f"{before}{BEGIN}\n\n{format_page(record)}\n\n{END}{after}", encoding="utf-8")


def better_text(way: Mapping[str, Any], first: str) -> str:
    """Where the interval of a way's difference to the first lies above 0 or below it, as one sentence; else empty."""
    sides = {"better": better(way, 1), "worse": better(way, -1)}
    parts = [f"{word} for {', '.join(names)}" for word, names in sides.items() if names]
    return (
        f"{way['title']} beside {first} (Dice, 95 % interval of the difference): {'; '.join(parts)}." if parts else ""
    )


def better(way: Mapping[str, Any], sign: int, measure: str = "dice") -> list[str]:
    """Modalities where all of the interval of the difference lies on one side of 0; too few groups tell nothing."""
    found = []
    for name, values in way["change_modalities"].items():
        mean, low, high = values[measure]
        if values["groups"] >= LEAST_GROUPS and low is not None and sign * low > 0 and sign * high > 0:
            found.append(f"{name} ({mean:+.3f})")
    return found


def _cell(values: Sequence[float | None]) -> str:
    mean, low, high = values
    return f"{mean:.3f}" if low is None else f"{mean:.3f} ({low:.3f}-{high:.3f})"


if __name__ == "__main__":
    write_page(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
