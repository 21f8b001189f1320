"""Choroid, atrophy, photoreceptors, inner layers, fundus: each against numbers made by hand."""

import math

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.quantities.atrophy import crora_quantities, ga_quantities, rora_runs, runs
from lite_medsam.quantities.choroid import ChoroidWindow, choroid_quantities, lumen_by_niblack
from lite_medsam.quantities.fundus import fundus_quantities
from lite_medsam.quantities.loss import dril_quantities, ez_loss_quantities
from lite_medsam.quantities.names import meaning, parse_names, structures
from lite_medsam.quantities.quantity import find


def line(width, *spans):
    found = np.zeros(width, bool)
    for first, last in spans:
        found[first : last + 1] = True
    return found


def test_names():
    known = {
        "cyst": "IRF", "IRF": "IRF", "Subretinal fluid": "SRF", "PED": "PED", "retinal lesion or fluid": "fluid",
        "retinal nerve fibre layer": "RNFL", "GCL+IPL": "GCL+IPL", "EZ loss": "EZ loss", "photoreceptors": "EZ",
        "inner segment ellipsoid": "EZ", "outer segments to retinal pigment epithelium": "OS-RPE", "RPE": "RPE",
        "RPE atrophy": "RPE loss", "choroid": "choroid", "choroidal vessels": "choroidal lumen",
        "outer nuclear layer and inner segments": "ONL", "optic disc rim": "optic disc", "exudate": "exudate",
        "hypertransmission": "hypertransmission", "geographic atrophy": "GA", "ganglion cell and inner plexiform layer": "GCL+IPL",
    }  # fmt: skip
    assert {name: meaning(name) for name in known} == known
    assert parse_names("1=IRF, 2=SRF") == {1: "IRF", 2: "SRF"}
    for wrong in ("IRF", "0=IRF", "1=", "1=a,1=b", ""):
        with pytest.raises(CaseError, match="NUMBER=NAME"):
            parse_names(wrong)
    masks, unnamed = structures(np.array([[[0, 1, 2, 7]]]), {1: "cyst", 2: "IRF"})
    assert masks["IRF"].tolist() == [[[False, True, True, False]]] and unnamed == [7]


def test_the_250_um_rule():
    assert runs(line(10, (0, 2), (5, 5), (9, 9))) == [(0, 2), (5, 5), (9, 9)]
    assert runs(line(4)) == []
    bright, lost = line(100, (10, 34)), line(100, (20, 44))  # 25 A-scans of 10 um each: 250 um
    assert rora_runs(bright, lost, None, 10.0) == [(20, 34, True)]
    assert rora_runs(bright, lost, None, 9.9) == [(20, 34, False)]  # 247.5 um
    assert rora_runs(bright, lost, line(100, (60, 80)), 10.0) == [(20, 34, False)]  # photoreceptors are there
    assert rora_runs(line(100, (10, 34), (36, 50)), lost, line(100, (20, 30)), 10.0) == [
        (20, 34, True),
        (36, 44, False),
    ]


def test_crora_of_a_scan(grid):
    bright, lost = np.zeros((3, 5, 100), bool), np.zeros((3, 5, 100), bool)
    bright[1, 4] = line(100, (10, 79))
    lost[1, 2] = line(100, (20, 79))
    bright[2, 4] = lost[2, 2] = line(100, (0, 9))
    found = crora_quantities({"hypertransmission": bright, "RPE loss": lost}, grid((3, 5, 100), (100.0, 4.0, 10.0)))
    assert find(found, "cRORA lesions on B-scans").value == 1 and find(found, "iRORA lesions on B-scans").value == 1
    assert find(found, "longest cRORA").value == pytest.approx(600)
    assert find(found, "cRORA of 500 um or more").value == 1
    assert find(found, "cRORA area").value == pytest.approx(60 * 0.1 * 0.01)
    assert "photoreceptors" in find(found, "longest cRORA").note
    assert crora_quantities({"RPE loss": lost}, grid((3, 5, 100), (100.0, 4.0, 10.0))) == []


def test_the_area_of_geographic_atrophy(grid):
    mask = np.zeros((10, 6, 100), bool)
    mask[2:7, 3:5, 10:50] = True  # 5 B-scans of 100 um, 40 A-scans of 10 um, deeper than one pixel
    found = ga_quantities({"GA": mask}, grid((10, 6, 100), (100.0, 4.0, 10.0)))
    assert find(found, "GA area").value == pytest.approx(0.5 * 0.4)
    assert find(found, "GA square root").value == pytest.approx(math.sqrt(0.2))
    unknown = ga_quantities({"GA": mask}, grid((10, 6, 100), (None, 4.0, 10.0)))
    assert find(unknown, "GA area").unit == "A-scans" and find(unknown, "GA square root") is None


def test_ez_loss(grid):
    rpe, ez = np.ones((4, 3, 100), bool), np.ones((4, 3, 100), bool)
    ez[1, :, 20:40] = False
    there = grid((4, 3, 100), (100.0, 4.0, 10.0))
    found = ez_loss_quantities({"RPE": rpe, "EZ": ez}, there)
    assert find(found, "EZ loss area").value == pytest.approx(20 * 0.01 * 0.1)
    assert find(found, "EZ loss share").value == pytest.approx(100 * 20 / 400)
    assert ez_loss_quantities({"EZ": ez}, there) == []
    none = ez_loss_quantities({"EZ": ~rpe, "RPE": ~rpe}, there)
    assert math.isnan(find(none, "EZ loss share").value)


