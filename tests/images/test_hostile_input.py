"""Hostile and broken files: each is one line that names the file; nothing is printed or run."""

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import traceback
import tracemalloc
import warnings
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.reading import load_image
from lite_medsam.prompts.prompt_set import load_prompts

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(0, 256, (12, 16), np.uint8)
COLOUR = RNG.integers(0, 256, (12, 16, 3), np.uint8)


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return buffer.getvalue()


def header(shape: str, descr: str = "'|u1'", version=(1, 0)) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text


def refused(load, error, path, data: bytes | None, capfd) -> str:
    """Loads a file that must be refused; returns the message without the file's name."""
    if data is not None:
        path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error) as caught:
            load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
    assert "another exception occurred" not in "".join(traceback.format_exception(caught.value))
    assert capfd.readouterr() == ("", "")
    return message.removeprefix(f"{path}: ")


class Trap:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return (os.mkdir, ("trap",))


TRAPPED = np.array([Trap()], dtype=object)
GOOD = npz(imgs=IMAGE, gts=IMAGE)
ENCRYPTED = bytearray(zipped({"imgs.npy": npy(IMAGE)}, zipfile.ZIP_STORED))
ENCRYPTED[6] |= 1  # the encryption flag, in the local header and in the directory
ENCRYPTED[ENCRYPTED.index(b"PK\x01\x02") + 8] |= 1
UNKNOWN_METHOD = bytearray(zipped({"imgs.npy": npy(IMAGE)}, zipfile.ZIP_STORED))
UNKNOWN_METHOD[UNKNOWN_METHOD.index(b"PK\x01\x02") + 10] = 99
CHECKSUM = bytearray(zipped({"imgs.npy": npy(IMAGE)}, zipfile.ZIP_STORED))
CHECKSUM[200] ^= 0xFF  # among the pixels

