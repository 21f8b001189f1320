"""Files in, files out: what `lite-medsam segment` does with one input, and with many."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.case import IMAGE_SUFFIXES, Case, load_case, load_image, save_segs
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.files import atomic_write
from lite_medsam.overlay import draw_masks, draw_prompts
from lite_medsam.predictor import OVERLAPS, Predictor
from lite_medsam.prompts import Prompt, load_prompts, validate

OUTPUTS = ("npz", "label", "overlay")
INPUT_SUFFIXES = (*IMAGE_SUFFIXES, ".npz")
OVERLAP_CHOICES = (*OVERLAPS, "stack")


@dataclass(frozen=True)
class SegmentOptions:
    """What to write for each input, beside its JSON record.

    Attributes:
        save: Some of "npz", "label", "overlay".
        overlap: Who gets a pixel that several objects claim: "best", "first", "last"; "stack" keeps one mask per object.
        overwrite: Do again what is finished.
        reference_quirks: Work bug for bug as LiteMedSAM's own script; needs its converted weights and boxes alone.
    """

    save: tuple[str, ...] = OUTPUTS
    overlap: str = "best"
    overwrite: bool = False
    reference_quirks: bool = False

    def __post_init__(self):
        unknown = [name for name in self.save if name not in OUTPUTS]
        if unknown:
            raise ValueError(f"save must be some of {', '.join(OUTPUTS)}, got {unknown[0]!r}")
        if self.overlap not in OVERLAP_CHOICES:
            raise ValueError(f"overlap must be one of {', '.join(OVERLAP_CHOICES)}, got {self.overlap!r}")


@dataclass(frozen=True)
class Job:
    """One input file and where its results go.

    Attributes:
        path: The image or npz case.
        target: Path of the results without suffix: target.npz, target_label.png, target_overlay.png, target.json.
        prompts: The objects to segment; None: the boxes of the npz case, or `prompt_file`.
        prompt_file: JSON to read the objects from.
    """

    path: Path
    target: Path
    prompts: tuple[Prompt, ...] | None = None
    prompt_file: Path | None = None


def find_jobs(
    inputs: Sequence[Path], out: Path, prompts: tuple[Prompt, ...] | None = None, prompt_path: Path | None = None
) -> list[Job]:
    """The jobs for files and folders; folders are searched with their subfolders, which the output mirrors.

    Args:
        inputs: Images, npz cases, or folders of them.
        out: Folder of the results.
        prompts: Objects for every input.
        prompt_path: A prompt file for every input, or a folder with one of the input's name and .json for each.

    Raises:
        CaseError: If an input does not exist, a folder holds nothing to segment, or results would replace an input.
    """
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        if given.is_dir():
            files = sorted(p for p in given.rglob("*") if p.suffix.lower() in INPUT_SUFFIXES and p.is_file())
            files = [p for p in files if not p.name.startswith(".")]
            if not files:
                raise CaseError(
                    f"a folder must hold images or npz cases ({', '.join(INPUT_SUFFIXES)}), got none in {given}"
                )
            found += [(p, out / p.relative_to(given)) for p in files]
        elif given.exists():
            found.append((given, out / given.name))
        else:
            raise CaseError(f"an input must be a file or folder, but {given} does not exist")
    stems = [target.with_suffix("") for _, target in found]
    jobs = []
    for (path, target), stem in zip(found, stems, strict=True):
        if stems.count(stem) > 1:  # a.png and a.jpg: keep both names apart
            stem = target.with_name(target.name.replace(".", "_"))
        if stem.with_suffix(".npz").resolve() == path.resolve():
            raise CaseError(f"the output folder must not be that of the input {path}; name another one with -o")
        jobs.append(Job(path, stem, prompts, _prompt_file(prompt_path, path)))
    return jobs


def _prompt_file(given: Path | None, path: Path) -> Path | None:
    if given is None or not given.is_dir():
        return given
    return given / f"{path.stem}.json"


def run_jobs(
    predictor: Predictor,
    jobs: Iterable[Job],
    options: SegmentOptions,
    on_done: Callable[[Job, dict], None] = lambda job, record: None,
) -> tuple[list[dict], list[tuple[Path, str]]]:
    """Segments every job; a bad input does not stop the others.

    Args:
        predictor: The model.
        jobs: What to do.
        options: What to write.
        on_done: Called after each job with its record, or with {"error": message}.

    Returns:
        The records of the finished jobs, and the (path, message) of those whose input was wrong.

    Raises:
        OSError: If a result cannot be written, as on a full disk; the rest would fail as well.
    """
    records, failures = [], []
    for job in jobs:
        try:
            record = run_job(predictor, job, options)
            records.append(record)
        except ValueError as error:
            message = " ".join(str(error).split())
            record = {"error": message}
            failures.append((job.path, message))
        on_done(job, record)
    return records, failures


def run_job(predictor: Predictor, job: Job, options: SegmentOptions) -> dict:
    """Segments one input and writes its results, all of them or none.

    Returns:
        The record that stands in the JSON file; with "skipped": true if the same work was finished before.

    Raises:
        CaseError: If the input cannot be used.
        PromptError: If its prompts cannot.
        OSError: If a result cannot be written.
    """
    started = time.perf_counter()
    if options.reference_quirks and job.path.suffix.lower() == ".npz":
        case = load_case(job.path)
        if case.is_volume:
            return _run_volume_with_quirks(predictor, job, case, options)
    image, prompts = _load(job)
    fingerprint = _fingerprint(image, prompts, predictor, options)
    record_path = job.target.with_name(job.target.name + ".json")
    if not options.overwrite:
        finished = _finished(record_path, fingerprint)
        if finished is not None:
            return finished
    loaded = time.perf_counter()
    if options.reference_quirks:
        result = _segment_with_quirks(predictor, image, prompts)
    else:
        result = _segment(predictor, image, prompts, options.overlap)
    segmented = time.perf_counter()
    objects = _describe(result, prompts)
    record = {
        "input": job.path.name,
        "image_hw": list(image.shape[:2]),
        "model": predictor.spec.name,
        "engine": predictor.backend.name,
        "overlap": options.overlap,
        "objects": objects,
        "outputs": [],
        "seconds": {"read": round(loaded - started, 4), "segment": round(segmented - loaded, 4)},
        "fingerprint": fingerprint,
    }
    _write(job, options, record, record_path, image, prompts, result)
    return record


def _run_volume_with_quirks(predictor: Predictor, job: Job, case: Case, options: SegmentOptions) -> dict:
    """A volume the way LiteMedSAM's own script does it: `segs` and a record, no pictures."""
    from lite_medsam.reference_quirks import segment_volume_with_quirks

    if case.boxes is None or not len(case.boxes):
        raise PromptError(f"{job.path.name} must hold 3D boxes for --reference-quirks, but has none")
    record_path, target = (job.target.with_name(job.target.name + end) for end in (".json", ".npz"))
    digest = hashlib.sha256(predictor.spec.to_json().encode() + case.image.tobytes() + case.boxes.tobytes())
    finished = None if options.overwrite else _finished(record_path, digest.hexdigest())
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