def test_dril_counts_in_the_central_millimetre_only(grid):
    layers = {kind: np.ones((5, 3, 300), bool) for kind in ("GCL+IPL", "INL", "OPL")}
    layers["INL"][2, :, 130:150] = False  # 200 um at the fovea (A-scan 149.5)
    layers["INL"][2, :, 0:50] = False  # further away
    found = dril_quantities(layers, grid((5, 3, 300), (100.0, 4.0, 10.0)))
    foveal = next(q for q in found if q.b_scan == 2)
    assert foveal.value == pytest.approx(200) and find(
        found, "DRIL extent", "largest", "central 1 mm"
    ).value == pytest.approx(200)
    assert find(found, "DRIL extent", "mean over B-scans", "central 1 mm").value == pytest.approx(200 / 5)
    assert dril_quantities({"INL": layers["INL"]}, grid((5, 3, 300), (100.0, 4.0, 10.0))) == []


def test_the_vascularity_index_and_its_window(grid):
    choroid, lumen = np.zeros((1, 60, 300), bool), np.zeros((1, 60, 300), bool)
    choroid[0, 10:50] = True
    lumen[0, 10:20] = True  # a quarter everywhere
    lumen[0, 10:40, 120:180] = True  # three quarters near the fovea
    there = grid((1, 60, 300), (None, 4.0, 10.0))
    found = choroid_quantities(choroid, lumen, there, ChoroidWindow(0.6))
    whole = find(found, "choroid vascularity index", "choroid")
    assert whole.value == pytest.approx((10 * 240 + 30 * 60) / (40 * 300))
    window = next(q for q in found if q.where and q.quantity == "choroid vascularity index")
    assert window.value == pytest.approx(0.75) and "vertical" in window.where and window.covered == pytest.approx(1)
    flat = choroid_quantities(choroid, lumen, there, ChoroidWindow(0.6, "perpendicular"))  # a level choroid: the same
    assert next(q for q in flat if q.where).value == pytest.approx(0.75)
    with pytest.raises(CaseError, match="vertical or perpendicular"):
        ChoroidWindow(1.0, "slanted")


def test_a_perpendicular_window_follows_the_slope(grid):
    """A choroid at 45 degrees: the sides of the window run at 45 degrees as well."""
    rows, columns = np.indices((400, 400))
    inside = (rows >= columns) & (rows < columns + 60)  # 10 um squares
    there = grid((1, 400, 400), (None, 10.0, 10.0), (0.0, 199.5))
    lumen = inside & (columns + rows < 399)  # the half on one side of the perpendicular through the fovea
    found = choroid_quantities(inside[None], lumen[None], there, ChoroidWindow(1.0, "perpendicular"))
    assert next(q for q in found if q.where).value == pytest.approx(0.5, abs=0.02)
    vertical = choroid_quantities(inside[None], lumen[None], there, ChoroidWindow(1.0))
    assert next(q for q in vertical if q.where).value < 0.4


def test_niblack_takes_dark_pixels():
    """Stripes of 200 and 20: mean about 110 and sd 90, so the threshold lies near 128."""
    image = np.full((1, 64, 64), 200, np.uint8)
    image[0, :, ::2] = 20
    lumen = lumen_by_niblack(image)
    assert lumen[0, 20:40, 20:40:2].all() and not lumen[0, 20:40, 21:40:2].any()


def test_cup_and_disc():
    rows, columns = np.indices((200, 200))
    disc = ((rows - 100) / 60) ** 2 + ((columns - 80) / 50) ** 2 <= 1
    cup = ((rows - 100) / 30) ** 2 + ((columns - 80) / 20) ** 2 <= 1
    found = fundus_quantities({"optic disc": disc & ~cup, "optic cup": cup}, (0.02, 0.02), (180.0, 100.0))
    assert find(found, "cup-disc ratio, vertical").value == pytest.approx(61 / 121)
    assert find(found, "cup-disc ratio, horizontal").value == pytest.approx(41 / 101)
    assert find(found, "cup-disc ratio, area").value == pytest.approx(30 * 20 / (60 * 50), rel=0.02)
    assert find(found, "area", "optic disc").value == pytest.approx(math.pi * 60 * 50 * 0.0004, rel=0.02)
    assert find(found, "distance to the fovea", "optic disc").value == pytest.approx(100 * 0.02)
    none = fundus_quantities({"optic disc": disc & False, "optic cup": cup & False}, None)
    assert all(math.isnan(q.value) for q in none)


def test_lesions_and_their_distance():
    lesion = np.zeros((50, 50), bool)
    lesion[10:12, 10:12] = lesion[40, 40] = True
    found = fundus_quantities({"exudate": lesion}, None, (10.0, 20.0), np.ones((50, 50), bool))
    assert find(found, "lesion area").unit == "px" and find(found, "lesion area").value == 5
    assert find(found, "lesions").value == 2 and find(found, "lesion share").value == pytest.approx(0.2)
    assert find(found, "distance to the fovea").value == pytest.approx(9)
    with pytest.raises(CaseError, match="fovea must lie in the picture"):
        fundus_quantities({"exudate": lesion}, None, (60.0, 20.0))
