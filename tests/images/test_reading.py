"""Image files of all usual kinds, and the mapping of their values to uint8."""

import io
import logging
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import stretch_to_uint8, to_uint8
from lite_medsam.images.reading import load_image, read_pixels

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (13, 17), np.uint8)
RGB = RNG.integers(0, 256, (13, 17, 3), np.uint8)
GREY16 = RNG.integers(0, 65536, (13, 17), np.uint16)
RGB16 = RNG.integers(0, 65536, (13, 17, 3), np.uint16)
ALPHA = np.where(GREY > 128, 255, 51).astype(np.uint8)


def pillow(array, path, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


# --- files: values, channels, order ---


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("pixels", [GREY, RGB, GREY[:1], GREY[:, :1], RGB[:1, :1]], ids=lambda a: str(a.shape))
def test_eight_bit_files_come_back_unchanged(tmp_path, suffix, pixels):
    image = load_image(pillow(pixels, tmp_path / f"a.{suffix}"))
    assert image.dtype == np.uint8
    assert np.array_equal(image, pixels)
    image[0, 0] = 1  # writable, unlike what Pillow hands out


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_packed_tiffs_need_no_further_package(tmp_path, packing, pixels):
    assert np.array_equal(load_image(pillow(pixels, tmp_path / "a.tif", compression=packing)), pixels)


def test_jpeg_is_rgb_within_its_losses(tmp_path):
    flat = np.zeros((32, 32, 3), np.uint8)
    flat[..., 0] = 200
    image = load_image(pillow(flat, tmp_path / "a.jpg", quality=95))
    assert image.shape == (32, 32, 3)
    assert np.abs(image.astype(int) - flat).max() <= 4
    assert load_image(pillow(GREY, tmp_path / "b.jpg")).shape == GREY.shape
    assert load_image(pillow(RGB, tmp_path / "c.jpg", "CMYK")).shape == RGB.shape


@pytest.mark.parametrize("kind", ["png", "tif", "zlib.tif"])
@pytest.mark.parametrize("pixels", [GREY16, RGB16], ids=["grey", "rgb"])
def test_sixteen_bits_are_read_whole(tmp_path, kind, pixels):
    path = tmp_path / f"a.{kind}"
    if kind == "png":
        path.write_bytes(cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes())
    else:
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        tifffile.imwrite(path, pixels, photometric=photometric, compression="zlib" if "zlib" in kind else None)
    assert np.array_equal(read_pixels(path), pixels)
    assert np.array_equal(load_image(path), to_uint8(pixels))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint32, np.int32, np.float16, np.float32, np.float64, bool])
def test_tiffs_of_any_number_type(tmp_path, dtype):
    pixels = (np.arange(99.0).reshape(9, 11) - 10).clip(-5).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    assert read_pixels(tmp_path / "a.tif").dtype == dtype
    assert np.array_equal(load_image(tmp_path / "a.tif"), to_uint8(pixels))


def test_palettes_and_single_bits_are_resolved(tmp_path):
    few = Image.fromarray(RGB).quantize(16)
    wanted = np.asarray(few.convert("RGB"))
    for name, options in (
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("b.tif", {"compression": "tiff_lzw"}),
    ):
        few.save(tmp_path / name, **options)
        assert np.array_equal(load_image(tmp_path / name), wanted), name
    for name in ("c.png", "c.bmp", "c.tif"):
        Image.fromarray(GREY > 128).save(tmp_path / name)
        assert np.array_equal(load_image(tmp_path / name), (GREY > 128) * np.uint8(255)), name


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("packing", [None, "zlib"])
def test_white_is_zero_tiffs_are_inverted(tmp_path, dtype, packing):
    pixels = GREY.astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite", compression=packing)
    assert np.array_equal(read_pixels(tmp_path / "a.tif"), np.iinfo(dtype).max - pixels)


def test_colour_planes_one_after_the_other(tmp_path):
    planes = np.ascontiguousarray(np.moveaxis(RGB, -1, 0))
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(load_image(tmp_path / "a.tif"), RGB)


# --- transparency: laid over black ---


@pytest.mark.parametrize("name", ["a.png", "a.tif", "z.tif"])
@pytest.mark.parametrize("colour", [GREY, RGB], ids=["grey", "rgb"])
def test_alpha_is_laid_over_black(tmp_path, name, colour):
    pixels = np.dstack([colour, ALPHA])
    options = {"compression": "tiff_lzw"} if name == "z.tif" else {}
    pillow(pixels, tmp_path / name, **options)
    opacity = ALPHA / 255 if colour.ndim == 2 else ALPHA[..., None] / 255
    assert np.array_equal(load_image(tmp_path / name), np.rint(colour * opacity).astype(np.uint8))


def test_sixteen_bit_alpha(tmp_path):
    pixels = np.dstack([RGB16, np.full(GREY.shape, 65535, np.uint16)])
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", pixels[..., [2, 1, 0, 3]])[1].tobytes())
    assert np.array_equal(load_image(tmp_path / "a.png"), to_uint8(RGB16))


