"""Files in, files out: what `lite-medsam segment` does with one input, and with many."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.case import load_case, load_image
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.coordinates import frame_facts, picture_object
from lite_medsam.jobs.failures import failure_text, of_one_job
from lite_medsam.jobs.finished import check_source, fingerprint, finished_record
from lite_medsam.jobs.inputs import (
    are_of_volume,
    check_window,
    given_objects,
    is_one_picture,
    on_disk,
    read_scan,
    scan_facts,
    with_target,
)
from lite_medsam.jobs.listing import Job, SegmentOptions, find_jobs
from lite_medsam.jobs.outputs import (
    Result,
    describe,
    new_record,
    record_path,
    write_outputs,
)
from lite_medsam.jobs.references import Reference, check_reference
from lite_medsam.jobs.volumes import LoadedVolume, compute_volume, read_volume, run_volume_with_quirks, write_volume
from lite_medsam.prompts.prompt_object import corners_of
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.prompts.spatial_objects import MM
from lite_medsam.scans.reading import is_other_volume, unreadable
from lite_medsam.segment.predictor import Predictor

__all__ = ["Job", "SegmentOptions", "find_jobs", "run_job", "run_jobs"]

# inputs that are read ahead, and results that wait to be written: more of them only take memory
AHEAD, BEHIND = 1, 1

# (job, slices done, slices in all)
OnSlice = Callable[[Job, int, int], None]


def run_jobs(
    predictor: Predictor,
    jobs: Iterable[Job],
    options: SegmentOptions,
    on_done: Callable[[Job, dict], None] = lambda job, record: None,
    read_ahead: bool = True,
    on_slice: OnSlice | None = None,
) -> tuple[list[dict], list[tuple[Path, str]]]:
    """Segments every job; a bad input does not stop the others, whatever way it fails.

    Args:
        predictor: The model.
        jobs: What to do.
        options: What to write.
        on_done: Called after each job, in their order, with its record, or with {"error": message, "wrong_input": whether the
            input or its prompts are wrong, not the machine}.
        read_ahead: Read the next input and write the last result in threads while the model computes.
        on_slice: Called for each slice of a volume with the job, how many are done, and how many there are at most.

    Returns:
        The records of the finished jobs, and (path, message) of those that failed.

    Raises:
        OSError: If the disk is full: the rest would fail as well.
    """
    jobs = list(jobs)
    overlapped = read_ahead and len(jobs) > 1 and not options.reference_quirks
    records, failures = list[dict](), list[tuple[Path, str]]()
    for job, outcome in (_overlapped if overlapped else _one_by_one)(predictor, jobs, options, on_slice):
        if isinstance(outcome, Exception):
            message = failure_text(outcome)
            failures.append((job.path, message))
            on_done(job, {"error": message, "wrong_input": isinstance(outcome, ValueError)})
        else:
            records.append(outcome)
            on_done(job, outcome)
    return records, failures


def _one_by_one(
    predictor: Predictor, jobs: list[Job], options: SegmentOptions, on_slice: OnSlice | None
) -> Iterator[tuple[Job, Any]]:
    for job in jobs:
        try:
            outcome: Any = run_job(predictor, job, options, on_slice)
        except Exception as error:
            outcome = of_one_job(error)
        yield job, outcome


def _overlapped(
    predictor: Predictor, jobs: list[Job], options: SegmentOptions, on_slice: OnSlice | None
) -> Iterator[tuple[Job, Any]]:
    """Each job with its record or error, in order; one thread reads, one writes, this one computes."""
    waiting, reading, writing = iter(jobs), deque[Any](), deque[Any]()
    reader, writer = ThreadPoolExecutor(1, "read-ahead"), ThreadPoolExecutor(1, "write-behind")

    def read_next() -> None:
        job = next(waiting, None)
        if job is not None:
            reading.append((job, reader.submit(_read, predictor, job, options)))

    try:
        for _ in range(AHEAD):
            read_next()
        while reading:
            job, future = reading.popleft()
            read_next()
            try:
                loaded = future.result()
                if loaded.finished is None:
                    result, record = _compute(predictor, loaded, options, on_slice)
                    writing.append((job, writer.submit(_write, loaded, options, result, record)))
                else:
                    writing.append((job, loaded.finished))
            except Exception as error:
                writing.append((job, of_one_job(error)))
            while len(writing) > BEHIND:
                yield _settled(*writing.popleft())
        while writing:
            yield _settled(*writing.popleft())
    finally:
        # after an interruption or a full disk nothing new begins; what is being written is finished, so it is whole
        for pool in (reader, writer):
            pool.shutdown(wait=True, cancel_futures=True)


def _settled(job: Job, outcome: "dict | Exception | Future") -> tuple[Job, object]:
    if isinstance(outcome, Future):
        try:
            return job, outcome.result()
        except Exception as error:
            return job, of_one_job(error)
    return job, outcome


def run_job(predictor: Predictor, job: Job, options: SegmentOptions, on_slice: OnSlice | None = None) -> dict:
    """Segments one input and writes its results, all of them or none.

    Returns:
        The record that stands in the JSON file; with "skipped": true if the same work was finished before.

    Raises:
        CaseError: If the input cannot be used.
        PromptError: If its prompts cannot.
        OSError: If a result cannot be written.
        MissingExtraError: If the input needs a library that is not installed.
    """
    if options.reference_quirks and job.path.suffix.lower() == ".npz" and job.problem is None:
        with on_disk(job) as here:
            case = load_case(here.path)
            if case.is_volume:
                return run_volume_with_quirks(predictor, here, case, options)
    loaded = _read(predictor, job, options)
    if loaded.finished is not None:
        return loaded.finished
    return _write(loaded, options, *_compute(predictor, loaded, options, on_slice))


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A job whose picture is in memory; `finished` is its record if the same work was done before.

    `reference` is that of a NIfTI, NRRD, MetaImage or DICOM file, None of others.
    """

    job: Job
    image: np.ndarray
    prompts: list[Prompt]
    reference: Reference | None
    facts: dict
    fingerprint: str
    finished: dict | None
    seconds: float


