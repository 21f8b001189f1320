"""Decoders that believe a damaged length take no more memory than the file has."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from lite_medsam.errors import CaseError
from lite_medsam.scans.reading import load_volume
from lite_medsam.storage.guarded_reading import PIECE_BYTES, GuardedFile, GuardedGzip

CONTENT = bytes(range(256)) * (3 * PIECE_BYTES // 256) + b"end"


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, len(CONTENT), 2**31])
@pytest.mark.parametrize("is_packed", [False, True])
def test_reads_what_other_files_read(tmp_path, size, is_packed):
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(CONTENT, 1) if is_packed else CONTENT)
    with GuardedGzip(path) if is_packed else GuardedFile(path) as file:
        assert file.read(3) == CONTENT[:3]
        assert file.read(size) == CONTENT[3 : 3 + size]


def test_all_is_read_of_a_plain_file_and_not_of_a_packed_one(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    with GuardedFile(path) as file:
        assert file.read() == CONTENT
    path.write_bytes(gzip.compress(CONTENT, 1))
    with GuardedGzip(path) as file, pytest.raises(OSError, match="up to a given size"):
        file.read()


def peak_mb(path) -> float:
    tracemalloc.start()
    try:
        with pytest.raises(CaseError) as caught:
            load_volume(path)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
        assert "not enough memory" not in str(caught.value)


@pytest.mark.parametrize("extension_bytes", [2**31 - 16, -8])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_nifti_extension_of_any_length(tmp_path, extension_bytes, is_packed):
    nibabel = pytest.importorskip("nibabel")
    data = bytearray(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)).to_bytes())
    data[108:112] = struct.pack("<f", 2**25)  # vox_offset
    data[348:352] = b"\1\0\0\0"
    data[352:360] = struct.pack("<ii", extension_bytes, 6)
    bytes_ = bytes(data) + b"\0" * 2**24
    path = tmp_path / ("x.nii.gz" if is_packed else "x.nii")
    path.write_bytes(gzip.compress(bytes_, 1) if is_packed else bytes_)
    assert peak_mb(path) < 64


def test_a_dicom_element_of_any_length(tmp_path):
    pytest.importorskip("pydicom")
    import dicom_files

    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((4, 4), np.int16))
    data = path.read_bytes()
    at = data.index(b"\x10\0\x20\0LO")  # PatientID, before Rows
    path.write_bytes(data[: at + 4] + b"UN\0\0" + struct.pack("<I", 2**32 - 16) + data[at + 8 :])
    assert peak_mb(path) < 64


def test_a_deflated_dicom_file_is_refused_before_it_grows(tmp_path):
    pytest.importorskip("pydicom")
    import dicom_files
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    path = tmp_path / "x.dcm"
    dicom_files.write(path, np.zeros((512, 512), np.int16), DeflatedExplicitVRLittleEndian)
    with pytest.raises(CaseError, match="deflated"):
        load_volume(path)
