"""A phantom with known fluid through every layout of OCT files that can be written, and back: voxels, scale, origin."""

import numpy as np
import oct_files
import pytest

from lite_medsam import load_volume
from lite_medsam.errors import CaseError
from lite_medsam.phantoms import vendor_files
from lite_medsam.results.measurements import fluid

UM = (120.0, 3.87, 11.5)
SHAPE = (12, 64, 96)


def volume() -> tuple[np.ndarray, np.ndarray]:
    """A bright volume with an ellipsoid of fluid in it, darker than all else, and its mask."""
    rng = np.random.default_rng(5)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    wet = ((z - 5) / 4.5) ** 2 + ((y - 30) / 14.0) ** 2 + ((x - 40) / 22.0) ** 2 < 1
    image = rng.integers(120, 250, SHAPE).astype(np.uint8)
    image[wet] = rng.integers(1, 40, int(wet.sum()))
    return image, wet


IMAGE, WET = volume()


def fluid_nl(scan) -> float:
    """The dark voxels of a scan in nanolitres."""
    grey = scan.to_uint8()
    threshold = (int(grey[~WET].min()) + int(grey[WET].max())) / 2
    return 1000 * fluid([grey < threshold], scan.spacing_mm)["fluid_volume_mm3"]


def expected_nl(um) -> float:
    return float(WET.sum() * np.prod(um) / 1e6)


def as_vol(path):
    vendor_files.write_vol(path / "a.vol", IMAGE, UM, "R", {"ILM": np.full((12, 96), 9.0)})
    return path / "a.vol"


WRITERS = {
    "vol": ("eyepy", as_vol, "file", "R"),
    "xml": ("eyepy", lambda p: oct_files.write_xml(p / "x", IMAGE, UM), "file", "L"),
    "xml-folder": ("eyepy", lambda p: oct_files.write_xml(p / "x", IMAGE, UM).parent, "file", "L"),
    "fda": ("oct_converter", lambda p: oct_files.write_topcon(p / "a.fda", IMAGE, UM), "file", "L"),
    "fds": ("oct_converter", lambda p: oct_files.write_topcon(p / "a.fds", IMAGE, UM), "file", "L"),
    "bioptigen": ("oct_converter", lambda p: oct_files.write_bioptigen(p / "eye_OD_1.OCT", IMAGE, UM), "file", "R"),
    "opt": ("pydicom", lambda p: oct_files.write_opt(p / "a.dcm", IMAGE, UM), "file", "R"),
    "mhd": ("numpy", lambda p: oct_files.write_mhd(p / "oct.mhd", IMAGE.astype(np.uint16) * 200, UM), "file", None),
    "mhd-folder": ("numpy", lambda p: oct_files.write_mhd(p / "oct.mhd", IMAGE, UM).parent, "file", None),
    "mhd-packed": ("numpy", lambda p: oct_files.write_mhd(p / "oct.mhd", IMAGE, UM, packed=True), "file", None),
    "tiff": ("tifffile", lambda p: oct_files.write_tiff(p / "a.tif", IMAGE, UM), "file", None),
}


@pytest.mark.parametrize("layout", WRITERS)
def test_fluid_scale_and_origin_come_back(tmp_path, layout):
    needs, write, origin, side = WRITERS[layout]
    pytest.importorskip(needs)
    scan = load_volume(write(tmp_path))
    assert scan.label_shape == SHAPE and scan.is_volume
    assert [step.um for step in scan.steps] == pytest.approx(UM, rel=1e-4)
    assert {step.origin for step in scan.steps} == {origin}
    assert scan.laterality == side
    assert fluid_nl(scan) == pytest.approx(expected_nl(UM), rel=0.02)
    assert scan.geometry.spacing_mm == pytest.approx(scan.spacing_mm)
    grey = scan.to_uint8().astype(int)
    assert np.corrcoef(grey.ravel(), IMAGE.ravel())[0, 1] > 0.98  # nothing turned or mirrored


