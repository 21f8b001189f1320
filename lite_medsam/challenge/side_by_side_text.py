"""A comparison of models as tables: for a terminal, and as Markdown for a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from lite_medsam.evaluation.scores import format_table


def format_record(record: Mapping[str, Any], markdown: bool = False) -> str:
    """The table of all ways, then Dice by modality, one column per way; and where a way is better than the first.

    Args:
        record: From `side_by_side.summarise`.
        markdown: Pipes between the columns.
    """
    ways = record["ways"]
    head = f"{record['objects']} objects on {record['images']} images of {record['groups']} groups, protocol {record['protocol']}"
    rows = [
        {"": way["title"], "Dice": _cell(way["mean"]["dice"]), "surface Dice": _cell(way["mean"]["surface_dice"])}
        for way in ways
    ]
    blocks = [head, format_table(rows, markdown)]
    for measure, title in (("dice", "Dice"), ("surface_dice", "Surface Dice")):
        lines = [
            {title: name} | {way["title"]: f"{way['modalities'][name][measure][0]:.3f}" for way in ways}
            for name in ways[0]["modalities"]
        ]
        blocks.append(format_table(lines, markdown))
    blocks += [text for way in ways[1:] if (text := better_text(way, ways[0]["title"]))]
    return "\n\n".join(blocks)


def better_text(way: Mapping[str, Any], first: str) -> str:
    """Where the interval of a way's difference to the first lies above 0 or below it, as one sentence; else empty."""
    sides = {"better": better(way, 1), "worse": better(way, -1)}
    parts = [f"{word} for {', '.join(names)}" for word, names in sides.items() if names]
    return (
        f"{way['title']} beside {first} (Dice, 95 % interval of the difference): {'; '.join(parts)}." if parts else ""
    )


def better(way: Mapping[str, Any], sign: int, measure: str = "dice") -> list[str]:
    """Modalities where all of the interval of the difference lies on one side of 0."""
    found = []
    for name, values in way["change_modalities"].items():
        mean, low, high = values[measure]
        if low is not None and sign * low > 0 and sign * high > 0:
            found.append(f"{name} ({mean:+.3f})")
    return found


def _cell(values: Sequence[float | None]) -> str:
    mean, low, high = values
    return f"{mean:.3f}" if low is None else f"{mean:.3f} ({low:.3f}-{high:.3f})"
