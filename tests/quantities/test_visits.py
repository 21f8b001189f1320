"""Eyes over their visits."""

import pytest

from lite_medsam.errors import CaseError
from lite_medsam.quantities.quantity import Quantity
from lite_medsam.quantities.visits import Visit, checked_date, series_of


def visit(date, value, unit="mm", eye="R", group="P", b_scan=None):
    return Visit(group, eye, date, [Quantity("GA square root", value, unit, "GA", b_scan=b_scan)])


def test_growth_is_the_slope_per_year():
    """0.3 mm in 365.25 days: 0.1 after a third, 0.3 after the whole (rounded to days)."""
    series = series_of([visit("2021-01-01", 1.0), visit("2023-01-01", 1.6), visit("2022-01-01", 1.3)])
    assert len(series) == 1 and series[0].dates == ("2021-01-01", "2022-01-01", "2023-01-01")
    assert series[0].per_year == pytest.approx(0.3, rel=0.002)
    assert [row["change"] for row in series[0].rows()] == pytest.approx([0, 0.3, 0.6])


def test_scans_of_one_day_are_one_visit_and_eyes_are_apart():
    series = series_of([visit("2021-01-01", 1.0), visit("2021-01-01", 2.0), visit("2021-01-01", 5.0, eye="L")])
    assert [(s.eye, s.values, s.scans, s.per_year) for s in series] == [
        ("R", (1.5,), (2,), None),
        ("L", (5.0,), (1,), None),
    ]


def test_other_units_nan_and_b_scans_make_no_trend():
    series = series_of([visit("2021-01-01", 1.0), visit("2022-01-01", 9.0, unit="px"), visit(None, float("nan")),
                        visit("2022-01-01", 3.0, b_scan=1)])  # fmt: skip
    assert sorted((s.quantity.unit, s.values) for s in series) == [("mm", (1.0,)), ("px", (9.0,))]


def test_dates():
    assert checked_date("2024-02-29") == "2024-02-29"
    with pytest.raises(CaseError, match="YYYY-MM-DD"):
        checked_date("29.2.2024")
