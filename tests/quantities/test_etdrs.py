"""The ETDRS grid: areas, coverage, sides of the eye, means."""

import math

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.quantities.etdrs import etdrs_grid, field_areas_mm2
from lite_medsam.quantities.grid import fundus_directions
from lite_medsam.quantities.surfaces import Surface
from lite_medsam.quantities.thickness import thickness_quantities

UP = fundus_directions("inferior")


def test_the_fields_are_as_large_as_they_must_be(grid):
    fields = etdrs_grid(grid((61, 10, 700), (110.0, 4.0, 10.0), laterality="R", to_fundus=UP))
    cells = fields.shares.sum((1, 2)) * 0.11 * 0.010
    expected = [math.pi / 4] + [math.pi * (2.25 - 0.25) / 4] * 4 + [math.pi * (9 - 2.25) / 4] * 4
    assert field_areas_mm2() == pytest.approx(expected)
    assert cells == pytest.approx(expected, rel=0.01)
    assert fields.covered == pytest.approx(np.ones(9), abs=0.01)
    assert fields.shares.sum(0).max() <= 1 + 1e-9


def test_half_of_the_circles_lies_outside(grid):
    """The fovea on the edge of the first A-scan: half of the centre is covered, one side not at all."""
    fields = etdrs_grid(grid((141, 10, 400), (50.0, 4.0, 10.0), (70.0, -0.5), "R", UP))
    covered = dict(zip(fields.names, fields.covered, strict=True))
    assert covered["central subfield"] == pytest.approx(0.5, abs=0.01)
    assert covered["inner nasal"] == pytest.approx(1, abs=0.01)
    assert covered["inner temporal"] == 0
    assert covered["inner superior"] == pytest.approx(0.5, abs=0.01)


def test_left_eyes_are_mirrored(grid):
    shape, um = (141, 10, 700), (50.0, 4.0, 10.0)
    values = np.zeros((141, 700))
    values[:, 350:] = 10.0  # to the right in the fundus picture
    right, left = (etdrs_grid(grid(shape, um, laterality=eye, to_fundus=UP)) for eye in "RL")
    for fields, high, low in ((right, "nasal", "temporal"), (left, "temporal", "nasal")):
        means = dict(zip(fields.names, fields.means(values)[0], strict=True))
        assert means[f"inner {high}"] == pytest.approx(10) and means[f"outer {low}"] == pytest.approx(0)


def test_the_first_b_scan_decides_what_is_superior(grid):
    values = np.zeros((141, 700))
    values[:70] = 10.0
    for side in ("superior", "inferior"):
        fields = etdrs_grid(grid((141, 10, 700), (50.0, 4.0, 10.0), to_fundus=fundus_directions(side)))
        means = dict(zip(fields.names, fields.means(values)[0], strict=True))
        assert means[f"outer {side}"] == pytest.approx(10, abs=0.2)
    unknown = etdrs_grid(grid((141, 10, 700), (50.0, 4.0, 10.0)))
    means = dict(zip(unknown.names, unknown.means(values)[0], strict=True))
    assert means["outer first B-scan"] == pytest.approx(10, abs=0.2)
    assert {"inner left", "inner right"} <= set(unknown.names)


def test_directions_come_from_the_fundus_picture():
    lines = np.array([[[10, 90], [100, 90]], [[10, 20], [100, 20]]], float)  # first below, A-scans to the right
    assert fundus_directions(None, lines) == pytest.approx(np.array([[1, 0], [0, 1]]))
    vertical = np.array([[[10, 90], [10, 20]], [[80, 90], [80, 20]]], float)  # A-scans upwards, B-scans to the right
    assert fundus_directions(None, vertical) == pytest.approx(np.array([[0, 1], [1, 0]]))
    assert fundus_directions(None) is None
    with pytest.raises(CaseError, match="superior or inferior"):
        fundus_directions("up")


def test_means_leave_out_what_was_not_measured(grid):
    shape, um = (141, 100, 700), (50.0, 4.0, 10.0)
    top, bottom = np.full((141, 700), 10.0), np.full((141, 700), 80.0)
    bottom[:, :350] = np.nan
    there = grid(shape, um, laterality="R", to_fundus=UP)
    fields = etdrs_grid(there)
    found = thickness_quantities(Surface("ILM", top), Surface("BM", bottom), there, fields)
    central = found[0]
    assert central.quantity == "central subfield thickness" and "ILM to BM" in central.of
    assert central.value == pytest.approx(70 * 4) and central.covered == pytest.approx(1, abs=0.01)
    assert "measured in 50%" in central.note
    temporal = next(q for q in found if q.where == "inner temporal")
    assert math.isnan(temporal.value)


def test_no_grid_without_distances_or_on_one_b_scan(grid):
    assert etdrs_grid(grid((1, 10, 700), (None, 4.0, 10.0))) is None
    assert etdrs_grid(grid((20, 10, 700), (None, 4.0, 10.0))) is None
    with pytest.raises(CaseError, match="fovea must lie in the scan"):
        grid((20, 10, 70), (100.0, 4.0, 10.0), (3.0, 90.0))
