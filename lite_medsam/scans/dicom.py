"""DICOM files and series folders in; identifiers of the patient stay where they are."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.no_data import without_ground
from lite_medsam.scans.dicom_fields import (
    MODALITY,
    PixelFormat,
    default_window,
    directions,
    pixel_format,
    pixel_spacing,
    slice_distance,
)
from lite_medsam.scans.dicom_files import candidates, is_dicom, named_header, one_line_errors, read_dataset, read_header
from lite_medsam.scans.dicom_order import affine_of, frame_order, slice_order, uneven_note
from lite_medsam.scans.dicom_pixels import pixel_values, without_padding
from lite_medsam.scans.dicom_study import choose_series, find_series, study_files
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.oct.dicom_opt import refuse_zeiss, with_opt_facts
from lite_medsam.scans.scan import DicomSource, Scan
from lite_medsam.storage.paths import shown_path

__all__ = ["is_dicom", "load_dicom_file", "load_dicom_files", "load_dicom_series"]


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
    with one_line_errors(shown_path(path)):
        header = read_header(path)
        refuse_zeiss(header)
        form = pixel_format(header, max_voxels)
        dataset = read_dataset(path)
        refuse_zeiss(dataset)
        values, padding = pixel_values(dataset, form)
        order, positions, no_stack = frame_order(dataset, form.frames)
        notes = []
        if order is not None:
            if (np.diff(order) < 0).any():
                notes.append("frames are in the order of their places, which is not that of the file")
            values, padding = values[order], None if padding is None else padding[order]
        if form.frames == 1:
            values, padding = values[0], None if padding is None else padding[0]
        scan = _scan(values, padding, dataset, positions, notes, no_stack)
        frames = tuple(range(form.frames) if order is None else order.tolist()) if form.frames > 1 else ()
        instance = str(dataset.get("SOPInstanceUID") or "")
        return replace(scan, dicom=DicomSource(path, (instance,), frames, _heights(positions, dataset)))


def load_dicom_series(path: str | os.PathLike, max_voxels: int, series: str | None = None) -> Scan:
    """Reads the files of one series as a volume, sorted by their position along the slices' normal.

    Args:
        path: A folder, a DICOMDIR or a ZIP. Of a folder the files directly in it count, unless a series is asked for or there
            are none: then its subfolders count too.
        max_voxels: Larger series are refused by their headers.
        series: Number, UID or modality of the wanted series; None: there must be one only.

    Raises:
        CaseError: If there are no DICOM files, several series fit, slices of different sizes or directions, two slices at one
            place, or a file that can't be read.
        MissingExtraError: If pydicom is not installed.
    """
    path = Path(path)
    with one_line_errors(shown_path(path)):
        if path.is_dir() and series is None:
            paths, others = candidates(path)
            headers = [(file, named_header(file)) for file in paths]
            if (
                len({str(header.get("SeriesInstanceUID") or "") for _, header in headers}) == 1
                and "Rows" in headers[0][1]
            ):
                scan = _of_headers(headers, others, max_voxels)
                return scan if len(headers) == 1 else replace(scan, dicom=replace(_known(scan), path=path))
            if any("Rows" in header for _, header in headers):
                return _chosen_series(path, paths, others, max_voxels, None)
        with study_files(path, max(8 * max_voxels, 1 << 28)) as (files, others):
            return _chosen_series(path, files, others, max_voxels, series)


def _chosen_series(path: Path, files: list[Path], others: int, max_voxels: int, wanted: str | None) -> Scan:
    found, unread = find_series(files)
    if not found:
        raise CaseError("must be a folder of DICOM files, holds none; give the folder of one series")
    chosen = choose_series(found, wanted)
    notes = []
    if unread:
        notes.append(f"{len(unread)} files could not be read and were left out, such as {shown_path(unread[0].name)}")
    if len(found) > 1:
        notes.append(f"series {chosen.line()}, one of {len(found)}")
    scan = _of_headers([(file, named_header(file)) for file in chosen.files], others, max_voxels)
    return replace(scan, notes=(*scan.notes, *notes), dicom=replace(_known(scan), path=path))


def load_dicom_files(files: list[Path], max_voxels: int) -> Scan:
    """Reads files that are known to be one series, as `load_dicom_series` does."""
    with one_line_errors(shown_path(files[0])):
        return _of_headers([(file, named_header(file)) for file in files], 0, max_voxels)


def _heights(positions: np.ndarray | None, dataset) -> tuple[float, ...]:
    """How far the slices lie along their normal, in mm."""
    axes = directions(dataset)
    if positions is None or axes is None or len(positions) < 2:
        return ()
    return tuple((positions @ np.cross(*axes)).tolist())


def _known(scan: Scan) -> DicomSource:
    if scan.dicom is None:
        raise CaseError("must be a scan of DICOM files")
    return scan.dicom


def _of_headers(headers: list, others: int, max_voxels: int) -> Scan:
    """The files of one series as a volume; of a single one what it holds."""
    left_out = [f"{others} files of the folder are not DICOM and were left out"] if others else []
    if len(headers) == 1:
        scan = load_dicom_file(headers[0][0], max_voxels)
        return replace(scan, notes=(*scan.notes, *left_out))
    forms = _checked_series(headers, max_voxels)
    order, positions, notes = slice_order([header for _, header in headers])
    values: Any = None
    padding: Any = None
    for k, i in enumerate(order):
        planes, padded = pixel_values(read_dataset(headers[i][0]), forms[i])
        plane = planes[0]
        if values is None:
            values = np.empty((len(order), *plane.shape), plane.dtype)
        elif values.dtype != plane.dtype:  # slices with slopes of their own, as in PET
            common = np.promote_types(values.dtype, plane.dtype)
            values = values.astype(common if common != np.float64 else np.float32)
        values[k] = plane
        if padded is not None:
            padding = np.zeros(values.shape, bool) if padding is None else padding
            padding[k] = padded[0]
    scan = _scan(values, padding, headers[order[0]][1], positions, notes + left_out)
    instances = tuple(str(headers[i][1].get("SOPInstanceUID") or "") for i in order)
    return replace(
        scan, dicom=DicomSource(headers[0][0].parent, instances, (), _heights(positions, headers[order[0]][1]))
    )


def _checked_series(headers: list, max_voxels: int) -> list[PixelFormat]:
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


def _scan(
    values: np.ndarray,
    padding: np.ndarray | None,
    dataset,
    positions: np.ndarray | None,
    notes: list[str],
    no_stack: str | None = None,
) -> Scan:
    """`no_stack` says why the slices have no distance, whatever the tags say."""
    is_volume = values.ndim == 4 or (values.ndim == 3 and not _is_colour(dataset))
    modality = MODALITY.get(str(dataset.get("Modality") or "").strip())
    values, padded, padding_note = without_padding(values, padding)
    if not _is_colour(dataset):
        values, marked, mark_note = without_ground(values)
        padded += marked
    else:
        mark_note = None
    axes = directions(dataset)
    in_plane, size_note = pixel_spacing(dataset)
    between = None
    if positions is not None and len(positions) > 1 and axes is not None:
        steps = np.diff(positions @ np.cross(*axes))
        between, distance_note = float(np.median(steps)), uneven_note(steps)
    elif is_volume:
        between, distance_note = slice_distance(dataset) if no_stack is None else (None, no_stack)
    else:
        distance_note = None
    spacing: tuple[float, ...] | None = in_plane
    if is_volume and in_plane is not None and between is not None:
        spacing = (between, *in_plane)
    if in_plane is None:
        distance_note = None  # nothing is measured anyway
    depth, height, width = (values.shape[:3]) if is_volume else (1, *values.shape[:2])
    affine = affine_of(positions, axes, in_plane or (1.0, 1.0), between or 1.0)
    geometry = Geometry(affine, (width, height, depth))
    name = modality.lower() if modality else "scan"
    notes = [*notes, *(note for note in (size_note, distance_note, padding_note, mark_note) if note)]
    window = default_window(dataset, modality)
    scan = Scan(values, spacing, modality, geometry, name, is_volume, window, tuple(notes), padded=padded)
    return with_opt_facts(scan, dataset)


def _is_colour(dataset) -> bool:
    return not str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").startswith("MONOCHROME")
