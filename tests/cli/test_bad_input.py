"""What goes wrong on the command line is told in one clear line, and leaves nothing half-written."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from cli_runs import png, run

pytestmark = pytest.mark.usefixtures("one_model")  # all of them run commands


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
