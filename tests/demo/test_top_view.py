"""What the page is told of the scale and of an OCT volume seen from above, without a browser."""

import base64
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from demo_desk import OneModel, Page, desk_with, png_of
from fakes import FakeBackend

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.phantoms.vendor_files import write_vol
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scale import Step
from lite_medsam.scans.scan import Enface, Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session

top_view = load_demo("top_view")
VALUES = np.zeros((5, 8, 6), np.uint8)
VALUES[1, :, 2] = 200
VALUES[3, :4, 4] = 100  # half of the depth: a mean of 50


def oct_scan(**about):
    geometry = Geometry.from_spacing(VALUES.shape, None)
    return Scan(VALUES, None, "OCT", geometry, is_volume=True, **about)


def placed(first_y, last_y):
    lines = np.zeros((5, 2, 2))
    lines[:, :, 1] = np.linspace(first_y, last_y, 5)[:, None]
    return Enface(np.zeros((10, 10), np.uint8), b_scans_px=lines)


def test_each_row_is_a_b_scan_and_each_pixel_the_mean_of_an_a_scan():
    above = top_view.top_view(oct_scan())
    assert above.shape == (5, 6) and above.dtype == np.uint8
    assert above[1, 2] == 255 and 0 < above[3, 4] < 255 and np.count_nonzero(above) == 2
    colour = replace(oct_scan(), values=np.stack([VALUES] * 3, -1))
    assert top_view.top_view(colour).shape == (5, 6, 3)
    assert not top_view.top_view(replace(oct_scan(), values=np.full_like(VALUES, 7))).any()  # nothing to tell apart
    upwards = oct_scan(enface=placed(9, 1))  # the first B-scan is the lowest of the fundus
    assert top_view.runs_upwards(upwards) and np.array_equal(top_view.top_view(upwards), above[::-1])
    assert not top_view.runs_upwards(oct_scan(enface=placed(1, 9)))


def test_only_oct_volumes_have_one():
    assert top_view.has_top_view(oct_scan())
    assert not top_view.has_top_view(replace(oct_scan(), modality="CT"))
    assert not top_view.has_top_view(replace(oct_scan(), values=VALUES[:1]))
    assert not top_view.has_top_view(replace(oct_scan(), values=VALUES[0], is_volume=False))


def test_the_scale_says_where_each_size_comes_from():
    steps = (Step("B-scans"), Step("depth", 3.87, "file"), Step("A-scans", 11.5, "assumed", "an eye of 24 mm"))
    session = Session(Predictor(FakeBackend(64), "off"), replace(oct_scan(scale=steps), spacing_mm=(0.00387, 0.0115)))
    found = top_view.scale_view(session)
    assert found["origin"] == "depth file, A-scans assumed" and found["steps"][0]["um"] is None
    assert found["steps"][2]["basis"] == "an eye of 24 mm"
    session.spacing_mm = (0.1, 0.00387, 0.012)
    found = top_view.scale_view(session)
    assert [step["origin"] for step in found["steps"]] == ["user", "file", "user"]
    assert found["steps"][2]["um"] == pytest.approx(12) and "11.5 um (assumed)" in found["steps"][2]["basis"]
    known = Session(session.predictor, replace(oct_scan(), spacing_mm=(0.12, 0.004, 0.012)))
    assert top_view.scale_view(known)["origin"] == "file"
    known.spacing_mm = (0.004, 0.012)
    assert [step["um"] for step in top_view.scale_view(known)["steps"]] == [None, pytest.approx(4), pytest.approx(12)]


def test_a_file_of_a_scanner_is_shown_from_above_once(tmp_path):
    pytest.importorskip("eyepy")
    from PIL import Image

    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    image = np.random.default_rng(2).integers(0, 255, (4, 40, 60)).astype(np.uint8)
    write_vol(tmp_path / "a.vol", image, (120.0, 3.87, 11.5))
    answer = page.upload(("a.vol", (tmp_path / "a.vol").read_bytes()))
    shown = answer["view"]["image"]
    assert shown["scale"]["origin"] == "file" and shown["spacing_mm"] == pytest.approx([0.12, 0.00387, 0.0115])
    picture = Image.open(io.BytesIO(base64.b64decode(shown["top_view"]["png"].split(",")[1])))
    assert picture.size == (60, 4)
    assert "png" not in page.do("look", slice=2, have=shown["key"])["image"]["top_view"]
    page.do("box", slice=1, box=[5, 5, 40, 30])
    for sizes, origins, words in (
        ([0.12, 0.00387, 0.0115], ["file"] * 3, "file"),
        ([0.12, 0.00387, 0.02], ["file", "file", "user"], "B-scans file, depth file, A-scans user"),
    ):
        page.do("spacing", mm=sizes)
        saved = base64.b64decode(page.ask("save", slice=1, what="zip")["file"]["data"])
        record = json.loads(zipfile.ZipFile(io.BytesIO(saved)).read("a_record.json"))
        assert [step["origin"] for step in record["scale"]] == origins and record["spacing_origin"] == words
    assert page.upload(("b.png", png_of(np.zeros((30, 30), np.uint8))))["view"]["image"]["top_view"] is None
