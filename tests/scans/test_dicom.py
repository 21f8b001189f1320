"""DICOM files and series, written here with pydicom; SimpleITK reads the same series."""

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import AXIAL, write, write_series  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402
from pydicom.uid import (  # noqa: E402
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    generate_uid,
)

from lite_medsam.errors import CaseError, MissingExtraError  # noqa: E402
from lite_medsam.scans.reading import load_volume, save_nifti  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_series_is_sorted_by_position_and_rescaled(tmp_path):
    scan = load_volume(write_series(tmp_path / "s"))
    assert scan.values.shape == (5, 6, 7) and scan.values.dtype == np.int16
    assert scan.values[:, 0, 0].tolist() == [-1024, -924, -824, -724, -624]
    assert scan.spacing_mm == pytest.approx((2.5, 0.7, 0.5))  # from the positions, not from the thickness of 9
    assert scan.modality == "CT" and scan.default_window == (40, 400) and scan.is_volume and scan.notes == ()


@pytest.mark.parametrize(
    ("axes", "step"),
    [
        (AXIAL, (0, 0, 2.5)),
        ([1, 0, 0, 0, 0, -1], (0, 3, 0)),  # coronal
        ([0, 1, 0, 0, 0, -1], (-2, 0, 0)),  # sagittal
        ([0.984808, 0.173648, 0, -0.169854, 0.963287, 0.207912], (0.090258, -0.511879, 2.445369)),  # oblique, rounded
    ],
)
def test_labels_of_a_series_lie_where_simpleitk_sees_the_series(tmp_path, axes, step):
    sitk = pytest.importorskip("SimpleITK")
    pytest.importorskip("nibabel")
    step = np.array(step, float)
    folder = write_series(tmp_path / "s", axes=axes, step=step)
    scan = load_volume(folder)
    save_nifti(tmp_path / "out.nii.gz", (scan.values + 1024).astype(np.uint16), scan.geometry)
    written = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    source = reader.Execute()
    assert source.GetSize() == written.GetSize()
    # a place in the patient has the same value in both
    for index in ((0, 0, 0), (6, 5, 4), (2, 3, 1)):
        place = source.TransformIndexToPhysicalPoint(index)
        there = written.TransformPhysicalPointToContinuousIndex(place)
        assert np.allclose(there, np.rint(there), atol=1e-3)
        assert written[[int(v) for v in np.rint(there)]] == source[index] + 1024
    assert np.allclose(sorted(source.GetSpacing()), sorted(scan.spacing_mm), atol=1e-4)


def test_a_tilted_gantry_shifts_the_slices(tmp_path):
    scan = load_volume(write_series(tmp_path / "s", step=(0, 1, 2.5)))
    assert scan.spacing_mm == pytest.approx((2.5, 0.7, 0.5))  # the distance of the planes, not along the shift
    assert np.allclose(scan.geometry.affine @ [0, 0, 4, 1], [10, 20 - 4, 30 + 10, 1])


def test_nothing_of_the_patient_reaches_the_output(tmp_path):
    pytest.importorskip("nibabel")
    import gzip

    folder = write_series(tmp_path / "Doe_Jane", SeriesDescription="Doe thorax", StudyDate="20200101")
    scan = load_volume(folder)
    save_nifti(tmp_path / "out.nii.gz", (scan.values > 0).astype(np.uint8), scan.geometry)
    data = gzip.decompress((tmp_path / "out.nii.gz").read_bytes())
    for secret in (b"Doe", b"SECRET77", b"Nowhere", b"20200101"):
        assert secret not in data and secret.decode() not in repr((scan.name, scan.notes, scan.geometry))
    assert scan.name == "ct"


def test_uneven_slices_are_noted(tmp_path):
    folder = write_series(tmp_path / "s")
    next(folder.glob("IM0003*")).unlink()  # slice 1
    scan = load_volume(folder)
    assert len(scan.values) == 4
    assert scan.notes == ("slices are unevenly spaced, 2.5 to 5 mm: volumes are estimates",)


