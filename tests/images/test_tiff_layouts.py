"""TIFF layouts are read as they were written, or refused by name; never scrambled, never memory that was not written."""

import itertools
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from lite_medsam.errors import CaseError
from lite_medsam.images.reading import load_image, read_pixels, read_stored

RNG = np.random.default_rng(0)
SHAPE = (37, 53)
TYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"]


def numbers(kind, channels):
    dtype, shape = np.dtype(kind), (*SHAPE, channels)
    if dtype.kind == "f":
        return RNG.normal(0, 100, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def write(path, values, planar, **options):
    channels = values.shape[2]
    if channels == 1:
        tifffile.imwrite(path, values[..., 0], photometric="minisblack", metadata=None, **options)
        return
    array = values if planar == "contig" else np.ascontiguousarray(values.transpose(2, 0, 1))
    extra = ["unassalpha"] if channels in (2, 4) else None
    photometric = "rgb" if channels > 2 else "minisblack"
    tifffile.imwrite(
        path, array, photometric=photometric, planarconfig=planar, extrasamples=extra, metadata=None, **options
    )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("packing", [None, "zlib"])
def test_every_layout_comes_back_as_it_was_written(tmp_path, kind, packing):
    cuts = ({}, {"rowsperstrip": 10}, {"tile": (16, 32)})
    planes = ((1, None), *itertools.product((2, 3, 4), ("contig", "separate")))
    orders = ({}, {"byteorder": ">"}, {"bigtiff": True})
    for (channels, planar), cut, order in itertools.product(planes, cuts, orders):
        values = numbers(kind, channels)
        write(tmp_path / "a.tif", values, planar, compression=packing, **cut, **order)
        got = read_pixels(tmp_path / "a.tif")
        assert got.dtype == values.dtype, (channels, planar, cut, order)
        assert np.array_equal(got, values[..., 0] if channels == 1 else values), (channels, planar, cut, order)


def repacked(values, strip, bits, compression, predictor=1, kind=1, rows=10, width=None):
    """A TIFF of one channel whose strips `strip` makes of rows; for what tifffile can't write without more packages."""
    parts = [strip(values[y : y + rows]) for y in range(0, len(values), rows)]
    tags = [
        (256, 4, [width or values.shape[1]]), (257, 4, [len(values)]), (258, 3, [bits]), (259, 3, [compression]),
        (262, 3, [1]), (273, 4, []), (277, 3, [1]), (278, 4, [rows]), (279, 4, [len(p) for p in parts]),
        (317, 3, [predictor]), (339, 3, [kind]),
    ]  # fmt: skip
    lists_at = 8 + 2 + 12 * len(tags) + 4
    data_at = lists_at + 8 * len(parts)
    starts = np.cumsum([data_at, *map(len, parts)])[:-1].tolist()
    entries, lists = b"", b""
    for tag, form, given in tags:
        found = starts if tag == 273 else given
        value = struct.pack("<HH", found[0], 0) if form == 3 else struct.pack("<I", found[0])
        if len(found) > 1:
            value = struct.pack("<I", lists_at + len(lists))
            lists += struct.pack(f"<{len(found)}I", *found)
        entries += struct.pack("<HHI", tag, form, len(found)) + value
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + lists + b"".join(parts)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 9, 10, 12, 14])
@pytest.mark.parametrize("compression", [1, 8])
def test_samples_that_are_no_whole_bytes(tmp_path, bits, compression):
    values = RNG.integers(0, 2**bits, SHAPE)

    def strip(rows):
        places = ((rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(rows), -1)
        data = np.packbits(places.astype(np.uint8), axis=1).tobytes()
        return data if compression == 1 else zlib.compress(data)

    (tmp_path / "a.tif").write_bytes(repacked(values, strip, bits, compression))
    stored = read_stored(tmp_path / "a.tif")
    assert np.array_equal(stored.values, values)
    shown = read_pixels(tmp_path / "a.tif")
    if bits == 1:
        assert shown.dtype == bool
    elif bits < 8:
        assert np.array_equal(shown, np.rint(values * (255 / (2**bits - 1))))
    else:
        assert np.array_equal(shown, values)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f4"])
def test_differences_between_neighbours(tmp_path, kind):
    values = numbers(kind, 1)[..., 0]

    def strip(rows):
        whole = rows.view(f"u{rows.itemsize}")
        steps = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
        return zlib.compress(steps.tobytes())

    number_type = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    content = repacked(values, strip, 8 * values.itemsize, 8, predictor=2, kind=number_type)
    (tmp_path / "a.tif").write_bytes(content)
    assert np.array_equal(read_pixels(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_floating_point_predictor(tmp_path, kind):
    values = numbers(kind, 1)[..., 0]

    def strip(rows):
        big = np.ascontiguousarray(rows.astype(f">{kind}")).view(np.uint8).reshape(*rows.shape, -1)
        planes = big.transpose(0, 2, 1).reshape(len(rows), -1)  # the largest byte of each number first
        steps = np.concatenate([planes[:, :1], planes[:, 1:] - planes[:, :-1]], axis=1)
        return zlib.compress(steps.tobytes())

    (tmp_path / "a.tif").write_bytes(repacked(values, strip, 8 * values.itemsize, 8, predictor=3, kind=3))
    assert np.array_equal(read_pixels(tmp_path / "a.tif"), values)


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "group3", "group4", "tiff_ccitt"])
def test_packings_that_pillow_writes(tmp_path, packing):
    is_fax = packing in ("group3", "group4", "tiff_ccitt")
    for mode in ("1",) if is_fax else ("1", "L", "RGB", "I;16"):
        values = numbers("u2" if mode == "I;16" else "u1", 3 if mode == "RGB" else 1)
        values = values if mode == "RGB" else values[..., 0]
        values = values > 128 if mode == "1" else values
        Image.fromarray(values).save(tmp_path / "a.tif", compression=packing)
        assert np.array_equal(read_pixels(tmp_path / "a.tif"), values), mode


def test_a_further_channel_of_unknown_meaning_is_no_alpha(tmp_path):
    values = numbers("u1", 4)
    for packing in (None, "zlib"):
        options = {"photometric": "rgb", "extrasamples": ["unspecified"], "compression": packing}
        tifffile.imwrite(tmp_path / "a.tif", values, **options)
        assert np.array_equal(load_image(tmp_path / "a.tif"), values[..., :3])
    tifffile.imwrite(tmp_path / "a.tif", values[..., :2], photometric="minisblack", extrasamples=["unspecified"],
                     planarconfig="contig")  # fmt: skip
    assert np.array_equal(load_image(tmp_path / "a.tif"), values[..., 0])


def test_alpha_that_is_multiplied_in_is_not_multiplied_again(tmp_path):
    values = np.full((*SHAPE, 4), 100, np.uint8)
    values[..., 3] = 128
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["assocalpha"])
    assert (load_image(tmp_path / "a.tif") == 100).all()
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    assert (load_image(tmp_path / "a.tif") == round(100 * 128 / 255)).all()


