"""Sizes in words that people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lite_medsam.results import readable


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.265e-05, "0.00001265"), (12.3456, "12.35"), (12.0, "12"), (999.96, "1,000"), (1235803685.0, "1,235,803,685"),
     (-0.5, "-0.5"), (1e-20, "0"), (float("nan"), "–"), (0.04, "0.04"), (1234.5, "1,234")],
)  # fmt: skip
def test_numbers_have_four_digits_and_no_exponent(value, text):
    assert readable.number(value) == text


def test_units_follow_the_size():
    assert readable.volume(1.265e-2) == "12.65 nL" and readable.volume(12.65) == "12.65 mm³"
    assert (
        readable.volume(1500000) == "1,500 ml"
        and readable.volume(1e-5) == "10,000 µm³"
        and readable.volume(0) == "0 µm³"
    )
    assert readable.area(1235.803685, "um") == "1,236 mm²" and readable.area(12345) == "123.5 cm²"
    assert readable.area(0.0312, "um") == "31,200 µm²" and readable.area(0.0312) == "0.0312 mm²"
    assert readable.area(0.0012) == "1,200 µm²"
    assert readable.length(0.25, "um") == "250 µm" and readable.length(12.5, "um") == "12.5 mm"
    assert readable.length(0.25) == "0.25 mm" and readable.length(0.0125) == "12.5 µm"
    assert (
        readable.pixels(12345) == "12,345 px"
        and readable.pixels(12.344) == "12.34 px"
        and readable.pixels(2, "voxels") == "2 voxels"
    )


@given(st.floats(1e-12, 1e12), st.sampled_from(["mm", "um"]))
def test_no_size_is_written_with_an_exponent(value, unit):
    for text in (
        readable.number(value),
        readable.length(value, unit),
        readable.area(value, unit),
        readable.volume(value),
    ):
        assert "e" not in text.lower() and len(text) < 32