def test_slopes_of_their_own_as_in_pet(tmp_path):
    folder = write_series(tmp_path / "s", Modality="PT")
    for number, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        data.RescaleSlope, data.RescaleIntercept = 0.5 + number, 0
        data.save_as(path)
    scan = load_volume(folder)
    assert scan.values.dtype == np.float32 and scan.modality == "PET" and scan.default_window is None
    # slice 0 lies in file 1, slice 4 in file 2
    assert scan.values[0, 0, 3] == 3 * 1.5 and scan.values[4, 0, 3] == 403 * 2.5


def test_without_positions_the_numbers_of_the_files_count(tmp_path):
    folder = write_series(tmp_path / "s", count=3, order=[2, 0, 1])
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        del data.ImagePositionPatient
        data.save_as(path)
    scan = load_volume(folder)
    assert scan.values[:, 0, 0].tolist() == [-824, -1024, -924]
    assert scan.notes == ("slices have no positions: sorted by InstanceNumber",)
    assert scan.spacing_mm == pytest.approx((9, 0.7, 0.5))  # the thickness is all that is known
    data = pydicom.dcmread(folder / "IM0001.dcm")
    del data.InstanceNumber
    data.save_as(folder / "IM0001.dcm")
    with pytest.raises(CaseError, match="slices must say where they lie"):
        load_volume(folder)


def test_mixed_folders_are_refused(tmp_path):
    folder = write_series(tmp_path / "s")
    other = write(folder / "X.dcm", np.zeros((6, 7), np.int16), SeriesInstanceUID=generate_uid())
    with pytest.raises(CaseError, match=r"must hold one series of images, holds 2: .*--series"):
        load_volume(folder)
    write(other, np.zeros((9, 9), np.int16))
    with pytest.raises(CaseError, match="slices must have one size, got 2 sizes"):
        load_volume(folder)
    place = {"ImagePositionPatient": [0, 0, 0]}
    write(other, np.zeros((6, 7), np.int16), ImageOrientationPatient=[0, 1, 0, 0, 0, -1], **place)
    with pytest.raises(CaseError, match="slices must have one direction"):
        load_volume(folder)
    write(other, np.zeros((6, 7), np.int16), ImageOrientationPatient=AXIAL, ImagePositionPatient=[-10, -20, 30])
    with pytest.raises(CaseError, match="slices must lie at different places"):
        load_volume(folder)
    other.write_bytes(b"this is text with the wrong name\n" * 20)
    with pytest.raises(CaseError, match=r"X.dcm must be a DICOM file, its content is none; remove it"):
        load_volume(folder)
    other.rename(folder / "notes.txt")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert len(load_volume(folder).values) == 5  # other files are no trouble
    with pytest.raises(CaseError, match="holds none; give the folder of one series"):
        (tmp_path / "empty").mkdir()
        load_volume(tmp_path / "empty")


def test_one_picture(tmp_path):
    pixels = np.arange(42, dtype=np.uint16).reshape(6, 7)
    scan = load_volume(write(tmp_path / "a.dcm", pixels, Modality="DX", ImagerPixelSpacing=[0.2, 0.1]))
    assert np.array_equal(scan.values, pixels) and not scan.is_volume and scan.modality == "XRay"
    assert scan.spacing_mm == (0.2, 0.1) and "detector" in scan.notes[0]
    assert scan.geometry.shape == (1, 6, 7) and scan.to_uint8().max() == 255


def test_a_file_without_ending_is_known_by_its_content(tmp_path):
    write(tmp_path / "IM1", np.zeros((6, 7), np.int16))
    assert load_volume(tmp_path / "IM1").values.shape == (6, 7)


