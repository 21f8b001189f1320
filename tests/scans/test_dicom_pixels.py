"""Padding, sentinels, packed pixels and files without a preamble in DICOM; marks of no data in NIfTI."""

import importlib.util
import os

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
from dicom_files import write, write_series  # noqa: E402
from pydicom.uid import (  # noqa: E402
    JPEG2000,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lite_medsam.errors import CaseError  # noqa: E402
from lite_medsam.images.intensity import stretch_to_uint8  # noqa: E402
from lite_medsam.scans.reading import load_volume  # noqa: E402

Y, X = np.mgrid[:100, :120]
OUTSIDE = (X - 60) ** 2 + (Y - 50) ** 2 > 48**2
SCENE = np.where(((X - 60) / 25) ** 2 + ((Y - 50) / 15) ** 2 <= 1, 170, 60) + np.random.default_rng(0).normal(
    0, 6, X.shape
)


def padded(value, dtype=np.int16, factor=4):
    pixels = (SCENE * factor).astype(dtype)
    pixels[OUTSIDE] = value
    return pixels


def expected(factor=4, dtype=np.int16):
    return stretch_to_uint8((SCENE * factor).astype(dtype)[~OUTSIDE])


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        (padded(-32768), {"PixelPaddingValue": -32768}),
        (padded(32767), {"PixelPaddingValue": 32767}),
        (padded(-32768), {}),
        (padded(-2000), {"PixelPaddingValue": -2000}),
        (padded(-2000), {"PixelPaddingValue": -2100, "PixelPaddingRangeLimit": -1900}),
        (padded(-2000), {"PixelPaddingValue": -1900, "PixelPaddingRangeLimit": -2100}),
        (padded(65535, np.uint16), {"PixelPaddingValue": 65535, "PixelRepresentation": 0}),
        (padded(0, np.uint16), {"PixelPaddingValue": 0, "PixelRepresentation": 0}),
    ],
)
@pytest.mark.parametrize("modality", ["MR", "DX", "PT"])
def test_padding_does_not_squeeze(tmp_path, pixels, tags, modality):
    scan = load_volume(write(tmp_path / "a.dcm", pixels, Modality=modality, **tags))
    assert np.array_equal(scan.to_uint8()[~OUTSIDE], expected(dtype=pixels.dtype))
    assert (scan.values[OUTSIDE] == scan.values[~OUTSIDE].min()).all() and not scan.to_uint8()[OUTSIDE].any()
    assert any("counts as the smallest" in note for note in scan.notes)


def test_padding_is_told_by_stored_values_and_before_the_turning_of_monochrome1(tmp_path):
    tags = {"PixelPaddingValue": -2000, "RescaleSlope": 2, "RescaleIntercept": -1000, "Modality": "PT"}
    scan = load_volume(write(tmp_path / "a.dcm", padded(-2000), **tags))
    assert np.array_equal(scan.values[~OUTSIDE], (SCENE * 4).astype(np.int16)[~OUTSIDE] * 2.0 - 1000)
    assert scan.values.min() == scan.values[~OUTSIDE].min() and np.array_equal(scan.to_uint8()[~OUTSIDE], expected())
    turned = load_volume(
        write(tmp_path / "b.dcm", padded(3000, np.uint16), PixelPaddingValue=3000, PhotometricInterpretation="MONOCHROME1",
              PixelRepresentation=0, Modality="DX")
    )  # fmt: skip
    assert np.ptp(turned.to_uint8()[~OUTSIDE].astype(int)) == 255 and not turned.to_uint8()[OUTSIDE].any()


def test_a_tag_of_the_wrong_sign_and_one_that_no_pixel_can_hold(tmp_path):
    path = write(tmp_path / "a.dcm", padded(-32768), Modality="MR")
    data = pydicom.dcmread(path)
    data.add_new(0x00280120, "US", 32768)
    data.save_as(path)
    assert np.array_equal(load_volume(path).to_uint8()[~OUTSIDE], expected())
    eight = np.full((20, 20), 7, np.uint8)
    scan = load_volume(write(tmp_path / "b.dcm", eight, PixelPaddingValue=4000, PixelRepresentation=0, Modality="US"))
    assert np.array_equal(scan.values, eight) and not any("padding" in note for note in scan.notes)


