"""A voxel size never comes without its origin, and an unknown one stays unknown."""

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scale import OCT_AXES, Step, scale_json, spacing_of
from lite_medsam.scans.scan import Enface, Scan


def oct_scan(*um, origins=("file", "file", "file")) -> Scan:
    scale = tuple(
        Step(name, size, None if size is None else origin)
        for name, size, origin in zip(OCT_AXES, um, origins, strict=True)
    )
    spacing = spacing_of(scale)
    geometry = Geometry.from_spacing((3, 4, 5), spacing)
    enface = Enface(np.zeros((8, 8), np.uint8))
    return Scan(np.zeros((3, 4, 5), np.uint8), spacing, "OCT", geometry, is_volume=True, scale=scale, enface=enface)


def test_what_is_unknown_gives_no_spacing():
    assert oct_scan(120.0, 4.0, 12.0).spacing_mm == pytest.approx((0.12, 0.004, 0.012))
    assert oct_scan(None, 4.0, 12.0).spacing_mm == pytest.approx((0.004, 0.012))
    assert oct_scan(120.0, 4.0, None).spacing_mm is None
    with pytest.raises(CaseError, match="origin"):
        Step("depth", 4.0)
    with pytest.raises(CaseError, match="above 0 um"):
        Step("depth", 0.0, "file")


def test_a_spacing_without_origin_is_the_files():
    scan = Scan(np.zeros((3, 4, 5)), (0.1, 0.2), None, Geometry.from_spacing((3, 4, 5), None), is_volume=True)
    assert [(s.along, s.um, s.origin) for s in scan.steps] == [
        ("slices", None, None),
        ("rows", 100.0, "file"),
        ("columns", 200.0, "file"),
    ]


def test_the_user_s_size_wins_and_says_so():
    scan = oct_scan(None, 4.0, 12.0).with_spacing_um((120, 3.9, 11.5))
    assert scan.spacing_mm == pytest.approx((0.12, 0.0039, 0.0115)) == scan.geometry.spacing_mm
    assert [row["origin"] for row in scale_json(scan.scale)] == ["user"] * 3
    assert scale_json(scan.scale)[1]["basis"] == "instead of 4 um (file)"
    for wrong in ((3.9, 11.5), (0, 3.9, 11.5)):
        with pytest.raises(CaseError, match="spacing must be"):
            scan.with_spacing_um(wrong)


def test_the_scale_turns_with_the_slices():
    turned = oct_scan(120.0, 4.0, 12.0).across(1)
    assert turned.steps[0].along == "depth" and turned.steps[0].um == 4.0
    assert turned.spacing_mm == pytest.approx(tuple(step.um / 1000 for step in turned.steps))
    assert turned.enface is None
