"""From an image file to a written mask: sizes, numbers of boxes, zoom, and where the time goes."""

import itertools
import shutil
import time
from pathlib import Path
from statistics import median

import numpy as np

from lite_medsam.batch import Job, SegmentOptions, run_job
from lite_medsam.bench.contenders import OURS, REFERENCE, RecordingBackend
from lite_medsam.bench.context import Context
from lite_medsam.bench.graphs import decode_row
from lite_medsam.bench.samples import Sample2D, many_objects, one_object, write_variants
from lite_medsam.bench.timing import Sample, interleaved
from lite_medsam.case import load_image
from lite_medsam.predictor import Predictor
from lite_medsam.prompts import Prompt

SECTION = "File to written mask"
STAGES = ("read", "resize and prompts", "encode", "decode", "upsample", "write")
SIZES = (256, 1024, 4096)
MANY = 64
SAVE = ("label",)
VARIANTS = 4


def row(side: int, count: int, zoom: str) -> str:
    """Name of a row."""
    return f"{side} px, {count} box{'es' * (count != 1)}" + (", zoom" if zoom != "off" and count > 1 else "")


def measure_files(context: Context) -> None:
    """Times of whole files; the reference reads and writes with the same code and works as its own script between."""
    opened = {contender.title: contender.open(context.engine, context.threads) for contender in context.contenders}
    for side in SIZES:
        _compare(context, opened, one_object(side), side, 1, "auto")
    for zoom in ("off", "auto"):
        _compare(context, opened, many_objects(1024, MANY), 1024, MANY, zoom)


def _compare(context: Context, opened: dict, sample: Sample2D, side: int, count: int, zoom: str) -> None:
    what, folder = row(side, count, zoom), context.folder / f"{side}-{count}-{zoom}"
    paths = write_variants(sample, folder, VARIANTS)
    prompts = tuple(Prompt(box=tuple(box)) for box in sample.boxes[:count].tolist())
    recorder = RecordingBackend(opened[OURS])
    tasks = {OURS: _task(Predictor(recorder, zoom), paths, prompts, folder / "ours", False)}
    long = count > 1 and context.settings.quick
    if REFERENCE in opened and not long:
        plain = Predictor(opened[REFERENCE])
        tasks[REFERENCE] = _task(plain, paths, prompts, folder / "reference", True)
    repeats = min(context.settings.repeats, 3 if context.settings.quick else 8)
    samples = interleaved(tasks, repeats, context.settings.budget_seconds)
    details = _per_run(recorder, len(samples[OURS].values))
    context.add(SECTION, what, OURS, samples[OURS], details=details)
    if REFERENCE in samples:
        context.add(SECTION, what, REFERENCE, samples[REFERENCE])
    elif REFERENCE in opened:
        _compute(context, what, count)
    shutil.rmtree(folder)


def _compute(context: Context, what: str, count: int) -> None:
    """The reference's time for many boxes without running them: one more decode for each; resizing masks is left out."""
    whole, one = context.find(row(1024, 1, "auto"), REFERENCE), context.find(decode_row(1), REFERENCE)
    if whole is None or one is None:
        context.skipped.append((f"{what}, {REFERENCE}", "its time for one box was not measured"))
        return
    extra = (count - 1) * one.sample.median
    values = tuple(value + extra for value in whole.sample.values)
    source = f"computed: one box and {count - 1} more decodes"
    context.add(SECTION, what, REFERENCE, Sample(values), source=source)


def _task(predictor: Predictor, paths: list[Path], prompts: tuple[Prompt, ...], out: Path, quirks: bool):
    """Segments the next of the files each time it is called."""
    turn = itertools.cycle(paths)
    options = SegmentOptions(SAVE, overwrite=True, reference_quirks=quirks)
    return lambda: run_job(predictor, Job(next(turn), out / "mask", prompts), options)


def _per_run(recorder: RecordingBackend, runs: int) -> dict[str, float]:
    return {"images encoded": recorder.images, "prompts decoded": recorder.prompts, "timed runs": runs}


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
