"""An eye over its visits: means of the scans of a visit, changes from visit to visit, growth of atrophy per year."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.quantities.quantity import Quantity

DAYS_PER_YEAR = 365.25
COLUMNS = ("group", "eye", "visit", "scans", "quantity", "of", "where", "value", "unit", "change", "per_year")


@dataclass(frozen=True)
class Visit:
    """The numbers of one scan, and whose they are.

    Attributes:
        group: The person, as the user calls them.
        eye: "R", "L" or None.
        date: YYYY-MM-DD or None.
        quantities: Of the scan.
    """

    group: str
    eye: str | None
    date: str | None
    quantities: Sequence[Quantity]


@dataclass(frozen=True)
class Series:
    """One number of one eye, visit by visit.

    Attributes:
        group: The person.
        eye: "R" or "L", None when unknown.
        quantity: Name, structure, place and unit are those of every visit.
        dates: YYYY-MM-DD, in order; of scans whose day is unknown one empty text.
        values: One a visit: the mean of its scans.
        scans: How many scans each visit has.
        per_year: Slope of the line of least squares; None with a single visit.
    """

    group: str
    eye: str | None
    quantity: Quantity
    dates: tuple[str, ...]
    values: tuple[float, ...]
    scans: tuple[int, ...]
    per_year: float | None

    @property
    def days(self) -> tuple[int, ...]:
        """From the first visit."""
        return _days(self.dates)

    def rows(self) -> list[dict]:
        """A row of `COLUMNS` per visit; `change` is from the first one."""
        q = self.quantity
        start = {"group": self.group, "eye": self.eye}
        name = {"quantity": q.quantity, "of": q.of, "where": q.where}
        return [
            start | {"visit": date, "scans": count} | name
            | {"value": value, "unit": q.unit, "change": value - self.values[0], "per_year": self.per_year}
            for date, value, count in zip(self.dates, self.values, self.scans, strict=True)
        ]  # fmt: skip


def checked_date(text: str) -> str:
    """A day as YYYY-MM-DD.

    Raises:
        CaseError: If it is none.
    """
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise CaseError(f"visit must be a day as YYYY-MM-DD, got {text!r}") from None


def series_of(visits: Iterable[Visit]) -> list[Series]:
    """Every number of every eye, visit by visit, in the order in which it first comes.

    Numbers of single B-scans are left out: the same index is not the same place at another visit. A number whose unit changed
    (its scale was unknown once) makes a series for each unit. Growth of geographic atrophy is the slope of `GA square root`.
    """
    by_number: dict[tuple, dict[str, list[Quantity]]] = {}
    for visit in visits:
        for q in visit.quantities:
            if q.b_scan is None and np.isfinite(q.value):
                key = (visit.group, visit.eye, visit.date is None, q.key, q.unit)
                by_number.setdefault(key, {}).setdefault(visit.date or "", []).append(q)
    return [_series(group, eye, by_date) for (group, eye, *_), by_date in by_number.items()]


def _series(group: str, eye: str | None, by_date: dict[str, list[Quantity]]) -> Series:
    dates = tuple(sorted(by_date))
    values = tuple(float(np.mean([q.value for q in by_date[date]])) for date in dates)
    per_year = None
    if len(dates) > 1:
        per_year = float(np.polyfit(np.array(_days(dates)) / DAYS_PER_YEAR, values, 1)[0])
    return Series(group, eye, by_date[dates[0]][0], dates, values, tuple(len(by_date[d]) for d in dates), per_year)


def _days(dates: Sequence[str]) -> tuple[int, ...]:
    if len(dates) < 2:
        return (0,) * len(dates)
    days = [datetime.date.fromisoformat(date).toordinal() for date in dates]
    return tuple(day - days[0] for day in days)
