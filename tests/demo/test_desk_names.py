"""Saying what an object is, at the desk and at the endpoint."""

import base64
import io
import json
import zipfile

import numpy as np
import pytest
from demo_desk import OneModel, Page, desk_with, mask_of, png_of
from fakes import FakeBackend

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.model.spec import load_spec
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

models = load_demo("models")

NAMES = ("CT", "optic cup")


@pytest.fixture
def naming_desk():
    """Two fake models: the default one knows names, "nameless" does not."""
    catalogue = OneModel(Predictor(FakeBackend(64, targets=NAMES), "off"))
    nameless = Predictor(FakeBackend(64), "off")
    catalogue.get = lambda name, engine: nameless if name == "nameless" else catalogue.predictor
    return desk_with(catalogue)


def open_grey(page):
    assert page.upload(("grey.png", png_of(np.full((64, 64), 90, np.uint8))))["ok"]


def test_what_an_object_is_can_be_said_and_goes_home(naming_desk):
    page = Page(naming_desk)
    open_grey(page)
    view = page.do("box", box=[10, 10, 40, 40])
    assert [list(group) for group in view["targets"]] == [["CT", ("CT",)], ["Fundus", ("optic cup",)]]
    assert view["objects"][0]["target"] is None and mask_of(view["objects"][0], (64, 64)).sum() == 31**2
    view = page.do("target", target="optic cup")
    assert view["objects"][0]["target"] == "optic cup" and mask_of(view["objects"][0], (64, 64)).sum() == 27**2
    page.do("box", box=[45, 45, 60, 60], new=True)
    files = zipfile.ZipFile(io.BytesIO(base64.b64decode(page.ask("save", what="zip")["file"]["data"])))
    objects = json.loads(files.read("prompts.json"))["objects"]
    assert [item.get("target") for item in objects] == ["optic cup", None]
    record = json.loads(files.read("grey_record.json"))
    assert [item["target"] for item in record["objects"]] == ["optic cup", None]
    page.do("undo")
    assert page.do("undo")["objects"][0]["target"] is None
    assert page.do("redo")["objects"][0]["target"] == "optic cup"
    assert page.do("target", target="")["objects"][0]["target"] is None
    answer = page.ask("target", target="optic cups")
    assert not answer["ok"] and "did you mean 'optic cup'" in answer["error"]
    assert not page.ask("target", target=3)["ok"]


def test_models_that_do_not_know_a_name_say_so(naming_desk):
    page = Page(naming_desk)
    open_grey(page)
    page.do("box", box=[10, 10, 40, 40])
    page.do("target", target="optic cup")
    view = page.do("compare", model="nameless", engine="fake")
    assert view["compared"]["timing"].endswith("nameless does not know optic cup and was asked without")
    a, b = 27**2, 31**2
    assert view["compared"]["objects"][0]["dice"] == pytest.approx(2 * a / (a + b), abs=1e-4)
    answer = page.ask("model", model="nameless", engine="fake")
    assert answer["message"] == "This model does not know optic cup: it is asked without, the objects keep it."
    assert answer["view"]["targets"] == () and answer["view"]["objects"][0]["target"] == "optic cup"
    assert mask_of(answer["view"]["objects"][0], (64, 64)).sum() == a and answer["view"]["stale"]["here"] == 1
    view = page.do("renew")
    assert mask_of(view["objects"][0], (64, 64)).sum() == b and view["stale"]["all"] == 0
    page.do("undo")
    assert page.do("undo")["model"] == "fake" and page.do("redo")["model"] == "nameless" and page.do("redo")["model"]
    # the other way round: the model to compare with is told what this one does not know
    view = page.do("compare", model="fake", engine="fake")
    assert "does not know" not in view["compared"]["timing"] and view["compared"]["objects"][0]["dice"] < 1
    assert "message" not in page.ask("model", model="fake", engine="fake")


def test_the_endpoint_takes_a_target_for_each_object(naming_desk, tmp_path):
    pytest.importorskip("gradio")
    endpoints = load_demo("endpoints")
    path = tmp_path / "grey.png"
    path.write_bytes(png_of(np.full((64, 64), 90, np.uint8)))
    objects = [{"box": [10, 10, 40, 40], "target": "optic cup"}, {"box": [45, 45, 60, 60]}]
    prompts = {"version": 1, "objects": objects}
    _, record = endpoints.segment_file(naming_desk, str(path), prompts, None, None)
    assert [(item["target"], item["area_px"]) for item in record["objects"]] == [("optic cup", 27**2), (None, 16**2)]
    with pytest.raises(ValueError, match="target must be left out for fake, which knows no names"):
        endpoints.segment_file(naming_desk, str(path), prompts, "nameless", None)


def test_the_service_lists_the_names_of_its_models():
    assert models.Models().facts("lite-medsam")["targets"] == list(load_spec(DEFAULT_WEIGHTS).targets)
