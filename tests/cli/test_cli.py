"""The command line as a user meets it: outputs, exit codes, one line per mistake, nothing half-written."""

import io
import json
import os
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
from places import ROOT

from lite_medsam.cases.case import load_case, save_case
from lite_medsam.cli import COMMANDS, main
from lite_medsam.images.masks import read_mask
from lite_medsam.images.reading import load_image
from lite_medsam.phantoms import make_phantom
from lite_medsam.scans.reading import load_volume
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

CACHE = []


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def png(path, shape=(60, 80), value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (
        np.random.default_rng(0).integers(0, 256, shape, np.uint8) if value is None else np.full(shape, value, np.uint8)
    )
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return path


@pytest.fixture(autouse=True)
def one_model(monkeypatch):
    """Opens the bundled model once for all tests of this file; whole processes open it themselves."""
    import lite_medsam.segment.predictor

    original = lite_medsam.segment.predictor.open_backend

    def cached(weights, engine, threads):
        if weights != DEFAULT_WEIGHTS or engine != "auto" or threads is not None:
            return original(weights, engine, threads)
        if not CACHE:
            CACHE.append(original(weights, engine, 1))
        return CACHE[0]

    monkeypatch.setattr("lite_medsam.segment.predictor.open_backend", cached)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    case = make_phantom("oct-cme", 0)
    save_case(folder / f"{case.name}.npz", case)
    return folder / f"{case.name}.npz", case


def test_box_on_an_image(capsys, tmp_path):
    code, out, err = run(
        capsys, "segment", "-i", png(tmp_path / "a.png"), "--box", "10,10,50,40", "-o", tmp_path / "out"
    )
    assert code == 0 and out.startswith("a.png: 1 object, score") and not err.strip()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.npz", "a_label.png", "a_overlay.png"]


def test_several_boxes_points_and_both(capsys, tmp_path):
    image = png(tmp_path / "a.png")
    for i, prompts in enumerate(
        [("--box", "1,1,9,9", "--box", "20,20,50,50"), ("--point", "30,30,1", "--point", "3,3,0"),
         ("--box", "5.5,5.5,40,40", "--point", "20,20,1")]
    ):  # fmt: skip
        code, out, _ = run(capsys, "segment", "-i", image, *prompts, "-o", tmp_path / str(i), "--json")
        records = json.loads(out)
        assert code == 0 and len(records) == 1 and len(records[0]["objects"]) == (2 if i == 0 else 1)


def test_a_case_with_its_own_boxes_then_evaluate(capsys, phantom, tmp_path):
    path, case = phantom
    code, out, _ = run(capsys, "segment", "-i", path, "-o", tmp_path / "out", "-q")
    assert code == 0 and not out
    segs = np.load(tmp_path / "out" / path.name)["segs"]
    assert segs.shape == case.label.shape and set(np.unique(segs)) <= set(range(len(case.boxes) + 1))
    scores = tmp_path / "scores.csv"
    code, out, _ = run(capsys, "evaluate", "-i", path, "--predictions", tmp_path / "out", "-o", scores)
    assert code == 0 and "OCT" in out and len(scores.read_text().splitlines()) == 1 + len(case.boxes)


def test_evaluate_a_model_and_a_baseline(capsys, phantom, tmp_path):
    path, _case = phantom
    code, out, _ = run(capsys, "evaluate", "-i", path, "--json", "-q", "--report", tmp_path / "r.md")
    model = json.loads(out)["summary"]["modality"][-1]["dice"]
    assert code == 0 and "By dataset" in (tmp_path / "r.md").read_text()
    code, out, _ = run(capsys, "evaluate", "-i", path, "--baseline", "box", "--json", "-q")
    assert code == 0 and json.loads(out)["summary"]["modality"][-1]["dice"] < model


def test_groups_file(capsys, phantom, tmp_path):
    path, _ = phantom
    table = tmp_path / "groups.csv"
    table.write_text(f"file,group\nval/OCT/{path.name},eye7\n")
    code, _, _ = run(
        capsys, "evaluate", "-i", path, "--groups", table, "--baseline", "box", "-o", tmp_path / "s.csv", "-q"
    )
    assert code == 0 and "eye7" in (tmp_path / "s.csv").read_text()
    table.write_text("a,b\n1,2\n")
    code, _, err = run(capsys, "evaluate", "-i", path, "--groups", table, "--baseline", "box")
    assert code == 2 and "file and group" in err


def test_resume_and_overwrite(capsys, tmp_path):
    arguments = ("segment", "-i", png(tmp_path / "a.png"), "--box", "10,10,50,40", "-o", tmp_path / "out")
    run(capsys, *arguments)
    before = (tmp_path / "out" / "a.npz").stat().st_mtime_ns
    assert "skipped" in run(capsys, *arguments)[1]
    assert (tmp_path / "out" / "a.npz").stat().st_mtime_ns == before
    assert "skipped" not in run(capsys, *arguments, "--overwrite")[1]


def test_one_bad_file_in_a_folder(capsys, tmp_path):
    png(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    code, out, err = run(capsys, "segment", "-i", tmp_path / "in", "--box", "1,1,30,30", "-o", tmp_path / "out")
    assert code == 2 and "good.png" in out and "bad.png" in err and "1 of 2 inputs failed" in err
    assert (tmp_path / "out" / "good.npz").exists() and not (tmp_path / "out" / "bad.npz").exists()


def test_info(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0 and "onnxruntime" in out and "trained on" in out and "licence" in out
    record = json.loads(run(capsys, "info", "--json")[1])
    assert record["machine"]["threads"] >= 1 and record["model"]["prompts"]


def test_phantoms(capsys, tmp_path):
    code, out, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "oct-srf", "--count", 2)
    assert code == 0 and len(out.splitlines()) == len(list(tmp_path.iterdir())) == 2
    code, _, err = run(capsys, "phantoms", "-o", tmp_path, "--kind", "teapot")
    assert code == 2 and "oct-srf" in err and len(err.splitlines()) == 1


def test_phantoms_as_pictures(capsys, tmp_path):
    code, out, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "us", "--save", "npz,png")
    assert code == 0 and len(out.splitlines()) == len(list(tmp_path.iterdir())) == 3
    case = load_case(tmp_path / "2D_US_us-0000.npz")
    assert np.array_equal(load_image(tmp_path / "2D_US_us-0000.png"), case.image)
    assert np.array_equal(read_mask(tmp_path / "2D_US_us-0000_mask.png"), case.label)


def test_phantoms_as_volumes(capsys, tmp_path):
    pytest.importorskip("nibabel")
    code, _, _ = run(capsys, "phantoms", "-o", tmp_path, "--kind", "ct", "--volumes", "--save", "npz,nifti")
    case, scan = load_case(tmp_path / "3D_CT_ct-0000.npz"), load_volume(tmp_path / "3D_CT_ct-0000.nii.gz")
    assert code == 0 and case.is_volume and np.array_equal(scan.values, case.image)
    assert scan.spacing_mm == pytest.approx(case.spacing_mm)
    assert np.array_equal(load_volume(tmp_path / "3D_CT_ct-0000_label.nii.gz").values, case.label)


@pytest.mark.parametrize(
    "words", [("--save", "bmp"), ("--save", ""), ("--volumes", "--save", "png"), ("--save", "nifti")]
)
def test_phantoms_in_a_format_that_does_not_fit(capsys, tmp_path, words):
    code, _, err = run(capsys, "phantoms", "-o", tmp_path / "x", "--kind", "ct", *words)
    assert code == 2 and "--save" in err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0 and "Usage: lite-medsam" in out


def test_an_interruption_exits_130_and_says_so(capsys, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lite_medsam.jobs.batch.run_job", interrupt)
    code, _, err = run(capsys, "segment", "-i", png(tmp_path / "a.png"), "--box", "1,1,30,30", "-o", tmp_path / "out")
    assert code == 130 and "interrupted" in err


def test_a_full_disk_exits_1_and_leaves_nothing(capsys, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    code, _, err = run(capsys, "segment", "-i", png(tmp_path / "a.png"), "--box", "1,1,30,30", "-o", tmp_path / "out")
    assert code == 1 and "No space left" in err and len(err.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def bomb() -> bytes:
    """An npy header that promises 64 GiB in a small zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (262144, 262144), }"
        body = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n" + bytes(10**6)
        archive.writestr("imgs.npy", body)
    return buffer.getvalue()


IMAGE = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
BOX = np.array([[5, 5, 30, 30]])
GOOD = npz(imgs=IMAGE, boxes=BOX)
PNG = cv2.imencode(".png", IMAGE)[1].tobytes()
JPG = cv2.imencode(".jpg", IMAGE)[1].tobytes()
TIF = cv2.imencode(".tif", IMAGE)[1].tobytes()
BMP = cv2.imencode(".bmp", IMAGE)[1].tobytes()
MALFORMED_FILES = {
    "empty.npz": b"",
    "garbage.npz": b"garbage" * 100,
    "truncated.npz": GOOD[: len(GOOD) // 2],
    "half_directory.npz": GOOD[:-20],
    "flipped.npz": GOOD[:200] + bytes([GOOD[200] ^ 255]) + GOOD[201:],
    "bomb.npz": bomb(),
    "pickled.npz": npz(imgs=np.array([{"a": 1}], dtype=object), boxes=BOX),
    "pickled_boxes.npz": npz(imgs=IMAGE, boxes=np.array([None], dtype=object)),
    "no_imgs.npz": npz(images=IMAGE, boxes=BOX),
    "no_boxes.npz": npz(imgs=IMAGE),
    "no_arrays.npz": npz(),
    "nan.npz": npz(imgs=np.full((5, 5), np.nan), boxes=BOX),
    "inf.npz": npz(imgs=np.full((5, 5), np.inf), boxes=BOX),
    "complex.npz": npz(imgs=IMAGE * 1j, boxes=BOX),
    "text.npz": npz(imgs=np.array(["a", "b"]), boxes=BOX),
    "scalar.npz": npz(imgs=np.uint8(3), boxes=BOX),
    "line.npz": npz(imgs=IMAGE[0, :, 0], boxes=BOX),
    "two_channels.npz": npz(imgs=IMAGE[..., :2], boxes=BOX),
    "five_axes.npz": npz(imgs=IMAGE[None, None], boxes=BOX),
    "no_pixels.npz": npz(imgs=IMAGE[:0], boxes=BOX),
    "3D_no_boxes.npz": npz(imgs=np.zeros((6, 40, 50), np.uint8)),
    "3D_flat_boxes.npz": npz(imgs=np.zeros((6, 40, 50), np.uint8), boxes=np.array([[1, 1, 9, 9]])),
    "3D_reversed_box.npz": npz(imgs=np.zeros((6, 40, 50), np.uint8), boxes=np.array([[1, 1, 3, 9, 9, 1]])),
    "3D_box_beyond.npz": npz(imgs=np.zeros((6, 40, 50), np.uint8), boxes=np.array([[1, 1, 8, 9, 9, 9]])),
    "3D_box_beside.npz": npz(imgs=np.zeros((6, 40, 50), np.uint8), boxes=np.array([[60, 1, 1, 70, 9, 3]])),
    "label_size.npz": npz(imgs=IMAGE, gts=np.zeros((4, 4), np.uint8), boxes=BOX),
    "negative_label.npz": npz(imgs=IMAGE, gts=np.full((40, 50), -1), boxes=BOX),
    "flat_box.npz": npz(imgs=IMAGE, boxes=BOX[0]),
    "long_box.npz": npz(imgs=IMAGE, boxes=np.array([[1, 2, 3, 4, 5]])),
    "reversed_box.npz": npz(imgs=IMAGE, boxes=np.array([[30, 30, 5, 5]])),
    "outside_box.npz": npz(imgs=IMAGE, boxes=np.array([[100, 100, 120, 120]])),
    "nan_box.npz": npz(imgs=IMAGE, boxes=np.array([[1, 1, np.nan, 9]])),
    "text_box.npz": npz(imgs=IMAGE, boxes=np.array([["a", "b", "c", "d"]])),
    "empty_boxes.npz": npz(imgs=IMAGE, boxes=np.zeros((0, 4))),
    "png_in_npz.npz": PNG,
    "empty.png": b"",
    "text.png": b"not an image",
    "truncated.png": PNG[: len(PNG) // 2],
    "header_only.png": PNG[:40],
    "flipped.png": PNG[:100] + bytes([PNG[100] ^ 255]) + PNG[101:],
    "npz.png": GOOD,
    "empty.jpg": b"",
    "truncated.jpg": JPG[: len(JPG) // 3],
    "header_only.jpg": JPG[:20],
    "empty.tif": b"",
    "truncated.tif": TIF[:60],
    "text.tif": b"II*\x00 nothing",
    "empty.bmp": b"",
    "truncated.bmp": BMP[:80],
}
BAD_OPTIONS = {
    "box of three": ("--box", "1,2,3"),
    "box of words": ("--box", "a,b,c,d"),
    "box of five": ("--box", "1,2,3,4,5"),
    "box of a volume": ("--box", "1,2,3,4,5,6"),
    "reversed box of a volume": ("--box", "1,2,3,4,5,2"),
    "boxes of both kinds": ("--box", "1,2,3,4,5,6", "--box", "1,1,9,9"),
    "box of a volume and a point": ("--box", "1,2,3,4,5,6", "--point", "2,2,1"),
    "window of a picture": ("--box", "1,1,9,9", "--window", "40,400"),
    "window without width": ("--box", "1,1,9,9", "--window", "40"),
    "window of no width": ("--box", "1,1,9,9", "--window", "40,0"),
    "window of NaN": ("--box", "1,1,9,9", "--window", "nan,400"),
    "reversed box": ("--box", "30,30,5,5"),
    "box outside": ("--box", "100,100,120,120"),
    "box of NaN": ("--box", "nan,1,5,5"),
    "infinite box": ("--box", "0,0,inf,5"),
    "point outside": ("--point", "500,5,1"),
    "point label 2": ("--point", "5,5,2"),
    "only a background point": ("--point", "5,5,0"),
    "point of NaN": ("--point", "nan,5,1"),
    "two boxes and a point": ("--box", "1,1,5,5", "--box", "6,6,9,9", "--point", "2,2,1"),
    "no prompt": (),
    "unknown output": ("--box", "1,1,9,9", "--save", "pdf"),
    "missing prompt file": ("--prompts", "nowhere.json"),
    "both kinds of prompt": ("--prompts", "nowhere.json", "--box", "1,1,9,9"),
    "no such weights": ("--box", "1,1,9,9", "--weights", "nowhere"),
    "no threads": ("--box", "1,1,9,9", "--threads", "0"),
    "unknown engine": ("--box", "1,1,9,9", "--engine", "abacus"),
}


def assert_one_clear_line(code, err):
    assert code == 2
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith(("Usage:", "Try "))]
    assert len(lines) == 1 and 20 < len(lines[0]) < 500, err


@pytest.mark.parametrize("name", MALFORMED_FILES)
def test_malformed_files(capsys, tmp_path, name):
    path = tmp_path / "in" / name
    path.parent.mkdir()
    path.write_bytes(MALFORMED_FILES[name])
    prompts = () if name.endswith(".npz") else ("--box", "5,5,30,30")
    code, out, err = run(capsys, "segment", "-i", path, "-o", tmp_path / "out", *prompts)
    assert_one_clear_line(code, err)
    assert name in err and not out
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(capsys, tmp_path, name):
    code, out, err = run(
        capsys, "segment", "-i", png(tmp_path / "a.png", (40, 50)), "-o", tmp_path / "out", *BAD_OPTIONS[name]
    )
    assert_one_clear_line(code, err)
    assert not out and not (tmp_path / "out").exists()


def test_folders_without_anything_to_do(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        code, _, err = run(capsys, "segment", "-i", path, "--box", "1,1,5,5", "-o", tmp_path / "out")
        assert_one_clear_line(code, err)
    code, _, err = run(capsys, "evaluate", "-i", tmp_path / "empty")
    assert_one_clear_line(code, err)


def test_the_output_folder_may_not_be_a_file(capsys, tmp_path):
    (tmp_path / "out").write_text("mine")
    code, _, err = run(capsys, "segment", "-i", png(tmp_path / "a.png"), "--box", "1,1,5,5", "-o", tmp_path / "out")
    assert code == 1 and len(err.splitlines()) == 1 and (tmp_path / "out").read_text() == "mine"


def test_a_whole_process_without_torch(tmp_path):
    image = png(tmp_path / "Käse scan.v1.png")
    program = (
        "import sys; from lite_medsam.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "segment", "-i", image, "--box", "10,10,50,40", "-o", tmp_path / "out"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert not set(result.stderr.split()) & {"torch", "timm", "gradio", "matplotlib", "onnx", "scipy"}
    assert (tmp_path / "out" / "Käse scan.v1_overlay.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals end a process at once there")
def test_a_terminated_run_cleans_up_and_goes_on_later(tmp_path):
    for i in range(40):
        png(tmp_path / "in" / f"{i:02d}.png")
    command = [sys.executable, "-m", "lite_medsam", "segment", "-i", tmp_path / "in", "--box", "5,5,50,40",
               "-o", tmp_path / "out"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    first = process.stdout.readline()
    process.terminate()
    process.communicate()
    assert "1 object" in first and process.returncode == 130
    left = {p.name for p in (tmp_path / "out").iterdir()}
    finished = {name.removesuffix(".json") for name in left if name.endswith(".json")}
    assert 0 < len(finished) < 40
    assert left == {stem + end for stem in finished for end in (".json", ".npz", "_label.png", "_overlay.png")}
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and again.stdout.count("skipped") == len(finished)
    assert len(list((tmp_path / "out").glob("*.json"))) == 40
