"""What the desk gives to take home, and what it measures, follows and compares on the way."""

import base64
import io
import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from demo_desk import CASES, OCT, Page, desk_with, gradient, mask_of, png_of
from places import ROOT

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.prompts.prompt_set import load_prompts
from lite_medsam.segment.predictor import Predictor

models = load_demo("models")


def test_what_is_taken_home_is_made_again_by_the_command_line(real_desk, tmp_path):
    page = Page(real_desk)
    page.do("sample", name=OCT)
    boxes = CASES[OCT].boxes
    page.do("box", box=boxes[0].tolist())
    page.do("click", x=int(boxes[0][0]), y=int(boxes[0][1]), positive=False)
    page.do("box", box=boxes[1].tolist(), new=True)
    page.do("scribble", stroke=[[300, 300], [340, 305]], positive=False)
    page.do("add", name="painted cyst")
    page.do("paint", stroke=[[600, 100], [650, 120]], radius=10, add=True)
    view = page.do("look")
    file = page.ask("save", what="zip", look={"opacity": 0.3, "contours": False})["file"]
    assert file["name"] == f"{OCT}_lite-medsam.zip"
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(file["data"])))
    archive.extractall(tmp_path)
    names = set(archive.namelist())
    assert names >= {f"{OCT}{end}" for end in ("_label.png", "_overlay.png", ".npz", "_coco.json", "_record.json")}
    label = np.asarray(__import__("PIL.Image").Image.open(tmp_path / f"{OCT}_label.png"))
    for i, item in enumerate(view["objects"]):
        assert ((label == i + 1) <= mask_of(item, label.shape)).all()
    arrays = np.load(tmp_path / f"{OCT}.npz")
    assert np.array_equal(arrays["imgs"], CASES[OCT].image) and np.array_equal(arrays["segs"], label)
    assert arrays["boxes"].shape == (3, 4) and arrays["spacing"].tolist() == list(CASES[OCT].spacing_mm[::-1])
    text = (tmp_path / "README.txt").read_text()
    command = f"lite-medsam segment -i {OCT}.npz --prompts prompts.json -o out"
    assert command in text and "not a medical device" in text
    done = subprocess.run(
        [sys.executable, "-m", "lite_medsam", *command.split()[1:]], cwd=tmp_path, capture_output=True, text=True,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = np.asarray(__import__("PIL.Image").Image.open(tmp_path / "out" / f"{OCT}_label.png"))
    assert np.array_equal(again, label)
    record = json.loads((tmp_path / f"{OCT}_record.json").read_text())
    assert record["model"] == "lite-medsam" and [o["name"] for o in record["objects"]][2] == "painted cyst"


def test_many_objects_are_saved_as_they_are_shown(real_desk, tmp_path):
    name = next(name for name, case in CASES.items() if case.modality == "Microscopy")
    page = Page(real_desk)
    page.do("sample", name=name)
    for box in CASES[name].boxes[:24].tolist():
        view = page.do("box", box=box, new=True)
    shown = [mask_of(item, CASES[name].image.shape[:2]) for item in view["objects"]]
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(page.ask("save", what="zip")["file"]["data"])))
    archive.extractall(tmp_path)
    prompts = load_prompts(tmp_path / "prompts.json")
    again = Predictor.open().segment(CASES[name].image, prompts)  # all at once, so that near objects share crops
    assert all(np.array_equal(again.mask(i), mask) for i, mask in enumerate(shown))
    assert np.array_equal(again.label_map(), np.load(tmp_path / f"{name}.npz")["segs"])


def test_single_files_come_with_their_own_names(real_desk):
    page = Page(real_desk)
    assert "nothing is open" in page.ask("save", what="zip")["error"]
    page.do("sample", name=OCT)
    assert "no mask to save" in page.ask("save", what="zip")["error"]
    page.do("box", box=CASES[OCT].boxes[0].tolist())
    expected = {
        "label": (f"{OCT}_label.png", b"\x89PNG"), "overlay": (f"{OCT}_overlay.png", b"\x89PNG"),
        "npz": (f"{OCT}.npz", b"PK"), "coco": (f"{OCT}_coco.json", b"{"), "prompts": (f"{OCT}_prompts.json", b"{"),
    }  # fmt: skip
    for what, (name, start) in expected.items():
        file = page.ask("save", what=what)["file"]
        assert file["name"] == name and base64.b64decode(file["data"]).startswith(start)
    page.do("click", x=350, y=200, positive=True)
    assert page.ask("save", what="prompts")["file"]["name"] == f"{OCT}_prompts.zip"  # a mask comes with it


