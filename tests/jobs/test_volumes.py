"""`segment` on volumes: npz, NIfTI and DICOM in; labels, picture and record out, the same as through the library."""

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.cases.case import Case, load_case, save_case
from lite_medsam.cli import main
from lite_medsam.errors import CaseError, MissingExtraError, PromptError
from lite_medsam.evaluation.metrics import dice
from lite_medsam.jobs.batch import Job, SegmentOptions, find_jobs, run_job, run_jobs
from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_prompt_set import volume_prompt_files
from lite_medsam.results.result import Result
from lite_medsam.results.take_home import take_home_files
from lite_medsam.scans.reading import Geometry, load_volume
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session
from lite_medsam.volumes.propagation import VolumeObject, propagate, seeds_from_boxes

nibabel = None
if importlib.util.find_spec("nibabel"):
    import nibabel
needs_nibabel = pytest.mark.skipif(nibabel is None, reason="nibabel is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
BOXES = np.array([[10, 10, 1, 29, 24, 3], [20, 15, 2, 49, 34, 5]], np.float32)
SPACING = (3.0, 0.75, 0.5)
ALL_OF_A = ["a.json", "a.npz", "a_label.nii.gz", "a_overlay.png"]


@pytest.fixture
def predictor():
    return Predictor(FakeBackend(), zoom="off")


def volume_npz(path, boxes=BOXES, shape=(6, 40, 60), **fields):
    image = np.random.default_rng(0).integers(20, 60, shape, np.uint8)
    for (x0, y0, z0, x1, y1, z1), grey in zip(np.asarray(boxes, int), (200, 150), strict=False):
        image[z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1] += np.uint8(grey - 100)  # the overlap is brightest
    path.parent.mkdir(parents=True, exist_ok=True)
    save_case(path, Case(image=image, boxes=boxes, spacing_mm=SPACING, name=path.stem, is_volume=True, **fields))
    return path


def volume_nifti(path, shape=(60, 40, 6), affine=None, dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(1).integers(-1000, 1000, shape).astype(dtype)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-0.5, -0.75, 3.0, 1.0]) if affine is None else affine), path)
    return path


def names(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_an_npz_gives_what_propagation_gives(predictor, tmp_path):
    path = volume_npz(tmp_path / "a.npz", label_names={1: "kidney", 2: "liver"})
    record = run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())
    assert names(tmp_path / "out") == ["a.json", "a.npz", "a_label.tif", "a_overlay.png"]
    assert json.loads((tmp_path / "out" / "a.json").read_text()) == json.loads(json.dumps(record))
    answer = propagate(predictor, load_case(path).image, seeds_from_boxes(BOXES))
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    assert segs.dtype == np.uint8 and np.array_equal(segs, answer.label_map())

    done, pages = cv2.imreadmulti(str(tmp_path / "out" / "a_label.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert done and np.array_equal(np.stack(pages), segs)

    assert record["volume_dhw"] == [6, 40, 60] and record["spacing_mm"] == list(SPACING)
    assert sorted(record["outputs"]) == [n for n in names(tmp_path / "out") if n != "a.json"]
    for item, box in zip(record["objects"], BOXES, strict=True):
        held = np.flatnonzero((segs == item["id"]).any((1, 2)))
        assert item["voxels"] == (segs == item["id"]).sum() > 0
        assert item["volume_mm3"] == pytest.approx(item["voxels"] * 3 * 0.75 * 0.5)
        assert item["slices"] == [held[0], held[-1]] == [box[2], box[5]]
        assert item["score"] == 0.9 and item["ended"] == {
            "first": {"slice": box[2], "why": "limit" if box[2] else "end of volume"},
            "last": {"slice": box[5], "why": "limit" if box[5] < 5 else "end of volume"},
        }  # fmt: skip
        middle = (box[2] + box[5]) // 2
        (asked,) = item["prompt"]["slices"]
        assert asked["z"] == middle and asked["score"] == 0.9 and asked["box"] == [box[0], box[1], box[3], box[4]]
    assert [item["name"] for item in record["objects"]] == ["kidney", "liver"]


def test_the_overlay_shows_the_slice_with_the_most_of_it(predictor, tmp_path):
    path = volume_npz(tmp_path / "a.npz")
    run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    z = int((segs > 0).sum((1, 2)).argmax())
    overlay = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))
    far = ~cv2.dilate((segs[z] > 0).astype(np.uint8), np.ones((15, 15))).astype(bool)
    grey = load_case(path).image[z]
    assert far.any() and np.array_equal(overlay[far], np.repeat(grey[far][:, None], 3, 1))
    assert not np.array_equal(overlay[~far], np.repeat(grey[~far][:, None], 3, 1))


