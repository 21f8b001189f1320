"""One measured number with its unit, its place and what it was measured of; and rows of them as tables."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

COLUMNS = ("quantity", "of", "where", "b_scan", "value", "unit", "covered", "note")


@dataclass(frozen=True)
class Quantity:
    """A number as a report shows it.

    Attributes:
        quantity: A name of `definitions.DEFINITIONS`.
        value: NaN where nothing could be measured.
        unit: "nL", "um2", "mm2", "um", "1", ...; "px", "voxels" or "A-scans" where the scale is unknown.
        of: The structure.
        where: The part of the eye; "" for the whole scan.
        b_scan: Its index, for numbers of one B-scan.
        covered: Which share of that part the scan covers, 0 to 1; None where that has no meaning.
        note: What a reader must know of this number.
    """

    quantity: str
    value: float
    unit: str
    of: str = ""
    where: str = ""
    b_scan: int | None = None
    covered: float | None = None
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str, int | None]:
        """What makes it the same number of another scan."""
        return self.quantity, self.of, self.where, self.b_scan

    def row(self) -> dict:
        """As a row of a table; NaN and infinity are None."""
        value = float(self.value)
        return {
            "quantity": self.quantity, "of": self.of, "where": self.where, "b_scan": self.b_scan,
            "value": value if math.isfinite(value) else None, "unit": self.unit,
            "covered": None if self.covered is None else round(float(self.covered), 4), "note": self.note,
        }  # fmt: skip


def find(quantities: Iterable[Quantity], quantity: str, of: str | None = None, where: str = "") -> Quantity | None:
    """The number of the whole scan (no single B-scan) of that name, structure and place; None if there is none."""
    return next(
        (
            q
            for q in quantities
            if q.quantity == quantity and (of is None or q.of == of) and q.where == where and q.b_scan is None
        ),
        None,
    )
