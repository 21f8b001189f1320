"""Files in, files out: what `lite-medsam segment` does with one input, and with many."""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.case import Case, load_case, load_image, save_segs
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.files import atomic_write
from lite_medsam.job_outputs import Result, describe, fingerprint, finished_record, write_outputs
from lite_medsam.jobs import Job, SegmentOptions, find_jobs
from lite_medsam.predictor import Predictor
from lite_medsam.prompts import Prompt, load_prompts, validate

__all__ = ["Job", "SegmentOptions", "find_jobs", "run_job", "run_jobs"]

# inputs that are read ahead, and results that wait to be written: more of them only take memory
AHEAD, BEHIND = 1, 1


def run_jobs(
    predictor: Predictor,
    jobs: Iterable[Job],
    options: SegmentOptions,
    on_done: Callable[[Job, dict], None] = lambda job, record: None,
    read_ahead: bool = True,
) -> tuple[list[dict], list[tuple[Path, str]]]:
    """Segments every job; a bad input does not stop the others.

    Args:
        predictor: The model.
        jobs: What to do.
        options: What to write.
        on_done: Called after each job, in their order, with its record, or with {"error": message}.
        read_ahead: Read the next input and write the last result in threads while the model computes.

    Returns:
        The records of the finished jobs, and the (path, message) of those whose input was wrong.

    Raises:
        OSError: If a result cannot be written, as on a full disk; the rest would fail as well.
    """
    jobs = list(jobs)
    overlapped = read_ahead and len(jobs) > 1 and not options.reference_quirks
    records, failures = [], []
    for job, outcome in (_overlapped if overlapped else _one_by_one)(predictor, jobs, options):
        if isinstance(outcome, ValueError):
            message = " ".join(str(outcome).split())
            failures.append((job.path, message))
            on_done(job, {"error": message})
        else:
            records.append(outcome)
            on_done(job, outcome)
    return records, failures


def _one_by_one(predictor: Predictor, jobs: list[Job], options: SegmentOptions) -> Iterator[tuple[Job, object]]:
    for job in jobs:
        try:
            yield job, run_job(predictor, job, options)
        except ValueError as error:
            yield job, error


def _overlapped(predictor: Predictor, jobs: list[Job], options: SegmentOptions) -> Iterator[tuple[Job, object]]:
    """Each job with its record or ValueError, in order; one thread reads, one writes, this one computes."""
    waiting, reading, writing = iter(jobs), deque(), deque()
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
                    result, record = _compute(predictor, loaded, options)
                    writing.append((job, writer.submit(_write, loaded, options, result, record)))
                else:
                    writing.append((job, loaded.finished))
            except ValueError as error:
                writing.append((job, error))
            while len(writing) > BEHIND:
                yield _settled(*writing.popleft())
        while writing:
            yield _settled(*writing.popleft())
    finally:
        # after an interruption or a full disk nothing new begins; what is being written is finished, so it is whole
        for pool in (reader, writer):
            pool.shutdown(wait=True, cancel_futures=True)


def _settled(job: Job, outcome: "dict | ValueError | Future") -> tuple[Job, object]:
    if isinstance(outcome, Future):
        try:
            return job, outcome.result()
        except ValueError as error:
            return job, error
    return job, outcome


