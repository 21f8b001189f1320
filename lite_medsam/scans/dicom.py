"""DICOM files and series folders in; identifiers of the patient stay where they are."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.scans.dicom_fields import (
    MODALITY,
    PixelFormat,
    default_window,
    directions,
    pixel_format,
    pixel_spacing,
    position,
    rescale,
    slice_distance,
)
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.guarded_reading import GuardedFile
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

MAX_FILES = 20_000
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_UNEVEN = 0.02  # slice distances that differ by more than this share are worth a note
_TILT = 2e-3  # sideways shift of the slices, as a share of their distance, that counts as a tilted gantry
_TOUCHING_MM = 1e-3  # two slices closer than this are at one place


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file has the mark DICM after its preamble."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def load_dicom_file(path: str | os.PathLike, max_voxels: int) -> Scan:
    """Reads one DICOM file: a picture, or several frames as a volume.

    Frames with a place in the patient are sorted along their normal; others keep their order.

    Args:
        path: The file.
        max_voxels: Larger pictures are refused by their header.

    Raises:
        CaseError: If it is no DICOM file, damaged, without pixels, too large, or packed in a way that can't be read here.
        MissingExtraError: If pydicom is not installed.
    """
    path = Path(path)
    with _errors(shown_path(path)):
        header = _header(path)
        form = pixel_format(header, max_voxels)
        dataset = _read(path)
        values = _values(dataset, form)
        order, positions = _frame_order(dataset, form.frames)
        values = values[order] if order is not None else values
        return _scan(values if form.frames > 1 else values[0], dataset, positions, [])


def load_dicom_series(folder: str | os.PathLike, max_voxels: int) -> Scan:
    """Reads the files of one series as a volume, sorted by their position along the slices' normal.

    Args:
        folder: Holds the files of one series, and nothing else that is DICOM.
        max_voxels: Larger series are refused by their headers.

    Raises:
        CaseError: If there are no DICOM files, several series, slices of different sizes or directions, two slices at one
            place, or a file that can't be read.
        MissingExtraError: If pydicom is not installed.
    """
    folder = Path(folder)
    with _errors(shown_path(folder)):
        paths = _candidates(folder)
        headers = [(path, _named_header(path)) for path in paths]
        if not headers:
            raise CaseError("must be a folder of DICOM files, holds none; give the folder of one series")
        if len(headers) == 1:
            return load_dicom_file(headers[0][0], max_voxels)
        forms = _checked_series(headers, max_voxels)
        order, positions, notes = _slice_order([header for _, header in headers])
        first = headers[order[0]][1]
        values: Any = None
        for k, i in enumerate(order):
            plane = _values(_read(headers[i][0]), forms[i])[0]
            if values is None:
                values = np.empty((len(order), *plane.shape), plane.dtype)
            elif values.dtype != plane.dtype:  # slices with slopes of their own, as in PET
                common = np.promote_types(values.dtype, plane.dtype)
                values = values.astype(common if common != np.float64 else np.float32)
            values[k] = plane
        return _scan(values, first, positions, notes)


@contextlib.contextmanager
def _errors(shown: str) -> Iterator[None]:
    """Turns whatever a hostile file makes pydicom raise into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values that break the standard a little: read all the same
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


