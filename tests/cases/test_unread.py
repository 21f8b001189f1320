"""Optional arrays of an npz that cannot be used stand in nobody's way until they are needed."""

import numpy as np
import pytest

from lite_medsam.cases.adapters import Options, open_adapter
from lite_medsam.cases.adapters.write import prepare_cases
from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.baselines import BaselineSegmenter
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.prompts.protocol import Protocol

LABEL = np.zeros((6, 40, 50), np.uint8)
LABEL[1:5, 10:30, 10:40] = 1
OBJECT = np.array([{"z_min": 1, "z_max": 4}], dtype=object)
ODD = {
    "boxes of dicts": {"boxes": OBJECT},
    "one dict": {"boxes": np.array({"a": 1}, dtype=object)},
    "flat boxes": {"boxes": np.arange(6)},
    "boxes of a picture": {"boxes": np.array([[1, 2, 3, 4]])},
    "boxes of words": {"boxes": np.array([["a"] * 6])},
    "boxes of NaN": {"boxes": np.full((1, 6), np.nan)},
    "spacing of a picture": {"spacing": np.array([1.0, 1.0])},
    "spacing of objects": {"spacing": np.array([None], dtype=object)},
    "spacing of words": {"spacing": np.array(["1 mm"])},
    "no spacing": {"spacing": np.array([0.0, 1, 1])},
    "metadata": {"metadata": np.array([{"age": 3}], dtype=object)},
}


def save(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **({"imgs": np.where(LABEL, 200, 50).astype(np.uint8), "gts": LABEL} | more))
    return path


@pytest.mark.parametrize("name", ODD)
def test_odd_arrays_are_noted_and_everything_else_goes_on(tmp_path, name):
    path = save(tmp_path / "in" / "3D_CT_a.npz", **ODD[name])
    case, key = load_case(path), next(iter(ODD[name]))
    assert list(case.unread) == [key] and key in case.notes[0] and np.array_equal(case.label, LABEL)
    with pytest.raises(CaseError, match=f"3D_CT_a: {key}"):
        case.require(key)
    rows = evaluate(BaselineSegmenter("box"), [path], Protocol(name="box")).rows
    assert rows and all(row["label"] == 1 for row in rows)
    adapter = open_adapter("medsam-npz", tmp_path / "in", Options())
    report = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert report.written == 1 and [p.kind for p in report.all_problems] == ["unread-array"]
    assert not load_case(tmp_path / "cases" / "3D_CT_a.npz").unread


def test_how_to_write_boxes_is_said(tmp_path):
    case = load_case(save(tmp_path / "3D_CT_a.npz", boxes=OBJECT))
    with pytest.raises(
        CaseError, match=r"holds Python objects \(pickle\), never loaded; write boxes as numbers, .*x0, y0, z0, x1"
    ):
        case.require("boxes")


def test_labels_of_objects_are_needed_where_they_are_scored(tmp_path):
    path = save(tmp_path / "in" / "3D_CT_a.npz", gts=OBJECT)
    assert load_case(path).label is None
    result = evaluate(BaselineSegmenter("box"), [path], Protocol(name="box"))
    assert not result.rows and "gts must be a plain array" in result.skipped[0][1]
    with pytest.raises(CaseError, match="gts must be a plain array"):
        _ = load_case(path).truth
    adapter = open_adapter("medsam-npz", tmp_path / "in", Options())
    report = prepare_cases(adapter, adapter.settings, tmp_path / "cases")
    assert report.written == 0 and "gts must be a plain array" in report.errors[0].message


def test_the_image_is_always_needed(tmp_path):
    with pytest.raises(CaseError, match="imgs must be a plain array"):
        load_case(save(tmp_path / "3D_CT_a.npz", imgs=OBJECT))