def test_vol_whose_places_contradict_its_header_says_so(tmp_path):
    pytest.importorskip("eyepy")
    data = bytearray(as_vol(tmp_path).read_bytes())
    data[32:40] = np.array([0.2], "<f8").tobytes()  # the distance of the header
    (tmp_path / "a.vol").write_bytes(data)
    scan = load_volume(tmp_path / "a.vol")
    assert scan.scale[0].um == pytest.approx(200) and "their places 120 um" in " ".join(scan.notes)
    data[96:100] = np.array([5], "<i4").tobytes()  # a star
    (tmp_path / "a.vol").write_bytes(data)
    star = load_volume(tmp_path / "a.vol")
    assert star.scale[0].um is None and star.spacing_mm == pytest.approx((0.00387, 0.0115))


def test_vol_brings_surfaces_slo_day_and_no_patient(tmp_path):
    pytest.importorskip("eyepy")
    scan = load_volume(as_vol(tmp_path))
    assert list(scan.surfaces) == ["ILM"] and scan.surfaces["ILM"].shape == (12, 96)
    assert scan.visit_date == "2026-01-15" and scan.device == "Heidelberg Spectralis"
    assert scan.enface.image.shape == (12, 96) and scan.enface.b_scans_px.shape == (12, 2, 2)
    assert scan.enface.b_scans_px[3, 1] == pytest.approx((95, 3))
    xml = load_volume(oct_files.write_xml(tmp_path / "x", IMAGE, UM))
    assert np.isnan(xml.surfaces["ILM"][0, -1]) and xml.surfaces["ILM"][0, 0] == 10
    assert oct_files.PATIENT not in repr(xml) and xml.visit_date == "2026-03-04"
    fda = load_volume(oct_files.write_topcon(tmp_path / "a.fda", IMAGE, UM))
    assert (fda.device, fda.visit_date) == ("Topcon 3DOCT-2000", "2026-03-04")


def cirrus(b_scans=128, a_scans=512):
    rng = np.random.default_rng(0)
    block = rng.integers(0, 255, (b_scans, 64, a_scans)).astype(np.uint8)
    return np.repeat(block, 16, axis=1)


def test_cirrus_has_no_header(tmp_path):
    cube = cirrus(4)
    plain = oct_files.write_img(tmp_path / "P1_OS_512x4.img", cube)
    scan = load_volume(plain)
    assert np.array_equal(scan.values, cube) and scan.spacing_mm is None and scan.laterality == "L"
    assert all(step.um is None for step in scan.steps) and "px" in " ".join(scan.notes)
    assert scan.with_spacing_um((47, 1.96, 11.7)).spacing_mm == pytest.approx((0.047, 0.00196, 0.0117))
    odd = tmp_path / "a.img"
    odd.write_bytes(b"\1" * 1000)
    with pytest.raises(CaseError, match="512 x 128 or 200 x 200"):
        load_volume(odd)


def test_cirrus_cube_by_its_name(tmp_path):
    cube = np.zeros((200, 1024, 200), np.uint8)
    path = oct_files.write_img(tmp_path / "P7_Macular Cube 200x200_3-4-2026_10-11-12_OD_sn1_cube_z.img", cube)
    scan = load_volume(path)
    assert [step.um for step in scan.scale] == pytest.approx([30, 1.953125, 30])
    assert {step.origin for step in scan.scale} == {"device constant"}
    assert (scan.laterality, scan.visit_date, scan.name) == ("R", "2026-03-04", "oct")


def test_optovue_has_no_scale_whatever_its_reader_says(tmp_path):
    pytest.importorskip("oct_converter")
    scan = load_volume(oct_files.write_optovue(tmp_path / "a.OCT", IMAGE))
    assert scan.label_shape == SHAPE and scan.spacing_mm is None and scan.laterality == "L"
    assert np.array_equal(scan.values, IMAGE)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(CaseError, match="text file"):
        load_volume(tmp_path / "a.OCT")


