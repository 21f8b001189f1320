"""The page as an annotator has it: find the others, classes, clean-up, exports; one server and one page for all."""

import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")

from demo_desk import mask_of, png_of
from editor import iou

from lite_medsam.phantoms import make_phantom

CELLS = make_phantom("microscopy", 1)
PIECE = 288  # pixels of a side: the search goes through the whole picture, so a smaller one is quicker
PERMISSIONS = ["clipboard-read", "clipboard-write"]


def offered(editor):
    """Numbers and masks of the candidates that are taken, and how many there are in all."""
    return [int(word) for word in editor.page.inner_text("#lm-offered").split() if word.isdigit()]


def test_others_like_one_nucleus_are_offered_and_taken_in_one_step(editor):
    label = CELLS.label[:PIECE, :PIECE]
    boxes = [box.tolist() for box in CELLS.boxes if box.max() < PIECE]
    editor.upload("nuclei.png", png_of(CELLS.image[:PIECE, :PIECE]))
    assert editor.page.is_disabled("#lm-find")
    x0, y0, x1, y1 = boxes[0]
    editor.drag((x0, y0), (x1, y1))
    for way in (lambda: editor.page.keyboard.press("Escape"), editor.page.get_by_role("button", name="Cancel").click):
        editor.page.click("#lm-everything")
        way()
        editor.page.wait_for_function("document.querySelector('#lm-message').innerText.includes('given up; nothing')")
        editor.settle()
        assert not editor.page.is_visible("#lm-offer") and not editor.view()["redo"] and len(editor.objects()) == 1
    editor.page.set_viewport_size({"width": 390, "height": 844})
    editor.page.focus("#lm-canvas")
    editor.page.keyboard.press("j")
    accept = editor.page.get_by_role(
        "button", name="Accept", exact=True
    )  # on the picture: on a phone the panel is away
    accept.wait_for(timeout=60_000)
    told = editor.message()
    editor.page.get_by_role("button", name="Dismiss the message").click()
    editor.page.set_viewport_size({"width": 1366, "height": 768})
    editor.page.wait_for_selector("#lm-accept:visible", timeout=60_000)
    editor.settle()
    taken, all_of_them = offered(editor)
    assert f"{all_of_them} found" in told
    assert 6 < taken <= all_of_them and len(editor.objects()) == 1  # nothing has changed so far
    editor.page.evaluate("(s) => { s.value = 90; s.dispatchEvent(new Event('input')); }",
                         editor.page.query_selector("#lm-likeness"))  # fmt: skip
    few = offered(editor)[0]
    assert few < taken
    editor.page.evaluate("(s) => { s.value = 50; s.dispatchEvent(new Event('input')); }",
                         editor.page.query_selector("#lm-likeness"))  # fmt: skip
    x, y = ((boxes[3][k] + boxes[3][k + 2]) // 2 for k in (0, 1))
    editor.click(int(x), int(y))
    assert abs(offered(editor)[0] - taken) == 1 and len(editor.objects()) == 1  # the click was for the candidate
    editor.click(int(x), int(y))
    assert editor.page.inner_text("#lm-accept") == f"Accept all {taken}"
    editor.page.click("#lm-accept")
    editor.settle()
    objects = editor.objects()
    assert len(objects) == taken + 1 and editor.message().startswith(f"{taken} objects added.")
    truths = [label == value for value in np.unique(label)[1:]]
    right = [max(iou(mask_of(item, label.shape), truth) for truth in truths) > 0.5 for item in objects]
    assert np.mean(right) > 0.85
    assert not editor.page.is_visible("#lm-offer")
    editor.page.keyboard.press("Control+z")
    editor.settle()
    assert len(editor.objects()) == 1


def discs(places, hw=(120, 160)):
    """A picture with bright discs."""
    y, x = np.ogrid[: hw[0], : hw[1]]
    image = np.full(hw, 40, np.uint8)
    for cx, cy, radius in places:
        image[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = 200
    return image


def dab(editor, *places):
    editor.tool("brush")
    for x, y in places:
        editor.click(x, y)


def test_classes_go_by_list_and_key_and_into_the_files(editor, tmp_path):
    page = editor.page
    editor.upload("cells.png", png_of(discs([(40, 40, 15), (110, 60, 20)])))
    editor.unfold()
    page.set_input_files("#lm-class-file", {"name": "classes.csv", "mimeType": "text/csv",
                                            "buffer": b"name,colour,key\nnucleus,#ff0000,\ndebris,#00ff00,d\n"})  # fmt: skip
    page.wait_for_selector("[data-class=debris]")
    dab(editor, (40, 40))
    page.focus("#lm-canvas")
    page.keyboard.press("Shift+D")
    editor.settle()
    page.keyboard.press("o")
    editor.settle()
    dab(editor, (110, 60))
    page.focus("#lm-canvas")
    page.keyboard.press("Shift+Digit1")
    editor.settle()
    assert [(item["name"], item["label"]) for item in editor.objects()] == [
        ("debris 1", "debris"),
        ("nucleus 2", "nucleus"),
    ]
    assert page.get_attribute("[data-class=nucleus]", "aria-pressed") == "true"
    page.check("#lm-by-class")
    editor.settle()
    assert [item["colour"] for item in editor.objects()] == [[0, 255, 0], [255, 0, 0]]
    page.uncheck("#lm-by-class")
    editor.settle()
    page.fill("#lm-class-name", "vessel")
    page.press("#lm-class-name", "Shift+D")  # in a field it is a letter
    page.fill("#lm-class-name", "vessel")
    page.click("#lm-class-add")
    editor.settle()
    assert [one["name"] for one in editor.view()["classes"]] == ["nucleus", "debris", "vessel"]
    with page.expect_download() as caught:
        page.select_option("#lm-class-save", "json")
    caught.value.save_as(tmp_path / "classes.json")
    assert [one["name"] for one in json.loads((tmp_path / "classes.json").read_text())] == [
        "nucleus",
        "debris",
        "vessel",
    ]
    shapes = json.loads(editor.download("labelme", tmp_path).read_text())["shapes"]
    assert [shape["label"] for shape in shapes] == ["debris", "nucleus"]
    from PIL import Image

    classes = np.asarray(Image.open(editor.download("classes", tmp_path)))
    assert classes[40, 40] == 2 and classes[60, 110] == 1


def test_exports_say_what_they_cannot_do_and_the_overlay_is_copied(editor, tmp_path):
    page = editor.page
    editor.upload("disc.png", png_of(discs([(80, 60, 25)])))
    dab(editor, (80, 60))
    page.click("#lm-export")
    assert page.is_disabled("#lm-save-dicomseg") and "only for DICOM images" in page.inner_text("#lm-save-dicomseg")
    assert not page.is_visible("#lm-save-classes")  # there is no class list
    page.click("#lm-copy")
    page.wait_for_function("document.querySelector('#lm-message').innerText.includes('in the clipboard')")
    kinds = page.evaluate("navigator.clipboard.read().then((items) => items.flatMap((item) => item.types))")
    assert kinds == ["image/png"]
    assert sorted(zipfile.ZipFile(editor.download("yolo", tmp_path)).namelist()) == [
        "disc_yolo.txt",
        "disc_yolo_classes.txt",
    ]
    names = zipfile.ZipFile(io.BytesIO(editor.download("zip", tmp_path).read_bytes())).namelist()
    assert {"disc_names.png", "disc_labelme.json", "disc_yolo.txt", "disc_polygons.json"} <= set(names)
    assert editor.download("names", tmp_path).read_bytes()[:4] == b"\x89PNG"
    assert json.loads(editor.download("polygons", tmp_path).read_text())["type"] == "FeatureCollection"


def test_masks_are_cleaned_up_by_a_button_and_undo_takes_it_back(editor):
    page = editor.page
    editor.upload("noise.png", png_of(discs([(40, 40, 15)])))
    dab(editor, (40, 40), (120, 90))
    area = mask_of(editor.objects()[0], (120, 160)).sum()
    editor.unfold()
    page.click("#lm-cleanup-largest")
    editor.settle()
    assert mask_of(editor.objects()[0], (120, 160)).sum() == area / 2
    page.click("#lm-undo")
    editor.settle()
    assert mask_of(editor.objects()[0], (120, 160)).sum() == area
    page.fill("#lm-cleanup-radius", "3")
    page.click("#lm-cleanup-grow")
    editor.settle()
    assert mask_of(editor.objects()[0], (120, 160)).sum() > 1.5 * area
    page.fill("#lm-cleanup-radius", "-1")
    page.click("#lm-cleanup-shrink")
    assert "must be a number above 0" in editor.error()
    assert page.locator("#lm-cleanup-unit option[value=mm]").is_disabled()  # nobody said how large a pixel is
