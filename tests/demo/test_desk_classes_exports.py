"""Requests about classes, clean-up and exports, without a browser: what comes back, and what is in the files."""

import base64
import csv
import io
import json
import zipfile

import numpy as np
import pytest
from demo_desk import OneModel, Page, desk_with, png_of
from fakes import FakeBackend

from lite_medsam.segment.predictor import Predictor


@pytest.fixture
def desk():
    return desk_with(OneModel(Predictor(FakeBackend(64))))


@pytest.fixture
def page(desk):
    page = Page(desk)
    assert page.upload(("cells.png", png_of(np.full((60, 80), 90, np.uint8))))["ok"]
    return page


def paint(page, x, y, radius=4, **more):
    page.do("paint", stroke=[[x, y]], radius=radius, add=True, **more)


def file_of(page, what, **more):
    answer = page.ask("save", what=what, **more)
    assert answer["ok"], answer
    return answer["file"]["name"], base64.b64decode(answer["file"]["data"])


def pixels_of(data):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)))


def two_kinds(page):
    """Objects 1 and 3 are of the second class, object 2 of the first."""
    page.do("classes", text="name,colour,key\nnucleus,#ff0000,n\ndebris,#00ff00,d\nempty,#0000ff,\n")
    paint(page, 10, 10)
    page.do("class", name="debris")
    page.do("add")
    paint(page, 40, 20, 6)
    page.do("class", name="nucleus")
    page.do("add")
    paint(page, 60, 45, 5)
    return page.do("class", name="debris")


def test_classes_come_from_a_file_and_objects_have_them(page):
    view = two_kinds(page)
    assert view["classes"][0] == {"name": "nucleus", "colour": "#ff0000", "key": "n"} and view["class"] == "debris"
    assert [(item["number"], item["name"], item["label"]) for item in view["objects"]] == [
        (1, "debris 1", "debris"), (2, "nucleus 2", "nucleus"), (3, "debris 3", "debris"),
    ]  # fmt: skip
    assert page.do("add")["objects"][-1]["name"] == "debris 4"
    page.do("addclass", name="vessel", colour="#123456", key="v")
    assert page.do("addclass", name="nucleus", colour="#abcdef")["classes"][0]["colour"] == "#abcdef"
    view = page.do("dropclass", name="debris")
    assert [item["label"] for item in view["objects"]] == [None, "nucleus", None, None]
    answer = page.ask("saveclasses", format="csv")
    rows = list(csv.reader(base64.b64decode(answer["file"]["data"]).decode().splitlines()))
    assert rows[1:] == [["nucleus", "#abcdef", "n"], ["empty", "#0000ff", "1"], ["vessel", "#123456", "v"]]
    for _ in range(3):
        page.do("undo")
    assert [item["label"] for item in page.do("look")["objects"]][:3] == ["debris", "nucleus", "debris"]


def test_files_follow_the_classes(page):
    two_kinds(page)
    name, data = file_of(page, "classes")
    labels, classes = pixels_of(file_of(page, "label")[1]), pixels_of(data)
    assert name == "cells_classes.png"
    assert np.array_equal(classes, np.array([0, 2, 1, 2])[labels])
    archive = zipfile.ZipFile(io.BytesIO(file_of(page, "zip")[1]))
    readme = archive.read("README.txt").decode()
    for name in set(archive.namelist()) - {"README.txt", "cells_record.json"}:
        assert name in readme or name.startswith("prompts_"), name
    assert archive.read("cells_classes.csv").decode().splitlines()[1:] == [
        "1,nucleus,#ff0000", "2,debris,#00ff00", "3,empty,#0000ff",
    ]  # fmt: skip
    coco = json.loads(archive.read("cells_coco.json"))
    assert [(one["id"], one["name"]) for one in coco["categories"]] == [(1, "nucleus"), (2, "debris"), (3, "empty")]
    assert [one["category_id"] for one in coco["annotations"]] == [2, 1, 2]
    assert [one["object_name"] for one in coco["annotations"]] == ["debris 1", "nucleus 2", "debris 3"]
    assert archive.read("cells_yolo_classes.txt").decode() == "nucleus\ndebris\nempty\n"
    assert [line[0] for line in archive.read("cells_yolo.txt").decode().splitlines()] == ["1", "0", "1"]
    shapes = json.loads(archive.read("cells_labelme.json"))["shapes"]
    assert [(s["label"], s["group_id"], s["description"]) for s in shapes] == [
        ("debris", 1, "debris 1"), ("nucleus", 2, "nucleus 2"), ("debris", 3, "debris 3"),
    ]  # fmt: skip
    record = json.loads(archive.read("cells_record.json"))
    assert [item["class"] for item in record["objects"]] == ["debris", "nucleus", "debris"]
    other = Page(page.desk)
    other.upload(("cells.png", png_of(np.full((60, 80), 90, np.uint8))))
    other.do("classes", text=archive.read("classes.json").decode())
    assert other.do("look")["classes"] == page.do("look")["classes"]