@pytest.mark.parametrize(("overlap", "winner"), [("first", 1), ("last", 2)])
def test_who_gets_a_voxel(predictor, tmp_path, overlap, winner):
    path = volume_npz(tmp_path / "a.npz")
    run_job(predictor, Job(path, tmp_path / "a"), SegmentOptions(save=("label",), overlap=overlap))
    answer = propagate(predictor, load_case(path).image, seeds_from_boxes(BOXES))
    both = answer.mask(0) & answer.mask(1)
    _, pages = cv2.imreadmulti(str(tmp_path / "a_label.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert both.any() and (np.stack(pages)[both] == winner).all()
    assert np.array_equal(np.stack(pages) > 0, answer.mask(0) | answer.mask(1))
    with pytest.raises(CaseError, match="best, first or last"):
        run_job(predictor, Job(path, tmp_path / "a"), SegmentOptions(overlap="stack"))


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_few_slices_are_no_channels(predictor, tmp_path, depth):
    path = volume_npz(tmp_path / "a.npz", np.array([[10, 10, 0, 29, 24, depth - 1]]), (depth, 40, 60))
    run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    _, pages = cv2.imreadmulti(str(tmp_path / "out" / "a_label.tif"), flags=cv2.IMREAD_UNCHANGED)
    assert segs.shape == (depth, 40, 60) and segs.any((1, 2)).all() and np.array_equal(np.stack(pages), segs)


def test_an_object_that_is_nowhere(predictor, tmp_path):
    path = volume_npz(tmp_path / "a.npz")
    nothing = VolumeObject({3: Prompt(mask=np.zeros((40, 60), bool))}, "gone")
    record = run_job(predictor, Job(path, tmp_path / "out" / "a", (nothing,)), SegmentOptions())
    (item,) = record["objects"]
    assert (item["name"], item["voxels"], item["slices"], item["score"]) == ("gone", 0, None, None)
    assert item["prompt"]["slices"] == [{"z": 3, "score": None, "box": None, "points": [], "mask": True}]
    assert not np.load(tmp_path / "out" / "a.npz")["segs"].any()
    assert cv2.imread(str(tmp_path / "out" / "a_overlay.png")).shape == (40, 60, 3)


def test_finished_work_is_skipped_and_changed_work_is_not(predictor, tmp_path):
    path = volume_npz(tmp_path / "a.npz")
    job = Job(path, tmp_path / "out" / "a")

    def skipped(job, options=SegmentOptions()):  # noqa: B008
        return run_job(predictor, job, options).get("skipped", False)

    assert not skipped(job) and skipped(job)
    assert not skipped(job, SegmentOptions(overwrite=True)) and not skipped(job, SegmentOptions(save=("npz",)))
    for change in (
        {"name": "b"},
        {"z_range": (1, 2)},
        {"bounds": (0, 0, 30, 30)},
        {"prompts": {2: Prompt(box=(1, 1, 9, 9))}},
    ):
        item = VolumeObject(**{"prompts": {1: Prompt(box=(1, 1, 9, 9))}} | change)
        assert not skipped(Job(path, job.target, (item,))) and skipped(Job(path, job.target, (item,)))
    (tmp_path / "out" / "a_label.tif").unlink()
    assert not skipped(Job(path, job.target, (item,)))
    assert not run_job(Predictor(FakeBackend(), zoom="always"), Job(path, job.target, (item,)), SegmentOptions()).get(
        "skipped"
    )


def test_a_failed_write_leaves_nothing(predictor, tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    path = volume_npz(tmp_path / "a.npz")
    monkeypatch.setattr("lite_medsam.jobs.outputs.png_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())
    assert names(tmp_path / "out") == []


def test_slices_are_counted_and_reading_ahead_changes_nothing(predictor, tmp_path):
    for name in ("a", "b", "c"):
        volume_npz(tmp_path / "in" / f"{name}.npz")
    (tmp_path / "in" / "d.npz").write_bytes(b"PK\x03\x04 nothing")
    seen = []
    ahead = run_jobs(
        predictor, find_jobs([tmp_path / "in"], tmp_path / "out"), SegmentOptions(),
        on_slice=lambda job, done, total: seen.append((job.path.stem, done, total)),
    )  # fmt: skip
    serial = run_jobs(predictor, find_jobs([tmp_path / "in"], tmp_path / "one"), SegmentOptions(), read_ahead=False)
    assert len(ahead[0]) == len(serial[0]) == 3 and ahead[1] == serial[1] and len(ahead[1]) == 1
    for name in ("a", "b", "c"):
        counts = [(done, total) for stem, done, total in seen if stem == name]
        assert counts == [(i, len(counts)) for i in range(1, len(counts) + 1)] and len(counts) >= 5
        assert (tmp_path / "out" / f"{name}_label.tif").read_bytes() == (
            tmp_path / "one" / f"{name}_label.tif"
        ).read_bytes()


def test_reference_quirks_know_the_boxes_of_the_npz_only(predictor, tmp_path):
    path = volume_npz(tmp_path / "a.npz")
    quirks = SegmentOptions(reference_quirks=True)
    job = Job(path, tmp_path / "out" / "a", tuple(seeds_from_boxes(BOXES)))
    with pytest.raises(PromptError, match="leave other prompts out"):
        run_job(predictor, job, quirks)
    with pytest.raises(CaseError, match="--window is for NIfTI and DICOM"):
        run_job(predictor, Job(path, job.target), SegmentOptions(window=(40, 400)))
    assert names(tmp_path / "out") == []


@needs_nibabel
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_labels_lie_on_the_voxels_of_the_file(predictor, tmp_path, ending):
    affine = np.array([[0.1, -0.74, 0.2, -20], [0.49, 0.1, 0.1, 33], [0.02, 0.05, -2.9, 7], [0, 0, 0, 1.0]])
    path = volume_nifti(tmp_path / f"a{ending}", affine=affine)
    scan = load_volume(path)
    depth, height, width = scan.values.shape
    box = (width // 4, height // 4, 1, width // 2, height // 2, depth - 2)
    job = find_jobs([path], tmp_path / "out", tuple(seeds_from_boxes([box])))[0]
    record = run_job(predictor, job, SegmentOptions())
    assert names(tmp_path / "out") == ALL_OF_A
    source, label = nibabel.load(path), nibabel.load(tmp_path / "out" / "a_label.nii.gz")
    assert label.shape == source.shape and np.array_equal(label.affine, source.affine)
    assert label.header.get_zooms() == source.header.get_zooms() and label.get_data_dtype() == np.uint8
    segs = np.load(tmp_path / "out" / "a.npz")["segs"]
    assert np.array_equal(scan.geometry.from_file(np.asarray(label.dataobj)), segs) and segs.any()
    assert record["objects"][0]["volume_mm3"] == pytest.approx(
        (segs > 0).sum() * np.prod(source.header.get_zooms()), rel=1e-5
    )
    assert record["window"] == [40, 400]  # values look like HU


@needs_nibabel
def test_the_window_decides_what_the_model_sees(predictor, tmp_path):
    path = volume_nifti(tmp_path / "a.nii.gz")
    scan = load_volume(path)
    job = find_jobs([path], tmp_path / "out", tuple(seeds_from_boxes([(10, 10, 1, 29, 24, 1)])))[0]
    for window, record_window in ((None, [40, 400]), ((-600, 1500), [-600, 1500]), ((40, 400), [40, 400])):
        record = run_job(predictor, job, SegmentOptions(save=("overlay",), window=window))
        assert record["window"] == record_window and not record.get("skipped")
        corner = cv2.imread(str(tmp_path / "out" / "a_overlay.png"))[0, 0, 0]
        assert corner == scan.to_uint8(*(window or (None, None)))[1, 0, 0]
    # asking for the default is the same work
    assert run_job(predictor, job, SegmentOptions(save=("overlay",))).get("skipped")


@needs_nibabel
def test_a_nifti_of_one_slice_is_a_picture_unless_the_prompts_are_for_a_volume(predictor, tmp_path):
    path = volume_nifti(tmp_path / "a.nii.gz", (60, 40, 1))
    picture = find_jobs([path], tmp_path / "out", (Prompt(box=(10, 10, 29, 24)),))[0]
    record = run_job(predictor, picture, SegmentOptions())
    assert names(tmp_path / "out") == ["a.json", "a.npz", "a_label.nii.gz", "a_label.png", "a_overlay.png"]
    label = np.asarray(nibabel.load(tmp_path / "out" / "a_label.nii.gz").dataobj)
    assert label.shape == (60, 40, 1) and label[10:30, 10:25].any() and label.sum() == label[10:30, 10:25].sum()
    assert record["image_hw"] == [40, 60] and np.load(tmp_path / "out" / "a.npz")["segs"].shape == (40, 60)
    volume = find_jobs([path], tmp_path / "3d", tuple(seeds_from_boxes([(10, 10, 0, 29, 24, 0)])))[0]
    run_job(predictor, volume, SegmentOptions())
    assert names(tmp_path / "3d") == ALL_OF_A
    assert np.array_equal(np.load(tmp_path / "3d" / "a.npz")["segs"][0], np.load(tmp_path / "out" / "a.npz")["segs"])
    with pytest.raises(PromptError, match="needs a prompt"):
        run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())


def test_dicom_files(predictor, tmp_path):
    pytest.importorskip("pydicom")
    pytest.importorskip("nibabel")
    from dicom_files import write

    rng = np.random.default_rng(2)
    write(tmp_path / "a.dcm", rng.integers(-1000, 1000, (6, 40, 60)).astype(np.int16), PixelSpacing=[0.75, 0.5],
          SpacingBetweenSlices=3)  # fmt: skip
    job = find_jobs([tmp_path / "a.dcm"], tmp_path / "out", tuple(seeds_from_boxes(BOXES)))[0]
    record = run_job(predictor, job, SegmentOptions(window=(0, 1000)))
    assert (
        names(tmp_path / "out") == ALL_OF_A and record["spacing_mm"] == [3, 0.75, 0.5] and record["window"] == [0, 1000]
    )
    label = nibabel.load(tmp_path / "out" / "a_label.nii.gz")
    assert label.shape == (60, 40, 6) and label.header.get_zooms() == (0.5, 0.75, 3)

    write(tmp_path / "b.dcm", rng.integers(-1000, 1000, (40, 60)).astype(np.int16))
    job = find_jobs([tmp_path / "b.dcm"], tmp_path / "2d", (Prompt(box=(10, 10, 29, 24)),))[0]
    record = run_job(predictor, job, SegmentOptions())
    assert names(tmp_path / "2d") == ["b.json", "b.npz", "b_label.png", "b_overlay.png"] and record["window"] == [
        40,
        400,
    ]

    write(tmp_path / "c.dcm", rng.integers(0, 256, (40, 60, 3), np.uint8))
    job = find_jobs([tmp_path / "c.dcm"], tmp_path / "colour", (Prompt(box=(10, 10, 29, 24)),))[0]
    assert run_job(predictor, job, SegmentOptions())["image_hw"] == [40, 60]
    with pytest.raises(CaseError, match="in colour"):
        run_job(predictor, job, SegmentOptions(window=(40, 400)))

    (tmp_path / "a.dcm").rename(tmp_path / "IM0001")  # as hospitals name them
    job = find_jobs([tmp_path / "IM0001"], tmp_path / "plain", tuple(seeds_from_boxes(BOXES)))[0]
    assert len(run_job(predictor, job, SegmentOptions())["objects"]) == 2


def test_a_missing_library_is_named_before_the_work(predictor, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"anything")
    with pytest.raises(MissingExtraError, match=r"lite-medsam\[medical\]"):
        run_job(predictor, Job(path, tmp_path / "out" / "a"), SegmentOptions())
    code, out, err = run(capsys, "segment", "-i", path, "--box", "1,1,1,9,9,3", "-o", tmp_path / "out")
    assert code == 1 and "lite-medsam[medical]" in err and len(err.splitlines()) == 1 and not out
    assert names(tmp_path / "out") == []


def session_at(predictor, path):
    """Three objects drawn on their middle slices, one of them on another slice too, all followed."""
    session, boxes = Session(predictor, load_volume(path)), load_case(path).boxes[:3]
    for box in boxes:
        session.draw_new(box[[0, 1, 3, 4]].tolist(), int(box[2] + box[5]) // 2)
    session.draw_box(boxes[2][[0, 1, 3, 4]].tolist(), int(boxes[2][5]))
    session.adopt(session.propagate())
    return session


@pytest.fixture(scope="module")
def model():
    return Predictor.open(threads=1)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    case = make_phantom_volume("ct", 1, (8, 128, 128))
    path = tmp_path_factory.mktemp("phantom") / f"{case.name}.npz"
    save_case(path, case)
    return path


def test_a_phantom_by_its_own_boxes(capsys, phantom, tmp_path):
    case = load_case(phantom)
    code, out, err = run(capsys, "segment", "-i", phantom, "-o", tmp_path, "--threads", "1", "--json")
    (record,) = json.loads(out)
    assert code == 0 and "Traceback" not in err and record["objects"][0]["name"] == "liver"
    segs = np.load(tmp_path / phantom.name)["segs"]
    scores = [dice(segs == i, case.label == i) for i in range(1, len(case.boxes) + 1)]
    assert np.mean(scores) > 0.75
    answer = run(capsys, "segment", "-i", phantom, "-o", tmp_path, "--threads", "1")
    assert answer[0] == 0 and "skipped" in answer[1]


def test_boxes_of_six_numbers(capsys, phantom, tmp_path):
    case = load_case(phantom)
    box = case.boxes[2].tolist()
    arguments = ("segment", "-i", phantom, "-o", tmp_path, "--threads", "1", "--box", ",".join(map(str, box)))
    code, out, _ = run(capsys, *arguments)
    assert code == 0 and out.startswith(f"{phantom.name}: 1 object, score 0.")
    segs = np.load(tmp_path / phantom.name)["segs"]
    assert dice(segs == 1, case.label == 3) > 0.75
    # a closed box: its last slice may hold the object, none beyond does
    held = np.flatnonzero(segs.any((1, 2)))
    assert box[2] <= held[0] and held[-1] <= box[5]


@pytest.mark.parametrize("kind", ["session", "asked"])
def test_what_was_taken_home_gives_the_same_labels_again(model, capsys, phantom, tmp_path, kind):
    case = load_case(phantom)
    if kind == "session":
        session = session_at(model, phantom)
        (objects, masks, scores), labels = session.volume_objects(), session.label_map()
        overlap = "last"  # as a session paints them
    else:
        corrected = {4: Prompt(box=(30.25, 40.5, 62, 80), points=[[50, 60]], point_labels=[1])}
        objects = [VolumeObject(corrected, "a", (2, 6)), *seeds_from_boxes(case.boxes[3:5], ["b", None])]
        answer = propagate(model, case.image, objects)
        labels, masks, scores = answer.label_map(), [answer.mask(i) for i in range(3)], None
        overlap = "best"
    assert len(np.unique(labels)) == 4
    files = take_home_files(Result(case.image, labels, objects, masks, scores, name="home"))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code, _, err = run(
        capsys, "segment", "-i", tmp_path / "home.npz", "--prompts", tmp_path / "prompts.json", "--threads", "1",
        "--overlap", overlap, "-o", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    assert np.array_equal(np.load(tmp_path / "out" / "home.npz")["segs"], labels)


def test_wrong_prompts_are_one_line_and_leave_nothing(capsys, tmp_path):
    volume = volume_npz(tmp_path / "3D_a.npz")
    picture = tmp_path / "b.png"
    picture.write_bytes(cv2.imencode(".png", np.zeros((40, 60), np.uint8))[1].tobytes())
    (tmp_path / "2d.json").write_text('{"version": 1, "objects": [{"box": [1, 1, 9, 9]}]}')
    (tmp_path / "late.json").write_text(
        '{"version": 1, "volume": true, "objects": [{"slices": [{"z": 9, "box": [1, 1, 9, 9]}]}]}'
    )
    (tmp_path / "false.json").write_text('{"version": 1, "volume": false, "objects": []}')
    good = volume_prompt_files([VolumeObject({2: Prompt(box=(1, 1, 9, 9))})])["prompts.json"]
    (tmp_path / "3d.json").write_bytes(good)
    for arguments, message in (
        ((volume, "--box", "1,1,9,9"), "do not say on which; give --box x0,y0,z0,x1,y1,z1"),
        ((volume, "--point", "5,5,1"), "do not say on which"),
        ((volume, "--prompts", tmp_path / "2d.json"), "do not say on which"),
        ((volume, "--prompts", tmp_path / "late.json"), "must lie on slices 0 to 5, got slice 9"),
        ((volume, "--prompts", tmp_path / "false.json"), "volume must be true"),
        ((volume, "--box", "1,1,7,9,9,9"), "3D_a.npz"),
        ((volume, "--box", "1,1,nan,9,9,9"), "finite"),
        ((volume, "--overlap", "stack"), "best, first or last"),
        ((volume, "--window", "40,400"), "NIfTI and DICOM"),
        ((picture, "--prompts", tmp_path / "3d.json"), "b.png is a picture"),
        ((picture, "--box", "1,1,1,9,9,3"), "b.png is a picture"),
    ):
        code, out, err = run(capsys, "segment", "-i", *arguments, "-o", tmp_path / "out", "--threads", "1")
        assert code == 2 and message in err and not out, err
        assert len(err.strip().splitlines()) == 1, err
        assert names(tmp_path / "out") == []


@needs_nibabel
def test_malformed_medical_files(capsys, tmp_path):
    good = volume_nifti(tmp_path / "good.nii.gz").read_bytes()
    raw = volume_nifti(tmp_path / "good.nii").read_bytes()
    series = io.BytesIO()
    with contextlib.suppress(ImportError):
        series.write(nibabel.Nifti1Image(np.zeros((9, 9, 3, 2), np.int16), np.eye(4)).to_bytes())
    for name, content in {
        "empty.nii": b"", "text.nii": b"nothing", "cut.nii": raw[:500], "cut.nii.gz": good[: len(good) // 2],
        "series.nii": series.getvalue(), "text.dcm": b"nothing", "empty.dcm": b"", "mark.dcm": bytes(128) + b"DICM",
    }.items():  # fmt: skip
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if name.endswith(".dcm") and importlib.util.find_spec("pydicom") is None:
            continue
        code, out, err = run(
            capsys, "segment", "-i", path, "--box", "1,1,0,9,9,1", "-o", tmp_path / "out", "--threads", "1"
        )
        assert code == 2 and name in err and not out and len(err.strip().splitlines()) == 1, err
        assert names(tmp_path / "out") == []


@needs_nibabel
def test_a_folder_of_all_kinds(capsys, tmp_path):
    volume_npz(tmp_path / "in" / "a.npz")
    volume_nifti(tmp_path / "in" / "a.nii.gz")
    volume_nifti(tmp_path / "in" / "sub" / "c.nii")
    code, out, err = run(capsys, "segment", "-i", tmp_path / "in", "--box", "5,5,1,30,25,3", "-o", tmp_path / "out")
    assert code == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == ["a.nii.gz", "a.npz", "c.nii"]
    assert names(tmp_path / "out") == sorted(
        ["a_npz.json", "a_npz.npz", "a_npz_label.tif", "a_npz_overlay.png", "sub"]
        + [f"a_nii_gz{end}" for end in (".json", ".npz", "_label.nii.gz", "_overlay.png")]
    )
    assert names(tmp_path / "out" / "sub") == ["c.json", "c.npz", "c_label.nii.gz", "c_overlay.png"]


def test_geometry_is_part_of_the_work(predictor, tmp_path):
    """The same voxels elsewhere in the patient are other labels."""
    pytest.importorskip("nibabel")
    path = volume_nifti(tmp_path / "a.nii.gz")
    job = find_jobs([path], tmp_path / "out", tuple(seeds_from_boxes(BOXES)))[0]
    run_job(predictor, job, SegmentOptions())
    moved = np.diag([-0.5, -0.75, 3.0, 1.0])
    moved[:3, 3] = 5, 6, 7
    volume_nifti(path, affine=moved)
    assert "skipped" not in run_job(predictor, job, SegmentOptions())
    assert np.array_equal(nibabel.load(tmp_path / "out" / "a_label.nii.gz").affine, moved)
    assert isinstance(load_volume(path).geometry, Geometry)


@pytest.mark.parametrize("quiet", [False, True])
def test_the_slice_bar_goes_to_stderr_and_only_where_it_is_slow(capsys, monkeypatch, quiet):
    from lite_medsam.cli.segment_report import SliceBar

    clock = iter(np.arange(0, 100, 0.7).tolist())
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    for steps, is_shown in ((1, False), (9, not quiet)):
        with SliceBar(quiet) as bar:
            for done in range(1, steps + 1):
                bar(Job(path := Path("a.nii.gz"), path), done, steps)
            assert bar.bar is None  # a volume that is done leaves nothing
        captured = capsys.readouterr()
        assert not captured.out and ("a.nii.gz" in captured.err) == is_shown
