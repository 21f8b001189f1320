"""Heidelberg .vol, the raw export of the Heyex software: sizes, places, eye, surfaces and SLO picture are in the file."""

import struct
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.vendor import (
    Exam,
    between_b_scans,
    checked_size,
    oct_scale,
    one_line_errors,
    package,
    scan_of,
    step,
)
from lite_medsam.scans.scan import Enface, Scan

MARK = b"HSF-"  # HSF-OCT-103, or HSF-XXX-... of other modules
_OURS = b"ep-v"  # what eyepy's writer puts there
_HEADER_BYTES, _CIRCLE, _STAR = 2048, 2, 5
_INVALID = 3.0e38


def is_vol(path: Path, start: bytes) -> bool:
    """Whether a file is a .vol export: by its mark, or by its ending."""
    return start.startswith(MARK) or path.name.lower().endswith(".vol")


def load_vol(path: Path, max_voxels: int) -> Scan:
    """Reads a .vol file; B-scans of a volume, of a star, of a line or a circle.

    Raises:
        CaseError: If it is damaged, cut off, too large or no .vol file.
        MissingExtraError: If eyepy is not installed.
    """
    with one_line_errors(path, "Heidelberg .vol"):
        shape = _checked_header(path, max_voxels)
        reader = package("eyepy.io.he.vol_reader", "reading Heidelberg .vol")
        parsed = reader.HeVolReader(path).parsed_file
        return scan_of(_exam(parsed, shape, reader))


def _checked_header(path: Path, max_voxels: int) -> tuple[int, ...]:
    with open(path, "rb") as file:
        head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not head.startswith((MARK, _OURS)):
        raise CaseError("must be a Heidelberg .vol export, does not begin as one (HSF-OCT-...)")
    width, count, height = struct.unpack("<3I", head[12:24])
    wide, high = struct.unpack("<2I", head[48:56])
    b_scan_header = struct.unpack("<I", head[100:104])[0]
    shape = checked_size((count, height, width), max_voxels)
    needed = _HEADER_BYTES + wide * high + count * (b_scan_header + 4 * height * width)
    if path.stat().st_size < needed:
        raise CaseError(
            f"cut off: {count} B-scans of {height} x {width} need {needed} bytes, has {path.stat().st_size}"
        )
    return shape


def _exam(parsed, shape: tuple[int, ...], reader) -> Exam:
    grey = package("eyepy.core.utils", "reading Heidelberg .vol").from_vol_intensity
    values = np.empty(shape, np.uint8)
    for k, b_scan in enumerate(parsed.bscans):
        values[k] = grey(b_scan.data.copy())
    starts = np.array([(b.start_x, b.start_y) for b in parsed.bscans])
    ends = np.array([(b.end_x, b.end_y) for b in parsed.bscans])
    notes: list[str] = []
    return Exam(
        values,
        oct_scale(
            _between(parsed, starts, ends, notes),
            step("depth", 1000 * parsed.scale_y, "file", "ScaleZ of the header"),
            step("A-scans", 1000 * parsed.scale_x, "file", "ScaleX of the header"),
            "the B-scans do not lie side by side" if shape[0] > 1 else "one B-scan has no neighbour",
        ),
        laterality=parsed.scan_position,
        device="Heidelberg Spectralis",
        visit_date=parsed.exam_time or parsed.visit_date,
        enface=_slo(parsed, starts, ends),
        surfaces=_surfaces(parsed, reader.SEG_MAPPING),
        notes=tuple(notes),
    )


def _between(parsed, starts: np.ndarray, ends: np.ndarray, notes: list[str]):
    """The header's distance, else that of the B-scans' places; None where the B-scans do not lie side by side."""
    if len(starts) == 1 or parsed.scan_pattern in (_CIRCLE, _STAR):
        if parsed.scan_pattern == _CIRCLE:
            notes.append("a circle about the optic disc, unrolled: it makes no volume")
        return None
    placed, note = between_b_scans(starts, ends)
    notes += [note] if note else []
    if note is not None and "star" in note:
        return None
    given = parsed.distance
    if not given > 0:
        return (
            None if placed is None else step("B-scans", 1000 * placed, "file", "mean distance of the B-scans' places")
        )
    if placed is not None and abs(placed - given) > 0.05 * given:
        notes.append(
            f"the header has {1000 * given:.4g} um between B-scans, which counts; their places {1000 * placed:.4g} um"
        )
    return step("B-scans", 1000 * given, "file", "Distance of the header")


def _slo(parsed, starts: np.ndarray, ends: np.ndarray) -> Enface | None:
    picture = np.array(parsed.localizer)
    if not picture.size:
        return None
    size = (parsed.scale_y_slo, parsed.scale_x_slo)
    if not all(np.isfinite(size)) or min(size) <= 0:
        return Enface(picture, "SLO")
    lines = None
    if parsed.scan_pattern != _CIRCLE:
        lines = np.stack([starts, ends], axis=1) / np.array(size[::-1])
    return Enface(picture, "SLO", (float(size[0]), float(size[1])), lines)


def _surfaces(parsed, names: dict[str, int]) -> dict[str, np.ndarray]:
    drawn = [np.array(b.layer_segmentations, np.float32) for b in parsed.bscans]
    most, width = max(len(rows) for rows in drawn), parsed.size_x
    stacked = np.full((len(drawn), most, width), np.nan, np.float32)
    for k, rows in enumerate(drawn):
        stacked[k, : len(rows)] = rows
    stacked[(stacked >= _INVALID) | (stacked <= 0)] = np.nan
    by_name = {name: stacked[:, index] for name, index in names.items() if index < most}
    return {name: rows for name, rows in by_name.items() if np.isfinite(rows).any()}