CASES = {
    "empty": (b"", "the file is empty"),
    "garbage": (b"garbage" * 100, "must be an npz file"),
    "cut off": (GOOD[: len(GOOD) // 2], "must be an npz file"),
    "cut off at the end": (GOOD[:-5], "must be an npz file"),
    "a plain npy": (npy(IMAGE), "must be an npz file"),
    "a pickle": (pickle.dumps(Trap()), "must be an npz file"),
    "an empty zip": (zipped({}), "must hold the array imgs, has no arrays"),
    "other keys": (npz(image=IMAGE, mask=IMAGE), "must hold the array imgs, has image, mask"),
    "many other keys": (npz(**{f"k{i}": np.ones(1) for i in range(30)}), "k10, k11, ..."),
    "no npy suffix": (zipped({"imgs": npy(IMAGE)}), "must hold the array imgs, has imgs"),
    "a key twice": (zipped([("imgs.npy", npy(IMAGE))] * 2), "holds imgs twice"),
    "a line break in a key": (zipped({"a\nb.npy": npy(IMAGE)}), "has a?b"),
    "pickled pixels": (
        zipped({"imgs.npy": npy(TRAPPED)}),
        "imgs must be a plain array, holds Python objects",
    ),
    "pickled labels": (npz(imgs=IMAGE, gts=TRAPPED), "gts must be a plain array, holds Python objects"),
    "pickled boxes": (npz(imgs=IMAGE, boxes=TRAPPED), "boxes must be a plain array"),
    "pickled group": (npz(imgs=IMAGE, group=TRAPPED), "group must be a plain array"),
    "objects in a record": (zipped({"imgs.npy": header("(2, 2)", "[('a', '|O')]")}), "holds Python objects"),
    "encrypted": (bytes(ENCRYPTED), "imgs is encrypted"),
    "an unknown packing": (bytes(UNKNOWN_METHOD), "unknown method 99"),
    "a wrong checksum": (bytes(CHECKSUM), "imgs is damaged or cut off"),
    "no npy inside": (zipped({"imgs.npy": b"text"}), "imgs is damaged or cut off"),
    "an empty member": (zipped({"imgs.npy": b""}), "imgs is damaged or cut off"),
    "an unknown npy version": (
        zipped({"imgs.npy": header("(2, 2)", version=(9, 0)) + bytes(4)}),
        "npy format version",
    ),
    "too few pixels": (
        zipped({"imgs.npy": header("(20, 20)") + bytes(10)}),
        "imgs is damaged: shape (20, 20) of uint8",
    ),
    "too many pixels": (zipped({"imgs.npy": header("(2, 2)") + bytes(10)}), "imgs is damaged: shape (2, 2)"),
    "negative sides": (zipped({"imgs.npy": header("(-2, -2)") + bytes(4)}), "its header says shape (-2, -2)"),
    "overflowing sides": (
        zipped({"imgs.npy": header("(4294967296, 4294967296)")}),
        "must have at most 2147483648",
    ),
    "code in the header": (zipped({"imgs.npy": header("__import__('os').mkdir('trap')")}), "imgs is damaged"),
    "a broken type": (
        zipped({"imgs.npy": header("(2, 2)", "'|q9'") + bytes(4)}),
        "imgs is damaged or cut off",
    ),
    "a huge header": (zipped({"imgs.npy": b"\x93NUMPY\2\0" + b"\xff" * 4}), "imgs is damaged or cut off"),
    "no pixels": (npz(imgs=np.zeros((0, 5), np.uint8)), "imgs must have pixels, got shape (0, 5)"),
    "a number": (npz(imgs=np.uint8(3)), "imgs must be (H, W), (H, W, 3) or (D, H, W), got shape ()"),
    "a line": (npz(imgs=IMAGE[0]), "got shape (16,)"),
    "two channels": (npz(imgs=COLOUR[..., :2]), "got shape (12, 16, 2); start a volume's file name with 3D"),
    "a colour volume": (
        npz(imgs=np.zeros((4, 5, 6, 3), np.uint8)),
        "must be a grey volume (D, H, W), got shape (4, 5, 6, 3)",
    ),
    "five axes": (npz(imgs=np.zeros((1, 1, 4, 5, 6), np.uint8)), "got shape (1, 1, 4, 5, 6)"),
    "texts": (npz(imgs=np.array([["a", "b"]])), "imgs must be of an integer, float or bool type, got <U1"),
    "complex pixels": (npz(imgs=IMAGE.astype(complex)), "got complex128"),
    "dates": (npz(imgs=np.zeros((2, 2), "M8[s]")), "got datetime64[s]"),
    "records": (npz(imgs=np.zeros((2, 2), [("a", "u1"), ("b", "u1")])), "imgs must be of an integer"),
    "NaN": (npz(imgs=np.where(IMAGE > 200, np.nan, IMAGE)), "must not hold NaN or infinite values"),
    "infinity": (
        npz(imgs=np.full((3, 3), np.inf, np.float16)),
        "must not hold NaN or infinite values, got 9 of 9",
    ),
    "labels of another size": (
        npz(imgs=COLOUR, gts=IMAGE[:-1]),
        "must have the image's shape (12, 16), got (11, 16)",
    ),
    "colour labels": (npz(imgs=COLOUR, gts=COLOUR), "must have the image's shape (12, 16), got (12, 16, 3)"),
    "negative labels": (npz(imgs=IMAGE, gts=IMAGE.astype(int) - 300), "must hold values from 0"),
    "fractions": (npz(imgs=IMAGE, gts=IMAGE / 2), "must hold whole numbers"),
    "NaN labels": (npz(imgs=IMAGE, gts=np.full(IMAGE.shape, np.nan)), "must hold whole numbers"),
    "labels beyond 32 bits": (
        npz(imgs=IMAGE, gts=np.full(IMAGE.shape, 2**40)),
        "from 0 to 4294967295, got 10995",
    ),
    "one box": (npz(imgs=IMAGE, boxes=[1, 2, 3, 4]), "wrap a single box: [[x0, y0, x1, y1]]"),
    "boxes of a volume": (npz(imgs=IMAGE, boxes=[[1, 2, 3, 4, 5, 6]]), "boxes must be (N, 4) as x0 y0 x1 y1"),
    "flat boxes of a volume": (
        npz(imgs=np.zeros((8, 9, 10)), boxes=[[1, 2, 3, 4]]),
        "(N, 6) as x0 y0 z0 x1 y1 z1",
    ),
    "NaN boxes": (npz(imgs=IMAGE, boxes=[[1, 2, 3, np.nan]]), "boxes must be finite"),
    "text boxes": (npz(imgs=IMAGE, boxes=[["1", "2", "3", "4"]]), "boxes must be numbers"),
    "a zero spacing": (
        npz(imgs=np.zeros((8, 9, 10)), spacing=[1, 0, 1]),
        "spacing must be 3 positive numbers",
    ),
    "a short spacing": (
        npz(imgs=np.zeros((8, 9, 10)), spacing=[1, 1]),
        "spacing must be 3 numbers x, y, z in mm",
    ),
    "a text spacing": (npz(imgs=IMAGE, spacing=["1", "1"]), "spacing must be 2 numbers x, y in mm"),
    "negative names": (npz(imgs=IMAGE, label_ids=[-1], label_names=["x"]), "label_names must map"),
}


def load_whole_case(path):
    """A case with every array that its file holds: optional ones are read only where somebody needs them."""
    case = load_case(path)
    for reason in case.unread.values():
        raise CaseError(f"{path}: {reason}")
    return case


@pytest.mark.parametrize("kind", CASES)
def test_cases(tmp_path, capfd, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    data, message = CASES[kind]
    assert message in refused(load_whole_case, CaseError, tmp_path / "x.npz", data, capfd)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def test_the_trap_would_spring(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.load(io.BytesIO(npy(TRAPPED)), allow_pickle=True)
    assert (tmp_path / "trap").is_dir()


@pytest.mark.skipif(sys.platform == "win32", reason="the name is not possible there")
def test_a_name_with_line_breaks_stays_one_line(tmp_path):
    path = tmp_path / "a\nb\x1b[31m.npz"
    path.write_bytes(b"x")
    for load in (load_case, load_image):
        with pytest.raises(CaseError) as caught:
            load(path)
        assert "a?b?[31m.npz: " in str(caught.value)


@pytest.mark.parametrize(
    ("load", "error"), [(load_case, CaseError), (load_image, CaseError), (load_prompts, PromptError)]
)
def test_paths_that_are_no_files(tmp_path, capfd, load, error):
    assert "no such file" in refused(load, error, tmp_path / "missing", None, capfd)
    assert "is a folder" in refused(load, error, tmp_path, None, capfd)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
        refused(load, error, tmp_path / "pipe", None, capfd)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind the superuser")
@pytest.mark.parametrize(
    ("load", "error"), [(load_case, CaseError), (load_image, CaseError), (load_prompts, PromptError)]
)
def test_files_without_permission(tmp_path, capfd, load, error):
    path = tmp_path / "a"
    path.write_bytes(GOOD)
    path.chmod(0)
    assert "could not be read (Permission denied)" in refused(load, error, path, None, capfd)


# --- bombs ---


def peak_memory(action) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def with_claim(data: bytes, claimed: int) -> bytes:
    """The archive with another unpacked size in its directory and in the member's own header."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = changed.index(mark) + offset
        changed[at : at + 4] = struct.pack("<I", claimed)
    return bytes(changed)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, capfd, method):
    bomb = zipped({"imgs.npy": header("(5000, 5000)") + bytes(25_000_000)}, method)
    assert len(bomb) < 40_000
    path = tmp_path / "x.npz"

    def load():
        limited = lambda p: load_case(p, max_bytes=20_000_000)  # noqa: E731
        message = refused(limited, CaseError, path, bomb, capfd)
        assert "must unpack to at most 20000000 bytes, its directory says 25000" in message

    assert peak_memory(load) < 2_000_000


def test_the_default_limit_is_four_gibibytes(tmp_path, capfd):
    bomb = with_claim(zipped({"imgs.npy": npy(IMAGE)}), 0xFFFFFFFE)
    two = zipped({"imgs.npy": npy(IMAGE), "gts.npy": npy(IMAGE)})
    at = two.index(b"PK\x01\x02") + 24
    two = two[:at] + struct.pack("<I", 0xFFFFFFFE) + two[at + 4 :]
    assert "must unpack to at most 4294967296 bytes" in refused(load_case, CaseError, tmp_path / "x.npz", two, capfd)
    assert "imgs is damaged" in refused(load_case, CaseError, tmp_path / "y.npz", bomb, capfd)


def test_a_bomb_that_lies_about_its_size_is_not_unpacked_further(tmp_path, capfd):
    bomb = with_claim(zipped({"imgs.npy": header("(10, 10)") + bytes(50_000_000)}), len(header("(10, 10)")) + 100)

    def load():
        refused(load_case, CaseError, tmp_path / "x.npz", bomb, capfd)

    assert peak_memory(load) < 5_000_000


def test_members_that_are_not_wanted_are_not_touched(tmp_path):
    bomb = zipped({"imgs.npy": npy(IMAGE), "embedding.npy": header("(5000, 5000)") + bytes(25_000_000)})
    (tmp_path / "x.npz").write_bytes(bomb)
    assert peak_memory(lambda: load_case(tmp_path / "x.npz", max_bytes=1_000_000)) < 2_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_a_packed_tiff_can_not_be_a_bomb(tmp_path):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, IMAGE, compression="zlib", rowsperstrip=12)
    data = bytearray(buffer.getvalue())
    packed = zlib.compress(bytes(300_000_000), 1)  # one strip of 192 pixels that unpacks to 300 MB
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
        for name, value in (("StripByteCounts", len(packed)), ("StripOffsets", len(data))):
            at = tags[name].valueoffset
            data[at : at + 4] = struct.pack("<I", value)
    (tmp_path / "a.tif").write_bytes(bytes(data) + packed)
    # libtiff's memory is not Python's: a process of its own tells its largest size
    code = (
        "import sys, resource, numpy, tifffile, cv2, PIL.TiffImagePlugin\n"
        "from lite_medsam.images.reading import load_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load_image(sys.argv[1])\nexcept ValueError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.tif")]
    root = os.path.dirname(os.path.dirname(sys.modules["lite_medsam"].__file__))
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert int(run.stdout) < 50_000  # kilobytes
    assert run.stderr == ""


# --- images and prompt files ---


def encoded(kind: str, pixels=COLOUR, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


IMAGES = {
    "empty": (b"", "the file is empty"),
    "garbage": (b"\0\1\2\3" * 50, "must be a png, jpg, bmp, tif, webp or gif image"),
    "text": (b"<svg></svg>", "must be a png, jpg, bmp, tif, webp or gif image"),
    "gif cut off": (encoded("GIF", IMAGE)[:-40], "damaged or cut-off image"),
    "webp cut off": (encoded("WEBP")[:-20], "damaged or cut-off image"),
    "a gif of 65535 x 65535": (
        encoded("GIF", IMAGE)[:6] + b"\xff\xff\xff\xff" + encoded("GIF", IMAGE)[10:],
        "at most 268,435,456",
    ),
    "npz": (GOOD, "must be a png, jpg, bmp, tif, webp or gif image"),
    "postscript": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "must be a png, jpg, bmp, tif, webp or gif image",
    ),
    "only a png signature": (b"\x89PNG\r\n\x1a\n", "damaged or cut-off"),
    "only a jpg signature": (b"\xff\xd8\xff", "damaged or cut-off"),
    "only a bmp signature": (b"BM", "damaged or cut-off"),
    "only a tif signature": (b"II*\0", "damaged or cut-off"),
    "a png cut in its header": (encoded("PNG")[:20], "damaged or cut-off"),
    "a bmp of 65536 x 65536": (
        b"BM" + bytes(12) + struct.pack("<IiiHH", 40, 65536, 65536, 1, 8) + bytes(24),
        "at most",
    ),
    "a jpg of 65535 x 65535": (
        encoded("JPEG").replace(b"\0\x0c\0\x10\3", b"\xff\xff\xff\xff\3"),
        "at most 268,435,456",
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images(tmp_path, capfd, kind):
    data, message = IMAGES[kind]
    assert message in refused(load_image, CaseError, tmp_path / "a.png", data, capfd)


PROMPTS = {
    "empty": (b"", "must be JSON, line 1 column 1"),
    "bad": (b'{"version": 1,\n "objects": [}', "must be JSON, line 2 column 14"),
    "binary": (b"\xff\xfe" + bytes(range(128, 256)), "must be JSON in UTF-8, holds other bytes"),
    "NaN": (b'{"version": 1, "objects": [{"box": [NaN, 1, 2, 3]}]}', "numbers must be finite, got NaN"),
    "infinity": (
        b'{"version": 1, "objects": [{"box": [-Infinity, 1, 2, 3]}]}',
        "numbers must be finite, got -Infinity",
    ),
    "overflow": (b'{"version": 1, "objects": [{"box": [1e999, 1, 2, 3]}]}', "objects[0].box[0] must lie in"),
    "a long number": (
        b'{"version": 1, "objects": [{"box": [' + b"9" * 3000 + b", 1, 2, 3]}]}",
        "objects[0].box[0] must lie in",
    ),
    "a longer number": (b'{"version": 1, "objects": [{"box": [' + b"9" * 9000 + b", 1, 2, 3]}]}", ""),
    "a fraction out of nowhere": (b'{"version": 1e400, "objects": []}', "version must be 1"),
    "a key twice": (b'{"version": 1, "objects": [], "objects": []}', 'the key "objects" comes twice'),
    "deep": (b"[" * 100_000, "nested too deeply"),
    "a long key": (b'{"version": 1, "objects": [], "' + b"x" * 5000 + b'": 1}', "unknown key"),
    "a missing mask": (b'{"version": 1, "objects": [{"mask": "no.png"}]}', "objects[0].mask: "),
    "itself as mask": (
        b'{"version": 1, "objects": [{"mask": "p.json"}]}',
        "must be a png, jpg, bmp, tif, webp or gif image",
    ),
    "its folder as mask": (b'{"version": 1, "objects": [{"mask": "."}]}', "is a folder"),
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_prompt_files(tmp_path, capfd, kind):
    data, message = PROMPTS[kind]
    path = tmp_path / "p.json"
    if "mask" in kind:  # the message names two files, and may be longer
        path.write_bytes(data)
        with pytest.raises(PromptError) as caught:
            load_prompts(path)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    else:
        assert message in refused(load_prompts, PromptError, path, data, capfd)


def test_a_prompt_file_of_51_megabytes_is_not_read(tmp_path, capfd):
    path = tmp_path / "p.json"
    with open(path, "wb") as file:
        file.truncate(51_000_000)
    assert "must be at most 50000000 bytes, has 51000000" in refused(load_prompts, PromptError, path, None, capfd)


def test_links_do_not_lead_masks_out_of_the_folder(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "m.png").write_bytes(encoded("PNG", IMAGE))
    folder = tmp_path / "prompts"
    folder.mkdir()
    try:
        (folder / "out").symlink_to(secret)
        (folder / "m.png").symlink_to(secret / "m.png")
        (folder / "circle").symlink_to(folder / "circle")
    except OSError:
        pytest.skip("no links here")
    for name in ("out/m.png", "m.png", "circle"):
        (folder / "p.json").write_text(json.dumps({"version": 1, "objects": [{"mask": name}]}))
        with pytest.raises(PromptError):
            load_prompts(folder / "p.json")


# --- random damage ---


def seeds():
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, COLOUR.astype(np.float32), photometric="rgb", compression="zlib")
    return {
        "png": encoded("PNG"),
        "palette.png": encoded("PNG", IMAGE % 4),
        "16.png": cv2.imencode(".png", COLOUR.astype(np.uint16) * 200)[1].tobytes(),
        "jpg": encoded("JPEG"),
        "bmp": encoded("BMP"),
        "tif": encoded("TIFF"),
        "lzw.tif": encoded("TIFF", compression="tiff_lzw"),
        "float.tif": tiff.getvalue(),
        "npz": npz(imgs=COLOUR, gts=IMAGE, boxes=[[1, 2, 3, 4]]),
        "stored.npz": zipped({"imgs.npy": npy(COLOUR), "gts.npy": npy(IMAGE)}, zipfile.ZIP_STORED),
        "lzma.npz": zipped({"imgs.npy": npy(COLOUR)}, zipfile.ZIP_LZMA),
        "json": b'{"version": 1, "objects": [{"name": "x", "box": [1, 2, 3, 4.5], "points": [[1, 2, 1]]}]}',
    }


@pytest.mark.parametrize("kind", list(seeds()))
def test_random_damage_gives_an_image_or_one_line(tmp_path, capfd, kind):
    data, dice = seeds()[kind], random.Random(kind)
    load = load_case if kind.endswith("npz") else load_prompts if kind == "json" else load_image
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data)
    load(path)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 1, 3, 20))):
            # headers and directories lie at the two ends
            reach = dice.choice((len(data), 100))
            damaged[dice.randrange(min(reach, len(data))) * dice.choice((1, -1))] = dice.choice(
                (0, 1, 255, dice.randrange(256))
            )
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                load(path)
        except (CaseError, PromptError) as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
    assert capfd.readouterr() == ("", "")