def test_duke(tmp_path):
    layers = np.full((8, 96, 12), np.nan)
    layers[0, :, 3] = 11
    scan = load_volume(oct_files.write_dme(tmp_path / "Subject_01.mat", IMAGE, layers=layers))
    assert np.array_equal(scan.values, IMAGE)
    assert [(s.um, s.origin) for s in scan.scale] == [(123, "assumed"), (3.87, "device constant"), (11.33, "assumed")]
    assert (scan.surfaces["ILM"][3] == 10).all() and np.isnan(scan.surfaces["ILM"][2]).all()
    assert fluid_nl(scan) == pytest.approx(expected_nl((123, 3.87, 11.33)), rel=0.02)
    amd = load_volume(oct_files.write_amd(tmp_path / "AMD_1001.mat", IMAGE, np.full((12, 96, 3), 20.0)))
    assert [s.origin for s in amd.scale] == ["device constant", "assumed", "device constant"]
    assert amd.surfaces["BM"].shape == (12, 96)


def test_pictures_have_no_scale(tmp_path):
    for path in (oct_files.write_folder(tmp_path / "stack", IMAGE), oct_files.write_tiff(tmp_path / "b.tif", IMAGE)):
        scan = load_volume(path)
        assert np.array_equal(scan.values, IMAGE) and scan.spacing_mm is None
        known = scan.with_spacing_um(UM)
        assert fluid_nl(known) == pytest.approx(expected_nl(UM), rel=0.02)
        assert {step.origin for step in known.scale} == {"user"}


class Slice:
    def __init__(self, meta, image):
        self.get_meta, self.get_bscan = (lambda: meta), (lambda: image.astype(np.float32))


class Series:
    """What eyepy's series of an .e2e file gives, for patterns and scales that no file here has."""

    def __init__(self, angle=20.0, between=0.4, pattern=3, count=12):
        self.folders = {}
        self.meta = [
            {"start_pos": (-angle / 2, between * k), "end_pos": (angle / 2, between * k), "size_x": 96, "size_y": 64,
             "imgSizeWidth": 96, "scale_y": 0.00387, "scan_pattern": pattern, "acquisitionTime": "2026-03-04T10:11:12"}
            for k in range(count)
        ]  # fmt: skip

    @property
    def slices(self):
        return {2 * k: Slice(meta, IMAGE[k] / 300) for k, meta in enumerate(self.meta)}

    def get_layers(self):
        return {0: np.full((len(self.meta), 96), 8.0)}

    def get_localizer(self):
        raise ValueError("none")

    def laterality(self):
        return "LateralityEnum.OD"


def test_e2e_takes_the_angles_and_says_that_the_eye_is_assumed():
    pytest.importorskip("eyepy")
    from lite_medsam.scans.oct.heyex_e2e import exam_of
    from lite_medsam.scans.oct.vendor import scan_of

    scan = scan_of(exam_of(Series(), 10**9))
    assert [step.origin for step in scan.scale] == ["assumed", "file", "assumed"]
    assert [step.um for step in scan.scale] == pytest.approx([0.4 * 295, 3.87, 20 * 295 / 96])
    assert "degrees at 0.295 mm per degree" in scan.scale[2].basis and "assumed" in " ".join(scan.notes)
    assert scan.laterality == "R" and list(scan.surfaces) == ["ILM"] and scan.enface is None
    # the exam of OCT-Converter's issue 117: 20 degrees over 512 A-scans are 11.58 um there
    assert 20 / 512 * 295 == pytest.approx(11.58, rel=0.01)
    star = scan_of(exam_of(Series(pattern=5), 10**9))
    assert star.scale[0].um is None and star.spacing_mm == pytest.approx((0.00387, 0.295 * 20 / 96))