def test_every_kind_of_file_can_be_had_alone(page):
    paint(page, 30, 30, 8)
    found = {what: file_of(page, what)[0] for what in ("names", "polygons", "labelme")}
    assert found == {what: f"cells_{end}" for what, end in
                     {"names": "names.png", "polygons": "polygons.json", "labelme": "labelme.json"}.items()}  # fmt: skip
    name, data = file_of(page, "yolo")
    assert name == "cells_yolo.zip"
    assert sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) == ["cells_yolo.txt", "cells_yolo_classes.txt"]
    assert not np.array_equal(pixels_of(file_of(page, "names")[1]), pixels_of(file_of(page, "overlay")[1]))
    assert "only for DICOM images" in page.ask("save", what="dicomseg")["error"]
    assert page.do("look")["lacks"]["dicomseg"].startswith("only for DICOM images")
    assert "add classes first" in page.ask("save", what="classes")["error"]
    assert "must be zip or one of" in page.ask("save", what="exe")["error"]


def test_a_volume_has_a_file_for_each_slice(desk, tmp_path):
    from lite_medsam.cases.case import save_case
    from lite_medsam.phantoms import make_phantom_volume

    save_case(tmp_path / "v.npz", make_phantom_volume("ct", 0, (4, 96, 96)))
    page = Page(desk)
    page.upload(("3D_case.npz", (tmp_path / "v.npz").read_bytes()))
    page.do("classes", text="organ\n")
    paint(page, 40, 40, slice=1)
    page.do("class", name="organ", slice=1)
    paint(page, 42, 40, slice=2)
    name, data = file_of(page, "labelme", slice=1)
    assert name == "3D_case_labelme.zip"
    assert sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) == [f"3D_case_z00{z}_labelme.json" for z in (1, 2)]
    name, data = file_of(page, "classes", slice=2)
    assert name == "3D_case_z002_classes.png" and pixels_of(data).max() == 1


def test_a_dicom_segmentation_refers_to_images_that_are_gone(desk, tmp_path):
    hd = pytest.importorskip("highdicom")
    from dicom_files import write_series

    write_series(tmp_path / "series", shape=(40, 50), StudyInstanceUID="1.2.3", FrameOfReferenceUID="1.2.4")
    files = sorted((tmp_path / "series").iterdir())
    page = Page(desk)
    answer = page.upload(*[(path.name, path.read_bytes()) for path in files])
    assert answer["ok"] and answer["view"]["lacks"] == {"dicomseg": None}
    page.do("classes", text="liver\n")
    paint(page, 20, 20, slice=1)
    page.do("class", name="liver", slice=1)
    page.do("rename", object=answer["view"].get("selected") or 1, name="the big one", slice=1)
    name, data = file_of(page, "dicomseg", slice=1)
    (tmp_path / name).write_bytes(data)
    seg = hd.seg.segread(tmp_path / name)
    description = seg.get_segment_description(1)
    assert name.endswith("_seg.dcm") and description.segment_label == "the big one"
    assert description.segmented_property_type.meaning == "Liver"
    archive = zipfile.ZipFile(io.BytesIO(file_of(page, "zip", slice=1)[1]))
    assert any(name.endswith("_seg.dcm") for name in archive.namelist())
    assert "_seg.dcm: DICOM segmentation" in archive.read("README.txt").decode()


def test_clean_up_says_what_it_did(page):
    paint(page, 20, 20, 6)
    paint(page, 70, 50, 1)
    answer = page.ask("cleanup", action="islands", amount=20)
    assert answer["message"] == "1 object freed of small islands."
    area = answer["view"]["objects"][0]["measures"][0]
    assert page.do("undo")["objects"][0]["measures"][0] != area
    assert page.ask("cleanup", action="islands", amount=1)["message"] == "Nothing had to change."
    answer = page.ask("cleanup", action="shrink", amount=40)
    assert answer["message"] == "Nothing had to change. Nothing would have been left of 1: as before."
    assert "type it in, or use px" in page.ask("cleanup", action="grow", amount=1, unit="mm")["error"]
    page.do("spacing", mm=[0.5, 0.5])
    assert page.ask("cleanup", action="grow", amount=1, unit="mm", every=True)["message"] == "1 object grown."


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "cleanup"}, {"op": "cleanup", "action": 3}, {"op": "cleanup", "action": "grow", "amount": "x"},
        {"op": "cleanup", "action": "grow", "amount": 1, "slice": 9}, {"op": "cleanup", "action": "largest", "object": 77},
        {"op": "candidates", "kind": "some"}, {"op": "candidates", "object": 77}, {"op": "accept", "chosen": [0]},
        {"op": "accept"}, {"op": "classes"}, {"op": "classes", "text": "x" * 2_000_000}, {"op": "class", "name": "none"},
        {"op": "addclass"}, {"op": "addclass", "name": "a", "colour": "red"}, {"op": "dropclass", "name": "a"},
        {"op": "saveclasses"}, {"op": "saveclasses", "format": "exe"},
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(page, request_):
    paint(page, 20, 20)
    before = page.do("look")["objects"]
    answer = page.ask(**request_)
    assert not answer["ok"] and answer["code"] == "bad" and "\n" not in answer["error"]
    assert page.do("look")["objects"] == before
