"""The series of a DICOM study that was opened, as a list to choose from; nothing in it says whose they are."""

import re
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom import load_dicom_file
from lite_medsam.scans.dicom_files import one_line_errors, read_header
from lite_medsam.scans.dicom_study import Series, find_series, is_study, study_files

from .slice_pictures import data_url

THUMB_PX = 96
MAX_THUMBS = 40
MAX_THUMB_VOXELS = 20_000_000  # a file of many frames is not unpacked for a small picture
# whose words are taken out of a description
_IDENTIFYING = ("PatientName", "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate", "StudyID",
                "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "InstitutionName")  # fmt: skip


def series_rows(source: Path, max_pixels: int) -> list[dict]:
    """What a page shows of each series of pictures: number, modality, description, size, a small picture.

    Args:
        source: What was opened.
        max_pixels: Larger pictures have no small one.

    Returns:
        One row for each; none where it is no study of DICOM files. "series" is what `load_volume` takes.
    """
    if not is_study(source):
        return []
    try:
        with study_files(source, max(8 * max_pixels, 1 << 28)) as (files, _):
            found = [one for one in find_series(files)[0] if one.is_image]
            if len(found) < 2:
                return []
            return [_row(one, max_pixels if k < MAX_THUMBS else 0) for k, one in enumerate(found)]
    except CaseError:
        return []  # its reader says what is wrong


def _row(series: Series, max_pixels: int) -> dict:
    rows, columns = series.size or (0, 0)
    middle = series.files[len(series.files) // 2]
    frames = series.frames // len(series.files)
    is_small = rows * columns * max(1, frames) <= min(max_pixels, MAX_THUMB_VOXELS)
    return {
        "series": series.uid or str(series.number),
        "number": series.number,
        "modality": series.modality or None,
        "description": described(middle),
        "images": series.frames,
        "rows": rows,
        "columns": columns,
        "volume": series.is_stack or frames > 1,
        "png": _thumb(middle, max_pixels) if is_small else None,
    }


def described(path: Path) -> str:
    """How a file describes its series, without words that tell whose it is, short and on one line."""
    try:
        with one_line_errors(path.name):  # pydicom looks at a value when it is asked for
            header = read_header(path)
            text = str(
                header.get("SeriesDescription") or header.get("ProtocolName") or header.get("BodyPartExamined") or ""
            )
            told = {word for name in _IDENTIFYING for word in _words(str(header.get(name) or ""))}
    except CaseError:
        return ""  # damaged: the list goes without
    kept = [word for word in text.split() if not told & set(_words(word))]
    return "".join(c for c in " ".join(kept) if c.isprintable())[:60]


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W_]+", text.lower()) if len(word) > 1]


def _thumb(path: Path, max_pixels: int) -> str | None:
    try:
        scan = load_dicom_file(path, max_pixels)
        pixels = scan.to_uint8(*(scan.default_window or (None, None)))
    except (ValueError, ImportError):  # its pixels are packed in a way that is not read here: opening it will say so
        return None
    pixels = np.ascontiguousarray(pixels[len(pixels) // 2] if scan.is_volume else pixels)
    scale = THUMB_PX / max(pixels.shape[:2])
    height, width = (max(1, round(n * scale)) for n in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return data_url(small)
