"""NIfTI and npz scans in, label maps back on the same voxels; the window."""

import gzip
import importlib.util
import struct
import subprocess
import sys

import numpy as np
import pytest

from lite_medsam.cases.case import Case, save_case
from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.prompts.label_files import read_label_objects
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.reading import SOFT_TISSUE, Scan, load_volume, save_nifti, window

nibabel = None
if importlib.util.find_spec("nibabel"):
    import nibabel
needs_nibabel = pytest.mark.skipif(nibabel is None, reason="nibabel is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

AXIAL = np.diag([-0.8, -0.7, 3.0, 1.0])  # as most scanners write: right to left, front to back, feet first


def rotation(degrees, axis):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    a, b = [i for i in range(3) if i != axis]
    matrix = np.eye(4)
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


def write(path, array, affine=AXIAL, image=None, **header):
    scan = (image or nibabel.Nifti1Image)(array, affine)
    for key, value in header.items():
        scan.header[key] = value
    nibabel.save(scan, path)
    return path


def ramp(shape):
    return (np.arange(np.prod(shape)) % 30000).reshape(shape).astype(np.int16)


def test_the_window_by_hand():
    values = np.array([-1000, -160, -159, 40, 239, 240, 3000], np.int16)
    assert window(values, 40, 400).tolist() == [0, 0, 1, 128, 254, 255, 255]
    assert window(np.array([[np.nan, np.inf, -np.inf, 0.5]]), 0.5, 1).tolist() == [[0, 255, 0, 128]]
    assert window(np.array([True, False]), 0.5, 1).tolist() == [255, 0]
    assert window(np.full((3, 5), 10**6, np.int64), 10**6, 2).tolist() == [[128] * 5] * 3


@pytest.mark.parametrize(("centre", "width"), [(0, 0), (0, -3), (np.nan, 1), (0, np.inf)])
def test_a_window_must_have_a_width(centre, width):
    with pytest.raises(CaseError, match="a window must have a finite centre and a width above 0"):
        window(np.zeros(3), centre, width)


def test_a_scan_is_mapped_by_its_window_or_by_percentiles():
    values = np.linspace(-1000, 1000, 4000, dtype=np.float32).reshape(1, 40, 100)
    scan = Scan(
        values, None, "CT", Geometry.from_spacing(values.shape, None), is_volume=True, default_window=SOFT_TISSUE
    )
    assert np.array_equal(scan.to_uint8(), window(values, 40, 400))
    assert np.array_equal(scan.to_uint8(0, 2000), window(values, 0, 2000))
    automatic = Scan(values, None, "MR", scan.geometry, is_volume=True).to_uint8()
    assert automatic[0, 20, 0] == pytest.approx(128, abs=1) and automatic[0, 0, 19] == 0
    with pytest.raises(CaseError, match="a centre and a width"):
        scan.to_uint8(40)
    case = scan.to_case()
    assert case.is_volume and case.modality == "CT" and case.image.shape == (1, 40, 100)


@needs_nibabel
def test_slices_lie_as_radiology_shows_them(tmp_path):
    # one bright voxel at the patient's right, front and head end of each array, whatever its order
    for codes in ("RAS", "LPS", "LAS", "SPR", "PIR", "ASL"):
        ornt = nibabel.orientations.axcodes2ornt(codes)
        array = np.zeros((6, 7, 8), np.int16)  # R A S
        array[5, 6, 7] = 100
        image = nibabel.Nifti1Image(array, np.eye(4))
        turned = image.as_reoriented(
            nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), ornt)
        )
        assert "".join(nibabel.aff2axcodes(turned.affine)) == codes
        nibabel.save(turned, tmp_path / "a.nii")
        scan = load_volume(tmp_path / "a.nii")
        assert scan.values.shape == (8, 7, 6)
        # last slice (head), first row (front), first column: the patient's right is on the left of the picture
        assert scan.values[7, 0, 0] == 100 and scan.values.sum() == 100