def test_padding_of_a_series_and_what_is_all_padding(tmp_path):
    folder = write_series(tmp_path / "s", shape=(30, 40), PixelPaddingValue=0)
    scan = load_volume(folder)
    assert scan.padded == 1 and scan.values.min() == 1 - 1024
    whole = load_volume(write(tmp_path / "a.dcm", np.full((9, 9), 5, np.int16), PixelPaddingValue=5, Modality="MR"))
    assert (whole.values == 5).all() and whole.padded == 0


def test_pictures_with_a_usual_background_come_out_as_before(tmp_path):
    for value in (0, -1024, -100):
        pixels = padded(value)
        scan = load_volume(write(tmp_path / "a.dcm", pixels, Modality="MR"))
        assert np.array_equal(scan.values, pixels) and scan.notes == ("no pixel size is given: measures are in px",)
        assert np.array_equal(scan.to_uint8(), stretch_to_uint8(pixels))


@pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")
@pytest.mark.parametrize(
    ("dtype", "mark"),
    [(np.int16, -32768), (np.int16, -9999), (np.float32, -9999), (np.float32, 1e6), (np.float64, np.nan)],
)
def test_marks_of_no_data_in_nifti(tmp_path, dtype, mark):
    import nibabel

    values = np.stack([(SCENE * 4)] * 3, axis=-1).astype(dtype)
    values[OUTSIDE] = mark
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1, -1, 3, 1])), tmp_path / "MR_a.nii.gz")
    scan = load_volume(tmp_path / "MR_a.nii.gz")
    shown = scan.geometry.to_file(scan.to_uint8())
    assert np.ptp(shown[~OUTSIDE].astype(int)) == 255 and not shown[OUTSIDE].any() and "smallest" in scan.notes[0]
    if np.isfinite(mark):
        assert np.array_equal(shown[~OUTSIDE][:, 0], expected(dtype=np.float32 if dtype != np.int16 else dtype))


@pytest.mark.skipif(importlib.util.find_spec("nibabel") is None, reason="nibabel is not installed")
@pytest.mark.parametrize(("slope", "intercept"), [(0.001, 0), (2.0, -1000), (-1.0, 5)])
def test_marks_are_numbers_of_the_file_before_its_scaling(tmp_path, slope, intercept):
    import nibabel

    image = nibabel.Nifti1Image(np.stack([padded(-32768)] * 2, axis=-1), np.diag([-1, -1, 3, 1]))
    image.header.set_slope_inter(slope, intercept)
    nibabel.save(image, tmp_path / "MR_a.nii")
    data = bytearray((tmp_path / "MR_a.nii").read_bytes())
    data[112:120] = np.array([slope, intercept], np.float32).tobytes()
    data[352:] = np.stack([padded(-32768)] * 2, axis=-1).tobytes("F")
    (tmp_path / "MR_a.nii").write_bytes(data)
    scan = load_volume(tmp_path / "MR_a.nii")
    shown = scan.geometry.to_file(scan.to_uint8())
    assert np.ptp(shown[~OUTSIDE].astype(int)) > 200, scan.notes


def test_ct_with_padding_keeps_its_window_and_its_name(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = np.stack([np.where(OUTSIDE, -32768, SCENE * 8 - 1000)] * 4, axis=-1).astype(np.int16)
    values[:4, :4] = -1000
    values[60:64, 60:64] = 900
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1, -1, 3, 1])), tmp_path / "a.nii.gz")
    scan = load_volume(tmp_path / "a.nii.gz")
    assert scan.modality == "CT" and scan.default_window == (40, 400)


# -- without preamble