def test_the_window_of_the_file_is_used_for_ct(tmp_path):
    tags = {"WindowCenter": [-600, 40], "WindowWidth": [1500, 400]}
    assert load_volume(write(tmp_path / "a.dcm", np.zeros((6, 7), np.int16), **tags)).default_window == (-600, 1500)
    assert (
        load_volume(write(tmp_path / "b.dcm", np.zeros((6, 7), np.int16), Modality="MR", **tags)).default_window is None
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_monochrome1_is_turned_so_that_bright_is_large(tmp_path, dtype):
    pixels = np.arange(42).reshape(6, 7).astype(dtype)
    turned = load_volume(write(tmp_path / "a.dcm", pixels, PhotometricInterpretation="MONOCHROME1")).values
    top = {"u1": 255, "u2": 65535, "i2": -1}[np.dtype(dtype).str[1:]]
    assert np.array_equal(turned, top - pixels.astype(int))


def test_colours(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    scan = load_volume(write(tmp_path / "a.dcm", pixels, Modality="ES"))
    assert np.array_equal(scan.values, pixels) and scan.modality == "Endoscopy"
    planes = pixels.transpose(2, 0, 1)
    write(tmp_path / "b.dcm", pixels, PlanarConfiguration=1, PixelData=np.ascontiguousarray(planes).tobytes())
    assert np.array_equal(load_volume(tmp_path / "b.dcm").values, pixels)
    grey = np.full((6, 8, 3), 128, np.uint8)
    grey[..., 0] = 90  # luminance 90, no colour
    write(tmp_path / "c.dcm", grey, PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(load_volume(tmp_path / "c.dcm").values, np.full((6, 8, 3), 90))
    frames = np.stack([pixels, pixels[::-1]])
    write(tmp_path / "d.dcm", pixels, NumberOfFrames=2, PixelData=frames.tobytes(), Modality="US")
    film = load_volume(tmp_path / "d.dcm")
    assert np.array_equal(film.values, frames) and film.is_volume and film.spacing_mm is None
    with pytest.raises(CaseError, match="a case holds grey volumes"):
        film.to_case()


def test_frames_of_one_file_are_a_volume(tmp_path):
    frames = np.arange(3 * 42, dtype=np.uint8).reshape(3, 6, 7)
    tags = {"PixelSpacing": [0.4, 0.3], "SpacingBetweenSlices": 2.0}
    scan = load_volume(write(tmp_path / "a.dcm", frames, Modality="OPT", **tags))
    assert np.array_equal(scan.values, frames) and scan.modality == "OCT"
    assert scan.spacing_mm == pytest.approx((2.0, 0.4, 0.3))


def test_an_enhanced_file_sorts_its_frames(tmp_path):
    frames = np.stack([np.full((6, 7), k, np.int16) for k in (2, 0, 1)])
    shared, per_frame = Dataset(), []
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.4, 0.3], 1
    orientation.ImageOrientationPatient = AXIAL
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    for k in (2, 0, 1):
        group, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, 1.5 * k]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 10, -5, "US"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = Sequence([place]), Sequence([values])
        per_frame.append(group)
    tags = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(per_frame),
    }
    scan = load_volume(write(tmp_path / "a.dcm", frames, Modality="MR", **tags))
    assert scan.values[:, 0, 0].tolist() == [-5, 5, 15]
    assert scan.spacing_mm == pytest.approx((1.5, 0.4, 0.3)) and not any("unevenly" in note for note in scan.notes)
    per_frame[0].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 6.5]
    assert any("1.5 to 5 mm" in note for note in load_volume(write(tmp_path / "b.dcm", frames, **tags)).notes)


@pytest.mark.parametrize(
    ("places", "turned", "says"),
    [([0, 2, 4, 0, 2, 4], (), "at one place"), ([0, 2, 4, 6, 8, 10], (3, 4, 5), "different directions")],
    ids=["two phases", "two stacks"],
)
def test_frames_that_are_no_stack_have_no_distance(tmp_path, places, turned, says):
    measures, per_frame = Dataset(), []
    measures.PixelSpacing, measures.SliceThickness = [0.4, 0.3], 2
    for k, z in enumerate(places):
        group, place, orientation = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        orientation.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if k in turned else AXIAL
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [orientation]
        group.PixelMeasuresSequence = [measures]
        per_frame.append(group)
    frames = np.stack([np.full((6, 7), k, np.int16) for k in range(6)])
    scan = load_volume(write(tmp_path / "a.dcm", frames, Modality="MR", PerFrameFunctionalGroupsSequence=per_frame))
    assert scan.values[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5] and scan.spacing_mm == (0.4, 0.3)
    assert any(says in note and "volumes in px" in note for note in scan.notes)


