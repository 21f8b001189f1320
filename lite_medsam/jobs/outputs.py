"""The results of one segmented input as files, all of them or none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lite_medsam.images.png_writing import png_bytes
from lite_medsam.jobs.listing import INPUT_SUFFIXES, Job, SegmentOptions
from lite_medsam.jobs.naming import source_id, stem_of
from lite_medsam.jobs.references import Reference, model_facts, write_file_labels, write_segmentation
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.results.annotations import KINDS, Names, annotation_files, pictures_of, pictures_of_labels
from lite_medsam.results.coco import run_lengths
from lite_medsam.results.overlay import draw_masks, draw_prompts
from lite_medsam.results.take_home import label_png
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import ITK_SUFFIXES
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.json_text import json_bytes, recorded_name


@dataclass(frozen=True, eq=False)
class Result:
    """Masks of one image: a label map, and a stack where objects are to stay apart; windows of the image that hold each object;
    whose borders had a second look."""

    labels: np.ndarray  # (H, W)
    stack: np.ndarray | None  # (N, H, W) bool
    windows: list[tuple[slice, slice]]
    scores: list[float | None]
    refined: frozenset[int] = frozenset()


class Loaded(Protocol):
    """A job whose input is in memory.

    Attributes:
        job: What was asked.
        facts: What the record says of the input: its size, window, voxel size.
        fingerprint: Of all that decides the result.
        finished: The record, if the same work was done before.
        seconds: What reading took.
    """

    @property
    def job(self) -> Job: ...

    @property
    def facts(self) -> dict: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def finished(self) -> dict | None: ...

    @property
    def seconds(self) -> float: ...


def record_path(job: Job) -> Path:
    """Where the JSON record of a job lies."""
    return job.target.with_name(job.target.name + ".json")


def new_record(
    loaded: Loaded, predictor: Predictor, options: SegmentOptions, objects: list[dict], seconds: float
) -> dict:
    """The record of a job that was segmented in so many seconds; its outputs are filled in as they are written."""
    return {
        "input": recorded_name(loaded.job.path.name),
        **loaded.facts,
        "model": predictor.spec.name,
        **model_facts(predictor, options),
        "engine": predictor.backend.name,
        "overlap": options.overlap,
        "objects": objects,
        "outputs": [],
        "seconds": {"read": round(loaded.seconds, 4), "segment": round(seconds, 4)},
        "fingerprint": loaded.fingerprint,
    }


def describe(result: Result, prompts: list[Prompt]) -> list[dict]:
    """Area, box and score of each object as it was drawn."""
    objects = []
    for i, (window, prompt) in enumerate(zip(result.windows, prompts, strict=True)):
        inside = result.stack[i][window] if result.stack is not None else result.labels[window] == i + 1
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = None
        if len(rows):
            x, y = window[1].start, window[0].start
            box = [int(v) for v in (columns[0] + x, rows[0] + y, columns[-1] + x, rows[-1] + y)]
        objects.append(
            {
                "id": number_of(prompts, i),
                "name": prompt.name,
                "target": prompt.target,
                "score": result.scores[i],
                "area_px": int(np.count_nonzero(inside)),
                "box": box,
                **({"refined": True} if i in result.refined else {}),
                "prompt": prompt_record(prompt),
            }
        )
    return objects


def prompt_record(prompt: Prompt) -> dict:
    """The box and the points of a prompt as the record holds them."""
    points = zip(prompt.points.tolist(), prompt.point_labels.tolist(), strict=True)
    return {
        "box": None if prompt.box is None else list(prompt.box),
        "points": [[*xy, kind] for xy, kind in points],
    }


def number_of(objects: Sequence[Prompt | VolumeObject], index: int) -> int:
    """The label value of an object: its own number where every object has one, else its place, from 1."""
    numbers = [item.number for item in objects]
    return index + 1 if None in numbers else numbers[index] or index + 1


def numbered(labels: np.ndarray, objects: Sequence[Prompt | VolumeObject]) -> np.ndarray:
    """A label map in which object i has the value i + 1, with the objects' own numbers."""
    values = [number_of(objects, i) for i in range(len(objects))]
    if values == list(range(1, len(values) + 1)):
        return labels
    return np.array([0, *values], np.min_scalar_type(max(values)))[labels]


@contextmanager
def all_or_none(job: Job, record: dict) -> Iterator[Callable[[str], Path]]:
    """Gives a function from an ending, as `_label.png`, to the temporary file to write it to; notes it in the record.

    At the end all are renamed, the record last; after an error none is there.
    """
    record["source"] = source_id(job.path, job.url)
    with ExitStack() as files:
        record_file = files.enter_context(atomic_write(record_path(job)))

        def output(ending: str) -> Path:
            path = job.target.with_name(job.target.name + ending)
            record["outputs"].append(recorded_name(path.name))
            return files.enter_context(atomic_write(path))

        yield output
        record_file.write_bytes(json_bytes(record) + b"\n")