def bare(path, syntax):
    """The data set alone, written in a given way."""
    data = pydicom.dcmread(path)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pixels = data.pixel_array if little else data.pixel_array.byteswap()
    data.PixelData = pixels.tobytes()
    from pydicom.dataset import Dataset

    alone = Dataset()
    alone.update({element.tag: element for element in data})
    alone.save_as(path, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    start = path.read_bytes()[:132]
    assert start[128:132] != b"DICM"
    return path


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "1.2.840.10008.1.2.1", ExplicitVRBigEndian])
@pytest.mark.parametrize("name", ["a.dcm", "IM0001"])
def test_a_data_set_alone(tmp_path, syntax, name):
    pixels = (SCENE * 4).astype(np.int16)
    path = bare(write(tmp_path / name, pixels, PixelSpacing=[0.7, 0.5]), syntax)
    scan = load_volume(path)
    assert np.array_equal(scan.values, pixels) and scan.spacing_mm == (0.7, 0.5) and scan.modality == "CT"


def test_a_series_of_data_sets_alone_and_with_their_first_group(tmp_path):
    folder = write_series(tmp_path / "s")
    whole = load_volume(folder).values
    for number, path in enumerate(sorted(folder.iterdir())):
        if number % 2:
            bare(path, ImplicitVRLittleEndian)
        else:
            path.write_bytes(path.read_bytes()[132:])  # group 2 and the rest
    assert np.array_equal(load_volume(folder).values, whole)


def test_bytes_that_begin_like_one(tmp_path):
    for k, content in enumerate(
        (b"\x08\x00\x05\x00CS\x0a\0", b"\x08\x00\x16\x00" + b"\xff" * 200, b"\x08\x00" + bytes(300))
    ):
        (tmp_path / f"{k}.dcm").write_bytes(content)
        with pytest.raises(CaseError) as error:
            load_volume(tmp_path / f"{k}.dcm")
        assert len(str(error.value).splitlines()) == 1


# -- packed pixels

GREY = (np.arange(64 * 48).reshape(64, 48) % 4000).astype(np.uint16)


def packed(path, syntax, plugin, exact=True, **options):
    write(path, GREY, PixelRepresentation=0, Modality="MR")
    data = pydicom.dcmread(path)
    data.compress(syntax, encoding_plugin=plugin, **options)
    data.save_as(path)
    assert data.file_meta.TransferSyntaxUID == syntax
    found = load_volume(path).values
    assert np.array_equal(found, GREY) if exact else np.abs(found.astype(int) - GREY).max() <= 60


def test_rle(tmp_path):
    packed(tmp_path / "a.dcm", RLELossless, "pydicom")


def test_jpeg_ls(tmp_path):
    pytest.importorskip("jpeg_ls")
    packed(tmp_path / "a.dcm", JPEGLSLossless, "pyjpegls")
    packed(tmp_path / "b.dcm", JPEGLSNearLossless, "pyjpegls", exact=False, jls_error=2)


def test_jpeg_2000(tmp_path):
    pytest.importorskip("openjpeg")
    packed(tmp_path / "a.dcm", JPEG2000Lossless, "pylibjpeg")
    packed(tmp_path / "b.dcm", JPEG2000, "pylibjpeg", exact=False, j2k_cr=[4])


# pydicom's own files; those that come with the package are there always, others only where they were fetched before
@pytest.mark.parametrize(
    ("name", "shape", "library"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", (100, 100, 3), "libjpeg"),  # JPEG lossless, SV1
        ("JPEG-LL.dcm", (1024, 256), "libjpeg"),
        ("JPGExtended.dcm", (1024, 256), "libjpeg"),  # JPEG extended, 12 bit
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", (768, 1024), "libjpeg"),
        ("SC_rgb_jpeg_dcmtk.dcm", (100, 100, 3), "libjpeg"),  # JPEG baseline
        ("MR_small_RLE.dcm", (64, 64), "numpy"),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64), "jpeg_ls"),
        ("MR_small_jp2klossless.dcm", (64, 64), "openjpeg"),
        ("JPEG2000.dcm", (1024, 256), "openjpeg"),
        ("HTJ2KLossless_08_RGB.dcm", (480, 640, 3), "openjpeg"),
        ("HTJ2K_08_RGB.dcm", (480, 640, 3), "openjpeg"),
    ],
)
def test_files_of_pydicom(name, shape, library):
    from pydicom.data import get_testdata_file

    pytest.importorskip(library)
    path = get_testdata_file(name, download=False)
    if path is None or not os.path.exists(path):
        pytest.skip(f"{name} does not come with this pydicom")
    scan = load_volume(path)
    assert scan.values.shape[: len(shape)] == shape and np.ptp(scan.values.astype(float)) > 0
    plain = {"MR_small_RLE.dcm": "MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
             "MR_small_jp2klossless.dcm": "MR_small.dcm"}.get(name)  # fmt: skip
    if plain is not None:
        assert np.array_equal(scan.values, load_volume(get_testdata_file(plain, download=False)).values)


