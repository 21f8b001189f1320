import json
import threading
import zipfile

import cv2
import numpy as np
import pytest
from fakes import FakeBackend
from PIL import Image

from lite_medsam.cases.case import Case, save_case
from lite_medsam.errors import CaseError, PromptError, WeightsError
from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job, run_jobs
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor

BOXES = np.array([[10, 10, 49, 39], [30, 20, 89, 69]], np.float32)


@pytest.fixture
def predictor():
    return Predictor(FakeBackend())


@pytest.fixture
def case(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    path = tmp_path / "in" / "2D_CT_test_1.npz"
    save_case(path, Case(image=image, label=None, boxes=BOXES, spacing_mm=None, name="2D_CT_test_1"))
    return path


def write_png(path, shape=(40, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.random.default_rng(1).integers(0, 256, shape, np.uint8))[1].tobytes())
    return path


def test_a_case_gives_all_outputs_and_they_agree(predictor, case, tmp_path):
    out = tmp_path / "out"
    record = run_job(predictor, Job(case, out / case.stem), SegmentOptions())
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [f"{case.stem}.npz", f"{case.stem}_label.png", f"{case.stem}_overlay.png", f"{case.stem}.json"]
    )
    segs = np.load(out / f"{case.stem}.npz")["segs"]
    label = np.array(Image.open(out / f"{case.stem}_label.png"))
    np.testing.assert_array_equal(segs, label)
    overlay = cv2.imread(str(out / f"{case.stem}_overlay.png"))
    assert overlay.shape == (80, 120, 3)
    saved = json.loads((out / f"{case.stem}.json").read_text())
    assert saved == record
    for item in saved["objects"]:
        mask = segs == item["id"]
        assert item["area_px"] == mask.sum() > 0
        assert item["box"] == [*map(int, (np.flatnonzero(mask.any(0))[0], np.flatnonzero(mask.any(1))[0],
                                         np.flatnonzero(mask.any(0))[-1], np.flatnonzero(mask.any(1))[-1]))]  # fmt: skip


@pytest.mark.parametrize("mode", ["off", "always"])
def test_the_record_says_whose_border_had_a_second_look(case, tmp_path, mode):
    predictor, settled = Predictor(FakeBackend(), refine=mode), np.zeros((80, 120), bool)
    settled[20:60, 30:90] = True
    job = Job(case, tmp_path / "out", [Prompt(box=(10, 10, 49, 39)), Prompt(mask=settled, final=True)])
    record = run_job(predictor, job, SegmentOptions())
    assert [item.get("refined", False) for item in record["objects"]] == [mode == "always", False]
    assert run_job(predictor, job, SegmentOptions())["skipped"]
    assert "skipped" not in run_job(Predictor(FakeBackend(), refine="auto"), job, SegmentOptions())  # other work


def test_stack_keeps_overlapping_objects_apart(predictor, case, tmp_path):
    record = run_job(predictor, Job(case, tmp_path / "out" / "a"), SegmentOptions(overlap="stack"))
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    assert segs.shape == (2, 80, 120) and (segs.sum(0) == 2).any()
    assert [o["area_px"] for o in record["objects"]] == segs.sum((1, 2)).tolist()
    import tifffile

    pages = tifffile.imread(tmp_path / "out" / "a_label.tif")
    np.testing.assert_array_equal(pages > 0, segs > 0)


def test_only_what_was_asked_for_is_written(predictor, case, tmp_path):
    run_job(predictor, Job(case, tmp_path / "out" / "a"), SegmentOptions(save=("label",)))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a_label.png"]


def test_finished_work_is_skipped_and_changed_work_is_not(predictor, case, tmp_path):
    job = Job(case, tmp_path / "out" / "a")
    assert "skipped" not in run_job(predictor, job, SegmentOptions())
    assert run_job(predictor, job, SegmentOptions())["skipped"]
    assert "skipped" not in run_job(predictor, job, SegmentOptions(overwrite=True))
    assert "skipped" not in run_job(predictor, job, SegmentOptions(overlap="first"))
    other = Job(case, job.target, prompts=(Prompt(box=(1, 1, 30, 30)),))
    assert "skipped" not in run_job(predictor, other, SegmentOptions(overlap="first"))
    (tmp_path / "out" / "a_label.png").unlink()
    assert "skipped" not in run_job(predictor, other, SegmentOptions(overlap="first"))
    (tmp_path / "out" / "a.json").write_text("[1]")
    assert "skipped" not in run_job(predictor, other, SegmentOptions(overlap="first"))


