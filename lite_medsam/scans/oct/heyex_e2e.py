"""Heidelberg .e2e: depth is in the file in mm; the places of B-scans are angles, so widths need the length of the eye.

eyepy gives 1, 1, 1 px here, OCT-Converter 10 um and 50 um whatever the scan: neither is taken. The angles of each B-scan
(type 10004) become lengths by what an eye of usual length has, and are marked as assumed.
"""

from pathlib import Path
from typing import Any

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

MARKS = (b"CMDb", b"E2EMultipleVolumeFile")
# mm per degree on the retina of an eye of usual length: what Heyex showed for an exam of 20 degrees (OCT-Converter issue
# 117); its maker's round number, 4.4 mm for 15 degrees, is 0.6 % less, eyepy's 0.2896 1.8 % less
RETINA_MM_PER_DEGREE = 0.295
# with the anterior module (OCT-Converter issue 66)
ANTERIOR_MM_PER_DEGREE = 0.555
_CIRCLE, _STAR = 2, 5
_SIDE, _STRUCTURE, _IMAGE, _LOCALIZER = 11, 9005, 1073741824, 33620481  # types of eyepy's folders and pictures


def is_e2e(path: Path, start: bytes) -> bool:
    """Whether a file is an .e2e export (not the .sdb of the Heyex data base, which begins alike)."""
    return path.name.lower().endswith(".e2e")


def load_e2e(path: Path, max_voxels: int) -> Scan:
    """Reads the series with the most B-scans of an .e2e file; the notes say how many others there are.

    Raises:
        CaseError: If it is damaged, holds no OCT, or is too large.
        MissingExtraError: If eyepy is not installed.
    """
    with one_line_errors(path, "Heidelberg .e2e"):
        with open(path, "rb") as file:
            start = file.read(32)
        if not start.startswith(MARKS):
            raise CaseError("must be a Heidelberg .e2e export, does not begin as one")
        module = package("eyepy.io.he", "reading Heidelberg .e2e")
        with module.HeE2eReader(path) as reader:
            counted = [(len(series.get_bscan_meta()), series) for series in reader.series]
            counted = [pair for pair in counted if pair[0]]
            if not counted:
                raise CaseError("holds no OCT scan")
            series = max(counted, key=lambda pair: pair[0])[1]
            return scan_of(exam_of(series, max_voxels, len(counted) - 1))


def exam_of(series: Any, max_voxels: int, others: int = 0) -> Exam:
    """What eyepy's series of an .e2e file says.

    Args:
        series: An `E2ESeriesStructure`, or what has its parts: `slices`, `folders`, `get_layers`, `get_localizer`, `laterality`.
        max_voxels: Larger ones are refused.
        others: How many other scans the file holds.
    """
    slices = [piece for _, piece in sorted(series.slices.items())]
    known = [(meta, piece) for meta, piece in ((_try(piece.get_meta), piece) for piece in slices) if meta is not None]
    if not known:
        raise CaseError("holds no OCT scan")
    metas, first = [meta for meta, _ in known], known[0][0]
    shape = checked_size((len(known), first["size_y"], first["size_x"]), max_voxels)
    grey = package("eyepy.core.utils", "reading Heidelberg .e2e").from_e2e_intensity
    values = np.empty(shape, np.uint8)
    for k, (_, piece) in enumerate(known):
        b_scan = np.array(piece.get_bscan(), np.float32)
        if b_scan.shape != shape[1:]:
            raise CaseError(f"B-scans must have one size, number {k + 1} has {b_scan.shape}, not {shape[1:]}")
        values[k] = grey(b_scan)
    notes = [f"the largest of {others + 1} scans in the file"] if others else []
    is_anterior, structure = _is_anterior(series)
    return Exam(
        values,
        _scale(metas, is_anterior, structure, notes),
        laterality=_side(series),
        device="Heidelberg Spectralis",
        visit_date=first["acquisitionTime"],
        enface=_localizer(series),
        surfaces=_surfaces(series, values.shape),
        notes=tuple(notes),
    )


def _scale(metas: list, is_anterior: bool, structure: str, notes: list[str]):
    first = metas[0]
    per_degree = ANTERIOR_MM_PER_DEGREE if is_anterior else RETINA_MM_PER_DEGREE
    eye = f"at {per_degree} mm per degree, {structure}"
    starts, ends = (np.array([meta[key] for meta in metas], np.float64) for key in ("start_pos", "end_pos"))
    angle = float(np.linalg.norm(ends[0] - starts[0]))
    lateral = between = None
    if first["scan_pattern"] == _CIRCLE:
        notes.append("a circle about the optic disc, unrolled: it makes no volume, its width is not known")
    elif angle > 0:
        filled = first["imgSizeWidth"] or first["size_x"]
        lateral = step("A-scans", 1000 * per_degree * angle / filled, "assumed", f"{angle:.4g} degrees {eye}")
    if len(metas) > 1 and first["scan_pattern"] not in (_CIRCLE, _STAR):
        degrees, note = between_b_scans(starts, ends)
        notes += [note] if note else []
        if degrees is not None:
            between = step("B-scans", 1000 * per_degree * degrees, "assumed", f"{degrees:.4g} degrees {eye}")
    depth = step("depth", 1000 * first["scale_y"], "file", "the B-scan's scale")
    return oct_scale(between, depth, lateral, "the file has no places of B-scans that lie side by side")


def _side(series) -> str | None:
    """The eye, which eyepy's own method turns into the text of a number."""
    stored = [_try(lambda f=folder: f.data) for folder in (getattr(series, "folders", None) or {}).get(_SIDE, [])]
    return next((item.laterality for item in stored if item is not None), None) or _try(series.laterality)


def _is_anterior(series) -> tuple[bool, str]:
    """Whether the file says that the front of the eye was scanned, and what is assumed of it, in words."""
    said = " ".join(str(text) for text in _structure_texts(series)).lower()
    if any(word in said for word in ("anterior", "cornea", "sclera", "angle")):
        return True, "the anterior module"
    return False, "an eye of usual length"


def _structure_texts(series) -> list[str]:
    folders = (getattr(series, "folders", None) or {}).get(_STRUCTURE, [])
    stored = [_try(lambda f=folder: f.data.text) for folder in folders]
    return [text for texts in stored for text in texts or []]


def _localizer(series) -> Enface | None:
    picture = _try(lambda: series.get_localizer().data)
    if picture is None:  # it wants to know the kind of picture, which not every file says
        stored = [_try(lambda f=folder: f.data) for folder in (getattr(series, "folders", None) or {}).get(_IMAGE, [])]
        picture = next((item.data for item in stored if item is not None and item.type == _LOCALIZER), None)
    # eyepy takes 30 degrees for every picture: its scale is left out, and where the B-scans lie with it
    return None if picture is None else Enface(np.array(picture, np.uint8), "SLO")


def _surfaces(series, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    names = package("eyepy.io.he.vol_reader", "reading Heidelberg .e2e").SEG_MAPPING
    drawn = _try(series.get_layers) or {}
    found = {}
    for name, index in names.items():
        rows = np.array(drawn.get(index, np.empty(0)), np.float32)
        if rows.shape == (shape[0], shape[2]):
            rows[rows <= 0] = np.nan
            found[name] = rows
    return {name: rows for name, rows in found.items() if np.isfinite(rows).any()}


def _try(function):
    """What a part that not every file has gives, None where it is missing or of another form."""
    try:
        return function()
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        return None
