"""Bioptigen .OCT: 16-bit frames behind a header that gives the lengths of the scan, which its reader does not pass on."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.vendor import Exam, checked_size, oct_scale, one_line_errors, package, scan_of, step
from lite_medsam.scans.scan import Scan

MARK = b"FRAMEHEADER"
_LINEAR = 0
_EYE = re.compile(r"(?<![A-Za-z])(O[DS])(?![A-Za-z])")


def is_bioptigen(path: Path, start: bytes) -> bool:
    """Whether the first field of a file's header is Bioptigen's."""
    return MARK in start[:32]


def load_bioptigen(path: Path, max_voxels: int) -> Scan:
    """Reads the first volume of a file.

    The scale is the lengths of the header (mm: azimuth along the A-scans, elevation across the B-scans, depth) over the
    numbers of voxels.

    Raises:
        CaseError: If it is damaged, cut off, or too large.
        MissingExtraError: If OCT-Converter is not installed.
    """
    with one_line_errors(path, "Bioptigen .OCT"), contextlib.redirect_stdout(io.StringIO()):
        kind = package("oct_converter.readers", "reading Bioptigen .OCT").BOCT
        header = kind.header_structure.parse_file(path)
        count, lines, depth = (int(getattr(header, key).value) for key in ("framecount", "linecount", "linelength"))
        checked_size((count, depth, lines), max_voxels)
        if path.stat().st_size < 2 * count * lines * depth:
            raise CaseError(f"cut off: its header says {count} x {depth} x {lines} voxels, fewer are there")
        reader = kind(path)
        volumes = reader.read_oct_volume()
        last = reader.frames.data[-1]
        if last.abs_pos + 2 * last.count > path.stat().st_size:
            raise CaseError("cut off within its last frame")
        values = np.ascontiguousarray(np.asarray(volumes[0].volume).transpose(0, 2, 1))
        is_volume = len(values) > 1 and header.scantype.value != _LINEAR
        scale = oct_scale(
            _step("B-scans", header.elscanlength, len(values)) if is_volume else None,
            _step("depth", header.scandepth, values.shape[1]),
            _step("A-scans", header.azscanlength, values.shape[2]),
            "the B-scans do not lie side by side",
        )
        notes = (f"the first of {len(volumes)} volumes in the file",) if len(volumes) > 1 else ()
        eye = _EYE.search(path.name.replace("_", " "))
        date = volumes[0].acquisition_date
        return scan_of(Exam(values, scale, eye[1] if eye else None, "Bioptigen", date, notes=notes))


def _step(along: str, field, count: int):
    length = float(field.value)
    name = "".join(c for c in str(field.key) if c.isalnum())
    return step(along, 1000 * length / count, "file", f"{name} {length:g} mm over {count}")
