"""Tables and numbers of a card as Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; pipes inside cells become slashes."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits, - for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def with_interval(line: dict[str, Any], measure: str) -> str:
    """A mean with its interval, if there is one: 0.857 (0.803-0.888)."""
    low, high = line.get(f"{measure}_low"), line.get(f"{measure}_high")
    shown = number(line.get(measure))
    return shown if low is None else f"{shown} ({number(low)}-{number(high)})"


def percent(value: float | None) -> str:
    """A share in whole per cent, - for none."""
    return "-" if value is None else f"{value:.0%}".replace("%", " %")
