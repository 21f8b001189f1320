"""Finished predictions: each case its own file, and numbers that do not meet are told."""

import numpy as np
import pytest

from lite_medsam.cases.case import Case, save_case, save_segs
from lite_medsam.evaluation.evaluate import evaluate_predictions
from lite_medsam.evaluation.predictions import read_prediction
from lite_medsam.quantities.reading import read_labels


def label(*values):
    drawn = np.zeros((40, 60), np.uint8)
    for i, value in enumerate(values):
        drawn[5:15, 5 + 15 * i : 15 + 15 * i] = value
    return drawn


def scored(tmp_path, truth, segs):
    save_case(tmp_path / "cases" / "a.npz", Case(truth, truth, name="a"))
    save_segs(tmp_path / "out" / "a.npz", segs)
    return evaluate_predictions([tmp_path / "cases" / "a.npz"], tmp_path / "out")


@pytest.mark.parametrize(
    ("truth", "segs", "objects"),
    [
        ((2, 5), (1, 2), "2 of 2"), ((2, 5), (1, 3), "2 of 2"), ((255,), (1,), "1 of 1"), ((1, 2), (2, 1), "2 of 2"),
        ((1, 2, 5), (1, 2, 3), "1 of 3"), ((2, 5), (7,), "2 of 2"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_meet(tmp_path, truth, segs, objects):
    result = scored(tmp_path, label(*truth), label(*segs))
    assert len(result.notes) == 1 and result.notes[0].startswith(f"{objects} objects, in 1 cases")
    assert "a has the labels" in result.to_markdown() and "notes" in result.to_json()


@pytest.mark.parametrize(
    ("truth", "segs"), [((1, 2), (1, 2)), ((1, 2), (1,)), ((1,), (1, 2)), ((1, 2, 3), (1, 3, 2)), ((1,), ())]
)
def test_numbers_that_meet(tmp_path, truth, segs):
    assert scored(tmp_path, label(*truth), label(*segs)).notes == ()


def test_an_object_that_was_missed_is_no_matter_of_numbers(tmp_path):
    assert scored(tmp_path, label(1), np.roll(label(1), 20, axis=0)).notes == ()


@pytest.mark.parametrize("names", [("P1/slice", "P2/slice"), ("P1_slice", "P2_slice")])
def test_cases_of_one_name_have_their_own_predictions(tmp_path, names):
    truths = {"P1": label(1), "P2": label(0, 1)}
    for (folder, truth), name in zip(truths.items(), names, strict=True):
        save_case(tmp_path / folder / "slice.npz", Case(truth, truth, name="slice"))
        save_segs(tmp_path / "out" / f"{name}.npz", truth)
    paths = [tmp_path / folder / "slice.npz" for folder in truths]
    result = evaluate_predictions(paths, tmp_path / "out", groups={"slice": "g"})
    assert [row["dice"] for row in result.rows] == [1, 1] and {row["group"] for row in result.rows} == {"g"}


def test_one_prediction_is_not_taken_for_two_cases(tmp_path):
    for folder in ("P1", "P2"):
        save_case(tmp_path / folder / "slice.npz", Case(label(1), label(1), name="slice"))
    save_segs(tmp_path / "out" / "slice.npz", label(1))
    result = evaluate_predictions([tmp_path / folder / "slice.npz" for folder in ("P1", "P2")], tmp_path / "out")
    assert len(result.rows) == 1 and "is taken for" in result.skipped[0][1]


def test_what_is_no_number_is_background_in_oct_too(tmp_path):
    """Read without SimpleITK, which base installations lack."""
    from oct_files import write_mhd

    labels = np.full((3, 40, 60), 2, np.float32)  # no 0 at all
    labels[:, :20] = np.nan
    write_mhd(tmp_path / "labels.mhd", labels, (118.0, 3.9, 46.0))
    found = read_labels(tmp_path / "labels.mhd")
    assert (found[:, :20] == 0).all() and (found[:, 20:] == 2).all()


def test_what_is_no_number_is_background(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    labels = np.full((6, 5, 3), 2, np.float32)  # no 0 at all
    labels[0], labels[1] = np.nan, 3
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-1.0, -1, 1, 1])), tmp_path / "a.nii.gz")
    for found in (read_prediction(tmp_path / "a.nii.gz"), read_labels(tmp_path / "a.nii.gz")):
        assert found.dtype.kind == "i" and found.shape == (3, 5, 6)
        assert (found[..., 0] == 0).all() and (found[..., 1] == 3).all() and (found[..., 2:] == 2).all()
