"""From an image file to a written mask: sizes, numbers of boxes, zoom, and where the time goes."""

import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from lite_medsam.bench.contenders import OURS, REFERENCE, RecordingBackend
from lite_medsam.bench.context import Context
from lite_medsam.bench.samples import Sample2D, many_objects, one_object, write_variants
from lite_medsam.bench.timing import Sample, interleaved
from lite_medsam.cases.case import load_image
from lite_medsam.jobs.batch import Job, SegmentOptions, run_job
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor

SECTION = "File to written mask"
STAGES = ("read", "resize and prompts", "encode", "decode", "upsample", "write")
SIZES = (256, 1024, 4096)
MANY = 64
SAVE = ("label",)
VARIANTS = 4
FEW = 8


def row(side: int, count: int, zoom: str) -> str:
    """Name of a row."""
    return f"{side} px, {count} box{'es' * (count != 1)}" + (", zoom" if zoom != "off" and count > 1 else "")


def measure_files(context: Context) -> None:
    """Times of whole files; the reference reads and writes with the same code and works as its own script between."""
    opened = {contender.title: contender.open(context.engine, context.threads) for contender in context.contenders}
    for side in SIZES:
        _compare(context, opened, one_object(side), 1, ("auto",))
    _compare(context, opened, many_objects(1024, MANY), MANY, ("off", "auto"))


def _compare(context: Context, opened: dict, sample: Sample2D, count: int, zooms: Sequence[str]) -> None:
    """One row per zoom mode of ours, the reference, which has none, in each."""
    side, folder = sample.image.shape[0], context.folder / f"files-{len(sample.image)}-{count}"
    paths = write_variants(sample, folder, VARIANTS)
    prompts = tuple(Prompt(box=tuple(box)) for box in sample.boxes[:count].tolist())
    recorders = {zoom: RecordingBackend(opened[OURS]) for zoom in zooms}
    tasks: dict[str | int, Callable[[], object]]
    tasks = {z: _task(Predictor(r, z), paths, prompts, folder / z, False) for z, r in recorders.items()}
    # the reference takes its boxes one by one: when time is short, two numbers of boxes give the others
    numbers = (1, FEW) if count > FEW and context.settings.quick else (count,)
    if REFERENCE in opened:
        plain = Predictor(opened[REFERENCE], "off")
        tasks |= {n: _task(plain, paths, prompts[:n], folder / f"reference-{n}", True) for n in numbers}
    repeats = min(context.settings.repeats, 3 if context.settings.quick else 8)
    samples = interleaved(tasks, repeats, context.settings.budget_seconds)
    for zoom, recorder in recorders.items():
        what = row(side, count, zoom)
        context.add(SECTION, what, OURS, samples[zoom], details=_per_run(recorder))
        if REFERENCE in opened and len(numbers) == 1:
            context.add(SECTION, what, REFERENCE, samples[count])
        elif REFERENCE in opened:
            computed, source = _more_boxes(samples[1], samples[FEW], count)
            context.add(SECTION, what, REFERENCE, computed, source=source)
    shutil.rmtree(folder)


def _more_boxes(one: Sample, few: Sample, count: int) -> tuple[Sample, str]:
    """The reference's time for many boxes from its times for one and for FEW, by a straight line."""
    each = (few.median - one.median) / (FEW - 1)
    values = tuple(value + (count - 1) * each for value in one.values)
    return Sample(values), f"computed: a straight line through 1 and {FEW} boxes"


def _per_run(recorder: RecordingBackend) -> dict[str, float]:
    """How often the graphs ran for one file; none at all would mean that an answer was kept, not computed."""
    return {"images encoded": recorder.images / recorder.runs, "prompts decoded": recorder.prompts / recorder.runs}


def _task(predictor: Predictor, paths: list[Path], prompts: tuple[Prompt, ...], out: Path, quirks: bool):
    """Segments the next of the files each time it is called."""
    turn = itertools.cycle(paths)
    options = SegmentOptions(SAVE, overwrite=True, reference_quirks=quirks)

    def run() -> None:
        run_job(predictor, Job(next(turn), out / "mask", prompts), options)
        if isinstance(predictor.backend, RecordingBackend):
            predictor.backend.runs += 1

    return run


def measure_stages(context: Context) -> None:
    """Where the time of this model goes, stage by stage, for one large object and for many small ones."""
    backend = context.ours.open(context.engine, context.threads)
    shares = {}
    for count, zoom, sample in ((1, "auto", one_object(1024)), (MANY, "auto", many_objects(1024, MANY))):
        what, folder = row(1024, count, zoom), context.folder / f"stages-{count}"
        paths = write_variants(sample, folder, VARIANTS)
        prompts = tuple(Prompt(box=tuple(box)) for box in sample.boxes[:count].tolist())
        rounds = [
            _stages(RecordingBackend(backend), zoom, paths[i % VARIANTS], prompts, folder)
            for i in range(1 + min(context.settings.repeats, 4 if context.settings.quick else 12))
        ][1:]
        shares[what] = {stage: median(times[stage] for times in rounds) for stage in STAGES}
        for stage in STAGES:
            values = tuple(times[stage] for times in rounds)
            context.add(f"Where the time goes, {what}", stage, OURS, Sample(values))
        shutil.rmtree(folder)
    context.details["stages"] = shares


def _stages(recorder: RecordingBackend, zoom: str, path: Path, prompts: tuple[Prompt, ...], out: Path) -> dict:
    """Seconds of each stage for one file; "write" is what the whole command takes beyond the others."""
    predictor = Predictor(recorder, zoom)
    started = time.perf_counter()
    image = load_image(path)
    read = time.perf_counter()
    prediction = predictor.segment(image, prompts)
    segmented = time.perf_counter()
    prediction.label_map()
    done = time.perf_counter()
    graphs = recorder.encode_seconds, recorder.decode_seconds
    run_job(predictor, Job(path, out / "mask", prompts), SegmentOptions(SAVE, overwrite=True))
    whole = time.perf_counter() - done
    # the second run has times of its own in the graphs; what it takes beyond the first is checking and writing
    graphs_again = recorder.encode_seconds - graphs[0], recorder.decode_seconds - graphs[1]
    outside_first = (done - started) - sum(graphs)
    return {
        "read": read - started,
        "resize and prompts": max(0.0, segmented - read - sum(graphs)),
        "encode": graphs[0],
        "decode": graphs[1],
        "upsample": done - segmented,
        "write": max(0.0, whole - sum(graphs_again) - outside_first),
    }


def overhead(stages: dict[str, float], with_files: bool) -> float:
    """Share of the time outside the two graphs, from the seconds of each stage; reading and writing count if asked."""
    inside = stages["encode"] + stages["decode"]
    outside = stages["resize and prompts"] + stages["upsample"]
    if with_files:
        outside += stages["read"] + stages["write"]
    return outside / (inside + outside) if inside + outside else float(np.nan)
