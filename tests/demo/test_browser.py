"""The demo driven by a mouse: headless Chromium draws, corrects, zooms, downloads; what it gets is checked in pixels."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest
from editor import case_file
from places import ROOT

pytest.importorskip("gradio")
from demo_desk import mask_of, png_of
from editor import Editor, iou
from fakes import FakeBackend

from lite_medsam.phantoms import make_phantom, make_phantom_volume
from lite_medsam.segment.predictor import Predictor

VIEWPORT = {"width": 1280, "height": 900}


def test_a_box_a_click_a_download_and_the_same_again_on_the_command_line(editor, tmp_path):
    case = make_phantom("us", 2)
    truth = case.label == 1
    editor.sample("US")
    x0, y0, x1, y1 = case.boxes[0].tolist()
    editor.drag((x0, y0), (x1, y1))
    (item,) = editor.objects()
    assert item["box"] == [x0, y0, x1, y1]  # the pixels that were dragged from and to, last one inside
    mask = mask_of(item, truth.shape)
    assert iou(mask, truth) > 0.7 and 0 < item["score"] <= 1
    assert editor.message().startswith("Mask in ") and " ms" in editor.message()
    editor.tool("unclick")
    editor.click(x0 + 3, y0 + 3)
    (item,) = editor.objects()
    assert item["points"] == [[x0 + 3, y0 + 3, 0]] and not mask_of(item, truth.shape)[int(y0 + 3), int(x0 + 3)]
    path = editor.download("zip", tmp_path)
    zipfile.ZipFile(path).extractall(tmp_path)
    from PIL import Image

    name = "2D_US_us-0002"
    label = np.asarray(Image.open(tmp_path / f"{name}_label.png"))
    assert np.array_equal(label == 1, mask_of(item, truth.shape))
    command = [sys.executable, "-m", "lite_medsam", "segment", "-i", tmp_path / f"{name}.npz"]
    done = subprocess.run([*command, "--prompts", tmp_path / "prompts.json", "-o", tmp_path / "again"], cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "again" / f"{name}_label.png")), label)
    # the npz that was taken home opens here again, spacing and all
    editor.upload(f"{name}.npz", (tmp_path / f"{name}.npz").read_bytes())
    assert editor.view()["image"]["spacing_mm"] == pytest.approx(list(case.spacing_mm))
    editor.drag((x0, y0), (x1, y1))
    assert np.array_equal(mask_of(editor.objects()[0], truth.shape), mask)
    assert editor.hosts == {"127.0.0.1"} and editor.errors == []


@pytest.mark.parametrize(
    ("shape", "size", "ratio", "spacing_mm"),
    [
        ((240, 640), (1280, 900), 1, None),
        # (the two between are slow together; the others hold each of what is special in them)
        pytest.param((600, 200), (1000, 700), 2, None, marks=pytest.mark.slow),
        pytest.param((496, 300), (1280, 900), 1, (0.00387, 0.0115), marks=pytest.mark.slow),
        ((300, 200), (1280, 900), 2, (0.02, 0.006)),
    ],
    ids=["wide", "tall", "oct", "long pixels"],
)
def test_prompts_land_on_their_pixel_at_every_zoom(browser, server, tmp_path, shape, size, ratio, spacing_mm):
    height, width = shape
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, device_scale_factor=ratio)
    editor = Editor(context.new_page(), server[0])
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if spacing_mm is None:
        editor.upload("noise.png", png_of(noise))
    else:
        editor.upload("noise.npz", case_file(noise, tmp_path, spacing_mm=spacing_mm, modality="OCT"))
    left, right = editor.on_page(0, height - 1), editor.on_page(width - 1, height - 1)
    across, down = (right[0] - left[0]) / (width - 1), (left[1] - editor.on_page(0, 0)[1]) / (height - 1)
    assert down / across == pytest.approx(1 if spacing_mm is None else spacing_mm[0] / spacing_mm[1], rel=1e-6)
    for zoom in (0, 9 if spacing_mm is None else 7):  # long sides leave the canvas sooner
        editor.page.keyboard.press("0")
        for _ in range(zoom):
            editor.page.keyboard.press("+")
        near = [(width // 2 + 3, height // 2 - 5), (width // 2 - 7, height // 2 + 4)]
        editor.tool("click")
        for x, y in near + ([(0, 0), (width - 1, height - 1)] if zoom == 0 else []):
            editor.page.keyboard.press("o")
            editor.click(x, y)
            found = editor.objects()[-1]["points"]
            assert len(found) == 1 and abs(found[0][0] - x) <= 1 and abs(found[0][1] - y) <= 1, (zoom, (x, y), found)
            assert zoom == 0 or found[0][:2] == [x, y]  # a pixel that is larger than the screen's is hit itself
        editor.tool("box")
        editor.page.keyboard.press("o")
        (ax, ay), (bx, by) = near[1], near[0]
        editor.drag((ax, ay), (bx, by))
        box = editor.objects()[-1]["box"]
        expected = [min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)]
        assert np.abs(np.subtract(box, expected)).max() <= (1 if zoom == 0 else 0), (zoom, box, expected)
    assert editor.errors == []
    context.close()


def test_boxes_move_and_resize_by_their_handles(editor):
    editor.sample("Dermoscopy")
    editor.drag((200, 150), (400, 350))
    editor.drag((250, 149.6), (270, 139.6))  # its border moves it
    assert editor.objects()[0]["box"] == [220, 140, 420, 340] and len(editor.objects()) == 1
    x, y = editor.on_page(420.5, 340.5)  # its corner, between pixels
    tx, ty = editor.on_page(440.5, 370.5)
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    editor.page.mouse.move(tx, ty, steps=4)
    editor.page.mouse.up()
    editor.settle()
    assert np.abs(np.subtract(editor.objects()[0]["box"], [220, 140, 440, 370])).max() <= 1
    editor.page.keyboard.down("Shift")
    editor.drag((300, 200), (350, 260))  # Shift: a new object, even inside
    editor.page.keyboard.up("Shift")
    assert len(editor.objects()) == 2 and editor.objects()[1]["box"] == [300, 200, 350, 260]


def test_objects_history_and_keys(editor):
    editor.sample("Microscopy")
    case = make_phantom("microscopy", 1)
    for number, box in enumerate(case.boxes[:3].astype(int).tolist()):
        if number:
            editor.page.keyboard.press("o")
        editor.settle()
        editor.drag(box[:2], box[2:])
    assert [item["name"] for item in editor.objects()] == ["object 1", "object 2", "object 3"]
    assert len({tuple(item["colour"]) for item in editor.objects()}) == 3
    editor.page.keyboard.press("2")
    editor.settle()
    name = editor.page.get_by_label("Name of object 2", exact=True)
    name.fill("nucleus b")
    name.press("Enter")
    editor.settle()
    assert editor.objects()[1]["name"] == "nucleus b"
    editor.page.click("#lm-undo")
    editor.settle()
    assert editor.objects()[1]["name"] == "object 2"
    editor.page.keyboard.press("Control+y")
    editor.settle()
    assert editor.objects()[1]["name"] == "nucleus b"
    editor.page.locator("#lm-canvas").focus()
    editor.page.keyboard.press("Delete")
    editor.settle()
    assert editor.objects()[1]["mask"] is None
    editor.page.keyboard.press("Control+z")
    editor.settle()
    assert editor.objects()[1]["mask"]["runs"]
    editor.page.select_option("#lm-merge", label="object 1")
    editor.settle()
    assert len(editor.objects()) == 2
    editor.page.click("#lm-split")
    editor.settle()
    assert len(editor.objects()) == 3 and "split into 2" in editor.message()
    editor.page.get_by_label("Remove object 3").click()
    editor.settle()
    assert len(editor.objects()) == 2
    editor.page.get_by_text("Exact prompt").click()
    editor.page.fill("#lm-exact", "10,20,60,70")
    editor.page.press("#lm-exact", "Enter")
    editor.settle()
    assert [10, 20, 60, 70] in [item["box"] for item in editor.objects()]


def test_scribbles_brush_and_choices(editor):
    editor.sample("OCT, cystoid oedema")
    editor.tool("scribble")
    editor.drag((350, 190), (400, 195), steps=12)
    points = editor.objects()[0]["points"]
    assert 2 <= len(points) <= 8 and all(label == 1 for _, _, label in points)
    editor.tool("click")
    editor.click(400, 240, button="right")
    assert editor.objects()[0]["points"][-1] == [400, 240, 0]
    before = mask_of(editor.objects()[0], (496, 768))
    editor.tool("brush")
    editor.drag((600, 100), (640, 100))
    item = editor.objects()[0]
    after = mask_of(item, (496, 768))
    assert item["painted"] and after[100, 600:641].all() and not (before & ~after).any()
    assert (after & ~before)[:120].any() and not (after & ~before)[130:].any()
    editor.tool("eraser")
    editor.drag((590, 100), (650, 100))
    assert not mask_of(editor.objects()[0], (496, 768))[100].any()
    editor.page.keyboard.press("o")
    editor.settle()
    editor.tool("click")
    case = make_phantom("oct-cme", 0)
    y, x = np.argwhere(case.label == 1).mean(0).round().astype(int).tolist()
    editor.click(x, y)
    item = editor.objects()[1]
    assert len(item["choices"]) >= 2 and item["chosen"] == 0
    editor.page.locator("button.lm-choice").nth(1).click()
    editor.settle()
    item = editor.objects()[1]
    assert item["chosen"] == 1 and item["mask"] == item["choices"][1]["mask"]


def test_a_volume_is_followed_corrected_and_stopped(editor):
    case = make_phantom_volume("oct-cme", 0)
    editor.sample("OCT volume")
    image = editor.view()["image"]
    assert image["slices"] == 25 and image["slice"] == 12
    z = image["slice"]
    values = np.bincount(case.label[z].ravel(), minlength=2)[1:]
    ys, xs = np.nonzero(case.label[z] == values.argmax() + 1)
    editor.drag((int(xs.min()), int(ys.min())), (int(xs.max()), int(ys.max())))
    editor.page.click("#lm-follow")
    editor.page.wait_for_function(
        "/slices \\d+ to \\d+/.test(document.querySelector('#lm-message').textContent)", timeout=60_000
    )
    editor.settle()
    marked = editor.view()["image"]["marked"]
    assert len(marked) > 1 and z in marked and editor.view()["image"]["prompted"] == [z]
    editor.page.locator("#lm-canvas").focus()
    editor.page.keyboard.press("PageDown")
    editor.settle()
    assert editor.view()["image"]["slice"] == z + 1
    editor.tool("brush")
    editor.drag((20, 20), (60, 20))
    assert editor.view()["image"]["prompted"] == [z, z + 1]
    editor.page.click("#lm-follow")
    editor.page.wait_for_function("!document.querySelector('#lm-follow').disabled", timeout=60_000)
    editor.settle()
    assert mask_of(editor.objects()[0], case.label.shape[1:])[20, 20:61].all()


def test_bad_uploads_are_told_in_the_page_and_it_goes_on(editor):
    editor.sample("US")
    for name, data in (("a.png", b"words"), ("b.nii.gz", b"\x1f\x8b123"), ("c.dcm", b"x" * 200), ("d.png", b"")):
        editor.upload(name, data)
        assert name in editor.error(), editor.message()
    editor.upload("large.png", bytes(4 * 2**20))
    assert "too large" in editor.error()
    editor.upload("many.png", png_of(np.zeros((2600, 2000), np.uint8)))
    assert "at most 5,000,000 pixels" in editor.error()
    editor.drag((150, 150), (300, 300))
    assert editor.objects()[0]["mask"]["runs"] and "at most 5,000,000 pixels" in editor.error()  # until it is dismissed
    editor.page.get_by_label("Dismiss the message").click()
    assert editor.error() == "" and "Mask in" in editor.message()


def test_what_it_is_can_be_chosen_where_the_model_knows_names(browser, server, monkeypatch):
    known = {
        "lite-medsam": Predictor(FakeBackend(64, targets=("CT", "US", "breast lesion", "my own")), "off"),
        "nameless": Predictor(FakeBackend(64), "off"),
    }
    catalogue = server[1].models
    monkeypatch.setattr(catalogue, "get", lambda name, engine: known[name])
    monkeypatch.setattr(catalogue, "directories", dict.fromkeys(known, ROOT))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    editor = Editor(context.new_page(), server[0])
    chooser = editor.page.get_by_label("What is it? (optional)")
    editor.sample("US")
    editor.drag((150, 140), (300, 310))
    assert chooser.is_visible() and chooser.input_value() == ""
    assert editor.page.locator("#lm-targets option").evaluate_all("(all) => all.map((one) => one.value)") == [
        "any object in US",  # of this kind of picture alone
        "breast lesion",
    ]

    def name_it(text):
        chooser.fill(text)
        chooser.press("Enter")
        editor.settle()

    before = sum(editor.objects()[0]["mask"]["runs"][1::2])
    name_it("spleen")
    assert "does not know" in editor.error() and editor.objects()[0]["target"] is None
    name_it("Breast lesion")
    (item,) = editor.objects()
    assert editor.error() == "" and item["name"] == "breast lesion"  # and the object is called so
    assert item["target"] == "breast lesion" and sum(item["mask"]["runs"][1::2]) < before
    editor.page.click("#lm-new")
    editor.settle()
    assert chooser.input_value() == ""  # each object has its own
    editor.page.click("#lm-undo")
    editor.settle()
    assert chooser.input_value() == "breast lesion"
    editor.page.click("#lm-undo")
    editor.settle()
    assert chooser.input_value() == "" and sum(editor.objects()[0]["mask"]["runs"][1::2]) == before
    assert editor.objects()[0]["name"] == "object 1"
    editor.page.click("#lm-redo")
    editor.settle()
    editor.unfold()
    editor.page.select_option("#lm-model", "nameless")
    editor.settle()
    assert not chooser.is_visible() and "does not know breast lesion" in editor.message()
    assert editor.objects()[0]["target"] == "breast lesion" and editor.errors == []
    context.close()
