"""Objects over the desk: numbers, overlaps, locks, what is stale, what is refused; and that files say the same as the page."""

import base64
import csv
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")

from demo_desk import OneModel, Page, desk_with
from fakes import FakeBackend
from sessions import disc

from lite_medsam.results.overlay import label_colours
from lite_medsam.segment.predictor import Predictor

HW = (90, 120)


@pytest.fixture
def page():
    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    assert page.upload(("grey.png", png_of(np.random.default_rng(0).integers(0, 256, HW, np.uint8))))["ok"]
    return page


def png_of(array):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def archive_of(page, **request):
    data = base64.b64decode(page.ask("save", what="zip", **request)["file"]["data"])
    return zipfile.ZipFile(io.BytesIO(data))


def rows_of(archive):
    name = next(name for name in archive.namelist() if name.endswith("_measurements.csv"))
    return list(csv.DictReader(io.StringIO(archive.read(name).decode())))


def three_discs(page):
    for number, x in enumerate((20, 55, 90)):
        if number:
            page.do("add")
        view = page.do("paint", stroke=[[x, 40]], radius=12, add=True)
    return view


def test_numbers_and_colours_stay_and_files_have_them(page):
    before = three_discs(page)["objects"]
    view = page.do("remove", object=before[0]["id"])
    kept = [(item["number"], item["colour"]) for item in view["objects"]]
    assert kept == [(item["number"], item["colour"]) for item in before[1:]] and view["next"]["number"] == 4
    archive = archive_of(page)
    from PIL import Image

    picture = Image.open(io.BytesIO(archive.read("grey_label.png")))
    labels, colours = np.asarray(picture), np.reshape(picture.getpalette()[: 256 * 3], (-1, 3))
    assert sorted(np.unique(labels)) == [0, 2, 3]
    for number, colour in kept:
        assert colours[number].tolist() == colour == label_colours()[number].tolist()
        assert (labels == number).sum() == disc(HW, 20, 40, 12).sum()
    assert [row["object"] for row in rows_of(archive)] == ["2", "3"]
    record = json.loads(archive.read("grey_record.json"))
    assert [item["value"] for item in record["objects"]] == [2, 3]
    coco = json.loads(archive.read("grey_coco.json"))
    assert [item["object_id"] for item in coco["annotations"]] == [2, 3]
    overlay = np.asarray(Image.open(io.BytesIO(archive_of(page, look={"opacity": 1}).read("grey_overlay.png"))))
    assert overlay[40, 55].tolist() == kept[0][1] and overlay[40, 90].tolist() == kept[1][1]


def test_measurements_say_what_the_label_map_holds_where_objects_overlap(page):
    page.do("paint", stroke=[[40, 40]], radius=15, add=True)
    page.do("add")
    view = page.do("paint", stroke=[[55, 40]], radius=15, add=True)
    first, second = disc(HW, 40, 40, 15), disc(HW, 55, 40, 15)
    shared = int((first & second).sum())
    for item, other in zip(view["objects"], (2, 1), strict=True):
        assert [f"of it in object {other}, too", f"{shared} px"] in item["measures"]
    archive = archive_of(page)
    rows, labels = rows_of(archive), np.load(io.BytesIO(archive.read("grey.npz")))["segs"]
    assert [int(row["area_px"]) for row in rows] == [first.sum(), second.sum()]
    for row in rows:
        held = (labels == int(row["object"])).sum()
        assert int(row["label_map_px"] or row["area_px"]) == held
    assert {row["covered_by"] for row in rows} == {"", "2"} or {row["covered_by"] for row in rows} == {"", "1"}
    page.do("undo")
    page.do("paint", stroke=[[95, 40]], radius=15, add=True)
    assert "label_map_px" not in rows_of(archive_of(page))[0]


def test_locked_and_hidden_objects(page):
    first = three_discs(page)["objects"][0]["id"]
    view = page.do("lock", object=first, locked=True)
    assert [item["locked"] for item in view["objects"]] == [True, False, False]
    for request in (
        {"op": "box", "box": [1, 1, 9, 9]},
        {"op": "remove"},
        {"op": "rename", "name": "x"},
        {"op": "clear"},
    ):
        assert "object 1 is locked" in page.ask(request.pop("op"), object=first, **request)["error"]
    assert page.do("hide", object=first, hidden=True)["objects"][0]["hidden"]
    assert page.ask("lock", object=first, locked="no")["error"]
    assert not page.do("undo")["objects"][0]["hidden"] and not page.do("undo")["objects"][0]["locked"]


def test_the_eraser_and_boxes_beside_the_picture_change_nothing(page):
    assert "erased" in page.ask("paint", stroke=[[5, 5]], radius=3, add=False)["error"]
    assert page.do("look")["objects"] == [] and page.do("look")["next"]["number"] == 1
    assert "must overlap the image" in page.ask("box", box=[200, 5, 240, 30])["error"]
    assert "must overlap the image" in page.ask("box", box=[-50, -50, -1, 20], new=True)["error"]
    assert page.do("look")["objects"] == []
    view = page.do("box", box=[100, 70, 400, 300])
    assert view["objects"][0]["box"] == [100, 70, 119, 89] and view["objects"][0]["number"] == 1


def test_a_click_that_the_mask_does_not_hold_is_told(page):
    page.do("click", x=30, y=30)
    page.do("paint", stroke=[[30, 30]], radius=3, add=False)
    assert "does not hold the place" in page.do("click", x=30, y=30)["notice"]  # it was erased there by hand
    assert page.do("click", x=38, y=30)["notice"] is None


def test_a_model_or_window_is_a_step_and_what_is_stale_is_told(page):
    view = page.do("box", box=[10, 10, 60, 60])
    assert view["stale"] == {"here": 0, "all": 0, "followed": 0}
    mask = view["objects"][0]["mask"]
    view = page.do("window", centre=100, width=60)
    assert (
        view["stale"]["here"] == 1
        and view["objects"][0]["stale"]
        and view["objects"][0]["mask"] == mask
        and view["undo"]
    )
    assert page.ask("renew")["message"] == "1 object asked for anew."
    assert page.do("look")["stale"]["all"] == 0
    page.do("undo")
    view = page.do("undo")
    assert view["image"]["window"] is None and view["stale"]["here"] == 0 and view["undo"]


@pytest.mark.parametrize("mm", [[0, 1], [-1, 1], [1, -1e-9]], ids=str)
def test_a_pixel_size_that_is_none_is_refused(page, mm):
    assert page.do("spacing", mm=[0.5, 0.2])["image"]["spacing_mm"] == [0.5, 0.2]
    assert "spacing" in page.ask("spacing", mm=mm)["error"]
    assert page.do("look")["image"]["spacing_mm"] == [0.5, 0.2]
