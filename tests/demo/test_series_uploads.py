"""A DICOM series in the demo: as one ZIP, or as its files."""

import zipfile

import numpy as np
import pytest

pytest.importorskip("pydicom")
from dicom_files import write_series
from pydicom.uid import generate_uid

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.errors import CaseError
from lite_medsam.scans.reading import load_volume

opening, uploads = (load_demo(name) for name in ("opening", "uploads"))


def uploaded(*paths):
    upload = uploads.Upload([path.name for path in paths], [path.stat().st_size for path in paths])
    for number, path in enumerate(paths):
        upload.append(number, path.read_bytes())
    try:
        return opening.open_upload(upload, 10**8)
    finally:
        upload.discard()


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.dcm"):
            archive.write(file, file.relative_to(folder))
    return path


def test_a_zip_and_the_files_are_the_same_volume(tmp_path):
    folder = write_series(tmp_path / "s")
    whole = load_volume(folder)
    one = uploaded(zipped(folder, tmp_path / "my series.zip"))
    assert one.name == "my series"
    for scan in (one, uploaded(*sorted(folder.iterdir()))):
        assert np.array_equal(scan.values, whole.values)
        assert np.array_equal(scan.geometry.affine, whole.geometry.affine)


def test_a_zip_of_several_series_says_which(tmp_path):
    (tmp_path / "s").mkdir()
    for number in (3, 4):
        write_series(tmp_path / "s" / str(number), SeriesInstanceUID=generate_uid(), SeriesNumber=number)
    with pytest.raises(CaseError, match=r"^study.zip: must hold one series of images, holds 2: 3 \(CT"):
        uploaded(zipped(tmp_path / "s", tmp_path / "study.zip"))
