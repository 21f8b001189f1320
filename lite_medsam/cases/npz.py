"""Reading npz archives that nobody vouches for: no pickle, no zip bombs, one clear line for whatever is wrong."""

import math
import os
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.storage.paths import shown_path

MAX_ARCHIVE_BYTES = 4 * 2**30
MAX_VALUES = 2**31
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(
    path: str | os.PathLike,
    required: Collection[str],
    optional: Collection[str] = (),
    max_bytes: int = MAX_ARCHIVE_BYTES,
    unread: dict[str, str] | None = None,
) -> dict[str, np.ndarray]:
    """Reads named arrays from an npz file, after checking that its directory and headers are plausible.

    Only the wanted members are opened. What they claim to unpack to is added up and compared with the limit,
    and each array's header must agree with its member's claim; only then is anything unpacked, and zipfile
    stops at the claimed size and compares the checksum.

    Args:
        path: The npz file, its members stored, deflated, or packed with bzip2 or LZMA.
        required: Keys that must be there.
        optional: Keys that are read when they are there.
        max_bytes: Limit of the wanted members' unpacked bytes together.
        unread: Takes the optional keys that hold no plain array (Python objects, say), and why; without it they are errors.

    Returns:
        The arrays by key, of at most `MAX_VALUES` values each.

    Raises:
        CaseError: If the file is missing, no npz, cut off, damaged, encrypted, too large, lacks a required
            key, or a wanted array holds Python objects.
    """
    shown = shown_path(path)
    _check_file(Path(path), shown)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _wanted_members(archive, shown, required, optional, max_bytes)
            for key, info in [*members.items()]:
                try:
                    _check_member(archive, info, f"{shown}: {key}")
                except CaseError as error:
                    if unread is None or key in required:
                        raise
                    unread[key] = str(error).removeprefix(f"{shown}: ")
                    del members[key]
            return {key: _read_member(archive, info, f"{shown}: {key}") for key, info in members.items()}
    except CaseError:
        raise
    except zipfile.BadZipFile:
        raise CaseError(f"{shown}: must be an npz file, is no complete zip archive (cut off, or no npz)") from None
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to load the arrays") from None
    except OSError as error:
        raise CaseError(f"{shown}: could not be read ({error.strerror or error})") from None
    except Exception as error:  # hostile bytes raise anything: struct.error, UnicodeDecodeError, ...
        raise CaseError(f"{shown}: damaged npz file ({type(error).__name__})") from None


def _check_file(path: Path, shown: str) -> None:
    try:
        if path.is_dir():
            raise CaseError(f"{shown}: must be an npz file, is a folder")
        if not path.exists():
            raise CaseError(f"{shown}: no such file")
        if not path.is_file():
            raise CaseError(f"{shown}: must be a regular file")
        if path.stat().st_size == 0:
            raise CaseError(f"{shown}: the file is empty (0 bytes)")
    except CaseError:
        raise
    except (OSError, ValueError) as error:
        raise CaseError(f"{shown}: could not be read ({getattr(error, 'strerror', None) or error})") from None


def _wanted_members(
    archive: zipfile.ZipFile, shown: str, required: Collection[str], optional: Collection[str], max_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    by_key: dict[str, zipfile.ZipInfo] = {}
    wanted = {*required, *optional}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key == info.filename or key not in wanted:
            continue
        if key in by_key:
            raise CaseError(f"{shown}: the archive holds {key} twice")
        by_key[key] = info
    missing = [key for key in required if key not in by_key]
    if missing:
        raise CaseError(f"{shown}: must hold the array {missing[0]}, has {_key_list(archive)}")
    total = sum(info.file_size for info in by_key.values())
    if total > max_bytes:
        raise CaseError(f"{shown}: must unpack to at most {max_bytes} bytes, its directory says {total}")
    return by_key


def _key_list(archive: zipfile.ZipFile) -> str:
    names = [shown_path(name.removesuffix(".npy"))[:40] for name in archive.namelist()]
    return (", ".join(names[:12]) + (", ..." if len(names) > 12 else "")) or "no arrays"


def _check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> None:
    if info.flag_bits & 1:
        raise CaseError(f"{where} is encrypted; save the case without a password")
    if info.compress_type not in _METHODS:
        method = info.compress_type
        raise CaseError(f"{where} is packed by the unknown method {method}; use numpy.savez_compressed")
    try:
        with archive.open(info) as file:
            version = np.lib.format.read_magic(file)
            if version not in _HEADER_READERS:
                raise CaseError(f"{where} has the unknown npy format version {version}")
            shape, _, dtype = _HEADER_READERS[version](file)
            header_bytes = file.tell()
    except (CaseError, MemoryError):
        raise
    except Exception as error:  # zlib.error, LZMAError, BadZipFile, EOFError, ValueError, SyntaxError, ...
        raise CaseError(f"{where} is damaged or cut off ({type(error).__name__})") from None
    if dtype.hasobject:
        raise CaseError(
            f"{where} must be a plain array, holds Python objects (pickle), never loaded; {_rewrite(where)}"
        )
    values = math.prod(shape)
    if any(side < 0 for side in shape) or values > MAX_VALUES:
        raise CaseError(f"{where} must have at most {MAX_VALUES} values, its header says shape {shape}")
    if values * dtype.itemsize != info.file_size - header_bytes:
        raise CaseError(f"{where} is damaged: shape {shape} of {dtype} does not make {info.file_size} bytes")


def _rewrite(where: str) -> str:
    """How to write an array without Python objects."""
    key = where.rpartition(" ")[2]
    advice = {
        "boxes": "write boxes as numbers, boxes=np.array([[x0, y0, x1, y1]]), of a volume [[x0, y0, z0, x1, y1, z1]]",
        "spacing": "write spacing as numbers, spacing=np.array([x, y, z]) in mm",
        "gts": "write gts as integers, gts=np.asarray(gts, np.uint8)",
        "metadata": "write metadata as a text, metadata=np.array(json.dumps(...))",
    }
    return advice.get(key, f"write it with a plain dtype, {key}=np.asarray({key}, np.float32), or leave it out")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    try:
        with archive.open(info) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # the checksum is compared at the end of the member
            return array
    except MemoryError:
        raise
    except Exception as error:
        raise CaseError(f"{where} is damaged or cut off ({type(error).__name__})") from None