def test_measurements_follow_the_spacing(fake_desk):
    page = Page(fake_desk)
    page.upload(("a.png", png_of(gradient((100, 100), np.uint8, 255))))
    view = page.do("paint", stroke=[[50, 50]], radius=10, add=True)
    area = mask_of(view["objects"][0], (100, 100)).sum()
    assert view["objects"][0]["measures"][0] == ["area", f"{area} px"] and view["image"]["spacing_mm"] is None
    view = page.do("spacing", mm=[0.5, 0.2])
    assert view["objects"][0]["measures"][0] == ["area", f"{area * 0.1:.4g} mm² ({area} px)"]
    diameter = 2 * (area * 0.1 / np.pi) ** 0.5
    assert view["objects"][0]["measures"][1] == ["equivalent diameter", f"{diameter:.4g} mm"]
    view = page.do("look", unit="um")
    assert view["objects"][0]["measures"][0] == ["area", f"{area * 0.1:.4g} mm² ({area} px)"]  # no row of seven digits
    assert page.do("spacing", mm=[0.005, 0.002]) and view["summary"] == []
    view = page.do("look", unit="um")
    assert view["objects"][0]["measures"][0] == ["area", f"{area * 10:,} µm² ({area} px)"]
    page.do("rename", object=view["objects"][0]["id"], name="IRF")
    page.do("add", name="cyst")
    view = page.do("paint", stroke=[[10, 10]], radius=3, add=True)
    assert dict(view["summary"])["fluid regions"] == "2"
    assert page.do("spacing", mm=None)["image"]["spacing_mm"] is None


def test_an_object_is_followed_with_progress_and_can_be_stopped(real_desk):
    page = Page(real_desk)
    page.do("sample", name="3D_oct-cme")
    page.do("box", box=[150, 90, 200, 120], slice=12)
    page.do("propagate", slice=12)
    seen = []
    for _ in range(600):
        job = page.ask("progress")["job"]
        seen.append((job["done"], job["total"]))
        if not job["running"]:
            break
        time.sleep(0.05)
    assert not job["running"] and not job["failed"] and "slices 1 to" in job["message"] and seen[-1][0] > 0
    view = page.do("look", slice=12)
    assert view["image"]["prompted"] == [12] and len(view["image"]["marked"]) > 1
    first = len(view["image"]["marked"])
    page.do("undo", slice=12)
    assert page.do("look", slice=12)["image"]["marked"] == [12]
    page.do("propagate", slice=12)
    page.ask("stop")
    while page.ask("progress")["job"]["running"]:
        time.sleep(0.02)
    assert len(page.do("look", slice=12)["image"]["marked"]) <= first


def test_another_model_is_compared_on_the_same_prompts(tmp_path):
    import shutil

    from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

    shutil.copytree(DEFAULT_WEIGHTS, tmp_path / "all" / "mine")
    spec = json.loads((tmp_path / "all" / "mine" / "spec.json").read_text())
    (tmp_path / "all" / "mine" / "spec.json").write_text(json.dumps(spec | {"name": "my own"}))
    catalogue = models.Models([tmp_path / "all"])
    assert list(catalogue.directories) == ["lite-medsam", "my own"] and catalogue.default == "my own"
    desk = desk_with(catalogue)
    page = Page(desk, "lite-medsam")
    page.do("sample", name=OCT)
    page.do("box", box=CASES[OCT].boxes[0].tolist())
    view = page.do("compare", model="my own", engine="onnxruntime")
    assert view["compared"]["objects"][0]["dice"] == 1.0 and "my own" in view["compared"]["title"]
    assert "ms for 1 object" in view["compared"]["timing"]
    assert page.do("model", model="my own", engine="onnxruntime")["model"] == "my own"
    assert "must be one of" in page.ask("model", model="other", engine="onnxruntime")["error"]
    with pytest.raises(ValueError, match=r"no spec\.json"):
        models.Models([tmp_path])
    assert "not a medical device" in catalogue.card("lite-medsam").lower()
    assert "![" not in catalogue.card("lite-medsam")