def _read(predictor: Predictor, job: Job, options: SegmentOptions) -> _Loaded | LoadedVolume:
    """The input of a job and its prompts; its finished record, if the same work was done before.

    Raises:
        CaseError: If it cannot be used, or other results are where its own would go.
    """
    if job.problem is not None:
        raise CaseError(job.problem)
    with on_disk(job) as here:
        loaded = _loaded(predictor, here, options)
    if loaded.finished is None and not options.overwrite:
        check_source(job)
    return loaded


def _loaded(predictor: Predictor, job: Job, options: SegmentOptions) -> _Loaded | LoadedVolume:
    started = time.perf_counter()
    asked, boxes, facts = given_objects(job, options.coordinates, options.refine_masks, options.axis), None, {}
    reference: Reference | None = None
    objects = asked.objects
    if not job.is_medical and (asked.frame.coordinates in MM or options.axis is not None):
        raise PromptError(f"{job.path.name} has no place in a patient: leave --axis and coordinates in mm out")
    unread: Mapping[str, str] = {}
    if job.is_medical or job.path.suffix.lower() == ".npz":
        scan, objects = asked.placed(read_scan(job, options))
        check_reference(job, options, scan)
        if job.is_medical:
            reference, facts = Reference(scan.geometry, scan.dicom), frame_facts(asked.frame, scan.geometry)
        if not is_one_picture(scan, objects):
            loaded = read_volume(predictor, job, options, scan, objects, started)
            return replace(loaded, facts=loaded.facts | facts)
        image, boxes = scan.values[0] if scan.is_volume else scan.values, scan.boxes
        facts, unread = scan_facts(job, scan) | facts, scan.unread
    else:
        check_window(job, options)
        check_reference(job, options, None)
        if is_other_volume(job.path):
            raise unreadable(job.path)
        if options.spacing_um is not None:
            raise CaseError(f"--spacing-um is for volumes and medical files; measures of {job.path.name} are in px")
        image = load_image(job.path)
        if asked.label_file is not None:
            objects = asked.of_labels(image.shape[:2], stem=job.path.stem)
    prompts = with_target(_picture_prompts(job, objects, boxes, unread), options.target)
    digest = fingerprint(image, prompts, predictor, options, reference)
    finished = None if options.overwrite else finished_record(record_path(job), digest)
    facts = {"image_hw": list(image.shape[:2]), **facts}
    return _Loaded(job, image, prompts, reference, facts, digest, finished, time.perf_counter() - started)


