"""What `lite-medsam segment` does with one volume: prompts in, a label map, a picture and a record out."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.finished import add_prompt, begin_fingerprint, finished_record
from lite_medsam.jobs.inputs import are_of_volume, check_window, scan_facts, with_target
from lite_medsam.jobs.listing import Job, SegmentOptions
from lite_medsam.jobs.outputs import (
    add_run_lengths,
    all_or_none,
    new_record,
    numbered,
    record_path,
    segs_arrays,
    write_annotations,
    write_overlay,
    write_pages,
)
from lite_medsam.jobs.references import (
    Reference,
    add_reference,
    check_label_writer,
    write_file_labels,
    write_segmentation,
)
from lite_medsam.jobs.volume_record import describe_objects
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_objects import checked_objects, target_of_object
from lite_medsam.results.annotations import Names
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.propagation import (
    PropagationLimits,
    VolumeObject,
    VolumePrediction,
    propagate,
    seeds_from_boxes,
)

VOLUME_NEEDS = (
    'give --box x0,y0,z0,x1,y1,z1 (pixels and slices, the last inside) or --prompts of a volume ("volume": true)'
)


@dataclass(frozen=True, eq=False)
class LoadedVolume:
    """A job whose volume is in memory; see `job_outputs.Loaded`.

    Attributes:
        job: What was asked.
        volume: (D, H, W) or (D, H, W, 3) uint8.
        objects: What to segment.
        spacing_mm: (z, y, x); (y, x) without a slice distance, None when unknown.
        reference: Of a NIfTI, NRRD, MetaImage or DICOM file, None for npz.
        facts: For the record.
        fingerprint: Of all that decides the result.
        finished: The record, if the same work was done before.
        seconds: What reading took.
    """

    job: Job
    volume: np.ndarray
    objects: list[VolumeObject]
    spacing_mm: tuple[float, ...] | None
    reference: Reference | None
    facts: dict
    fingerprint: str
    finished: dict | None
    seconds: float

    @property
    def geometry(self) -> Geometry | None:
        """Of a medical file, None for npz."""
        return None if self.reference is None else self.reference.geometry


def read_volume(
    predictor: Predictor, job: Job, options: SegmentOptions, scan: Scan, objects: list | None, started: float
) -> LoadedVolume:
    """A volume that was read by `read_scan`, with the objects to segment in it; `started` is when reading began.

    Raises:
        CaseError: If the options are not for volumes.
        PromptError: If there are no prompts, or they are those of a picture.
        MissingExtraError: If the label map could not be written.
    """
    name, depth = job.path.name, len(scan.values)
    if options.overlap == "stack":
        raise CaseError(f"--overlap stack is for pictures, but {name} is a volume; give best, first or last")
    if options.reference_quirks:
        raise CaseError(f"--reference-quirks knows volumes as npz with 3D boxes only, got {name}; leave it out")
    reference = Reference(scan.geometry, scan.dicom) if job.is_medical else None
    if reference is not None:
        check_label_writer(job, options)
    if objects is None:
        if "boxes" in scan.unread:
            raise PromptError(f"{name}: {scan.unread['boxes']}; or {VOLUME_NEEDS}")
        if scan.boxes is None or not len(scan.boxes):
            raise PromptError(f"{name} is a volume of {depth} slices and has no boxes; {VOLUME_NEEDS}")
        objects = seeds_from_boxes(scan.boxes, _box_names(scan))
    elif objects and not are_of_volume(objects):
        raise PromptError(f"{name} is a volume of {depth} slices, but the prompts do not say on which; {VOLUME_NEEDS}")
    slices, rows, columns = scan.label_shape
    objects = checked_objects(with_target(objects, options.target), (slices, rows, columns))
    spacing = scan.spacing_mm
    facts = {
        "volume_dhw": list(scan.label_shape),
        "spacing_mm": None if spacing is None else list(spacing),
        **scan_facts(job, scan),
    }
    digest = _fingerprint(predictor, options, scan, objects, reference)
    finished = None if options.overwrite else finished_record(record_path(job), digest)
    seconds = time.perf_counter() - started
    return LoadedVolume(job, scan.values, objects, spacing, reference, facts, digest, finished, seconds)


def compute_volume(
    predictor: Predictor,
    loaded: LoadedVolume,
    options: SegmentOptions,
    on_slice: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, dict]:
    """Follows the objects through the volume.

    Args:
        predictor: The model.
        loaded: The volume and its objects.
        options: Who gets a voxel that several objects claim.
        on_slice: Called with slices done and slices in all.

    Returns:
        (D, H, W) labels, and the record.

    Raises:
        PromptError: If a prompt does not fit its slice.
    """
    started = time.perf_counter()
    prediction = propagate(predictor, loaded.volume, loaded.objects, on_slice=on_slice)
    labels = label_map(prediction, options.overlap)
    seconds = time.perf_counter() - started
    described = describe_objects(loaded.objects, prediction, labels, loaded.spacing_mm, loaded.geometry)
    return labels, new_record(loaded, predictor, options, described, seconds)


def write_volume(loaded: LoadedVolume, options: SegmentOptions, labels: np.ndarray, record: dict) -> None:
    """Writes the results of a volume, all of them or none."""
    written = numbered(labels, loaded.objects)
    with all_or_none(loaded.job, record) as output:
        if "parquet" in options.save:
            add_run_lengths(record, labels, is_volume=True)
        if "npz" in options.save:
            np.savez_compressed(output(".npz"), **dict[str, Any](segs_arrays(written, loaded.geometry)))
        if "label" in options.save:
            if loaded.geometry is None:
                write_pages(output("_label.tif"), written)
            else:
                write_file_labels(output, loaded.job, written, loaded.geometry)
        write_segmentation(output, options, record, labels, loaded.reference)
        if "overlay" in options.save:
            z = _shown_slice(loaded, labels)
            prompts = [replace(_drawn_prompt(item, z), number=item.number) for item in loaded.objects]
            write_overlay(output("_overlay.png"), loaded.volume[z], written[z], prompts)
        targets = [target_of_object(item) for item in loaded.objects]
        scores = [described["score"] for described in record["objects"]]
        numbers = [described["id"] for described in record["objects"]]
        named = Names([described["name"] for described in record["objects"]], targets, scores, numbers)
        write_annotations(output, options, record, labels, named)


def label_map(prediction: VolumePrediction, overlap: str) -> np.ndarray:
    """One map for all objects; object i has the value i + 1.

    Args:
        prediction: The masks.
        overlap: Who gets a voxel that several objects claim: "best" the highest logit, "first" or "last" of the objects.
    """
    if overlap == "best":
        return prediction.label_map()
    count = len(prediction)
    labels = np.zeros(prediction.shape, np.uint8 if count <= 255 else np.uint16 if count <= 65535 else np.uint32)
    for i in range(count) if overlap == "last" else reversed(range(count)):
        for z, mask in prediction.found[i].items():
            labels[z][mask.window][mask.strength > 0] = i + 1
    return labels


def run_volume_with_quirks(predictor: Predictor, job: Job, case: Case, options: SegmentOptions) -> dict:
    """A volume the way LiteMedSAM's own script does it: `segs` and a record, no pictures."""
    from lite_medsam.challenge.reference_quirks import segment_volume_with_quirks

    check_window(job, options)
    if job.prompts is not None or job.prompt_file is not None or options.target is not None:
        raise PromptError(f"--reference-quirks knows the 3D boxes in {job.path.name} only; leave other prompts out")
    case.require("boxes")
    if case.boxes is None or not len(case.boxes):
        raise PromptError(f"{job.path.name} must hold 3D boxes for --reference-quirks, but has none")
    digest = hashlib.sha256(predictor.spec.to_json().encode() + case.image.tobytes() + case.boxes.tobytes())
    finished = None if options.overwrite else finished_record(record_path(job), digest.hexdigest())
    if finished is not None:
        return finished
    started = time.perf_counter()
    segs = segment_volume_with_quirks(predictor.backend, case.image, case.boxes)
    objects = [
        {"id": i, "name": None, "score": None, "voxels": int(np.count_nonzero(segs == i)), "prompt": {"box": box}}
        for i, box in enumerate(case.boxes.tolist(), start=1)
    ]
    record = {
        "input": job.path.name,
        "model": predictor.spec.name,
        "engine": predictor.backend.name,
        "objects": objects,
        "outputs": [],
        "seconds": {"segment": round(time.perf_counter() - started, 4)},
        "fingerprint": digest.hexdigest(),
    }
    with all_or_none(job, record) as output:
        np.savez_compressed(output(".npz"), segs=segs)
    return record