@needs_nibabel
@pytest.mark.parametrize(
    ("plane", "shape", "place"),
    [("axial", (8, 7, 6), (7, 0, 0)), ("coronal", (7, 8, 6), (0, 0, 0)), ("sagittal", (6, 8, 7), (0, 0, 0))],
)
def test_planes(tmp_path, plane, shape, place):
    array = np.zeros((6, 7, 8), np.int16)
    array[5, 6, 7] = 100  # right, front, head
    path = write(tmp_path / "a.nii", array, np.eye(4))
    scan = load_volume(path, plane=plane)
    assert scan.values.shape == shape and scan.values[place] == 100
    with pytest.raises(CaseError, match="plane must be auto or one of axial, coronal, sagittal"):
        load_volume(path, plane="oblique")


@needs_nibabel
@pytest.mark.parametrize(("thick", "shape"), [(0, (6, 8, 7)), (1, (7, 8, 6)), (2, (8, 7, 6))])
def test_slices_are_cut_across_the_thick_side_of_the_voxels(tmp_path, thick, shape):
    spacing = np.ones(3)
    spacing[thick] = 4.0
    scan = load_volume(write(tmp_path / "a.nii", ramp((6, 7, 8)), np.diag([*spacing, 1])))
    assert scan.values.shape == shape and scan.spacing_mm == (4.0, 1.0, 1.0)


GEOMETRIES = {
    "axial": AXIAL,
    "flipped": np.diag([0.8, 0.7, -3.0, 1.0]),
    "permuted": np.array([[0, 0, 2.5, 10], [-0.7, 0, 0, 20], [0, 0.6, 0, -30], [0, 0, 0, 1.0]]),
    "oblique": rotation(23, 0) @ rotation(-14, 1) @ np.diag([-0.8, -0.7, 3.0, 1]) + np.outer([5.5, -7, 80, 0], [0, 0, 0, 1]),
    "steep": rotation(40, 2) @ rotation(44, 0) @ np.diag([1.1, 0.9, 2.0, 1]),
    "sheared": np.array([[-0.5, 0, 0, 1], [0, -0.5, 0.4, 2], [0, 0, 2.0, 3], [0, 0, 0, 1]]),
}  # fmt: skip


@needs_nibabel
@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("form", ["both", "qform", "sform"])
def test_labels_come_back_on_the_voxels_of_the_scan(tmp_path, name, form):
    affine, array = GEOMETRIES[name], ramp((9, 11, 5))
    image = nibabel.Nifti1Image(array, affine)
    sheared = name == "sheared"  # a qform can't say it
    image.set_qform(None if sheared or form == "sform" else affine, code=0 if sheared or form == "sform" else 1)
    image.set_sform(
        None if form == "qform" and not sheared else affine, code=0 if form == "qform" and not sheared else 2
    )
    image.header["descrip"] = b"DOE^JANE 1970"
    nibabel.save(image, tmp_path / "in.nii.gz")
    source = nibabel.load(tmp_path / "in.nii.gz")

    scan = load_volume(tmp_path / "in.nii.gz")
    lengths = np.sort(np.sqrt((affine[:3, :3] ** 2).sum(0)))
    assert np.allclose(np.sort(scan.spacing_mm), lengths, rtol=1e-6)
    labels = (scan.values % 7).astype(np.uint8)
    save_nifti(tmp_path / "out.nii.gz", labels, scan.geometry)

    written = nibabel.load(tmp_path / "out.nii.gz")
    assert np.array_equal(written.affine, source.affine) and written.shape == source.shape
    assert np.array_equal(np.asarray(written.dataobj), array % 7)
    for key in ("qform_code", "sform_code", "pixdim"):
        assert np.array_equal(written.header[key], source.header[key])
    assert written.get_data_dtype() == np.uint8
    assert b"DOE" not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())


@needs_nibabel
@pytest.mark.parametrize("name", [name for name in GEOMETRIES if name != "sheared"])
def test_simpleitk_sees_scan_and_labels_in_one_place(tmp_path, name):
    sitk = pytest.importorskip("SimpleITK")
    path = write(tmp_path / "in.nii.gz", ramp((9, 11, 5)), GEOMETRIES[name])
    scan = load_volume(path)
    save_nifti(tmp_path / "out.nii.gz", scan.values.astype(np.uint16), scan.geometry)
    source, written = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    assert source.GetSize() == written.GetSize()
    for get in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(source, get)(), getattr(written, get)(), atol=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(source), sitk.GetArrayFromImage(written))


