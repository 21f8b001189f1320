"""Series of a study in folders, DICOMDIR and ZIP: listed, chosen, read; damage and hostile names refused."""

import zipfile

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
from dicom_files import write, write_series  # noqa: E402
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

from lite_medsam.errors import CaseError  # noqa: E402
from lite_medsam.scans.dicom_study import choose_series, find_series, study_files  # noqa: E402
from lite_medsam.scans.reading import load_volume  # noqa: E402

CT, MR = generate_uid(), generate_uid()


def study(folder):
    """Two series in folders of their own, and a report."""
    folder.mkdir()
    write_series(folder / "A", SeriesInstanceUID=CT, SeriesNumber=3)
    write_series(folder / "B", count=3, order=[2, 0, 1], SeriesInstanceUID=MR, SeriesNumber=4, Modality="MR")
    keys = {"Modality": "SR", "SeriesInstanceUID": generate_uid(), "SeriesNumber": 9}
    write(folder / "report", np.zeros((2, 2), np.int16), drop=("Rows", "Columns", "PixelData"), **keys)
    return folder


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path


def dicomdir(folder, names):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.3.10", generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(folder / "DICOMDIR"), {}, file_meta=meta, preamble=b"\0" * 128)
    data.DirectoryRecordSequence = []
    for parts in names:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", parts
        data.DirectoryRecordSequence.append(record)
    data.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


@pytest.mark.parametrize("wanted", ["3", CT, "CT", "ct"], ids=["number", "uid", "modality", "lower case"])
def test_a_series_is_chosen_by_number_uid_or_modality(tmp_path, wanted):
    folder = study(tmp_path / "s")
    whole = load_volume(folder / "A")
    for source in (folder, zipped(folder, tmp_path / "s.zip")):
        scan = load_volume(source, series=wanted)
        assert np.array_equal(scan.values, whole.values)
        assert np.array_equal(scan.geometry.affine, whole.geometry.affine)
        assert scan.dicom.path == source
        assert scan.dicom.instances == whole.dicom.instances
        assert any("series 3 (CT, 5 images, 6 x 7), one of 3" in note for note in scan.notes)


def test_several_series_are_named_and_none_is_taken(tmp_path):
    folder = study(tmp_path / "s")
    with pytest.raises(CaseError, match=r"must hold one series of images, holds 2: 3 \(CT, 5 .*; 4 \(MR, 3 .*--series"):
        load_volume(folder)
    with pytest.raises(CaseError, match=r"must hold one series 7, there are: 3 \(CT"):
        load_volume(folder, series="7")
    write_series(folder / "C", SeriesInstanceUID=generate_uid(), SeriesNumber=5)
    with pytest.raises(CaseError, match=rf"must hold one series CT, holds 2: .*{CT}"):
        load_volume(folder, series="CT")
    with study_files(folder) as (files, others):
        series, unread = find_series(files)
    assert ([s.number for s in series], unread, others) == ([3, 4, 5, 9], [], 0)
    assert [s.is_stack for s in series] == [True, True, True, False]
    assert choose_series(series[:1] + series[3:], None).number == 3  # the report is no image


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_dicomdir_names_the_files(tmp_path):
    folder = study(tmp_path / "s")
    names = [["A", f"im000{i}.dcm".upper()] for i in range(5)]  # a copied disc has other cases
    path = dicomdir(folder, names)
    assert np.array_equal(load_volume(path).values, load_volume(folder / "A").values)
    dicomdir(folder, [*names, ["A", "GONE"]])
    with pytest.raises(CaseError, match="names 1 of 6 files that are not there"):
        load_volume(path)
    for parts in (["..", "X"], ["/etc/passwd"]):
        dicomdir(folder, [parts])
        with pytest.raises(CaseError, match="below its own folder"):
            load_volume(path)


def test_hostile_zips(tmp_path):
    folder = write_series(tmp_path / "s", SeriesInstanceUID=CT)
    path = zipped(folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.dcm", (folder / "IM0000.dcm").read_bytes()[:-10])
        archive.writestr("notes.txt", "x" * 500)
        archive.writestr("__MACOSX/IM0000.dcm", b"\0" * 128 + b"DICM")
    with study_files(path) as (files, others):
        assert (len(files), others) == (6, 1)
        assert {file.parent for file in files} == {files[0].parent}
        kept = files[0]
    assert not kept.exists()  # nothing of it stays
    assert not (tmp_path.parent / "evil.dcm").exists()
    with pytest.raises(CaseError, match=r"unpack to at most 0 MiB"), study_files(path, 1000):
        pass
    (tmp_path / "b.zip").write_bytes(path.read_bytes()[:600])
    with pytest.raises(CaseError, match="damaged ZIP"):
        load_volume(tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(CaseError, match="must be a ZIP of DICOM files, holds none"):
        load_volume(tmp_path / "c.zip")


def test_damaged_files_of_a_study_are_counted(tmp_path):
    folder = study(tmp_path / "s")
    (folder / "A" / "bad.dcm").write_bytes(b"text\n" * 100)
    assert any(note.startswith("1 files could not be read") for note in load_volume(folder, series="3").notes)
