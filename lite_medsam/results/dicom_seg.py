"""Label maps as DICOM segmentation objects that refer to the images they were made of, written by highdicom."""

import contextlib
import hashlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.prompts.snomed import coded_name
from lite_medsam.results.dicom_seg_source import complete_measures, in_file_order, source_headers
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import DicomSource
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

SEG_TYPES = ("binary", "labelmap")
# what a segmentation object carries of its source, because the standard demands it (PS3.3 A.51.3: Patient, General Study)
COPIED = "the patient and study modules are copied from the source images, as the standard demands"
_OWN_SCHEME = "99LITEMEDSAM"  # codes for names that SNOMED CT has none for here
_LONGEST = 64  # characters of a DICOM text (LO)


@dataclass(frozen=True)
class Segment:
    """One object: its value in the label map is its place in the list, from 1.

    Attributes:
        name: What the user calls it, None without a name.
        target: The model's name for it, None where it was not said.
    """

    name: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Algorithm:
    """What made the masks.

    Attributes:
        model: Its name.
        sha256: Of the model's files.
        version: Of this software.
    """

    model: str
    sha256: str
    version: str


def save_dicom_seg(
    path: Path,
    labels: np.ndarray,
    geometry: Geometry,
    source: DicomSource,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    seg_type: str = "binary",
) -> None:
    """Writes objects as one DICOM segmentation, frame by frame on the images of the source.

    The same objects on the same images by the same model have the same UIDs.

    Args:
        path: The file.
        labels: (D, H, W) or (H, W) integers as displayed, object i has the value i + 1; or a bool stack (N, H, W) of a picture
            whose objects may overlap.
        geometry: Of the scan.
        source: Of the scan; its files are opened again for their tags, unless it has them.
        segments: What the objects are.
        algorithm: What made them.
        seg_type: One of `SEG_TYPES`.

    Raises:
        CaseError: If the source is no longer there, or says too little of itself to be referred to, or there are no objects.
        MissingExtraError: If highdicom is not installed.
        OSError: If the file can't be written; nothing is left behind.
    """
    with atomic_write(path) as temporary:
        write_dicom_seg(temporary, labels, geometry, source, segments, algorithm, seg_type)


def lack_of(source: DicomSource | None) -> str | None:
    """Why no segmentation object can be written; None where nothing is known to stand in the way.

    Args:
        source: Of the scan, None for other formats.
    """
    if source is None:
        return "only for DICOM images: what is open is none"
    if not source.headers and not source.path.exists():
        return "these DICOM images say too little of themselves to be referred to"
    if importlib.util.find_spec("highdicom") is None:
        return str(MissingExtraError("writing DICOM segmentations", "medical", "highdicom"))
    return None


def check_highdicom() -> None:
    """Raises MissingExtraError if segmentation objects can't be written here."""
    _highdicom()


def write_dicom_seg(
    path: Path,
    labels: np.ndarray,
    geometry: Geometry,
    source: DicomSource,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    seg_type: str = "binary",
) -> None:
    """As `save_dicom_seg`, straight to a path."""
    hd = _highdicom()
    if seg_type not in SEG_TYPES:
        raise CaseError(f"the type of a segmentation must be one of {', '.join(SEG_TYPES)}, got {seg_type!r}")
    if not segments:
        raise CaseError("a DICOM segmentation must have an object, got none")
    is_stack = labels.dtype == bool
    if is_stack and seg_type == "labelmap":
        raise CaseError("a label map holds one object per pixel; objects that overlap need the type binary")
    images = source_headers(source)
    complete_measures(images, geometry)
    pixels = in_file_order(labels, geometry, source, is_stack)
    seed = [
        *source.instances,
        seg_type,
        algorithm.sha256,
        algorithm.version,
        hashlib.sha256(pixels.tobytes()).hexdigest(),
    ]
    seed += [repr(segment) for segment in segments]
    with _refusals(shown_path(source.path.name)):
        made_by = _identification(hd, algorithm)
        seg = hd.seg.Segmentation(
            source_images=images,
            pixel_array=pixels,
            segmentation_type=seg_type.upper(),
            segment_descriptions=[_description(hd, i, s, made_by) for i, s in enumerate(segments, start=1)],
            series_instance_uid=_uid("series", seed),
            series_number=_series_number(images[0]),
            sop_instance_uid=_uid("instance", seed),
            instance_number=1,
            manufacturer="lite-medsam",
            manufacturer_model_name=_text(algorithm.model),
            software_versions=_text(algorithm.version),
            device_serial_number=algorithm.sha256[:16],
            content_label="SEGMENTATION",
            content_description="Research use only: not for diagnosis",
            series_description="lite-medsam segmentation",
        )
        seg.SpecificCharacterSet = "ISO_IR 192"
        seg.save_as(path, enforce_file_format=True)


@contextlib.contextmanager
def _refusals(shown: str) -> Iterator[None]:
    """Turns what highdicom finds wrong with the images into one line, and keeps its remarks to itself."""
    logger = logging.getLogger("highdicom")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        text = one_line(error, 200)
        raise CaseError(f"{shown}: its images can't be referred to in a DICOM segmentation: {text}") from None
    finally:
        logger.setLevel(level)


def _description(hd, number: int, segment: Segment, made_by) -> Any:
    known = coded_name(segment.target) or coded_name(segment.name)
    named = segment.name or segment.target
    label = _text(named) if named else f"object {number}"
    regions = None
    if known is not None:
        category, kind = (hd.sr.CodedConcept(value, "SCT", meaning) for value, meaning in (known.category, known.type))
        if known.region is not None:
            regions = [hd.sr.CodedConcept(known.region[0], "SCT", known.region[1])]
    else:
        said = _text(segment.target or segment.name or "object") or "object"
        category = hd.sr.CodedConcept("309825002", "SCT", "Spatial and Relational Concept")
        kind = hd.sr.CodedConcept(hashlib.sha256(said.encode()).hexdigest()[:12].upper(), _OWN_SCHEME, said)
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label or f"object {number}",
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=made_by,
        anatomic_regions=regions,
    )


def _identification(hd, algorithm: Algorithm) -> Any:
    family = hd.sr.CodedConcept("123109", "DCM", "Artificial Intelligence")
    return hd.AlgorithmIdentificationSequence(
        name="lite-medsam",
        family=family,
        version=_text(algorithm.version),
        source="lite-medsam",
        parameters={"model": algorithm.model, "model sha256": algorithm.sha256},
    )


def _series_number(image) -> int:
    """One that the study hardly has yet: by convention of many programs, behind those of the scanner."""
    number = image.get("SeriesNumber")
    return (int(number) * 100 + 1) % 2**31 if number is not None and 0 < int(number) < 10_000 else 9001


def _uid(kind: str, seed: list[str]) -> str:
    import pydicom

    return pydicom.uid.generate_uid(entropy_srcs=[kind, *seed])


def _text(text: str) -> str:
    """A text that DICOM takes as LO: no control characters, no backslash, at most 64 characters."""
    return re.sub(r"[\x00-\x1f\x7f\\]+", " ", text).strip()[:_LONGEST].strip()


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError:
        raise MissingExtraError("writing DICOM segmentations", "medical", "highdicom") from None
    return highdicom
