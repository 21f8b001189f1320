"""Results on the voxels of a medical file: labels in its format, DICOM segmentations that refer to it."""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lite_medsam
from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.jobs.listing import DICOM_SEG, Job, SegmentOptions
from lite_medsam.model.spec import sha256_of
from lite_medsam.results.dicom_seg import COPIED, Algorithm, Segment, check_highdicom, write_dicom_seg
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import itk_ending, write_itk
from lite_medsam.scans.nifti import nifti_bytes
from lite_medsam.scans.scan import DicomSource, Scan
from lite_medsam.segment.predictor import Predictor

Output = Callable[[str], Path]


@dataclass(frozen=True, eq=False)
class Reference:
    """What results of a medical file lie on and refer to.

    Attributes:
        geometry: Where its voxels lie.
        dicom: The instances that it was made of; None for NIfTI, NRRD and MetaImage.
    """

    geometry: Geometry
    dicom: DicomSource | None = None


def check_reference(job: Job, options: SegmentOptions, scan: Scan | None) -> None:
    """Raises, before the work, if a result could not be written after it.

    Raises:
        CaseError: If a DICOM segmentation is asked for of another file, or of one that is not on this machine's disk.
        MissingExtraError: If a library is missing.
    """
    if DICOM_SEG not in options.save:
        return
    if job.url is not None:
        raise CaseError(
            f"--save {DICOM_SEG} reads the DICOM images again, {job.path.name} is at an address; fetch it first"
        )
    if scan is None or scan.dicom is None:
        raise CaseError(f"--save {DICOM_SEG} refers to DICOM images, {job.path.name} holds none; save label instead")
    check_highdicom()


def check_label_writer(job: Job, options: SegmentOptions) -> None:
    """Raises MissingExtraError if the label map of a medical volume could not be written."""
    if "label" in options.save and itk_ending(job.path.name) is None and importlib.util.find_spec("nibabel") is None:
        raise MissingExtraError("writing NIfTI", "medical", "nibabel")


def write_file_labels(output: Output, job: Job, labels: np.ndarray, geometry: Geometry) -> None:
    """A label map on the voxels of the file: NRRD and MetaImage in their own format, others as NIfTI."""
    ending = itk_ending(job.path.name)
    if ending is not None:
        write_itk(output(f"_label{ending}"), labels, geometry)
    else:
        output("_label.nii.gz").write_bytes(nifti_bytes(labels, geometry))


def write_segmentation(
    output: Output, options: SegmentOptions, record: dict, labels: np.ndarray, reference: Reference | None
) -> None:
    """The objects as a DICOM segmentation, where it is asked for; the record says what it carries of the source."""
    if DICOM_SEG not in options.save or reference is None or reference.dicom is None:
        return
    segments = [Segment(item.get("name"), item.get("target")) for item in record["objects"]]
    algorithm = Algorithm(record["model"], record["model_sha256"], lite_medsam.__version__)
    path = output("_seg.dcm")
    write_dicom_seg(path, labels, reference.geometry, reference.dicom, segments, algorithm, options.seg_type)
    record["notes"] = [*record.get("notes", []), f"{record['outputs'][-1]}: {COPIED}"]


def model_facts(predictor: Predictor, options: SegmentOptions) -> dict[str, str]:
    """What the record says of the model where a result names it."""
    return {"model_sha256": model_sha256(predictor)} if DICOM_SEG in options.save else {}


def add_reference(digest: Any, options: SegmentOptions, reference: Reference | None) -> None:
    """Adds to a fingerprint what results refer to."""
    if DICOM_SEG in options.save and reference is not None and reference.dicom is not None:
        digest.update(repr((options.seg_type, reference.dicom.instances, reference.dicom.frames)).encode())


def model_sha256(predictor: Predictor) -> str:
    """A hash over all graphs and the spec of the model; of one that is in memory only, of its spec."""
    digest = hashlib.sha256(predictor.spec.to_json().encode())
    directory = getattr(predictor.backend, "directory", None)
    for path in sorted(Path(directory).glob("*.onnx")) if directory is not None else []:
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