def run_job(predictor: Predictor, job: Job, options: SegmentOptions) -> dict:
    """Segments one input and writes its results, all of them or none.

    Returns:
        The record that stands in the JSON file; with "skipped": true if the same work was finished before.

    Raises:
        CaseError: If the input cannot be used.
        PromptError: If its prompts cannot.
        OSError: If a result cannot be written.
    """
    if options.reference_quirks and job.path.suffix.lower() == ".npz":
        case = load_case(job.path)
        if case.is_volume:
            return _run_volume_with_quirks(predictor, job, case, options)
    loaded = _read(predictor, job, options)
    if loaded.finished is not None:
        return loaded.finished
    return _write(loaded, options, *_compute(predictor, loaded, options))


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A job whose input is in memory; `finished` is its record if the same work was done before."""

    job: Job
    image: np.ndarray
    prompts: list[Prompt]
    fingerprint: str
    finished: dict | None
    seconds: float

    @property
    def record_path(self) -> Path:
        return _record_path(self.job)


def _record_path(job: Job) -> Path:
    return job.target.with_name(job.target.name + ".json")


def _read(predictor: Predictor, job: Job, options: SegmentOptions) -> _Loaded:
    started = time.perf_counter()
    image, prompts = _load(job)
    digest = fingerprint(image, prompts, predictor, options)
    finished = None if options.overwrite else finished_record(_record_path(job), digest)
    return _Loaded(job, image, prompts, digest, finished, time.perf_counter() - started)


def _compute(predictor: Predictor, loaded: _Loaded, options: SegmentOptions) -> tuple[Result, dict]:
    started = time.perf_counter()
    if options.reference_quirks:
        result = _segment_with_quirks(predictor, loaded.image, loaded.prompts)
    else:
        result = _segment(predictor, loaded.image, loaded.prompts, options.overlap)
    segmented = time.perf_counter() - started
    return result, {
        "input": loaded.job.path.name,
        "image_hw": list(loaded.image.shape[:2]),
        "model": predictor.spec.name,
        "engine": predictor.backend.name,
        "overlap": options.overlap,
        "objects": describe(result, loaded.prompts),
        "outputs": [],
        "seconds": {"read": round(loaded.seconds, 4), "segment": round(segmented, 4)},
        "fingerprint": loaded.fingerprint,
    }


def _write(loaded: _Loaded, options: SegmentOptions, result: Result, record: dict) -> dict:
    write_outputs(loaded.job, options, record, loaded.record_path, loaded.image, loaded.prompts, result)
    return record


def _run_volume_with_quirks(predictor: Predictor, job: Job, case: Case, options: SegmentOptions) -> dict:
    """A volume the way LiteMedSAM's own script does it: `segs` and a record, no pictures."""
    from lite_medsam.reference_quirks import segment_volume_with_quirks

    if case.boxes is None or not len(case.boxes):
        raise PromptError(f"{job.path.name} must hold 3D boxes for --reference-quirks, but has none")
    record_path, target = _record_path(job), job.target.with_name(job.target.name + ".npz")
    digest = hashlib.sha256(predictor.spec.to_json().encode() + case.image.tobytes() + case.boxes.tobytes())
    finished = None if options.overwrite else finished_record(record_path, digest.hexdigest())
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
        "outputs": [target.name],
        "seconds": {"segment": round(time.perf_counter() - started, 4)},
        "fingerprint": digest.hexdigest(),
    }
    with atomic_write(record_path) as record_file:
        save_segs(target, segs)
        record_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return record


def _segment(predictor: Predictor, image: np.ndarray, prompts: list[Prompt], overlap: str) -> Result:
    prediction = predictor.segment(image, prompts)
    stack = prediction.masks() if overlap == "stack" else None
    labels = prediction.label_map("best" if stack is not None else overlap)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in prediction.scores]
    return Result(labels, stack, [prediction.place(i) for i in range(len(prediction))], scores)


def _segment_with_quirks(predictor: Predictor, image: np.ndarray, prompts: list[Prompt]) -> Result:
    from lite_medsam.reference_quirks import label_map_with_quirks, segment_with_quirks

    if any(prompt.box is None or len(prompt.points) or prompt.mask is not None for prompt in prompts):
        raise PromptError("--reference-quirks knows boxes only, got other prompts; leave them out")
    boxes = np.array([validate(prompt, image.shape[:2]).box for prompt in prompts])
    labels = label_map_with_quirks(segment_with_quirks(predictor.backend, image, boxes))
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return Result(labels, None, [whole] * len(prompts), [None] * len(prompts))


def _load(job: Job) -> tuple[np.ndarray, list[Prompt]]:
    """The image of a job and the objects to segment in it."""
    boxes = None
    if job.path.suffix.lower() == ".npz":
        case = load_case(job.path)
        if case.is_volume:
            raise CaseError(
                f"{job.path.name} must be a 2D case, got a volume {case.image.shape}; segment its slices as images"
            )
        image, boxes = case.image, case.boxes
    else:
        image = load_image(job.path)
    if job.prompts is not None:
        return image, list(job.prompts)
    if job.prompt_file is not None:
        return image, load_prompts(job.prompt_file)
    if boxes is None or not len(boxes):
        hint = "has no boxes" if job.path.suffix.lower() == ".npz" else "needs a prompt"
        raise PromptError(f"{job.path.name} {hint}; give --box x0,y0,x1,y1, --point x,y,1 or --prompts file.json")
    return image, [Prompt(box=tuple(box)) for box in boxes.tolist()]
