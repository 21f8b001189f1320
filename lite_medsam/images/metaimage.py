"""MetaImage volumes (.mhd with a raw file, .mha): header and numbers, read without ITK."""

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.storage.paths import shown_path

METAIMAGE_SUFFIXES = (".mhd", ".mha")
_MAX_HEADER_BYTES, _MAX_LINES = 2**16, 200
_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_ULONG_LONG": "u8", "MET_LONG_LONG": "i8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class MetaImage:
    """One volume or picture.

    Attributes:
        values: (D, H, W) or (H, W), in the order of the file.
        spacing_mm: (z, y, x) or (y, x); None where the header does not give it.
        matrix: (3, 3) whose columns are the directions of x, y, z; the unit matrix where it is not given.
        origin_mm: (3,) middle of the first voxel, zeros where it is not given.
    """

    values: np.ndarray
    spacing_mm: tuple[float, ...] | None
    matrix: np.ndarray
    origin_mm: np.ndarray


def read_metaimage(path: str | os.PathLike, max_voxels: int = 2**31) -> MetaImage:
    """Reads a .mhd with the raw file beside it, or a .mha.

    Args:
        path: The header's file.
        max_voxels: Larger ones are refused by the header.

    Raises:
        CaseError: If it is missing, damaged, cut off, too large, or of a layout that is not read (several channels, a
            series of files, ASCII); the message is one line.
    """
    path = Path(path)
    shown = shown_path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(_MAX_HEADER_BYTES)
        fields, end = _fields(start)
        shape = _shape(fields, max_voxels)
        raw = _raw(path, fields, end, _dtype(fields), math.prod(shape))
    except OSError as error:
        raise CaseError(f"{shown}: could not be read ({error.strerror or error})") from None
    except CaseError as error:
        raise CaseError(f"{shown}: {error}") from None
    values = raw.reshape(shape).astype(raw.dtype.newbyteorder("="), copy=False)
    spacing = _numbers(fields, ("elementspacing", "elementsize"), len(shape))
    if spacing is not None and not (np.isfinite(spacing).all() and (spacing > 0).all()):
        spacing = None
    matrix = _numbers(fields, ("transformmatrix", "rotation", "orientation"), len(shape) ** 2)
    origin = _numbers(fields, ("offset", "position", "origin"), len(shape))
    full = np.eye(3)
    if matrix is not None and np.isfinite(matrix).all() and abs(np.linalg.det(matrix.reshape(len(shape), -1))) > 0.5:
        full[: len(shape), : len(shape)] = matrix.reshape(len(shape), len(shape)).T  # rows of the file are directions
    place = np.zeros(3)
    if origin is not None and np.isfinite(origin).all():
        place[: len(shape)] = origin
    return MetaImage(values, None if spacing is None else tuple(spacing[::-1].tolist()), full, place)


def header_spacing(path: str | os.PathLike) -> tuple[float, ...] | None:
    """Voxel size in array order (z, y, x) or (y, x) as the header gives it; None where it does not, or is none."""
    try:
        with open(path, "rb") as file:
            fields, _ = _fields(file.read(_MAX_HEADER_BYTES))
    except (OSError, CaseError):
        return None
    spacing = _numbers(fields, ("elementspacing", "elementsize"), None)
    return None if spacing is None else tuple(spacing[::-1].tolist())


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """The header's fields in lower case, and where the data begins in a .mha."""
    fields: dict[str, str] = {}
    position = 0
    for _ in range(_MAX_LINES):
        end = start.find(b"\n", position)
        line = start[position : end if end >= 0 else len(start)]
        position = end + 1 if end >= 0 else len(start)
        key, sign, value = line.decode("latin-1").partition("=")
        if not sign or not re.fullmatch(r"\s*\w+\s*", key):
            if not fields and line.strip():
                raise CaseError("must be a MetaImage header, lines of KEY = VALUE; it is none")
            if position >= len(start):
                break
            continue
        fields[key.strip().lower()] = value.strip()
        if key.strip().lower() == "elementdatafile":
            return fields, position
        if position >= len(start):
            break
    raise CaseError("damaged MetaImage header, it has no ElementDataFile")


def _shape(fields: dict[str, str], max_voxels: int) -> tuple[int, ...]:
    sizes = _numbers(fields, ("dimsize",), None)
    if sizes is None or len(sizes) not in (2, 3) or not (np.isfinite(sizes).all() and (sizes >= 1).all()):
        raise CaseError(f"DimSize must be two or three numbers above 0, got {fields.get('dimsize', 'none')[:60]!r}")
    if fields.get("elementnumberofchannels", "1") != "1":
        raise CaseError("must have one channel, its header says several; convert it")
    shape = tuple(int(n) for n in sizes[::-1])
    if math.prod(shape) > max_voxels:
        raise CaseError(
            f"must have at most {max_voxels} voxels, its header says {' x '.join(map(str, shape))}; crop it"
        )
    return shape


def _dtype(fields: dict[str, str]) -> np.dtype:
    kind = fields.get("elementtype", "none").upper()
    if kind not in _TYPES:
        raise CaseError(f"ElementType must be one of {', '.join(_TYPES)}, got {kind[:40]!r}")
    if fields.get("binarydata", "True").lower() == "false":
        raise CaseError("must hold binary data, its header says ASCII; save it anew")
    is_big = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "False")).lower() == "true"
    return np.dtype((">" if is_big else "<") + _TYPES[kind])


def _raw(path: Path, fields: dict[str, str], end: int, dtype: np.dtype, count: int) -> np.ndarray:
    named = fields["elementdatafile"]
    if named.upper() == "LOCAL":
        source, skip = path, end
    else:
        if named.upper().startswith("LIST") or "%" in named or re.split(r"[\\/]", named)[-1] != named or not named:
            raise CaseError(f"ElementDataFile must be one file beside the header, got {named[:60]!r}")
        source, skip = path.with_name(named), int(fields.get("headersize", "0") or 0)
        if not source.is_file():
            raise CaseError(f"its data file {shown_path(named)} is not beside it")
    needed = count * dtype.itemsize
    with open(source, "rb") as file:
        if skip == -1:
            skip = max(0, source.stat().st_size - needed)
        file.seek(max(0, skip))
        if fields.get("compresseddata", "False").lower() == "true":
            unpacker = zlib.decompressobj()
            try:
                data = unpacker.decompress(file.read(), needed)
            except zlib.error:
                raise CaseError("damaged, its packed data cannot be unpacked") from None
        else:
            data = file.read(min(needed, max(0, source.stat().st_size - skip)))
    if len(data) < needed:
        raise CaseError(f"cut off: its header says {needed} bytes of numbers, {len(data)} are there")
    return np.frombuffer(data, dtype)


def _numbers(fields: dict[str, str], keys: tuple[str, ...], count: int | None) -> np.ndarray | None:
    for key in keys:
        try:
            numbers = np.array(fields.get(key, "").split(), np.float64)
        except ValueError:
            continue
        if len(numbers) and count in (None, len(numbers)):
            return numbers
    return None
