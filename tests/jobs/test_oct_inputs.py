"""`segment` on files of OCT scanners: the scale and its origin in the record, stacks, sizes that a user says, mixed folders."""

import json

import numpy as np
import oct_files
import pytest
from fakes import FakeBackend

from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.segment.predictor import Predictor

IMAGE = np.random.default_rng(1).integers(0, 255, (5, 40, 60)).astype(np.uint8)
UM = (120.0, 3.87, 11.5)


def box() -> tuple[VolumeObject, ...]:
    return (VolumeObject(prompts={2: Prompt(box=[10, 10, 30, 25])}),)


def record_of(path, out, **options) -> dict:
    predictor = Predictor(FakeBackend(64))
    job = Job(path, out / "a", prompts=box())
    run_job(predictor, job, SegmentOptions(save=("npz",), coordinates="display", **options))
    return json.loads((out / "a.json").read_text())


def test_the_record_says_where_the_scale_comes_from(tmp_path):
    pytest.importorskip("nibabel")
    record = record_of(oct_files.write_mhd(tmp_path / "oct.mhd", IMAGE, UM), tmp_path / "out")
    assert [row["origin"] for row in record["scale"]] == ["file"] * 3 and record["spacing_mm"] == [
        0.12,
        0.00387,
        0.0115,
    ]
    again = record_of(tmp_path / "oct.mhd", tmp_path / "out", spacing_um=(100.0, 4.0, 10.0))
    assert [row["origin"] for row in again["scale"]] == ["user"] * 3 and again["spacing_mm"] == [0.1, 0.004, 0.01]


def test_a_folder_of_b_scans_is_one_scan_where_that_is_asked_for(tmp_path):
    folder = oct_files.write_folder(tmp_path / "stack", IMAGE)
    assert len(find_jobs([folder], tmp_path / "out")) == 5
    (job,) = find_jobs([folder], tmp_path / "out", folders_are_scans=True)
    assert job.is_medical
    record = record_of(folder, tmp_path / "out")
    assert record["volume_dhw"] == [5, 40, 60] and record["spacing_mm"] is None
    assert all(row["um"] is None and row["origin"] is None for row in record["scale"])


def test_a_folder_is_searched_for_files_of_scanners_and_no_others(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    oct_files.write_mhd(folder / "oct.mhd", IMAGE, UM)
    oct_files.write_dme(folder / "Subject_01.mat", IMAGE)
    oct_files.write_tiff(folder / "stack.tif", IMAGE)
    (folder / "voc.xml").write_text("<annotation><filename>a.png</filename></annotation>")
    (folder / "brain.img").write_bytes(b"1" * 64)
    (folder / "brain.hdr").write_bytes(b"1" * 348)
    (folder / "exam.vol").write_bytes(b"HSF-OCT-103")
    jobs = find_jobs([folder], tmp_path / "out")
    assert {job.path.name for job in jobs} == {"oct.mhd", "Subject_01.mat", "stack.tif", "exam.vol"}
    assert all(job.is_medical for job in jobs)