def test_transparent_colours_of_png(tmp_path):
    few = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    few.putpalette([10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40])
    few.save(tmp_path / "p.png", transparency=2)
    assert load_image(tmp_path / "p.png")[..., 0].tolist() == [[10, 20], [0, 40]]
    Image.fromarray(np.array([[5, 6]], np.uint8)).save(tmp_path / "g.png", transparency=6)
    assert load_image(tmp_path / "g.png").tolist() == [[5, 0]]


def test_a_wholly_transparent_image_keeps_its_colours():
    assert np.array_equal(to_uint8(np.dstack([RGB, np.zeros_like(GREY)])), RGB)


def test_stretching_counts_visible_pixels_only():
    pixels = np.zeros((1, 4, 4), np.uint16)
    pixels[0, :, :3] = np.array([1000, 2000, 3000, 65535])[:, None]
    pixels[0, :3, 3] = 65535
    assert to_uint8(pixels)[0, :, 0].tolist() == [0, 128, 255, 0]


# --- names, formats, orientation ---


@pytest.mark.parametrize("name", ["Bild ä ß.png", "画像.tif", "снимок.bmp", "no_suffix", "really_a_png.jpg"])
def test_names_do_not_matter(tmp_path, name):
    kind = {"tif": "TIFF", "bmp": "BMP"}.get(name.rsplit(".", 1)[-1], "PNG")
    assert np.array_equal(load_image(pillow(GREY, tmp_path / name, format=kind)), GREY)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a16.png", "a.tif", "z.tif", "z16.tif"])
def test_the_stated_orientation_is_applied(tmp_path, name, orientation):
    pixels = GREY16 if "16" in name else GREY
    shown = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: pixels[::-1].T,
        7: pixels[::-1, ::-1].T,
        8: pixels[:, ::-1].T,
    }[orientation]
    if name.endswith("png"):
        exif = Image.Exif()
        exif[274] = orientation
        pillow(pixels, tmp_path / name, exif=exif)
    else:
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(tmp_path / name, pixels, extratags=[tag], compression="zlib" if name[0] == "z" else None)
    assert np.array_equal(read_pixels(tmp_path / name), shown)


