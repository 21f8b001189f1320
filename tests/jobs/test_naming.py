"""Results of equal names never replace each other, and a second run finds them."""

import json
import os
import shutil
import unicodedata

import cv2
import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.errors import MissingExtraError
from lite_medsam.jobs import batch
from lite_medsam.jobs.batch import SegmentOptions, find_jobs, run_jobs
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.names import name_key

BOX = (Prompt(box=(5, 5, 30, 30)),)


def write(folder, *names):
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.full((40, 60), 10 * i, np.uint8))[1].tobytes())


def results(inputs, out):
    return {
        job.path.relative_to(out.parent).as_posix(): job.target.relative_to(out).as_posix()
        for job in find_jobs(inputs, out, BOX)
    }


def test_the_same_name_in_two_folders(tmp_path):
    write(tmp_path, "P1/slice.png", "P2/slice.png", "P2/other.png")
    expected = {"P1/slice.png": "P1_slice", "P2/slice.png": "P2_slice", "P2/other.png": "other"}
    assert results([tmp_path / "P1", tmp_path / "P2"], tmp_path / "out") == expected
    files = [tmp_path / name for name in expected]
    assert results(files, tmp_path / "out") == results(files[::-1], tmp_path / "out") == expected


CLASHES = {
    "endings": ("a.png", "a.jpg", "a_png.bmp", "a.tif"),
    "case": ("a.png", "A.png", "a.PNG.bmp"),
    "forms of Unicode": (unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")),
    "one name in folders of one name": ("x/P/s.png", "y/P/s.png", "P/s.png", "P_s.png"),
    "dots": ("1.2.3.png", "1.2.3.jpg", "1.2.png"),
    "devices": ("CON.png", "_CON.png", "aux.txt.png"),
    "long": ("n" * 250 + ".png", "n" * 250 + ".jpg", "扫" * 83 + ".png"),
    "folders that are one on Windows": ("P./s.png", "P/s.png", "p/s.png"),
}


@pytest.mark.parametrize("name", CLASHES)
def test_every_result_has_a_name_of_its_own(tmp_path, name):
    write(tmp_path / "in", *CLASHES[name])
    inputs = [path for path in sorted((tmp_path / "in").rglob("*")) if path.is_file()]
    for given in ([tmp_path / "in"], inputs):
        jobs = find_jobs(given, tmp_path / "out", BOX)
        assert len({name_key(job.target.as_posix()) for job in jobs}) == len(jobs) == len(inputs)
        assert all(len(os.fsencode(f"{job.target.name}_label.nii.gz")) <= 255 for job in jobs)
        predictor = Predictor(FakeBackend())
        records, failures = run_jobs(predictor, jobs, SegmentOptions())
        assert not failures and len(records) == len(inputs)
        again, _ = run_jobs(predictor, find_jobs(given, tmp_path / "out", BOX), SegmentOptions())
        assert all(record["skipped"] for record in again)
        shutil.rmtree(tmp_path / "out")


def test_the_same_file_twice_is_done_once(tmp_path):
    write(tmp_path / "in", "a.png", "b.png")
    given = [tmp_path / "in", tmp_path / "in" / "a.png", tmp_path / "in" / ".." / "in" / "b.png"]
    assert [job.target.name for job in find_jobs(given, tmp_path / "out", BOX)] == ["a", "b"]


def test_a_uid_keeps_its_last_part(tmp_path):
    write(tmp_path, "1.2.3.55", "1.2.3.56", "1.2.3.57.png")
    names = [job.target.name for job in find_jobs(sorted(tmp_path.iterdir()), tmp_path / "out", BOX)]
    assert names == ["1.2.3.55", "1.2.3.56", "1.2.3.57"]


def test_a_later_run_does_not_replace_another_inputs_result(tmp_path):
    write(tmp_path, "P1/s.png", "P2/s.png")
    predictor, out = Predictor(FakeBackend()), tmp_path / "out"
    run_jobs(predictor, find_jobs([tmp_path / "P1"], out, BOX), SegmentOptions())
    before = (out / "s.json").read_bytes()
    records, failures = run_jobs(predictor, find_jobs([tmp_path / "P2"], out, BOX), SegmentOptions())
    assert not records and "results of another input of this name" in failures[0][1]
    assert (out / "s.json").read_bytes() == before
    other = (Prompt(box=(1, 1, 9, 9)),)  # the same input asked otherwise is done anew
    assert not run_jobs(predictor, find_jobs([tmp_path / "P1"], out, other), SegmentOptions())[1]
    assert not run_jobs(predictor, find_jobs([tmp_path / "P2"], out, BOX), SegmentOptions(overwrite=True))[1]
    shutil.move(tmp_path / "P2", tmp_path / "moved")  # the same pixels and prompts are finished wherever they lie
    assert run_jobs(predictor, find_jobs([tmp_path / "moved"], out, BOX), SegmentOptions())[0][0]["skipped"]


def test_results_inside_the_input_folder_are_no_inputs(tmp_path):
    write(tmp_path / "in", "a.png", "b.png")
    predictor, out = Predictor(FakeBackend()), tmp_path / "in" / "out"
    run_jobs(predictor, find_jobs([tmp_path / "in"], out, BOX), SegmentOptions())
    assert [job.path.name for job in find_jobs([tmp_path / "in"], out, BOX)] == ["a.png", "b.png"]


def test_each_input_of_one_name_has_its_own_prompts(tmp_path):
    write(tmp_path, "P1/s.png", "P2/s.png", "P2/t.png")
    for i, name in enumerate(("P1_s.json", "P2/s.json", "t.json")):
        (tmp_path / "prompts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "prompts" / name).write_text(json.dumps({"version": 1, "objects": [{"box": [i, i, 30, 30]}]}))
    jobs = find_jobs([tmp_path / "P1", tmp_path / "P2"], tmp_path / "out", prompt_path=tmp_path / "prompts")
    assert [job.prompt_file.relative_to(tmp_path / "prompts").as_posix() for job in jobs] == [
        "P1_s.json",
        "P2/s.json",
        "t.json",
    ]


def test_what_is_no_input_is_listed_and_the_others_are_done(tmp_path):
    write(tmp_path / "in", "a.png")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere")
    (tmp_path / "empty").mkdir()
    jobs = find_jobs([tmp_path / "no.png", tmp_path / "in", tmp_path / "empty"], tmp_path / "out", BOX)
    records, failures = run_jobs(Predictor(FakeBackend()), jobs, SegmentOptions())
    assert len(records) == 1
    assert {path.name: text.partition(": ")[2][:25] for path, text in failures} == {
        "no.png": "an input must be a file o", "gone.png": "a link to what is not the", "empty": "",
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["_read", "_compute", "_write"])
@pytest.mark.parametrize("read_ahead", [True, False])
@pytest.mark.parametrize(
    ("error", "told", "wrong_input"),
    [
        (OSError(36, "File name too long", "x/y"), "x/y: File name too long", False),
        (PermissionError(13, "Permission denied"), "Permission denied", False),
        (MissingExtraError("reading NIfTI", "medical", "nibabel"), "reading NIfTI needs", False),
        (MemoryError(), "not enough memory for it", False),
        (IndexError("list index out of range"), "unexpected IndexError: list index out of range", False),
        (ValueError("the image\nis odd"), "the image is odd", True),
    ],
)  # fmt: skip
def test_one_input_never_ends_the_run_whatever_way_it_fails(
    tmp_path, monkeypatch, stage, read_ahead, error, told, wrong_input
):
    write(tmp_path / "in", *(f"{i}.png" for i in range(4)))
    original, calls = getattr(batch, stage), []

    def failing(*arguments):
        calls.append(None)
        if len(calls) == 2:
            raise error
        return original(*arguments)

    monkeypatch.setattr(batch, stage, failing)
    seen = []
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", BOX)
    records, failures = run_jobs(
        Predictor(FakeBackend()), jobs, SegmentOptions(), lambda job, record: seen.append(record), read_ahead
    )
    assert len(records) == 3 and len(failures) == 1 and failures[0][1].startswith(told)
    assert [record["wrong_input"] for record in seen if "error" in record] == [wrong_input]
