"""What a DICOM segmentation takes from its images: their headers and the order of their pixels."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom_files import one_line_errors, read_header
from lite_medsam.scans.dicom_study import study_files
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import DicomSource
from lite_medsam.storage.paths import shown_path

# type 2 elements: there, but empty where the source does not have them
_EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
          "StudyTime", "ReferringPhysicianName")  # fmt: skip


def with_headers(source: DicomSource) -> DicomSource:
    """The same source with what a segmentation object needs of its files, which may then go.

    Raises:
        CaseError: As `source_headers`.
    """
    return replace(source, headers=tuple(source_headers(source)))


def source_headers(source: DicomSource) -> list[Any]:
    """The data sets of a scan's images without pixels, in the order of its slices.

    Raises:
        CaseError: If one is no longer there, or lacks what a reference needs.
    """
    if source.headers:
        return copy.deepcopy(list(source.headers))
    wanted = set(source.instances)
    found: dict[str, Any] = {}
    with one_line_errors(shown_path(source.path)):
        if len(wanted) < len(source.instances) or "" in wanted:
            raise CaseError(
                "its files must have SOPInstanceUIDs that differ, to be referred to in a DICOM segmentation"
            )
        with study_files(source.path) as (files, _):
            for path in files:
                try:
                    header = read_header(path)
                except CaseError:
                    continue  # as when it was read: not one of the series
                uid = str(header.get("SOPInstanceUID") or "")
                if uid in wanted:
                    found[uid] = header
        if len(found) < len(wanted):
            raise CaseError(f"{len(wanted) - len(found)} of its {len(wanted)} images are no longer there")
        headers = [found[uid] for uid in source.instances]
        for header in headers:
            missing = [key for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID") if not header.get(key)]
            if missing:
                raise CaseError(f"its images must have {missing[0]}, to be referred to in a DICOM segmentation")
            for keyword in _EMPTY:
                if keyword not in header:
                    setattr(header, keyword, None)
        return headers


def complete_measures(images: list[Any], geometry: Geometry) -> None:
    """Makes the size of voxels whole or leaves it out: a pixel size without a thickness makes a file that highdicom refuses."""
    for image in images:
        if "PixelSpacing" not in image or image.get("SliceThickness") not in (None, ""):
            continue
        if len(images) > 1:  # the distance of the slices is as thick as they can be
            image.SliceThickness = round(float(np.linalg.norm(geometry.affine[:3, 2])), 6)
        elif "FrameOfReferenceUID" not in image:  # a picture that lies nowhere, such as an X-ray
            del image.PixelSpacing


def in_file_order(labels: np.ndarray, geometry: Geometry, source: DicomSource, is_stack: bool) -> np.ndarray:
    """(frames, rows, columns), or with a last axis of objects, as the files have them."""
    if is_stack:
        return np.ascontiguousarray(labels.transpose(1, 2, 0)[None].astype(np.uint8))
    ours = geometry.to_file(np.asarray(labels)).reshape((*geometry.file_shape, 1)[:3]).transpose(2, 1, 0)
    if ours.max(initial=0) > np.iinfo(np.uint16).max:
        raise CaseError(f"a DICOM segmentation holds at most 65535 objects, got {ours.max()}")
    pixels = np.empty(ours.shape, np.uint8 if ours.max(initial=0) <= 255 else np.uint16)
    pixels[list(source.frames) if source.frames else slice(None)] = ours
    return pixels
