"""The demo's endpoint, page and ZIP say what their numbers count, and take voxels of the file."""

import base64
import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from demo_desk import OneModel, Page, desk_with, png_of
from fakes import FakeBackend

from lite_medsam.cli import main
from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.scans.reading import load_volume
from lite_medsam.segment.predictor import Predictor

nibabel = pytest.importorskip("nibabel")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
SHAPE, BOX = (48, 40, 12), (10, 6, 4, 29, 19, 7)


@pytest.fixture
def desk():
    return desk_with(OneModel(Predictor(FakeBackend(64), "off")))


@pytest.fixture
def path(tmp_path):
    """Right, anterior, superior: every picture of it is shown flipped in both directions."""
    values = np.random.default_rng(0).integers(40, 60, SHAPE).astype(np.int16)
    i0, j0, k0, i1, j1, k1 = BOX
    values[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1] += 100
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1, 3, 1])), tmp_path / "a.nii.gz")
    return tmp_path / "a.nii.gz"


def labels_of(files):
    content = next(content for name, content in files if name.endswith(".nii.gz"))
    return np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(content)).dataobj)


def inside_share(found):
    i0, j0, k0, i1, j1, k1 = BOX
    return found[i0 : i1 + 1, j0 : j1 + 1, k0 : k1 + 1].sum() / max(1, found.sum())


def test_six_numbers_are_a_box_in_voxels(desk, path):
    pytest.importorskip("gradio")
    endpoints = load_demo("endpoints")
    geometry = load_volume(path).geometry
    shown = geometry.box_to_display(np.array(BOX)).tolist()
    item = {"name": "block", "box": BOX}
    slices = {"slices": [{"z": 5, "box": [10, 6, 29, 19]}], "z_range": [4, 7], "bounds": [10, 6, 29, 19]}
    for prompts, frame in (
        ([list(BOX)], "voxel"),
        (json.dumps([list(BOX)]), "voxel"),
        ({"version": 1, "volume": True, "objects": [item]}, "voxel"),
        ({"version": 1, "objects": [slices]}, "voxel"),
        ({"version": 1, "volume": True, "coordinates": "display", "objects": [item | {"box": shown}]}, "display"),
    ):
        files, record = endpoints.segment_file(desk, str(path), prompts, None, None)
        found = labels_of(files) == 1
        assert found.shape == SHAPE and found.sum() > 500 and inside_share(found) > 0.95, prompts
        held = np.argwhere(found)
        (answer,) = record["objects"]
        assert answer["box_voxel"] == [*held.min(0), *held.max(0)] and record["coordinates"]["prompts"] == frame
        assert answer["box_display"] == geometry.box_to_display(np.array(answer["box_voxel"])).tolist()
    for prompts, message in (
        ([[1, 2, 9, 9]], "do not say on which of the 12 slices"),
        ([[1, 2, 9, 9], list(BOX)], "must be of one kind"),
        ([[1, 2, 90, 9, 9, 99]], "meet slices 0 to 11"),
        ({"version": 1, "coordinates": "world", "objects": [item]}, "coordinates"),
    ):
        with pytest.raises(ValueError, match=message):
            endpoints.segment_file(desk, str(path), prompts, None, None)


def test_a_nifti_of_one_slice_takes_four_numbers(desk, tmp_path):
    pytest.importorskip("gradio")
    endpoints = load_demo("endpoints")
    nibabel.save(nibabel.Nifti1Image(np.zeros((30, 20), np.int16), np.eye(4)), tmp_path / "c.nii.gz")
    files, record = endpoints.segment_file(desk, str(tmp_path / "c.nii.gz"), [[3, 2, 14, 7]], None, None)
    assert record["shape"] == [20, 30] and {name for name, _ in files} == {"label.png", "overlay.png"}
    x0, y0, x1, y1 = record["objects"][0]["box_voxel"]
    assert 3 <= x0 <= x1 <= 14 and 2 <= y0 <= y1 <= 7 and record["objects"][0]["box_display"][0] == 29 - x1


def test_the_page_shows_and_takes_voxels_and_the_zip_says_what_it_counts(desk, path, tmp_path):
    page = Page(desk)
    assert page.upload(("a.nii.gz", path.read_bytes()))["ok"]
    view = page.do("look", slice=5)
    assert view["image"]["voxel"] == [[0, True, 47], [1, True, 39], [2, False, 11]]
    view = page.do("box", slice=5, box=[10, 6, 29, 19], coordinates="voxel")
    assert view["objects"][0]["box"] == [18, 20, 37, 33]
    view = page.do("click", slice=5, x=12, y=8, positive=True, coordinates="voxel")
    assert view["objects"][0]["points"] == [[35, 31, 1]]
    files = zipfile.ZipFile(io.BytesIO(base64.b64decode(page.ask("save", slice=5, what="zip")["file"]["data"])))
    assert json.loads(files.read("prompts.json"))["coordinates"] == "display"
    record = json.loads(files.read("a_record.json"))
    assert record["coordinates"]["prompts"] == "display" and record["coordinates"]["display"]["x"]["flipped"]
    home = tmp_path / "home"
    files.extractall(home)
    ours = np.asarray(nibabel.load(home / "a_label.nii.gz").dataobj)
    # read back against the scan itself, whatever the default of the command line
    with pytest.raises(SystemExit) as stop:
        main(["segment", "-i", str(path), "--prompts", str(home / "prompts.json"), "-o", str(tmp_path / "out"), "-q"])
    assert stop.value.code == 0
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["objects"][0]["prompt"]["voxel"]["slices"][0]["k"] == 5
    assert inside_share(ours) > 0.95


def test_plain_pictures_have_one_way_to_count(desk):
    page = Page(desk)
    assert page.upload(("a.png", png_of(np.zeros((64, 64), np.uint8))))["ok"]
    assert page.do("look")["image"]["voxel"] is None