# -- pixel size


def region(kind=1, content=1, size=0.03, units=(3, 3)):
    item = pydicom.Dataset()
    item.RegionSpatialFormat, item.RegionDataType = kind, content
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = size, -2 * size
    return item


@pytest.mark.parametrize(
    ("regions", "spacing", "word"),
    [
        ([region()], (0.6, 0.3), None),
        ([region(content=2)], (0.6, 0.3), None),
        ([region(), region(4, 10, 1.0, (4, 0))], (0.6, 0.3), "other 1 regions"),
        ([region(4, 10, 1.0, (4, 0)), region(5, 0xC, 0.1, (0, 0)), region()], (0.6, 0.3), "other 2 regions"),
        ([region(), region(size=0.05)], None, "different pixel sizes"),
        ([region(), region()], (0.6, 0.3), None),
        ([region(4, 10, 1.0, (4, 0))], None, "none of the 1 ultrasound regions"),
        ([region(units=(0, 0))], None, "none of the 1 ultrasound regions"),
        ([region(size=0.0)], None, "none of the 1 ultrasound regions"),
    ],
)
def test_the_tissue_of_an_ultrasound_has_the_size(tmp_path, regions, spacing, word):
    pixels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    for shape in ("picture", "cine"):
        values = pixels if shape == "picture" else np.stack([pixels] * 5)
        tags = {} if shape == "picture" else {"FrameTime": 33, "FrameIncrementPointer": 0x00181063}
        path = write(tmp_path / f"{shape}.dcm", values, Modality="US", SequenceOfUltrasoundRegions=regions, **tags)
        scan = load_volume(path)
        assert scan.spacing_mm == (None if spacing is None else pytest.approx(spacing))
        notes = " ".join(scan.notes)
        assert word is None or word in notes
        timed = shape == "cine" and spacing is not None
        assert ("follow each other in time" in notes) == timed and ("areas are in mm²" in notes) == timed


def test_in_plane_sizes_stay_where_only_the_slice_distance_is_missing(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((4, 20, 30), np.uint8) + np.arange(30, dtype=np.uint8), Modality="OPT",
                 PixelSpacing=[0.2, 0.1])  # fmt: skip
    scan = load_volume(path)
    assert scan.spacing_mm == (0.2, 0.1) and scan.notes == (
        "no slice distance is given: areas are in mm², volumes in px",
    )
    from lite_medsam.results.measurements import fluid, measure

    mask = np.zeros((4, 20, 30), bool)
    mask[1:3, 2:7, 4:14] = True
    sizes = measure(mask, scan.spacing_mm)
    assert sizes["largest_area_mm2"] == pytest.approx(50 * 0.02) and sizes["volume_voxels"] == 100
    assert sizes["width_mm"] == pytest.approx(1.0) and sizes["height_mm"] == pytest.approx(1.0)
    assert not {"volume_mm3", "volume_ml", "depth_mm", "equivalent_diameter_mm"} & sizes.keys()
    assert fluid([mask], scan.spacing_mm)["fluid_volume_voxels"] == 100
    xa = write(tmp_path / "b.dcm", np.zeros((3, 20, 30), np.uint16) + np.arange(30, dtype=np.uint16), Modality="XA",
               PixelRepresentation=0, ImagerPixelSpacing=[0.3, 0.3], SliceThickness=5, FrameTime=60,
               FrameIncrementPointer=0x00181063)  # fmt: skip
    assert load_volume(xa).spacing_mm == (0.3, 0.3)  # frames in time have no distance, whatever the thickness says


def test_what_is_left_out_of_a_folder_is_noted(tmp_path):
    folder = write_series(tmp_path / "s")
    (folder / "report.txt").write_text("nothing")
    assert load_volume(folder).notes == ("1 files of the folder are not DICOM and were left out",)