def _picture_prompts(
    job: Job, objects: list | None, boxes: np.ndarray | None, unread: Mapping[str, str]
) -> list[Prompt]:
    """The given objects of a picture, or the boxes of its case."""
    if are_of_volume(objects):
        raise PromptError(f"{job.path.name} is a picture, but the prompts are for slices of a volume; give 2D prompts")
    if objects is not None:
        return objects
    if "boxes" in unread:
        raise PromptError(f"{job.path.name}: {unread['boxes']}; or give --box x0,y0,x1,y1")
    if boxes is None or not len(boxes):
        hint = "has no boxes" if job.path.suffix.lower() == ".npz" else "needs a prompt"
        raise PromptError(f"{job.path.name} {hint}; give --box x0,y0,x1,y1, --point x,y,1 or --prompts file.json")
    return [Prompt(box=corners_of(box)) for box in boxes.tolist()]


def _compute(
    predictor: Predictor, loaded: _Loaded | LoadedVolume, options: SegmentOptions, on_slice: OnSlice | None
) -> tuple[Any, dict]:
    if isinstance(loaded, LoadedVolume):
        return compute_volume(predictor, loaded, options, on_slice and partial(on_slice, loaded.job))
    started = time.perf_counter()
    if options.reference_quirks:
        result = _segment_with_quirks(predictor, loaded.image, loaded.prompts)
    else:
        result = _segment(predictor, loaded.image, loaded.prompts, options.overlap)
    seconds = time.perf_counter() - started
    objects = describe(result, loaded.prompts)
    if loaded.reference is not None:
        objects = [picture_object(item, loaded.reference.geometry) for item in objects]
    return result, new_record(loaded, predictor, options, objects, seconds)


def _write(loaded: _Loaded | LoadedVolume, options: SegmentOptions, result: Any, record: dict) -> dict:
    if isinstance(loaded, LoadedVolume):
        write_volume(loaded, options, result, record)
    else:
        write_outputs(loaded.job, options, record, loaded.image, loaded.prompts, result, loaded.reference)
    return record


def _segment(predictor: Predictor, image: np.ndarray, prompts: list[Prompt], overlap: str) -> Result:
    prediction = predictor.segment(image, prompts)
    stack = prediction.masks() if overlap == "stack" else None
    labels = prediction.label_map("best" if stack is not None else overlap)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in prediction.scores]
    places = [prediction.place(i) for i in range(len(prediction))]
    return Result(labels, stack, places, scores, frozenset(prediction.refined))


def _segment_with_quirks(predictor: Predictor, image: np.ndarray, prompts: list[Prompt]) -> Result:
    from lite_medsam.challenge.reference_quirks import label_map_with_quirks, segment_with_quirks

    others = (p.box is None or len(p.points) or p.mask is not None or p.target is not None for p in prompts)
    if any(others):
        raise PromptError("--reference-quirks knows boxes only, got other prompts; leave them out")
    boxes = np.array([validate(prompt, image.shape[:2]).box for prompt in prompts])
    labels = label_map_with_quirks(segment_with_quirks(predictor.backend, image, boxes))
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return Result(labels, None, [whole] * len(prompts), [None] * len(prompts))