def test_ultrasound_knows_its_size_from_its_region(tmp_path):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.01, 0.02
    path = write(
        tmp_path / "a.dcm", np.zeros((6, 7), np.uint8), Modality="US", SequenceOfUltrasoundRegions=Sequence([region])
    )
    assert load_volume(path).spacing_mm == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(
    ("tags", "drop", "message"),
    [
        ({}, ["PixelData"], "the pixel data are missing"),
        ({}, ["Rows"], "the tag Rows is missing"),
        ({}, ["BitsAllocated"], "the tag BitsAllocated is missing"),
        ({"Rows": 0}, [], "must have pixels, its header says 1 x 0 x 7"),
        ({"Rows": 60000, "Columns": 60000}, [], "must have at most 268435456 voxels"),
        ({"NumberOfFrames": 10**7}, [], "must have at most 268435456 voxels"),
        ({"Rows": 600}, [], "a.dcm: "),
        ({"PhotometricInterpretation": "CMYK"}, [], "pixels must be grey, RGB, YBR or palette colours, got CMYK"),
        ({"SamplesPerPixel": 4}, [], "with 4 samples"),
    ],
)
def test_odd_tags_are_one_line(tmp_path, tags, drop, message):
    path = write(tmp_path / "a.dcm", np.zeros((6, 7), np.int16), drop=drop, **tags)
    with pytest.raises(CaseError) as error:
        load_volume(path, max_voxels=2**28)
    assert message in str(error.value) and "\n" not in str(error.value) and "a.dcm" in str(error.value)


def test_missing_tags_that_can_be_done_without(tmp_path):
    path = write(tmp_path / "a.dcm", np.ones((6, 7), np.int16), drop=["Modality", "SeriesInstanceUID"])
    scan = load_volume(path)
    assert scan.modality is None and scan.spacing_mm is None and scan.name == "scan"
    assert scan.notes == ("no pixel size is given: measures are in px",)


@pytest.mark.parametrize("spacing", [[0, 0.5], [-1, 1], ""])
def test_a_spacing_that_can_not_be_is_no_spacing(tmp_path, spacing):
    scan = load_volume(write(tmp_path / "a.dcm", np.ones((6, 7), np.int16), PixelSpacing=spacing))
    assert scan.spacing_mm is None


def test_packed_pixels_that_can_not_be_unpacked_say_so(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((6, 8), np.uint8))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(30)])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    with pytest.raises(CaseError, match=r"a.dcm: .*JPEG Lossless.*(can't be unpacked|damaged)|a.dcm: damaged"):
        load_volume(path)


def test_deflated_files_are_refused_unread(tmp_path):
    path = write(tmp_path / "a.dcm", np.zeros((60, 70), np.int16), syntax=DeflatedExplicitVRLittleEndian)
    with pytest.raises(CaseError, match="deflated DICOM files are not read"):
        load_volume(path)


def test_damaged_files_are_one_line(tmp_path):
    whole = write(tmp_path / "a.dcm", np.zeros((60, 70), np.int16)).read_bytes()
    cases = {"text.dcm": b"no scan at all\n" * 50, "cut.dcm": whole[:-3000], "head.dcm": whole[:300], "tiny.dcm": b"ab"}
    cases["noise.dcm"] = whole[:140] + np.random.default_rng(0).bytes(2000)
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CaseError) as error:
            load_volume(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value), name


def test_random_damage_never_ends_in_another_error(tmp_path):
    whole = write(tmp_path / "a.dcm", np.zeros((20, 20), np.int16), PixelSpacing=[1, 1]).read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(132, 900, 4):
            data[place] = rng.integers(256)
        (tmp_path / "b.dcm").write_bytes(data)
        try:
            load_volume(tmp_path / "b.dcm", max_voxels=10**6)
        except CaseError as error:
            assert "\n" not in str(error)


def test_a_large_series_is_refused_by_its_headers(tmp_path):
    folder = write_series(tmp_path / "s")
    with pytest.raises(CaseError, match="must have at most 100 voxels, the headers say 5 x 6 x 7"):
        load_volume(folder, max_voxels=100)


def test_without_pydicom_the_message_names_the_extra(tmp_path, monkeypatch):
    import sys

    path = write(tmp_path / "a.dcm", np.zeros((6, 7), np.int16))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r'"medical" extra \(missing: pydicom\)'):
        load_volume(path)