def _header(path: Path):
    pydicom = _pydicom()
    try:
        with GuardedFile(path) as file:
            if _syntax(pydicom, file) == _DEFLATED:  # pydicom would inflate it without any limit
                raise CaseError("deflated DICOM files are not read; save it uncompressed")
            file.seek(0)
            return pydicom.dcmread(file, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        raise CaseError("must be a DICOM file, its content is none") from None


def _syntax(pydicom, file: GuardedFile) -> str:
    """The transfer syntax of the file's first group, which says how the rest is written; "" where it is missing."""
    reader = pydicom.filereader
    reader.read_preamble(file, force=False)
    first_group = reader.data_element_generator(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    found = {int(element.tag): element.value for element in first_group}
    value = found.get(0x00020010) or b""
    return value.decode("ascii", "replace").strip("\0 ")


def _named_header(path: Path):
    try:
        return _header(path)
    except CaseError as error:
        raise CaseError(f"{shown_path(path.name)} {error}; remove it from the folder") from None


def _read(path: Path):
    with GuardedFile(path) as file:
        return _pydicom().dcmread(file)


def _candidates(folder: Path) -> list[Path]:
    """The files that are DICOM, or say so by their name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(files) > MAX_FILES:
        raise CaseError(f"must hold at most {MAX_FILES} files, holds {len(files)}")
    named = (".dcm", ".dicom", ".ima")
    return [p for p in files if p.name.upper() != "DICOMDIR" and (is_dicom(p) or p.suffix.lower() in named)]


def _checked_series(headers: list, max_voxels: int) -> list[PixelFormat]:
    series: dict[str, int] = {}
    for _, header in headers:
        uid = str(header.get("SeriesInstanceUID") or "")
        series[uid] = series.get(uid, 0) + 1
    if len(series) > 1:
        counts = ", ".join(str(count) for count in sorted(series.values(), reverse=True)[:8])
        raise CaseError(
            f"must hold one series, holds {len(series)} (of {counts} files); put each in a folder of its own"
        )
    forms = [pixel_format(header, max_voxels) for _, header in headers]
    if any(form.frames > 1 for form in forms):
        raise CaseError("holds files of several frames; give one of these files instead of the folder")
    sizes = {(form.rows, form.columns, form.is_colour) for form in forms}
    if len(sizes) > 1:
        raise CaseError(f"slices must have one size, got {len(sizes)} sizes; take out scouts and other pictures")
    rows, columns, is_colour = sizes.pop()
    if len(forms) * rows * columns * (3 if is_colour else 1) > max_voxels:
        raise CaseError(f"must have at most {max_voxels} voxels, the headers say {len(forms)} x {rows} x {columns}")
    return forms


def _values(dataset, form: PixelFormat) -> np.ndarray:
    """(frames, H, W) raw numbers such as HU, or (frames, H, W, 3) RGB."""
    if not any(keyword in dataset for keyword in _PIXELS):
        raise CaseError("must have pixels, the pixel data are missing")
    stored = _decoded(dataset)
    kind = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        stored = apply_color_lut(stored, dataset)
    wanted = (form.frames, form.rows, form.columns, *((3,) if form.is_colour else ()))
    if stored.size != np.prod(wanted, dtype=np.int64):
        raise CaseError(f"damaged: the pixels are {stored.shape}, the header says {wanted}")
    stored = stored.reshape(wanted)
    if form.is_colour:
        return stored if stored.dtype == np.uint8 else (stored >> 8).astype(np.uint8)
    if kind == "MONOCHROME1" and stored.dtype.kind in "ui":  # small values are bright: turned, so that large ones are
        top = -1 if form.is_signed else 2**form.bits - 1
        stored = (top - stored.astype(np.int64)).astype(np.int32)
    return _rescaled(stored, dataset, form)


def _rescaled(stored: np.ndarray, dataset, form: PixelFormat) -> np.ndarray:
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return np.asarray(apply_modality_lut(stored, dataset), np.float32)
    scales = [rescale(dataset, frame) for frame in range(form.frames)]
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    if all(slope == 1 and intercept == int(intercept) for slope, intercept in scales):
        offset = np.array([int(intercept) for _, intercept in scales])
        low = int(stored.min()) + int(offset.min())
        high = int(stored.max()) + int(offset.max())
        dtype = np.int16 if -(2**15) <= low and high < 2**15 else np.int32
        if abs(low) < 2**31 and abs(high) < 2**31:
            return (stored.astype(np.int64) + offset[:, None, None]).astype(dtype)
    slope, intercept = np.array(scales, np.float32).T[:, :, None, None]
    return stored.astype(np.float32) * slope + intercept


def _decoded(dataset) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in dataset.file_meta else None
    try:
        return np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError, ImportError) as error:
        name = getattr(syntax, "name", str(syntax))
        if syntax is not None and getattr(syntax, "is_compressed", False):
            raise CaseError(
                f"pixels packed as {name} can't be unpacked here: pip install pylibjpeg[all], or save it uncompressed"
            ) from None
        raise CaseError(f"damaged pixels, {' '.join(str(error).split())[:120]}") from None


def _frame_order(dataset, frames: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The order of frames along their normal and the sorted positions; None where they have none."""
    if frames == 1:
        place = position(dataset)
        return None, None if place is None else place[None]
    if not dataset.get("PerFrameFunctionalGroupsSequence"):
        return None, None
    places, axes = [position(dataset, frame) for frame in range(frames)], directions(dataset)
    if axes is None or any(place is None for place in places):
        return None, None
    heights = np.array(places) @ np.cross(*axes)
    order = np.argsort(heights, kind="stable")
    if (np.diff(heights[order]) < _TOUCHING_MM).any():
        return None, None  # several phases, or B-scans around a point: the order of the file says more
    return order, np.array(places)[order]


def _slice_order(headers: list) -> tuple[list[int], np.ndarray | None, list[str]]:
    """The order of a series' files, their sorted positions, and notes."""
    places = [place for header in headers if (place := position(header)) is not None]
    axes = [axis for header in headers if (axis := directions(header)) is not None]
    if len(places) < len(headers) or len(axes) < len(headers):
        numbers = [header.get("InstanceNumber") for header in headers]
        if any(number is None for number in numbers):
            raise CaseError("slices must say where they lie (ImagePositionPatient or InstanceNumber), some do not")
        order = np.argsort([int(number) for number in numbers], kind="stable").tolist()
        return order, None, ["slices have no positions: sorted by InstanceNumber"]
    if max(np.abs(axis - axes[0]).max() for axis in axes) > 1e-3:
        raise CaseError("slices must have one direction, these differ; take out scouts and other pictures")
    heights = np.array(places) @ np.cross(axes[0][0], axes[0][1])
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order])
    if (steps < _TOUCHING_MM).any():
        raise CaseError("slices must lie at different places, some share one; put each phase in a folder of its own")
    notes = []
    if steps.max() - steps.min() > _UNEVEN * np.median(steps):
        notes.append(f"slices are unevenly spaced, {steps.min():.3g} to {steps.max():.3g} mm: volumes are estimates")
    return order.tolist(), np.array(places)[order], notes