def _box_names(scan: Scan) -> list[str | None] | None:
    """The names of labels, where there is one for each box."""
    if not scan.label_names or scan.boxes is None or len(scan.label_names) != len(scan.boxes):
        return None
    return [name[:200] or None for _, name in sorted(scan.label_names.items())]


def _fingerprint(
    predictor: Predictor, options: SegmentOptions, scan: Scan, objects: list, reference: Reference | None
) -> str:
    digest = begin_fingerprint(scan.values, predictor, options)
    digest.update(json.dumps([scan.spacing_mm, asdict(PropagationLimits())]).encode())
    if reference is not None:
        geometry = reference.geometry
        add_reference(digest, options, reference)
        digest.update(json.dumps([geometry.file_shape, geometry.axes, geometry.flipped]).encode())
        digest.update(np.ascontiguousarray(geometry.affine))
    for item in objects:
        said = [item.name, item.z_range, item.bounds, len(item.prompts)]
        said += [] if item.target is None else [["target", item.target]]
        digest.update(json.dumps(said if item.number is None else [*said, ["number", item.number]]).encode())
        for z, prompt in sorted(item.prompts.items()):
            digest.update(json.dumps(int(z)).encode())
            add_prompt(digest, prompt)
    return digest.hexdigest()


def _shown_slice(loaded: LoadedVolume, labels: np.ndarray) -> int:
    """The slice with the most labelled pixels; where there are none, the first that was prompted."""
    counts = np.count_nonzero(labels, axis=(1, 2))
    return (
        int(counts.argmax()) if counts.any() else min((z for item in loaded.objects for z in item.prompts), default=0)
    )


def _drawn_prompt(item: VolumeObject, z: int) -> Prompt:
    """What to draw on a slice of what was asked: its prompt, else the rectangle of the 3D box that reaches there."""
    if z in item.prompts:
        return item.prompts[z]
    is_inside = item.bounds is not None and (item.z_range is None or item.z_range[0] <= z <= item.z_range[1])
    return Prompt(box=item.bounds) if is_inside else Prompt()