@dataclass(frozen=True, eq=False)
class _Result:
    """Masks of one image: a label map, and a stack where objects are to stay apart; windows that hold each object."""

    labels: np.ndarray  # (H, W)
    stack: np.ndarray | None  # (N, H, W) bool
    windows: list[tuple[slice, slice]]
    scores: list[float | None]


def _segment(predictor: Predictor, image: np.ndarray, prompts: list[Prompt], overlap: str) -> _Result:
    prediction = predictor.segment(image, prompts)
    stack = prediction.masks() if overlap == "stack" else None
    labels = prediction.label_map("best" if stack is not None else overlap)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in prediction.scores]
    return _Result(labels, stack, [frame.window for frame in prediction.frames], scores)


def _segment_with_quirks(predictor: Predictor, image: np.ndarray, prompts: list[Prompt]) -> _Result:
    from lite_medsam.reference_quirks import label_map_with_quirks, segment_with_quirks

    if any(prompt.box is None or len(prompt.points) or prompt.mask is not None for prompt in prompts):
        raise PromptError("--reference-quirks knows boxes only, got other prompts; leave them out")
    boxes = np.array([validate(prompt, image.shape[:2]).box for prompt in prompts])
    labels = label_map_with_quirks(segment_with_quirks(predictor.backend, image, boxes))
    whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
    return _Result(labels, None, [whole] * len(prompts), [None] * len(prompts))


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