def segs_arrays(segs: np.ndarray, geometry: Geometry | None) -> dict[str, np.ndarray]:
    """The arrays of a result's npz; for medical files they say that `segs` is as displayed, not in the file's order."""
    return {"segs": segs} if geometry is None else {"segs": segs, "segs_coordinates": np.array("display")}


def write_outputs(
    job: Job,
    options: SegmentOptions,
    record: dict,
    image: np.ndarray,
    prompts: list[Prompt],
    result: Result,
    reference: Reference | None = None,
) -> None:
    """Writes every result of a picture to a temporary name and renames them at the end, the record last.

    Pictures of NIfTI, NRRD and MetaImage files have their labels on the voxels of the file too; `reference` is that of a medical
    file.
    """
    labels, stack = result.labels, result.stack
    written = numbered(labels, prompts)
    geometry = None if reference is None else reference.geometry
    with all_or_none(job, record) as output:
        if "parquet" in options.save:
            add_run_lengths(record, labels if stack is None else stack)
        if "npz" in options.save:
            segs = written if stack is None else stack.view(np.uint8)
            np.savez_compressed(output(".npz"), **dict[str, Any](segs_arrays(segs, geometry)))
        if "label" in options.save:
            if stack is not None or written.dtype == np.uint32:
                write_pages(output("_label.tif"), written if stack is None else stack.view(np.uint8) * np.uint8(255))
            else:
                output("_label.png").write_bytes(label_png(written))
            if stack is None and geometry is not None and job.path.name.lower().endswith(NIFTI_SUFFIXES + ITK_SUFFIXES):
                write_file_labels(output, job, written, geometry)
        write_segmentation(output, options, record, labels if stack is None else stack, reference)
        if "overlay" in options.save:
            write_overlay(output("_overlay.png"), image, written if stack is None else stack, prompts)
        numbers = [number_of(prompts, i) for i in range(len(prompts))]
        named = Names([p.name for p in prompts], [p.target for p in prompts], result.scores, numbers)
        write_annotations(output, options, record, labels, named, stack)


def write_annotations(
    output: Callable[[str], Path],
    options: SegmentOptions,
    record: dict,
    labels: np.ndarray,
    named: Names,
    stack: np.ndarray | None = None,
) -> None:
    """Writes the annotations that were asked for; what they cannot say becomes a note of the record.

    Args:
        output: From `all_or_none`.
        options: What to write.
        record: Of the job.
        labels: (H, W) or (D, H, W); object i has the value i + 1.
        named: What the objects are called.
        stack: (N, H, W) bool where masks of a picture overlap.
    """
    kinds = [kind for kind in options.save if kind in KINDS]
    if not kinds:
        return
    stem = stem_of(record["input"], INPUT_SUFFIXES)
    pictures = pictures_of_labels(stem, labels) if stack is None else pictures_of(stem, stack.shape[1:], stack)
    if labels.ndim == 2:
        pictures = [replace(picture, file_name=record["input"]) for picture in pictures]
    files, notes = annotation_files(kinds, stem, pictures, named)
    for ending, content in files.items():
        output(ending).write_bytes(content)
    if notes:
        record["notes"] = [*record.get("notes", ()), *notes]


def add_run_lengths(record: dict, masks: np.ndarray, is_volume: bool = False) -> None:
    """Adds to each object of a record its mask as runs, a list with one entry for each slice that holds some of it.

    Args:
        record: The record; its objects are in the order of their numbers, from 1.
        masks: (H, W) labels, or (N, H, W) a mask for each object; of a volume (D, H, W) labels.
        is_volume: Whether it is a volume; entries have the slice `z`, as displayed.
    """
    for i, item in enumerate(record["objects"]):
        if is_volume:
            slices = [(z, labels == i + 1) for z, labels in enumerate(masks)]
            item["rle"] = [{"z": z, **run_lengths(mask)} for z, mask in slices if mask.any()]
        else:
            item["rle"] = [run_lengths(masks == i + 1 if masks.ndim == 2 else masks[i])]


def write_pages(path: Path, pages: np.ndarray) -> None:
    """Writes (H, W) or (N, H, W) integers as a TIFF of one or N pages."""
    import tifffile

    tifffile.imwrite(path, pages, compression="zlib", photometric="minisblack")


def write_overlay(path: Path, image: np.ndarray, masks: np.ndarray, prompts: Sequence[Prompt]) -> None:
    """Writes the image with a label map or a stack of masks in colour, and what was asked."""
    numbers = [number_of(prompts, i) for i in range(len(prompts))]
    picture = draw_prompts(draw_masks(image, masks, numbers=numbers), prompts, numbers)
    path.write_bytes(png_bytes(picture))
