"""DICOM files and folders as data sets: what is DICOM, with and without its preamble, and errors in one line."""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.images.silence import quiet
from lite_medsam.storage.guarded_reading import GuardedFile
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

MAX_FILES = 20_000
_DEFLATED = "1.2.840.10008.1.2.1.99"


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file has the mark DICM after its preamble, or is a data set without both that begins with group 2 or 8."""
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return looks_like_dicom(start)


def looks_like_dicom(start: bytes) -> bool:
    """Whether the first 132 bytes are those of a DICOM file."""
    return start[128:] == b"DICM" or _is_bare(start)


def _is_bare(start: bytes) -> bool:
    """Whether bytes begin as a data set does that lacks preamble and mark."""
    if len(start) < 16 or start[128:] == b"DICM":
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        if group not in (2, 8) or element > 0x1200:
            continue
        if start[4:6].isalpha() and start[4:6].isupper():  # a value representation: explicit
            return True
        if order == "<" and struct.unpack("<I", start[4:8])[0] <= 1024:  # the length of a short value: implicit
            return True
    return False


@contextlib.contextmanager
def one_line_errors(shown: str) -> Iterator[None]:
    """Turns whatever a hostile file makes pydicom raise into one line."""
    try:
        with quiet():  # about values that break the standard a little: read all the same
            yield
    except CaseError as error:
        raise CaseError(str(error) if str(error).startswith(shown) else f"{shown}: {error}") from None
    except MissingExtraError:
        raise
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to load it") from None
    except Exception as error:
        raise CaseError(f"{shown}: damaged DICOM file, {one_line(error)}") from None


def _pydicom():
    try:
        import pydicom
    except ImportError:
        raise MissingExtraError("reading DICOM", "medical", "pydicom") from None
    return pydicom


def read_header(path: Path):
    """The data set without its pixels.

    Raises:
        CaseError: If it is no DICOM file, or of a kind that is not read.
    """
    pydicom = _pydicom()
    try:
        return _dataset(pydicom, path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        raise CaseError("must be a DICOM file, its content is none") from None


def named_header(path: Path):
    """As `read_header`, for one file of a folder."""
    try:
        return read_header(path)
    except CaseError as error:
        raise CaseError(f"{shown_path(path.name)} {error}; remove it from the folder") from None


def read_dataset(path: Path):
    """The data set with its pixels.

    Raises:
        CaseError: If its pixels are packed and nothing says how.
    """
    dataset = _dataset(_pydicom(), path)
    if _starts_bare(path) and "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise CaseError("its pixels are packed, and without the file's meta header nothing says how; save it anew")
    return dataset


def _starts_bare(path: Path) -> bool:
    with open(path, "rb") as file:
        return _is_bare(file.read(132))


def _dataset(pydicom, path: Path, stop_before_pixels: bool = False):
    is_bare = _starts_bare(path)
    with GuardedFile(path) as file:
        if _syntax(pydicom, file, is_bare) == _DEFLATED:  # pydicom would inflate it without any limit
            raise CaseError("deflated DICOM files are not read; save it uncompressed")
        file.seek(0)
        dataset = pydicom.dcmread(file, stop_before_pixels=stop_before_pixels, force=is_bare)
    if is_bare and "TransferSyntaxUID" not in dataset.file_meta:  # what pydicom found out from the first elements
        is_implicit, is_little = dataset.original_encoding
        little = pydicom.uid.ImplicitVRLittleEndian if is_implicit else pydicom.uid.ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = little if is_little else pydicom.uid.ExplicitVRBigEndian
    return dataset


def _syntax(pydicom, file: GuardedFile, is_bare: bool) -> str:
    """The transfer syntax of the file's first group, which says how the rest is written; "" where it is missing."""
    reader = pydicom.filereader
    if not is_bare:
        reader.read_preamble(file, force=False)
    elif file.read(2) != b"\x02\x00":
        return ""
    else:
        file.seek(0)
    first_group = reader.data_element_generator(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    found = {int(element.tag): element.value for element in first_group}
    value = found.get(0x00020010) or b""
    return value.decode("ascii", "replace").strip("\0 ")


def candidates(folder: Path, below: bool = False) -> tuple[list[Path], int]:
    """The files that are DICOM, or say so by their name, in the order of their names; and how many others there are.

    Args:
        folder: Where to look.
        below: Look into its subfolders too; links to folders are not followed.
    """
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if below else []
        files += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        if len(files) > MAX_FILES:
            raise CaseError(f"must hold at most {MAX_FILES} files, holds more")
    files = [path for path in files if path.is_file() and path.name.upper() != "DICOMDIR"]
    named = (".dcm", ".dicom", ".ima")
    found = [path for path in files if is_dicom(path) or path.suffix.lower() in named]
    return found, len(files) - len(found)