def _describe(result: _Result, prompts: list[Prompt]) -> list[dict]:
    """Area, box and score of each object as it was drawn."""
    objects = []
    for i, (window, prompt) in enumerate(zip(result.windows, prompts, strict=True)):
        inside = result.stack[i][window] if result.stack is not None else result.labels[window] == i + 1
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = None
        if len(rows):
            x, y = window[1].start, window[0].start
            box = [int(v) for v in (columns[0] + x, rows[0] + y, columns[-1] + x, rows[-1] + y)]
        points = zip(prompt.points.tolist(), prompt.point_labels.tolist(), strict=True)
        objects.append(
            {
                "id": i + 1,
                "name": prompt.name,
                "score": result.scores[i],
                "area_px": int(np.count_nonzero(inside)),
                "box": box,
                "prompt": {
                    "box": None if prompt.box is None else list(prompt.box),
                    "points": [[*xy, kind] for xy, kind in points],
                },
            }
        )
    return objects


def _write(
    job: Job,
    options: SegmentOptions,
    record: dict,
    record_path: Path,
    image: np.ndarray,
    prompts: list[Prompt],
    result: _Result,
) -> None:
    """Writes every result to a temporary name and renames them at the end, the record last."""
    labels, stack = result.labels, result.stack
    with ExitStack() as files:
        record_file = files.enter_context(atomic_write(record_path))

        def output(suffix: str) -> Path:
            path = job.target.with_name(job.target.name + suffix)
            record["outputs"].append(path.name)
            return files.enter_context(atomic_write(path))

        if "npz" in options.save:
            np.savez_compressed(output(".npz"), segs=labels if stack is None else stack.view(np.uint8))
        if "label" in options.save:
            if stack is not None or labels.dtype == np.uint32:
                import tifffile

                pages = labels if stack is None else stack.view(np.uint8) * np.uint8(255)
                tifffile.imwrite(output("_label.tif"), pages, compression="zlib", photometric="minisblack")
            else:
                output("_label.png").write_bytes(_png(labels))
        if "overlay" in options.save:
            picture = draw_prompts(draw_masks(image, labels if stack is None else stack), prompts)
            output("_overlay.png").write_bytes(_png(np.ascontiguousarray(picture[:, :, ::-1])))
        record_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _png(array: np.ndarray) -> bytes:
    # the lowest compression level is several times faster and little larger for label maps
    done, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OSError("the PNG could not be encoded")
    return data.tobytes()


def _fingerprint(image: np.ndarray, prompts: list[Prompt], predictor: Predictor, options: SegmentOptions) -> str:
    """SHA-256 of all that decides a result, so that finished work is recognised and changed work is done again."""
    digest = hashlib.sha256(predictor.spec.to_json().encode())
    settings = [predictor.zoom, predictor.backend.name, {k: v for k, v in asdict(options).items() if k != "overwrite"}]
    digest.update(json.dumps([settings, image.shape]).encode())
    digest.update(np.ascontiguousarray(image))
    for prompt in prompts:
        points = [prompt.points.tolist(), prompt.point_labels.tolist()]
        digest.update(json.dumps([prompt.box, points, prompt.name, *(["final"] if prompt.final else [])]).encode())
        if prompt.mask is not None:
            digest.update(np.ascontiguousarray(prompt.mask))
    return digest.hexdigest()


def _finished(record_path: Path, fingerprint: str) -> dict | None:
    """The record of finished work whose outputs all exist, else None."""
    try:
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if record["fingerprint"] != fingerprint:
            return None
        if all((record_path.parent / name).is_file() for name in record["outputs"]):
            return record | {"skipped": True}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or one of another program: the work is done anew
    return None
