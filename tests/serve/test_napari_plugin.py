"""The plug-in for napari without napari: drawings as prompts, and objects one after the other on the running service."""

import sys

import numpy as np
import pytest
from places import ROOT

pytest.importorskip("nnInteractive.inference.remote")
pytest.importorskip("fastapi")

from viewer_server import dice, running

from lite_medsam.phantoms import make_phantom_volume

FOLDER = ROOT / "demo" / "napari"


@pytest.fixture(scope="module", autouse=True)
def plugin():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def test_a_rectangle_is_a_flat_box():
    from lite_medsam_napari.drawing import box_of

    corners = np.array([[3.0, 10.2, 20.0], [3.0, 10.2, 39.6], [3.0, 30.4, 39.6], [3.0, 30.4, 20.0]])
    assert box_of(corners, (8, 64, 64)) == [[3, 4], [10, 31], [20, 41]]
    assert box_of(corners[:, [1, 0, 2]], (64, 8, 64)) == [[10, 31], [3, 4], [20, 41]]
    assert box_of(corners + np.array([0, 40, 0]), (8, 64, 64))[1] == [50, 64]
    for wrong in (corners + np.array([0, 90, 0]), corners[:, 1:], corners + np.arange(4)[:, None]):
        with pytest.raises(ValueError, match="rectangle"):
            box_of(wrong, (8, 64, 64))


def test_a_path_is_every_voxel_that_it_passes():
    from lite_medsam_napari.drawing import line_of

    mask, bounds = line_of([[2, 5, 5], [2, 5, 9], [2, 8, 9]], (8, 64, 64))
    assert bounds == [[2, 3], [5, 9], [5, 10]]
    assert mask.sum() == 8 and mask[0, 0].all() and mask[0, :, -1].all()
    with pytest.raises(ValueError, match="in the volume"):
        line_of([[2, -5, 5], [2, -9, 5]], (8, 64, 64))


def test_objects_one_after_the_other():
    from lite_medsam_napari.editing import Editing

    case = make_phantom_volume("ct", 0, (8, 112, 112))
    with running(key="word") as url:
        editing = Editing(url, "word", case.image, case.spacing_mm)
        shown = editing.labels  # what the viewer's layer has
        for value in (1, 4):
            there = case.label == value
            z = int(there.sum((1, 2)).argmax())
            y, x = np.nonzero(there[z])
            editing.box([[z, a, b] for a in (y.min(), y.max()) for b in (x.min(), x.max())])
            assert editing.undo() and not (shown == editing.value).any() and not editing.undo()
            editing.box([[z, a, b] for a in (y.min(), y.max()) for b in (x.min(), x.max())])
            assert dice(shown[z] == editing.value, there[z]) > 0.6
            before = shown.copy()
            editing.click((z, y.min() - 2, x.min() - 2), include=False)
            editing.scribble([[z, y.mean(), x.mean() - 3], [z, y.mean(), x.mean() + 3]])
            assert editing.undo() and editing.undo() and np.array_equal(shown, before)
            editing.next_object()
        assert set(np.unique(shown)) == {0, 1, 2} and editing.value == 3
        editing.close()


def test_the_manifest_names_what_is_there():
    text = (FOLDER / "lite_medsam_napari" / "napari.yaml").read_text()
    panel = (FOLDER / "lite_medsam_napari" / "panel.py").read_text()
    assert "python_name: lite_medsam_napari.panel:make_panel" in text and "def make_panel(" in panel
    compile(panel, "panel.py", "exec")
    assert len(panel.splitlines()) < 150