@needs_nibabel
def test_the_spacing_of_an_oblique_scan_is_the_length_of_the_columns(tmp_path):
    affine = rotation(30, 0) @ np.diag([-0.5, -0.5, 4.0, 1])
    scan = load_volume(write(tmp_path / "a.nii", ramp((4, 5, 6)), affine))
    assert scan.spacing_mm == pytest.approx((4.0, 0.5, 0.5), rel=1e-6)


@needs_nibabel
def test_units_are_turned_into_mm(tmp_path):
    image = nibabel.Nifti1Image(ramp((4, 5, 6)), np.diag([10.0, 4.0, 20.0, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    scan = load_volume(tmp_path / "a.nii")
    assert scan.spacing_mm == pytest.approx((0.02, 0.004, 0.01))
    assert scan.geometry.affine[:3, :3] == pytest.approx(np.diag([0.01, 0.004, 0.02]))
    # labels go back in the units of the file; the same labels in mm lie on it as well
    labels = (scan.values > 60).astype(np.uint8)
    save_nifti(tmp_path / "b.nii", labels, scan.geometry)
    written = nibabel.load(tmp_path / "b.nii")
    assert np.array_equal(written.affine, image.affine) and written.header.get_xyzt_units()[0] == "micron"
    in_mm = nibabel.Nifti1Image(np.asarray(written.dataobj), np.diag([0.01, 0.004, 0.02, 1]))
    in_mm.header.set_xyzt_units("mm")
    nibabel.save(in_mm, tmp_path / "c.nii")
    for name in ("b.nii", "c.nii"):
        (item,) = read_label_objects(tmp_path / name, labels.shape, scan.geometry)
        assert all(np.array_equal(mask, labels[z] > 0) for z, mask in item.slices.items()) and len(item.slices) > 1


@needs_nibabel
def test_a_flat_nifti_is_a_volume_of_one_slice_and_keeps_its_shape(tmp_path):
    for shape in ((8, 6), (8, 6, 1), (8, 1, 6), (8, 6, 1, 1)):
        path = write(tmp_path / "a.nii", ramp(shape), np.eye(4))
        scan = load_volume(path)
        assert sorted(scan.values.shape) == [1, 6, 8] and scan.values.shape[0] == 1
        save_nifti(tmp_path / "b.nii", scan.values[0], scan.geometry)
        written = nibabel.load(tmp_path / "b.nii")
        assert written.shape == shape == nibabel.load(path).shape
        assert np.array_equal(np.asarray(written.dataobj), ramp(shape))


@needs_nibabel
def test_scaled_big_endian_and_nan_values(tmp_path):
    path = write(tmp_path / "a.nii", ramp((4, 5, 6)))
    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<ff", 0.5, -3)  # slope and intercept
    path.write_bytes(data)
    scan = load_volume(path)
    assert np.array_equal(scan.geometry.to_file(scan.values), ramp((4, 5, 6)) * np.float32(0.5) - 3)
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(ramp((4, 5, 6)), AXIAL, header), tmp_path / "big.nii")
    values = load_volume(tmp_path / "big.nii").values
    assert values.dtype == np.int16 and values.dtype.isnative and values.max() == 119
    holes = ramp((4, 5, 6)).astype(np.float32)
    holes[0, 0, 0], holes[1, 1, 1], holes[2, 2, 2] = np.nan, np.inf, -np.inf
    scan = load_volume(write(tmp_path / "nan.nii", holes))
    assert np.isfinite(scan.values).all() and scan.geometry.to_file(scan.values)[0, 0, 0] == 1
    assert scan.notes == ("3 of 120 values are NaN or infinite and count as the smallest",)


@needs_nibabel
def test_hounsfield_numbers_get_the_soft_tissue_window(tmp_path):
    values = np.full((4, 5, 6), -1000, np.int16)
    values[2:] = 300
    scan = load_volume(write(tmp_path / "a.nii", values))
    assert scan.modality == "CT" and scan.default_window == (40, 400)
    assert load_volume(write(tmp_path / "b.nii", ramp((4, 5, 6)))).default_window is None
    assert load_volume(write(tmp_path / "MR_b.nii", values)).modality == "MR"


@needs_nibabel
def test_several_volumes_are_refused_unless_the_first_is_asked_for(tmp_path):
    path = write(tmp_path / "a.nii.gz", ramp((4, 5, 6, 3)))
    with pytest.raises(CaseError, match=r"must be one volume, holds 3 \(shape \(4, 5, 6, 3\)\)"):
        load_volume(path)
    scan = load_volume(path, first_volume=True)
    assert scan.notes == ("volume 0 of 3, counted from 0",)
    save_nifti(tmp_path / "b.nii.gz", scan.values, scan.geometry)
    assert np.array_equal(np.asarray(nibabel.load(tmp_path / "b.nii.gz").dataobj), ramp((4, 5, 6, 3))[..., 0])


@needs_nibabel
def test_colours_and_complex_numbers_are_refused(tmp_path):
    colours = np.zeros((4, 5, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(CaseError, match="must hold grey values, holds colours"):
        load_volume(write(tmp_path / "a.nii", colours))
    with pytest.raises(CaseError, match="must hold grey values, holds complex64"):
        load_volume(write(tmp_path / "b.nii", np.zeros((4, 5, 6), np.complex64)))
    with pytest.raises(CaseError, match="all values are NaN"):
        load_volume(write(tmp_path / "c.nii", np.full((4, 5, 6), np.nan, np.float32)))


@needs_nibabel
def test_an_affine_that_says_nothing(tmp_path):
    path = write(tmp_path / "a.nii", ramp((4, 5, 6)))
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", 0, 2)  # sform only, and it is all zeros
    data[280:328] = bytes(48)
    path.write_bytes(data)
    scan = load_volume(path)
    assert scan.spacing_mm is None and "no voxel size" in scan.notes[0]
    assert np.array_equal(scan.values, ramp((4, 5, 6)).transpose(2, 1, 0))


@needs_nibabel
def test_a_large_header_is_refused_before_memory_is_taken(tmp_path):
    path = write(tmp_path / "a.nii.gz", ramp((4, 5, 6)))
    data = bytearray(gzip.decompress(path.read_bytes()))
    data[40:56] = struct.pack("<8h", 3, 32000, 32000, 32000, 1, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(
        CaseError, match=r"a.nii.gz: must have at most \d+ voxels, its header says \(32000, 32000, 32000\)"
    ):
        load_volume(path)
    data[40:56] = struct.pack("<8h", 3, 600, 600, 600, 1, 1, 1, 1)  # allowed, but the file ends after 120
    path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(CaseError, match=r"a\.nii\.gz: "):
        load_volume(path)
    with pytest.raises(CaseError, match="at most 100 voxels"):
        load_volume(write(tmp_path / "b.nii", ramp((4, 5, 6))), max_voxels=100)


@needs_nibabel
def test_damaged_files_are_one_line(tmp_path):
    whole = write(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 999, (30, 30, 30), np.int16)).read_bytes()
    plain = gzip.decompress(whole)
    flipped = bytearray(plain)
    flipped[40:56] = struct.pack("<8h", 3, -4, 5, 6, 1, 1, 1, 1)
    cases = {
        "cut.nii.gz": whole[: len(whole) // 2],
        "tiny.nii.gz": whole[:40],
        "cut.nii": plain[:1000],
        "head.nii": plain[:200],
        "text.nii": b"this is no scan\n" * 40,
        "text.nii.gz": b"this is no scan\n" * 40,
        "negative.nii": bytes(flipped),
        "zip.nii.gz": gzip.compress(b"\0" * 10_000),
        "empty.nii": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CaseError) as error:
            load_volume(tmp_path / name)
        assert name in str(error.value) and "\n" not in str(error.value), name
    with pytest.raises(CaseError, match="no such file"):
        load_volume(tmp_path / "none.nii")
    with pytest.raises(CaseError, match="it is none of them"):
        (tmp_path / "a.doc").write_bytes(b"x" * 400)
        load_volume(tmp_path / "a.doc")


@needs_nibabel
def test_labels_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path):
    geometry = Geometry.from_spacing((4, 5, 6), (3.0, 1.0, 1.0))
    with pytest.raises(CaseError, match=r"labels must have the scan's shape \(4, 5, 6\), got \(4, 6, 5\)"):
        save_nifti(tmp_path / "a.nii", np.zeros((4, 6, 5), np.uint8), geometry)
    with pytest.raises(CaseError, match="labels must hold values from 0"):
        save_nifti(tmp_path / "a.nii", np.full((4, 5, 6), -1), geometry)
    with pytest.raises(CaseError, match=r"must end in .nii or .nii.gz"):
        save_nifti(tmp_path / "a.img", np.zeros((4, 5, 6), np.uint8), geometry)
    assert not list(tmp_path.iterdir())


@needs_nibabel
@pytest.mark.parametrize(("top", "dtype"), [(255, np.uint8), (256, np.uint16), (70000, np.uint32)])
def test_the_file_holds_every_label(tmp_path, top, dtype):
    labels = np.zeros((4, 5, 6), np.int64)
    labels[1, 2, 3] = top
    geometry = Geometry.from_spacing(labels.shape, (3.0, 1.0, 0.5))
    save_nifti(tmp_path / "a.nii.gz", labels, geometry)
    save_nifti(tmp_path / "b.nii.gz", labels, geometry)
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == dtype and np.asarray(image.dataobj)[3, 2, 1] == top
    assert image.header.get_zooms() == (0.5, 1.0, 3.0) and image.header.get_xyzt_units()[0] == "mm"
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert np.array_equal(load_volume(tmp_path / "a.nii.gz").values, labels)


@needs_nibabel
def test_nifti_2_and_long_axes(tmp_path):
    path = write(tmp_path / "a.nii", ramp((4, 5, 6)), image=nibabel.Nifti2Image)
    scan = load_volume(path)
    save_nifti(tmp_path / "b.nii", scan.values, scan.geometry)
    written = nibabel.load(tmp_path / "b.nii")
    assert isinstance(written, nibabel.Nifti2Image) and np.array_equal(written.affine, AXIAL)
    long = Geometry.from_spacing((1, 1, 40000), None)
    save_nifti(tmp_path / "c.nii", np.ones((1, 1, 40000), np.uint8), long)
    assert nibabel.load(tmp_path / "c.nii").shape == (40000, 1, 1)


def test_npz_cases_and_pictures_are_scans_too(tmp_path):
    volume = np.random.default_rng(0).integers(0, 256, (4, 5, 6), np.uint8)
    boxes = np.array([[0, 1, 2, 3, 4, 3]], np.float32)
    save_case(
        tmp_path / "3D_MR_x.npz",
        Case(volume, label=volume % 3, boxes=boxes, spacing_mm=(3.0, 0.5, 0.7), is_volume=True, label_names={1: "a"}),
    )
    scan = load_volume(tmp_path / "3D_MR_x.npz")
    assert np.array_equal(scan.values, volume) and scan.is_volume and scan.modality == "MR"
    assert scan.spacing_mm == (3.0, 0.5, 0.7) == pytest.approx(scan.geometry.spacing_mm)
    assert np.array_equal(scan.boxes, boxes) and np.array_equal(scan.label, volume % 3)
    assert scan.to_case().label_names == {1: "a"} and scan.geometry.shape == (4, 5, 6)
    save_case(tmp_path / "2D_CT_x.npz", Case(volume[0], spacing_mm=(0.5, 0.7)))
    flat = load_volume(tmp_path / "2D_CT_x.npz")
    assert flat.values.shape == (5, 6) and not flat.is_volume and flat.spacing_mm == (0.5, 0.7)
    assert flat.geometry.shape == (1, 5, 6)

    from PIL import Image

    Image.fromarray(volume[0]).save(tmp_path / "x.png")
    assert np.array_equal(load_volume(tmp_path / "x.png").values, volume[0])
    with pytest.raises(CaseError, match="must unpack to at most"):
        load_volume(tmp_path / "3D_MR_x.npz", max_voxels=10)


def test_without_nibabel_the_message_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.nii").write_bytes(b"x" * 400)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r'"medical" extra \(missing: nibabel\)'):
        load_volume(tmp_path / "a.nii")


def test_importing_it_is_light():
    program = "import sys, lite_medsam.scans.reading, lite_medsam.results.take_home; print({m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"nibabel", "pydicom", "SimpleITK", "torch", "gradio"} & set(eval(done.stdout))