def test_e2e_as_a_file(tmp_path):
    pytest.importorskip("eyepy")
    scan = load_volume(oct_files.write_e2e(tmp_path / "a.E2E", IMAGE))
    assert np.abs(scan.values.astype(int) - IMAGE).max() <= 2
    assert [step.um for step in scan.scale] == pytest.approx([0.4 * 295, 3.87, 20 * 295 / 96], rel=1e-4)
    assert (scan.laterality, scan.enface.image.shape) == ("R", (50, 60)) and oct_files.PATIENT not in repr(scan)
    assert scan.visit_date is not None and scan.visit_date.startswith("202")
    assert fluid_nl(scan) == pytest.approx(expected_nl([step.um for step in scan.scale]), rel=0.02)
    front = load_volume(oct_files.write_e2e(tmp_path / "b.e2e", IMAGE, structure="Anterior Segment"))
    assert front.scale[2].um == pytest.approx(20 * 555 / 96) and "anterior" in front.scale[2].basis
    whole = (tmp_path / "b.e2e").read_bytes()
    (tmp_path / "b.e2e").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CaseError, match=r"b\.e2e"):
        load_volume(tmp_path / "b.e2e")


@pytest.mark.parametrize("layout", ["vol", "fda", "bioptigen", "mhd", "xml"])
def test_damage_is_one_line(tmp_path, layout):
    needs, write, *_ = WRITERS[layout]
    pytest.importorskip(needs)
    path = write(tmp_path)
    cut = path.with_suffix(".raw") if layout == "mhd" else path
    whole = cut.read_bytes()
    for size in (0, 3, 60, len(whole) // 3, len(whole) - 9):
        cut.write_bytes(whole[:size])
        with pytest.raises(CaseError) as raised:
            load_volume(path)
        assert "\n" not in str(raised.value) and path.name in str(raised.value)


@pytest.mark.parametrize("name", ["a.vol", "a.e2e", "a.fda", "a.OCT", "a.mhd", "a.mat", "a.sdb", "a.fds"])
def test_foreign_content_is_one_line(tmp_path, name):
    pytest.importorskip("eyepy")
    pytest.importorskip("oct_converter")
    (tmp_path / name).write_bytes(b"nothing that anyone would read\n" * 200)
    with pytest.raises(CaseError) as raised:
        load_volume(tmp_path / name)
    assert "\n" not in str(raised.value) and name in str(raised.value) and len(str(raised.value)) < 300


def test_a_header_cannot_ask_for_memory(tmp_path):
    pytest.importorskip("eyepy")
    path = as_vol(tmp_path)
    data = bytearray(path.read_bytes())
    data[12:24] = np.array([30000, 30000, 30000], "<u4").tobytes()
    path.write_bytes(data)
    with pytest.raises(CaseError, match="voxels"):
        load_volume(path, max_voxels=10**8)
    header = oct_files.write_mhd(tmp_path / "oct.mhd", IMAGE, UM)
    header.write_text(header.read_text().replace("oct.raw", "../../etc/passwd"))
    with pytest.raises(CaseError, match="beside the header"):
        load_volume(header)


def test_zeiss_dicom(tmp_path):
    pytest.importorskip("pydicom")
    from dicom_files import write
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless

    path = write(tmp_path / "z.dcm", IMAGE[0], Modality="OPT", Manufacturer="Carl Zeiss Meditec", syntax=JPEG2000Lossless,
                 PixelData=encapsulate([b"\x11\x22scrambled" * 30]))  # fmt: skip
    with pytest.raises(CaseError, match="Zeiss has scrambled"):
        load_volume(path)
    raw = write(tmp_path / "r.dcm", IMAGE[0], Manufacturer="Carl Zeiss Meditec", drop=("PixelData", "Rows"),
                SOPClassUID="1.2.840.10008.5.1.4.1.1.66")  # fmt: skip
    with pytest.raises(CaseError, match="raw data of Zeiss"):
        load_volume(raw)


def test_topcon_without_binary_fromstring(tmp_path, monkeypatch):
    pytest.importorskip("oct_converter")

    def refuse(*_, **__):
        raise ValueError("The binary mode of fromstring is removed, use frombuffer instead")

    monkeypatch.setattr(np, "fromstring", refuse)
    assert load_volume(oct_files.write_topcon(tmp_path / "a.fda", IMAGE, UM)).label_shape == SHAPE