def test_the_orientation_of_a_photograph(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    half = np.zeros((32, 64), np.uint8)
    half[:, :32] = 255  # bright on the left as stored, at the top once turned clockwise
    image = load_image(pillow(half, tmp_path / "a.jpg", exif=exif))
    assert image.shape == (64, 32)
    assert image[:30].min() > 200 > 50 > image[34:].max()


def test_a_stack_is_refused_but_a_thumbnail_is_not_a_page(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([GREY, GREY]), photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", np.stack([GREY, GREY]), imagej=True)
    for name in ("stack.tif", "imagej.tif"):
        with pytest.raises(CaseError, match="multi-page TIFF; save one page, or the stack as a 3D npz"):
            load_image(tmp_path / name)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(GREY)
        file.write(GREY[::2, ::2], subfiletype=1)
    assert np.array_equal(load_image(tmp_path / "pyramid.tif"), GREY)


def test_too_many_pixels_are_refused_by_the_header(tmp_path):
    written = []
    for name in ("a.png", "a.jpg", "a.bmp", "a.tif"):
        written.append(pillow(GREY, tmp_path / name))
    written.append(pillow(GREY16, tmp_path / "b.png"))
    for path in written:
        with pytest.raises(CaseError, match=r"at most 220 pixels, got 17 x 13; crop or shrink it") as caught:
            read_pixels(path, GREY.size - 1)
        assert str(path) in str(caught.value)
        assert read_pixels(path, GREY.size).shape[:2] == GREY.shape


def test_a_png_that_claims_a_huge_image_is_not_unpacked(tmp_path):
    path = pillow(GREY, tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(data)
    with pytest.raises(CaseError):
        load_image(path)


def test_limits_of_pillow_stay_as_they_are(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    load_image(pillow(GREY, tmp_path / "a.png"))
    assert before == Image.MAX_IMAGE_PIXELS


# --- damage ---


def encodings():
    buffer = io.BytesIO()
    for name, kind, options in (
        ("png", "PNG", {}),
        ("jpg", "JPEG", {}),
        ("progressive.jpg", "JPEG", {"progressive": True}),
        ("bmp", "BMP", {}),
        ("tif", "TIFF", {}),
        ("lzw.tif", "TIFF", {"compression": "tiff_lzw"}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, format=kind, **options)
        yield name, buffer.getvalue()
    yield "16.png", cv2.imencode(".png", RGB16)[1].tobytes()
    for name, pixels in (("zlib.tif", RGB), ("zlib16.tif", RGB16)):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric="rgb", compression="zlib")
        yield name, buffer.getvalue()


@pytest.mark.parametrize(("name", "data"), list(encodings()), ids=[name for name, _ in encodings()])
def test_a_cut_off_file_is_one_clear_error_and_silence(tmp_path, capfd, caplog, name, data):
    path = tmp_path / f"a.{name}"
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        for share in (0.05, 0.4, 0.7, 0.95):
            path.write_bytes(data[: int(len(data) * share)])
            with pytest.raises(CaseError) as caught:
                load_image(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("name", ["png", "16.png", "zlib.tif", "zlib16.tif"])
def test_damage_in_the_middle_is_seen_where_the_format_has_checksums(tmp_path, capfd, name):
    data = bytearray(dict(encodings())[name])
    middle = len(data) // 2
    data[middle] ^= 0xFF
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(CaseError, match="damaged"):
        load_image(tmp_path / "a")
    assert capfd.readouterr() == ("", "")


# --- values ---

number_arrays = st.sampled_from(["b1", "i1", "u2", ">u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]).flatmap(
    lambda kind: hnp.arrays(
        kind,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements={"allow_nan": False, "allow_infinity": False} if "f" in kind else None,
    )
)


@given(image=number_arrays)
@settings(max_examples=100, deadline=None)
def test_mapping_keeps_order_and_range(image):
    mapped = to_uint8(image)
    assert mapped.dtype == np.uint8
    assert mapped.shape == image.shape
    order = np.argsort(image, axis=None)
    assert (np.diff(mapped.ravel()[order].astype(int)) >= 0).all()
    if image.min() == image.max():
        assert (mapped == (255 if image.dtype == bool and image.all() else 0)).all()
    elif not 0 <= image.min() <= image.max() <= 255:
        assert (mapped.min(), mapped.max()) == (0, 255)


@given(image=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 255)))
@settings(max_examples=60, deadline=None)
def test_eight_bit_values_in_wide_types_are_kept(image):
    if image.max() > 1 and image.min() < image.max():
        for dtype in (np.int32, np.int64, np.uint32, np.float32, np.float64):
            assert np.array_equal(to_uint8(image.astype(dtype)), image)
    assert to_uint8(image) is image


def test_the_stretch_is_linear_between_the_percentiles():
    image = np.arange(1000, dtype=np.uint16).reshape(25, 40)
    # 0.5 % of 1000 values do not exceed 4, 99.5 % do not exceed 994
    expected = np.rint(np.clip((image.astype(float) - 4) / 990, 0, 1) * 255)
    assert np.array_equal(to_uint8(image), expected)
    assert np.array_equal(to_uint8(image.astype(np.float64) + 0.25), to_uint8(image))
    assert np.array_equal(to_uint8(image.astype(np.int16) - 500), to_uint8(image))


@pytest.mark.parametrize("kind", ["u2", ">u2", "i2", "i1"])
def test_counting_gives_what_sorting_gives(kind):
    info = np.iinfo(kind)
    image = np.random.default_rng(0).integers(info.min, info.max, (1100, 1000), endpoint=True).astype(kind)
    assert np.array_equal(to_uint8(image), to_uint8(image.astype(np.float64) + 0.25))  # over a million: in parts


def test_a_few_bright_spots_on_empty_ground_survive():
    image = np.zeros((100, 100), np.float32)
    image[3, 4], image[5, 6] = 0.5, 1.0
    mapped = to_uint8(image)
    assert (mapped[3, 4], mapped[5, 6], mapped[0, 0]) == (128, 255, 0)


def test_all_channels_share_one_stretch():
    image = np.zeros((10, 10, 3), np.uint16)
    image[..., 0] = np.arange(100).reshape(10, 10) * 100
    image[..., 1] = image[..., 0] // 2
    mapped = to_uint8(image).astype(int)
    below = mapped[..., 0] < 255  # the last values are clipped
    assert (np.abs(mapped[..., 0] - 2 * mapped[..., 1]) <= 1)[below].all()
    assert mapped[..., 2].max() == 0


@pytest.mark.parametrize("values", [[-1e308, 1e308], [0, 5e-324], [1e300, 1.5e300]])
def test_extreme_floats_do_not_overflow(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert to_uint8(np.array([values])).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4), "got shape (4,)"),
        (np.zeros((2, 2, 5)), "got shape (2, 2, 5)"),
        (np.zeros((0, 4)), "must have pixels"),
        (np.zeros((2, 2), complex), "got complex128"),
        (np.array([["a"]]), "integer, float or bool"),
        (np.array([[np.nan, 1.0]]), "NaN or infinite values, got 1 of 2"),
        (np.array([[np.inf, -np.inf]]), "NaN or infinite values, got 2 of 2"),
        (np.dstack([np.zeros((2, 2, 3)), np.full((2, 2), -1.0)]), "alpha channel must lie in"),
        (np.dstack([np.zeros((2, 2, 3)), np.full((2, 2), 1e9)]), "alpha channel must lie in"),
    ],
)
def test_what_is_no_image(array, message):
    with pytest.raises(CaseError) as caught:
        to_uint8(array)
    assert message in str(caught.value)


def test_volumes_of_any_shape_are_stretched_as_one():
    volume = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    assert np.array_equal(stretch_to_uint8(volume).ravel(), to_uint8(volume.reshape(25, 40)).ravel())


def test_nan_in_a_tiff_names_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 3), np.nan, np.float32))
    with pytest.raises(CaseError, match=r"a\.tif: an image must not hold NaN"):
        load_image(tmp_path / "a.tif")
