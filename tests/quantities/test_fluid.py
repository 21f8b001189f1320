"""Fluid of analytic shapes: volumes within 2 % of the formula, on voxels that are no cubes."""

import math

import numpy as np
import pytest

from lite_medsam.quantities.fluid import fluid_quantities, pockets
from lite_medsam.quantities.quantity import find

UM = (40.0, 4.0, 10.0)
SHAPE = (31, 260, 121)


def value(found, name, of, where=""):
    quantity = find(found, name, of, where)
    assert quantity is not None, (name, of, where)
    return quantity.value


def test_the_volume_of_an_ellipsoid_in_nanolitres(grid, ellipsoid):
    radii = (520.0, 300.0, 410.0)
    mask = ellipsoid(SHAPE, UM, (15, 130, 60), radii)
    found = fluid_quantities({"IRF": mask}, grid(SHAPE, UM))
    nl = 4 / 3 * math.pi * math.prod(radii) / 1e6
    assert value(found, "fluid volume", "IRF") == pytest.approx(nl, rel=0.02)
    assert find(found, "fluid volume", "IRF").unit == "nL"
    assert value(found, "fluid pockets", "IRF") == 1
    assert value(found, "fluid height at the fovea", "IRF") == pytest.approx(600, abs=4.1)
    middle = next(q for q in found if q.quantity == "fluid area" and q.b_scan == 15)
    assert middle.unit == "um2" and middle.value == pytest.approx(math.pi * 300 * 410, rel=0.02)


def test_circles_cut_a_slab(grid):
    um, shape = (50.0, 5.0, 20.0), (141, 8, 351)  # 7 x 7 mm
    mask = np.zeros(shape, bool)
    mask[:, 2:6] = True  # 20 um thick everywhere
    found = fluid_quantities({"SRF": mask}, grid(shape, um))
    for diameter in (1, 3, 6):
        expected = math.pi * (diameter / 2) ** 2 * 0.020 * 1000  # mm3 to nL
        quantity = find(found, "fluid volume", "SRF", f"within {diameter} mm circle")
        assert quantity.value == pytest.approx(expected, rel=0.01)
        assert quantity.covered == pytest.approx(1, abs=0.01)


def test_pockets_and_kinds(grid):
    mask = np.zeros((4, 10, 10), bool)
    mask[0, 0:2, 0:2] = mask[1, 2, 2] = True  # touch by a corner: one
    mask[3, 8, 8] = True
    other = np.zeros_like(mask)
    other[0, 0, 0] = True
    assert pockets(mask).tolist() == [5, 1]
    found = fluid_quantities({"IRF": mask, "SRF": other, "exudate": mask}, grid((4, 10, 10), (100, 10, 10)))
    assert value(found, "largest pocket", "IRF") == pytest.approx(5 * 1e4 / 1e6)
    assert value(found, "fluid volume", "all fluid") == pytest.approx(6 * 1e4 / 1e6)  # overlaps count once
    assert {q.of for q in found} == {"IRF", "SRF", "all fluid"}


def test_an_unknown_scale_gives_voxels(grid):
    mask = np.ones((3, 4, 5), bool)
    found = fluid_quantities({"PED": mask}, grid((3, 4, 5), (None, 4, 10)))
    assert (find(found, "fluid volume", "PED").value, find(found, "fluid volume", "PED").unit) == (60, "voxels")
    assert next(q for q in found if q.b_scan == 0).unit == "um2"
    assert not any(q.where for q in found)  # no circles without distances
    nothing = fluid_quantities({"PED": mask}, grid((3, 4, 5), (None, None, None)))
    assert {q.unit for q in nothing} == {"voxels", "px", "count"}


def test_a_label_that_is_not_there_is_zero_and_one_that_was_not_looked_for_is_nothing(grid):
    found = fluid_quantities({"SRF": np.zeros((3, 4, 5), bool)}, grid((3, 4, 5), (100, 4, 10)))
    assert value(found, "fluid volume", "SRF") == 0 and value(found, "fluid pockets", "SRF") == 0
    assert find(found, "fluid volume", "IRF") is None
    assert fluid_quantities({"RNFL": np.ones((3, 4, 5), bool)}, grid((3, 4, 5), (100, 4, 10))) == []


def test_one_b_scan_has_areas(grid):
    mask = np.zeros((1, 20, 400), bool)
    mask[0, 5:15] = True
    found = fluid_quantities({"IRF": mask}, grid((1, 20, 400), (None, 4.0, 10.0)))
    assert value(found, "fluid area", "IRF") == pytest.approx(10 * 4 * 4000)
    assert value(found, "fluid area", "IRF", "within 1 mm of this B-scan") == pytest.approx(40 * 1000)
    six = find(found, "fluid area", "IRF", "within 6 mm of this B-scan")
    assert six.covered == pytest.approx(4 / 6, abs=1e-3)
