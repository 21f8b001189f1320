"""Files of OCT scanners in the demo: alone, or with the files that they name."""

import numpy as np
import oct_files
import pytest

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.phantoms.vendor_files import write_vol

opening, uploads = (load_demo(name) for name in ("opening", "uploads"))
IMAGE = np.random.default_rng(2).integers(0, 255, (4, 40, 60)).astype(np.uint8)
UM = (120.0, 3.87, 11.5)


def uploaded(*paths):
    upload = uploads.Upload([path.name for path in paths], [path.stat().st_size for path in paths])
    for number, path in enumerate(paths):
        upload.append(number, path.read_bytes())
    assert upload.complete
    try:
        return opening.open_upload(upload, 10**8)
    finally:
        upload.discard()


def test_one_file(tmp_path):
    pytest.importorskip("eyepy")
    write_vol(tmp_path / "OD exam.vol", IMAGE, UM)
    scan = uploaded(tmp_path / "OD exam.vol")
    assert scan.name == "OD exam" and scan.spacing_mm == pytest.approx((0.12, 0.00387, 0.0115))
    assert uploaded(oct_files.write_tiff(tmp_path / "stack.tif", IMAGE)).label_shape == IMAGE.shape


def test_files_that_name_others(tmp_path):
    header = oct_files.write_mhd(tmp_path / "oct.mhd", IMAGE, UM)
    assert np.array_equal(uploaded(header, tmp_path / "oct.raw").values, IMAGE)
    cube = np.zeros((4, 1024, 512), np.uint8)
    cube[:, 100] = 9
    named = uploaded(oct_files.write_img(tmp_path / "P9_OS_512x4.img", cube))
    assert named.laterality == "L" and np.array_equal(named.values, cube)
    pytest.importorskip("eyepy")
    folder = oct_files.write_xml(tmp_path / "x", IMAGE, UM).parent
    scan = uploaded(*sorted(folder.iterdir()))
    assert np.array_equal(scan.values, IMAGE) and scan.laterality == "L"


def test_pictures_together_are_b_scans(tmp_path):
    folder = oct_files.write_folder(tmp_path / "s", IMAGE)
    scan = uploaded(*sorted(folder.iterdir(), key=lambda path: int(path.stem[1:])))
    assert np.array_equal(scan.values, IMAGE) and scan.spacing_mm is None


@pytest.mark.parametrize("name", ["../../evil.xml", "..", "a\\..\\b.img", ".img"])
def test_no_name_leads_out_of_the_folder(name):
    upload = uploads.Upload([name, "x.img"], [0, 0])
    try:
        assert upload.path(0).resolve().parent == upload.folder.resolve()
    finally:
        upload.discard()