RGB = numbers("u1", 3)
REFUSED = {
    "cmyk": (dict(data=numbers("u1", 4), photometric="separated"), "SEPARATED"),
    "lab": (dict(data=RGB, photometric="cielab"), "CIELAB"),
    "ycbcr": (dict(data=RGB, photometric="ycbcr"), "YCBCR"),
    "six channels": (dict(data=np.dstack([RGB, RGB]), photometric="rgb"), "got 6 channels called RGB"),
    "three greys": (dict(data=RGB, photometric="minisblack", planarconfig="contig"), "got 3 channels called grey"),
    "complex": (dict(data=RGB[..., 0].astype(np.complex64)), "can't be read"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_layouts_that_are_not_read_are_named(tmp_path, kind):
    options, message = REFUSED[kind]
    tifffile.imwrite(tmp_path / "a.tif", metadata=None, **options)
    with pytest.raises(CaseError, match=message) as caught:
        load_image(tmp_path / "a.tif")
    assert "\n" not in str(caught.value)


def test_unequal_bits_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[0].tags[258].valueoffset
    data[place : place + 6] = struct.pack("<HHH", 5, 6, 5)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(CaseError, match="same bits"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("packing", [1, 8])
def test_strips_that_hold_too_little_are_damage(tmp_path, packing):
    values = numbers("u2", 1)[..., 0]

    def half(rows):
        data = rows[: len(rows) // 2].tobytes()
        return data if packing == 1 else zlib.compress(data)

    (tmp_path / "a.tif").write_bytes(repacked(values, half, 16, packing))
    with pytest.raises(CaseError, match="damaged"):
        load_image(tmp_path / "a.tif")


def test_claims_that_the_file_can_not_hold_take_no_memory(tmp_path):
    values = numbers("u1", 1)[..., 0]
    content = bytearray(repacked(values, lambda rows: zlib.compress(rows.tobytes()), 8, 8))
    for number, claimed in ((256, 16_000), (257, 16_000)):
        place = content.index(struct.pack("<HHI", number, 4, 1)) + 8
        content[place : place + 4] = struct.pack("<I", claimed)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(CaseError, match="damaged"):
        load_image(tmp_path / "a.tif")


def test_jpeg_inside_is_read_or_refused(tmp_path):
    smooth = np.dstack([np.add.outer(np.arange(48), np.arange(64))] * 3).astype(np.uint8)
    smooth[..., 1] //= 2
    for values in (smooth, smooth[..., 0]):
        Image.fromarray(values).save(tmp_path / "a.tif", compression="jpeg", quality=95)
        got = read_pixels(tmp_path / "a.tif")
        assert got.shape == values.shape and np.abs(got.astype(int) - values).max() <= 6
        assert read_stored(tmp_path / "a.tif").is_lossy


def test_other_kinds_of_files_are_named(tmp_path):
    for content, words in (
        (b"%PDF-1.7 ...", "PDF"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"something", "none of these"),
    ):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(
            CaseError, match=r"must be a png, jpg, bmp, tif, webp or gif image, its content is "
        ) as caught:
            load_image(tmp_path / "a.png")
        assert words in str(caught.value) and "\n" not in str(caught.value)