def test_a_failed_write_leaves_nothing(predictor, case, tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lite_medsam.jobs.outputs.png_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        run_job(predictor, Job(case, tmp_path / "out" / "a"), SegmentOptions())
    assert list((tmp_path / "out").iterdir()) == []


def test_one_bad_file_does_not_stop_the_others(predictor, case, tmp_path):
    (case.parent / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    write_png(case.parent / "sub" / "no_prompt.png")
    jobs = find_jobs([case.parent], tmp_path / "out")
    seen = []
    records, failures = run_jobs(predictor, jobs, SegmentOptions(), lambda job, record: seen.append(record))
    assert len(records) == 1 and len(failures) == 2 and len(seen) == 3
    assert {path.name for path, _ in failures} == {"broken.npz", "no_prompt.png"}
    assert all("\n" not in message for _, message in failures)
    assert (tmp_path / "out" / f"{case.stem}.json").exists()


def test_a_folder_is_mirrored_and_equal_stems_stay_apart(tmp_path):
    for name in ("a.png", "a.bmp", "deep/er/b.png", ".hidden.png", "notes.txt"):
        write_png(tmp_path / "in" / name)
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out")
    targets = {j.path.name: j.target.relative_to(tmp_path / "out").as_posix() for j in jobs}
    assert targets == {"a.png": "a_png", "a.bmp": "a_bmp", "b.png": "deep/er/b"}


def test_dots_in_names_are_kept(tmp_path):
    write_png(tmp_path / "scan.v1.2.png")
    assert find_jobs([tmp_path / "scan.v1.2.png"], tmp_path / "out")[0].target == tmp_path / "out" / "scan.v1.2"


def test_input_and_output_must_differ(case):
    with pytest.raises(CaseError, match="output folder must not be"):
        find_jobs([case], case.parent)


def test_no_result_may_replace_any_input(predictor, tmp_path):
    label = write_png(tmp_path / "in" / "a_label.png")
    image = write_png(tmp_path / "in" / "a.png")
    with pytest.raises(CaseError, match=r"output folder must not be .* a_label.png would be replaced"):
        find_jobs([image, label], tmp_path / "in")
    (tmp_path / "in" / "a.json").write_text("{}")
    with pytest.raises(CaseError, match=r"a.json would be replaced"):
        find_jobs([image], tmp_path / "in", prompt_path=tmp_path / "in" / "a.json")
    with pytest.raises(CaseError, match=r"a.json would be replaced"):
        find_jobs([image], tmp_path / "in", prompt_path=tmp_path / "in")
    assert len(find_jobs([image], tmp_path / "in")) == 1  # nothing of it is an input
    volume = tmp_path / "in" / "b_label.nii.gz"
    volume.write_bytes(b"")
    write_png(tmp_path / "in" / "b.nii")
    with pytest.raises(CaseError, match=r"b_label.nii.gz would be replaced"):
        find_jobs([tmp_path / "in" / "b.nii", volume], tmp_path / "in")


def test_the_ending_of_a_packed_nifti_is_one(tmp_path):
    for name in ("b.nii.gz", "c.v1.nii", "D.NII.GZ", "a.nii.gz", "a.npz", "e.dcm", "f.gz", "g.nii.txt"):
        write_png(tmp_path / "in" / name)
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", prompt_path=tmp_path / "in")
    assert {j.path.name: j.target.name for j in jobs} == {
        "b.nii.gz": "b", "c.v1.nii": "c.v1", "D.NII.GZ": "D", "a.nii.gz": "a_nii_gz", "a.npz": "a_npz", "e.dcm": "e",
    }  # fmt: skip
    assert {j.prompt_file.name for j in jobs} == {"a.json", "b.json", "c.v1.json", "D.json", "e.json"}


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(CaseError, match="got none in"):
        find_jobs([tmp_path], tmp_path / "out")
    with pytest.raises(CaseError, match="does not exist"):
        find_jobs([tmp_path / "nowhere.png"], tmp_path / "out")


def test_prompt_folder_gives_each_input_its_own(predictor, tmp_path):
    path = write_png(tmp_path / "in" / "a.png")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "a.json").write_text('{"version": 1, "objects": [{"box": [5, 5, 30, 30], "name": "cyst"}]}')
    job = find_jobs([path], tmp_path / "out", prompt_path=tmp_path / "prompts")[0]
    record = run_job(predictor, job, SegmentOptions())
    assert record["objects"][0]["name"] == "cyst"


def test_a_case_without_boxes_says_what_to_give(predictor, tmp_path):
    path = tmp_path / "2D_a.npz"
    save_case(path, Case(image=np.zeros((9, 9), np.uint8), label=None, boxes=None, spacing_mm=None, name="2D_a"))
    with pytest.raises(PromptError, match="--box"):
        run_job(predictor, Job(path, tmp_path / "o" / "a"), SegmentOptions())


def test_a_volume_without_boxes_says_what_it_needs(predictor, tmp_path):
    path = tmp_path / "3D_CT_a.npz"
    volume = np.zeros((4, 9, 9), np.uint8)
    save_case(path, Case(image=volume, label=None, boxes=None, spacing_mm=None, name="3D_CT_a", is_volume=True))
    with pytest.raises(PromptError, match="volume of 4 slices and has no boxes; give --box x0,y0,z0,x1,y1,z1"):
        run_job(predictor, Job(path, tmp_path / "o" / "a"), SegmentOptions())
    with pytest.raises(PromptError, match="do not say on which; give --box x0,y0,z0,x1,y1,z1"):
        run_job(predictor, Job(path, tmp_path / "o" / "a", (Prompt(box=(1, 1, 5, 5)),)), SegmentOptions())


def test_more_than_255_objects_get_a_16_bit_label(predictor, tmp_path):
    path = write_png(tmp_path / "a.png", (210, 210))
    prompts = tuple(Prompt(box=(x, y, x + 8, y + 8)) for y in range(0, 200, 10) for x in range(0, 200, 10))
    run_job(predictor, Job(path, tmp_path / "out" / "a", prompts), SegmentOptions())
    label = cv2.imread(str(tmp_path / "out" / "a_label.png"), cv2.IMREAD_UNCHANGED)
    assert label.dtype == np.uint16 and label.max() == 400
    with zipfile.ZipFile(tmp_path / "out" / "a.npz") as archive:
        assert archive.namelist() == ["segs.npy"]


def test_options_are_checked():
    with pytest.raises(ValueError, match="save must be"):
        SegmentOptions(save=("png",))
    with pytest.raises(ValueError, match="overlap must be"):
        SegmentOptions(overlap="all")


def test_reference_quirks_refuse_what_the_original_cannot(predictor, case, tmp_path):
    quirks = SegmentOptions(reference_quirks=True)
    with pytest.raises(WeightsError, match="converted LiteMedSAM"):
        run_job(predictor, Job(case, tmp_path / "out" / "a"), quirks)
    clicked = Job(case, tmp_path / "out" / "a", prompts=(Prompt(points=[[5, 5]], point_labels=[1]),))
    with pytest.raises(PromptError, match="boxes only"):
        run_job(predictor, clicked, quirks)


def test_reference_quirks_write_the_originals_map(predictor, case, tmp_path, monkeypatch):
    stack = np.zeros((2, 80, 120), bool)
    stack[0, 10:40, 10:50], stack[1, 20:60, 30:80] = True, True
    monkeypatch.setattr("lite_medsam.challenge.reference_quirks.segment_with_quirks", lambda *_: stack)
    record = run_job(predictor, Job(case, tmp_path / "out" / "a"), SegmentOptions(reference_quirks=True))
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    assert segs[30, 40] == 2 and segs[12, 12] == 1  # the last box wins
    assert [o["score"] for o in record["objects"]] == [None, None]
    assert record["objects"][1]["area_px"] == stack[1].sum()


def folder_of_images(tmp_path, count=6):
    for i in range(count):
        write_png(tmp_path / "in" / f"{i}.png", (40 + i, 60))
    return find_jobs([tmp_path / "in"], tmp_path / "out", (Prompt(box=(5, 5, 30, 30)),))


def without_seconds(record):
    return {key: value for key, value in record.items() if key != "seconds"}


def test_reading_ahead_changes_no_result(predictor, tmp_path):
    jobs = folder_of_images(tmp_path)
    for name in ("broken.png", "z.png"):
        (tmp_path / "in" / name).write_bytes(b"no picture")
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", jobs[0].prompts)
    others = find_jobs([tmp_path / "in"], tmp_path / "serial", jobs[0].prompts)
    seen = []
    ahead = run_jobs(predictor, jobs, SegmentOptions(), lambda job, record: seen.append(job.path))
    serial = run_jobs(predictor, others, SegmentOptions(), read_ahead=False)
    assert seen == [job.path for job in jobs]
    assert [without_seconds(r) for r in ahead[0]] == [without_seconds(r) for r in serial[0]]
    assert ahead[1] == serial[1] and [path.name for path, _ in ahead[1]] == ["broken.png", "z.png"]
    for path in (tmp_path / "serial").iterdir():
        if path.suffix != ".json":
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes() or path.suffix == ".npz"
    assert len(list((tmp_path / "out").iterdir())) == 6 * 4
    again, _ = run_jobs(predictor, jobs, SegmentOptions())
    assert all(record["skipped"] for record in again)


def test_a_prompt_that_does_not_fit_fails_in_its_turn(predictor, tmp_path):
    jobs = folder_of_images(tmp_path)
    jobs[2] = Job(jobs[2].path, jobs[2].target, (Prompt(box=(500, 500, 600, 600)),))
    done = []
    records, failures = run_jobs(predictor, jobs, SegmentOptions(), lambda job, record: done.append("error" in record))
    assert done == [False, False, True, False, False, False] and len(records) == 5 and len(failures) == 1


@pytest.mark.parametrize("stage", ["_read", "_compute", "_write"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_stops_everything_and_leaves_whole_files(
    predictor, tmp_path, monkeypatch, stage, error
):
    import lite_medsam.jobs.batch

    jobs = folder_of_images(tmp_path)
    original, calls = getattr(lite_medsam.jobs.batch, stage), []

    def failing(*arguments):
        calls.append(None)
        if len(calls) == 3:
            raise error
        return original(*arguments)

    monkeypatch.setattr(lite_medsam.jobs.batch, stage, failing)
    done = []
    with pytest.raises(type(error)):
        run_jobs(predictor, jobs, SegmentOptions(), lambda job, record: done.append(record))
    assert len(done) <= 2 and not [
        t for t in threading.enumerate() if t.name.startswith(("read-ahead", "write-behind"))
    ]
    files = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert not [name for name in files if name.startswith(".")]
    finished = {name[0] for name in files}
    assert len(files) == 4 * len(finished) and len(finished) <= 3


def test_no_more_than_a_few_inputs_are_in_memory(predictor, tmp_path, monkeypatch):
    import lite_medsam.jobs.batch

    jobs = folder_of_images(tmp_path, 12)
    read, written, most = [], [], []
    load, write = lite_medsam.jobs.batch._read, lite_medsam.jobs.batch._write

    def counted_read(*arguments):
        read.append(None)
        most.append(len(read) - len(written))
        return load(*arguments)

    def counted_write(*arguments):
        result = write(*arguments)
        written.append(None)
        return result

    monkeypatch.setattr(lite_medsam.jobs.batch, "_read", counted_read)
    monkeypatch.setattr(lite_medsam.jobs.batch, "_write", counted_write)
    run_jobs(predictor, jobs, SegmentOptions())
    assert len(written) == 12 and max(most) <= 4  # one ahead, one at work, two that are written or wait for it
