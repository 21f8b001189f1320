"""Zeiss Cirrus .img: voxels without any header; the numbers of A-scans and B-scans, eye and day are in the file's name.

One byte per voxel, A-scans fastest, then depth, then B-scans; depth and A-scans run backwards. Independent readers agree on
that; OCT-Converter 0.7 takes depth as the fastest, which mixes rows and columns, and is not used.
"""

import re
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.vendor import Exam, checked_size, oct_scale, one_line_errors, scan_of, step
from lite_medsam.scans.scan import Scan

DEPTH = 1024
_DEPTH_MM = 2.0
# protocol -> A-scans, B-scans, width and height in mm
_CUBES = {(512, 128): 6.0, (200, 200): 6.0}
_SIZE = re.compile(r"(\d{3,4})\s*x\s*(\d{2,4})", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)(\d{1,2})-(\d{1,2})-(\d{4})_")
_EYE = re.compile(r"(?<![A-Za-z])(O[DS])(?![A-Za-z])")


def is_cirrus(path: Path, start: bytes) -> bool:
    """Whether a file ends in .img; Analyze files, which do too, have a header of that name beside them."""
    return path.name.lower().endswith(".img") and not path.with_suffix(".hdr").exists()


def load_cirrus(path: Path, max_voxels: int) -> Scan:
    """Reads a .img file as a cube whose depth has 1024 voxels.

    The size is known as that of a cube (6 x 6 mm, 2 mm deep) where the file's name says macular or optic disc cube, and is
    not known otherwise.

    Raises:
        CaseError: If the number of bytes is that of no known cube.
    """
    with one_line_errors(path, "Cirrus .img"):
        size = path.stat().st_size
        a_scans, b_scans, how = _counts(path.name, size)
        shape = checked_size((b_scans, DEPTH, a_scans), max_voxels)
        raw = np.fromfile(path, np.uint8, count=int(np.prod(shape)))
        values = np.ascontiguousarray(raw.reshape(shape)[:, ::-1, ::-1])
        notes = [] if how is None else [how]
        side = _CUBES.get((a_scans, b_scans)) if "cube" in path.name.lower() else None
        scale = oct_scale(None, None, None, "Cirrus .img has no header")
        if side is not None:
            basis = f"a cube of {side:g} x {side:g} x {_DEPTH_MM:g} mm by the file's name"
            scale = oct_scale(
                step("B-scans", 1000 * side / b_scans, "device constant", basis),
                step("depth", 1000 * _DEPTH_MM / DEPTH, "device constant", basis),
                step("A-scans", 1000 * side / a_scans, "device constant", basis),
            )
        date, eye = _DATE.search(path.name), _EYE.search(path.name.replace("_", " "))
        return scan_of(
            Exam(
                values,
                scale,
                laterality=eye[1] if eye else None,
                device="Zeiss Cirrus",
                visit_date=f"{date[3]}-{int(date[1]):02d}-{int(date[2]):02d}" if date else None,
                notes=tuple(notes),
            )
        )


def _counts(name: str, size: int) -> tuple[int, int, str | None]:
    """A-scans and B-scans, by the name where it has them and the bytes agree, else by the bytes of the known cubes."""
    for found in _SIZE.finditer(name):
        a_scans, b_scans = int(found[1]), int(found[2])
        if a_scans * b_scans * DEPTH == size:
            return a_scans, b_scans, None
    for a_scans, b_scans in _CUBES:
        if a_scans * b_scans * DEPTH == size:
            return a_scans, b_scans, f"{a_scans} A-scans and {b_scans} B-scans are taken from the file's size"
    if size % (512 * DEPTH) == 0 and size // (512 * DEPTH) <= 512:
        return (
            512,
            size // (512 * DEPTH),
            "512 A-scans are assumed: the file has no header, and its name does not say it",
        )
    raise CaseError(
        f"must be a Cirrus cube of 512 x 128 or 200 x 200 A-scans with 1024 voxels each, or have its size in its name, "
        f"has {size} bytes"
    )