def _scan(values: np.ndarray, dataset, positions: np.ndarray | None, notes: list[str]) -> Scan:
    is_volume = values.ndim == 4 or (values.ndim == 3 and not _is_colour(dataset))
    modality = MODALITY.get(str(dataset.get("Modality") or "").strip())
    in_plane, note = pixel_spacing(dataset)
    notes = notes + ([note] if note else [])
    axes = directions(dataset)
    between = None
    if positions is not None and len(positions) > 1 and axes is not None:
        between = float(np.median(np.diff(positions @ np.cross(*axes))))
    elif is_volume:
        between = slice_distance(dataset)
        if between is None and in_plane is not None:
            notes.append("no slice distance is given: measures are in px")
    spacing: tuple[float, ...] | None = in_plane
    if is_volume:
        spacing = None if in_plane is None or between is None else (between, *in_plane)
    depth, height, width = (values.shape[:3]) if is_volume else (1, *values.shape[:2])
    affine = _affine(positions, axes, in_plane or (1.0, 1.0), between or 1.0)
    geometry = Geometry(affine, (width, height, depth))
    name = modality.lower() if modality else "scan"
    return Scan(values, spacing, modality, geometry, name, is_volume, default_window(dataset, modality), tuple(notes))


def _is_colour(dataset) -> bool:
    return not str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").startswith("MONOCHROME")


def _affine(positions, axes, in_plane: tuple[float, float], between: float) -> np.ndarray:
    """Voxel index (column, row, slice) -> mm, turned from DICOM's left, posterior, superior to NIfTI's right, anterior,
    superior."""
    affine = np.eye(4)
    if axes is None or positions is None:
        axes, origin = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(3)
    else:
        origin = positions[0]
    affine[:3, 0], affine[:3, 1], affine[:3, 3] = axes[0] * in_plane[1], axes[1] * in_plane[0], origin
    affine[:3, 2] = np.cross(*axes) * between
    if positions is not None and len(positions) > 1:
        step = (positions[-1] - positions[0]) / (len(positions) - 1)
        # a tilted gantry moves slices sideways; less than this is the rounding of the tags, and ITK insists on right angles
        if np.linalg.norm(step - (step @ np.cross(*axes)) * np.cross(*axes)) > _TILT * np.linalg.norm(step):
            affine[:3, 2] = step
        else:
            affine[:3, 2] *= abs(step @ np.cross(*axes)) / between
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
