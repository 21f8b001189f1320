"""Three linked planes in the page: a crosshair that leads, and prompts that are answered on the plane they are drawn on."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from demo_desk import Page, desk_with

PLANE = "document.querySelector('#lm-plane-{}').liteMedsam"


def place(editor, number, x, y):
    return editor.page.evaluate(f"{PLANE.format(number)}.toClient({x}, {y})")


def shown(editor, number):
    return editor.page.evaluate(f"{PLANE.format(number)}.plane.shown")


def unzipped(file):
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(file["data"]))) as held:
        return file["name"], {name: held.read(name) for name in held.namelist()}


def planes_settle(editor):
    editor.settle()
    editor.page.wait_for_function("!document.querySelector('#lm-canvas').liteMedsam.planes.busy", timeout=20_000)
    editor.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_click_on_a_plane_leads_the_others_there_and_a_box_is_answered_on_it(editor):
    editor.sample("CT volume")
    image = editor.view()["image"]
    depth, width = image["slices"], image["width"]
    editor.page.keyboard.press("q")
    planes_settle(editor)
    coronal, sagittal = shown(editor, 1), shown(editor, 2)
    assert (coronal["name"], sagittal["name"]) == ("coronal", "sagittal")
    assert (coronal["width"], coronal["height"]) == (width, depth)
    # a millimetre is as long both ways
    (x0, y0), (x1, _), (_, y1) = (place(editor, 1, *at) for at in ((0, 0), (50, 0), (0, 10)))
    assert (y1 - y0) / 10 / ((x1 - x0) / 50) == pytest.approx(coronal["um"]["y"] / coronal["um"]["x"], rel=1e-3)
    # a click on the coronal picture: its column is x, its row is z from the head down
    editor.page.mouse.click(*place(editor, 1, 70, 4))
    planes_settle(editor)
    assert editor.view()["image"]["slice"] == depth - 1 - 4 and shown(editor, 2)["index"] == 70
    editor.page.mouse.move(*place(editor, 2, 40, 4))
    editor.page.mouse.wheel(0, 120)  # through the pictures of this plane
    planes_settle(editor)
    assert shown(editor, 2)["index"] == 71 and shown(editor, 1)["index"] == coronal["index"]
    # the box is answered on the plane that it is drawn on, and its mask is seen on all
    left, top = place(editor, 1, 60, 3)
    right, bottom = place(editor, 1, 130, depth - 4)
    editor.page.mouse.move(left, top)
    editor.page.mouse.down()
    editor.page.mouse.move(right, bottom, steps=4)
    editor.page.mouse.up()
    planes_settle(editor)
    (item,) = shown(editor, 1)["objects"]
    assert np.abs(np.subtract(item["box"], [60, 3, 130, depth - 4])).max() <= 1 and item["mask"]
    assert len(editor.objects()[0]["slices"]) > 2 and editor.objects()[0]["box"] is None
    runs = editor.objects()[0]["mask"]
    assert runs is None or runs["h"] == 1  # a line on the slice, where that plane cuts it
    editor.page.keyboard.press("q")
    assert not editor.page.is_visible("#lm-plane-1")
    editor.sample("US")
    editor.page.keyboard.press("q")
    assert not editor.page.is_visible("#lm-plane-1")  # a picture has one plane
    assert editor.errors == []


def test_requests_for_planes_are_checked_and_pictures_are_sent_once():
    from demo_desk import OneModel
    from fakes import FakeBackend

    from lite_medsam.segment.predictor import Predictor

    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    sample = next(s["name"] for s in page.ask("hello")["about"]["samples"] if s["title"] == "CT volume")
    image = page.do("sample", name=sample)["image"]
    first = page.ask("planes", at=[10, 20, 3])["planes"]
    assert [one["index"] for one in first] == [20, 10] and all("png" in one for one in first)
    again = page.ask("planes", at=[10, 21, 3], have=[one["key"] for one in first])["planes"]
    assert "png" in again[0] and "png" not in again[1]
    for at in ([1, 2], [1, image["height"], 3], ["a", 1, 2], None):
        assert not page.ask("planes", at=at)["ok"]
    assert not page.ask("planebox", axis=0, index=3, box=[1, 1, 9, 9])["ok"]
    assert not page.ask("planebox", axis=1, index=3, box=[900, 1, 999, 9])["ok"]
    view = page.do("planeclick", axis=2, index=30, x=40, y=5, positive=True)
    assert view["objects"][0]["slices"] and view["undo"]
    name, files = unzipped(page.ask("save", what="zip", slice=3)["file"])
    assert name.endswith(".zip") and "prompts_sagittal.json" in files and b"prompts_PLANE.json" in files["README.txt"]
    document = json.loads(files["prompts_sagittal.json"])
    assert document["axis"] == "i" and document["objects"][0]["slices"][0]["points"]
    assert len(json.loads(files["prompts.json"])["objects"][0]["slices"]) > 1  # the mask stands on the slices too
    page.do("planeunclick", axis=2, index=30, number=0)
    assert page.do("look")["objects"][0]["slices"] == []


def test_planes_come_with_all_grey_values_where_they_are_asked_for():
    from demo_desk import OneModel
    from fakes import FakeBackend
    from PIL import Image

    from lite_medsam.scans.geometry import Geometry
    from lite_medsam.scans.scan import Scan
    from lite_medsam.segment.predictor import Predictor

    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    shape = (6, 30, 40)
    values = np.random.default_rng(0).integers(-1000, 2000, shape).astype(np.int16)
    scan = Scan(
        values, (1.0, 1.0, 1.0), "CT", Geometry.from_spacing(shape, None), is_volume=True, default_window=(40, 400)
    )
    page.desk.use(page.desk.seats.find(page.token), scan)
    for one, picture in zip(
        page.ask("planes", at=[7, 20, 3], values=True)["planes"], (values[:, 20], values[:, :, 7]), strict=True
    ):
        codes = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["png"].split(",")[1]))), np.int64)
        seen = one["low"] + one["step"] * (256 * codes[..., 0] + codes[..., 1])
        assert np.array_equal(seen, picture[::-1])  # the head is up
