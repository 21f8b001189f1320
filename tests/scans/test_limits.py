"""How large a scan may be, and what is said of files that cannot be read."""

import importlib.util

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.scans import limits
from lite_medsam.scans.reading import load_volume
from lite_medsam.segment.predictor import Predictor

needs_nibabel = pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")


@pytest.fixture
def predictor():
    from fakes import FakeBackend

    return Predictor(FakeBackend(), zoom="off")


def test_the_limit_follows_memory(monkeypatch):
    for free, voxels in ((None, 2**28), (6 * 10**9, 8 * 10**8), (0, 2**22)):
        monkeypatch.setattr(limits, "free_memory_bytes", lambda free=free: free)
        assert limits.voxels_in_memory() == voxels
    monkeypatch.undo()
    free = limits.free_memory_bytes()
    assert free is None or free > 0


@needs_nibabel
def test_an_option_allows_more_and_less(predictor, tmp_path, monkeypatch):
    import nibabel

    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((30, 20, 1), np.int16), np.eye(4)), path)
    job = Job(path, tmp_path / "out" / "a", (Prompt(box=(3, 3, 9, 9)),))
    with pytest.raises(CaseError, match=r"must have at most 100 voxels, .*or allow more with --max-voxels"):
        run_job(predictor, job, SegmentOptions(max_voxels=100))
    with pytest.raises(CaseError) as error:
        load_volume(path, max_voxels=100)
    assert "--max-voxels" not in str(error.value)  # no option of Python, nor of the demo
    monkeypatch.setattr("lite_medsam.scans.reading.voxels_in_memory", lambda: 10)
    with pytest.raises(CaseError, match="at most 10 voxels"):
        run_job(predictor, job, SegmentOptions())
    assert run_job(predictor, job, SegmentOptions(max_voxels=600))["objects"]


@pytest.mark.parametrize("name", ["a.gipl", "a.mnc", "a.mgz", "a.hdr"])
def test_volumes_of_other_kinds_are_told_what_to_become(predictor, tmp_path, name):
    (tmp_path / name).write_bytes(b"ObjectType = Image\n" * 20)
    for read in (
        lambda path: load_volume(path),
        lambda path: run_job(
            predictor, Job(path, tmp_path / "out" / "a", (Prompt(box=(1, 1, 5, 5)),)), SegmentOptions()
        ),
    ):
        with pytest.raises(CaseError, match=rf"must be NIfTI .*DICOM .*npz.*\.{name[2:]} volumes are not read"):
            read(tmp_path / name)


@needs_nibabel
def test_no_advice_that_does_not_exist(tmp_path):
    import nibabel

    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 3, 2), np.int16), np.eye(4)), tmp_path / "b.nii.gz")
    with pytest.raises(CaseError, match="save the wanted one as a file of its own"):
        load_volume(tmp_path / "b.nii.gz")
    scan = load_volume(tmp_path / "b.nii.gz", first_volume=True)
    assert scan.notes[0] == "volume 0 of 2, counted from 0"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
@pytest.mark.parametrize("name", ["scan", "scan.dat"])
def test_the_content_of_a_picture_decides_where_the_ending_says_nothing(tmp_path, kind, name):
    from PIL import Image

    picture = np.arange(600, dtype=np.uint8).reshape(20, 30)
    Image.fromarray(picture).save(tmp_path / name, kind)
    scan = load_volume(tmp_path / name)
    assert scan.values.shape == (20, 30) and not scan.is_volume
    assert kind == "JPEG" or np.array_equal(scan.values, picture)
