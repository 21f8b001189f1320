"""Sizes by hand, and against scikit-image."""

import csv
import io
import math

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.results.measurements import fluid, measure, measure_objects, measurements_csv


def test_a_rectangle_by_hand():
    mask = np.zeros((10, 20), bool)
    mask[2:6, 3:13] = True  # 4 rows, 10 columns
    assert measure(mask) == {
        "area_px": 40,
        "equivalent_diameter_px": pytest.approx(2 * math.sqrt(40 / math.pi)),
        "x0_px": 3, "y0_px": 2, "x1_px": 12, "y1_px": 5,
        "regions": 1,
    }  # fmt: skip
    sizes = measure(mask, (0.5, 0.2))
    assert sizes["area_mm2"] == pytest.approx(4.0)
    assert sizes["equivalent_diameter_mm"] == pytest.approx(2 * math.sqrt(4 / math.pi))
    assert (sizes["width_mm"], sizes["height_mm"]) == pytest.approx((2.0, 2.0))
    small = measure(mask, (0.5, 0.2), "um")
    assert small["area_um2"] == pytest.approx(4.0e6) and small["width_um"] == pytest.approx(2000)
    assert "area_mm2" not in small


def test_a_block_by_hand():
    mask = np.zeros((6, 10, 20), bool)
    mask[1:4, 2:6, 3:13] = True  # 3 x 4 x 10
    mask[3, 2:6, 3:8] = False  # the last slice holds half of it
    sizes = measure(mask, (3.0, 0.5, 0.2))
    assert sizes["volume_voxels"] == 100 and sizes["volume_mm3"] == pytest.approx(30.0)
    assert sizes["volume_ml"] == pytest.approx(0.03)
    assert sizes["equivalent_diameter_mm"] == pytest.approx((6 * 30 / math.pi) ** (1 / 3))
    assert [sizes[k] for k in ("x0_px", "y0_px", "z0_slice", "x1_px", "y1_px", "z1_slice")] == [3, 2, 1, 12, 5, 3]
    assert (sizes["width_mm"], sizes["height_mm"], sizes["depth_mm"]) == pytest.approx((2.0, 2.0, 9.0))
    assert (sizes["slices"], sizes["largest_area_px"], sizes["regions"]) == (3, 40, 1)
    assert sizes["largest_area_mm2"] == pytest.approx(4.0)
    in_um = measure(mask, (3.0, 0.5, 0.2), "um")
    assert in_um["volume_mm3"] == pytest.approx(30.0) and in_um["depth_um"] == pytest.approx(9000)
    assert not any("mm" in key or "ml" in key for key in measure(mask))


def test_against_scikit_image():
    regionprops = pytest.importorskip("skimage.measure").regionprops
    rng = np.random.default_rng(0)
    for shape, spacing in (((40, 50), (0.3, 0.7)), ((12, 30, 20), (2.5, 0.3, 0.7))):
        mask = rng.random(shape) < 0.02
        expected = regionprops(mask.astype(np.uint8), spacing=spacing)[0]
        sizes = measure(mask, spacing)
        size = sizes["area_mm2"] if mask.ndim == 2 else sizes["volume_mm3"]
        assert size == pytest.approx(expected.area)
        assert sizes["equivalent_diameter_mm"] == pytest.approx(expected.equivalent_diameter_area)
        low, high = expected.bbox[: mask.ndim], expected.bbox[mask.ndim :]
        assert (sizes["y0_px"], sizes["x0_px"]) == low[-2:] and (sizes["y1_px"] + 1, sizes["x1_px"] + 1) == high[-2:]
        label = pytest.importorskip("skimage.measure").label
        assert sizes["regions"] == label(mask, connectivity=mask.ndim).max()


@pytest.mark.parametrize("shape", [(5, 6), (3, 5, 6)])
def test_an_empty_mask_has_size_0_and_no_box(shape):
    sizes = measure(np.zeros(shape, bool), (1.0,) * len(shape))
    assert sizes["regions"] == 0 and "x0_px" not in sizes
    assert sizes["equivalent_diameter_mm"] == 0 and (sizes.get("area_mm2") == 0 or sizes.get("volume_mm3") == 0)


def test_fluid_counts_overlaps_once_and_touching_corners_as_one():
    a, b = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    a[2:6, 2:6] = True
    b[4:8, 4:8] = True  # shares 4 px with a
    b[8, 8] = True  # touches by a corner
    b[15, 20] = True  # a speck of its own
    assert fluid([a, b]) == {"fluid_area_px": 30, "fluid_regions": 2}
    assert fluid([a, b], minimum_px=2) == {"fluid_area_px": 29, "fluid_regions": 1}
    sizes = fluid([a, b], (0.004, 0.01))
    assert sizes["fluid_area_um2"] == pytest.approx(30 * 4 * 10)
    volume = fluid([np.stack([a, b])], (0.12, 0.004, 0.01))
    assert volume["fluid_volume_mm3"] == pytest.approx(34 * 0.12 * 0.004 * 0.01) and volume["fluid_regions"] == 2
    assert volume["fluid_volume_nl"] == pytest.approx(34 * 120 * 4 * 10 / 1e6)
    with pytest.raises(CaseError, match="masks must be one at least"):
        fluid([])


def test_rows_and_their_csv():
    masks = np.zeros((2, 5, 6), bool)
    masks[0, 1:3, 1:4] = True
    rows = measure_objects(masks, (1.0, 1.0), names=["cyst, left", None], scores=[0.91234, float("nan")])
    assert [row["object"] for row in rows] == [1, 2] and rows[0]["score"] == 0.9123 and "score" not in rows[1]
    table = list(csv.DictReader(io.StringIO(measurements_csv(rows))))
    assert table[0]["name"] == "cyst, left" and table[0]["area_mm2"] == "6" and table[1]["name"] == "object 2"
    assert table[1]["x0_px"] == "" and table[1]["area_px"] == "0"
    assert measurements_csv([]) == "\n"


@pytest.mark.parametrize(
    ("mask", "spacing", "unit", "message"),
    [
        (np.zeros((3, 3), np.uint8), None, "mm", "mask must be"),
        (np.zeros(3, bool), None, "mm", "mask must be"),
        (np.zeros((0, 3), bool), None, "mm", "mask must be"),
        (np.zeros((3, 3), bool), None, "cm", "unit must be one of mm, um"),
        (np.zeros((3, 3), bool), (1.0,), "mm", "spacing must be 2"),
        (np.zeros((3, 3), bool), (1.0, -1.0), "mm", "spacing must be 2"),
    ],
)
def test_wrong_arguments(mask, spacing, unit, message):
    with pytest.raises(CaseError, match=message):
        measure(mask, spacing, unit)
