"""The two graphs of each model side by side: encode, decode by number of boxes, threads, and the roofline."""

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.bench.ceilings import ceiling_of, ceiling_tasks
from lite_medsam.bench.contenders import OURS, REFERENCE
from lite_medsam.bench.context import Context
from lite_medsam.bench.operators import gmac, output_names, profile, roofline, with_hidden
from lite_medsam.bench.samples import many_objects
from lite_medsam.bench.timing import Measurement, Sample, interleaved, line_fit
from lite_medsam.model.engines import DECODER_FILE, DECODER_INPUTS, ENCODER_FILE
from lite_medsam.model.preprocessing import Frame, to_model
from lite_medsam.model.prompt_tokens import decoder_inputs
from lite_medsam.model.runtime import Backend
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.encoding import EncodedImage
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.machine import physical_cores, usable_cpus

BOX_COUNTS = (1, 8, 64, 300)
OTHER_ENGINE_COUNTS = (1, 8)
QUICK_REFERENCE_BOXES = 8  # more are computed from one when time is short
SIDE = 1024


def section_of(engine: str, threads: int) -> str:
    """Title of the table of an engine."""
    return f"Graphs in {engine}, {threads} thread{'s' * (threads != 1)}"


def measure_graphs(context: Context) -> None:
    """Opening, encode and decode in the first engine, beside the ceilings of the machine; linearity in boxes."""
    section = section_of(context.engine, context.threads)
    backends = _open(context, section, context.engine)
    _measure_encode(context, section, backends, ceiling_tasks(context.threads))
    for count in BOX_COUNTS:
        _measure_decode(context, section, backends, count)
    medians = [context.measured(decode_row(count), OURS, section).sample.median for count in BOX_COUNTS]
    context.details["linear in boxes"] = {"counts": BOX_COUNTS, "seconds": medians, **line_fit(BOX_COUNTS, medians)}


def measure_other_engines(context: Context) -> None:
    """The graphs in the other engines; one that fails does not stop the next.

    Raises:
        RuntimeError: At the end, with what went wrong in which engine.
    """
    reasons = []
    for engine in context.settings.engines[1:]:
        section = section_of(engine, context.threads)
        try:
            backends = _open(context, section, engine)
            _measure_encode(context, section, backends, {})
            for count in OTHER_ENGINE_COUNTS:
                _measure_decode(context, section, backends, count)
        except Exception as error:
            reasons.append(f"{engine}: {' '.join(str(error).split())}")
    if reasons:
        raise RuntimeError("; ".join(reasons))


def measure_threads(context: Context) -> None:
    """Encode and decode of one box with 1, 2 and all threads, taking turns."""
    section = f"Threads, {context.engine}"
    tasks: dict[tuple[str, str], Callable] = {}
    for threads in sorted({1, min(2, usable_cpus()), physical_cores()}):
        for contender in context.contenders:
            backend = contender.open(context.engine, threads)
            predictor, encoded = Predictor(backend), encoded_sample(backend)
            box = many_objects(SIDE, 1).boxes
            label = f"{threads} thread{'s' * (threads != 1)}"
            tasks[f"encode, {label}", contender.title] = partial(backend.encode, _pixels(backend))
            tasks[f"decode 1 box, {label}", contender.title] = partial(predictor.decode, encoded, box)
    repeats = min(context.settings.repeats, 5)
    samples = interleaved(tasks, repeats, context.settings.budget_seconds)
    for (what, title), sample in sorted(samples.items(), key=lambda item: not item[0][0].startswith("encode")):
        context.add(section, what, title, sample, details={"encodes" if what.startswith("encode") else "decodes": 1})


def measure_roofline(context: Context) -> None:
    """Multiply-adds of each graph, and its operators against ceilings that are measured between them."""
    machine = ceiling_tasks(context.threads)
    fastest: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for contender in context.contenders:
        backend = contender.open("onnxruntime", context.threads)
        for graph, file, feeds in _graph_inputs(backend, contender.directory):
            path = contender.directory / file
            plain = profile(path, feeds, context.threads, runs=1, optimise=False)
            runs = 4 if contender.title == REFERENCE else 15
            nodes = with_hidden(profile(path, feeds, context.threads, runs), plain)
            found[f"{contender.title} {graph}"] = gmac(plain), nodes
            for name, sample in interleaved(machine, 2).items():
                fastest[name] = min(*sample.values, fastest.get(name, math.inf))
    ceiling = ceiling_of(fastest)
    context.details["ceiling"] = {
        "matrix product GFLOP/s": ceiling.flops / 1e9,
        "GB/s by bytes touched": {str(size): speed / 1e9 for size, speed in ceiling.bandwidth},
    }
    for name, (total, nodes) in found.items():
        context.details[name] = {"gmac": total, **roofline(nodes, ceiling)}


def encoded_sample(backend: Backend) -> EncodedImage:
    """The sample image, encoded whole."""
    return Predictor(backend).encode(many_objects(SIDE, 1).image)


def decode_row(count: int) -> str:
    """Name of a row."""
    return f"decode {count} box{'es' * (count != 1)}"


def _open(context: Context, section: str, engine: str) -> dict[str, Backend]:
    backends = {}
    for contender in context.contenders:
        started = time.perf_counter()
        backends[contender.title] = contender.open(engine, context.threads)
        context.add(section, "open (once)", contender.title, Sample((time.perf_counter() - started,)))
    return backends


def _measure_encode(context: Context, section: str, backends: dict[str, Backend], machine: dict) -> None:
    tasks = {name: partial(backend.encode, _pixels(backend)) for name, backend in backends.items()}
    samples = interleaved({**tasks, **machine}, context.settings.repeats, context.settings.budget_seconds)
    for name in backends:
        context.add(section, "first encode (cold)", name, Sample((samples[name].first,)))
    for name in backends:
        context.add(section, "encode", name, samples[name], details={"encodes": 1})
    if machine:  # of the same rounds, so that whatever slowed the encoder down slowed this down as well
        context.details["product GFLOP/s between encodes"] = (
            ceiling_of({name: samples[name].median for name in machine}).flops / 1e9
        )


def _one_by_one(predictor: Predictor, encoded: EncodedImage, boxes: np.ndarray) -> None:
    for box in boxes:
        predictor.decode(encoded, [box])


def _measure_decode(context: Context, section: str, backends: dict[str, Backend], count: int) -> None:
    """Ours in one call, which works in bounded batches; the reference box by box, as its own script does."""
    boxes = many_objects(SIDE, count).boxes
    tasks: dict[str, Callable[[], object]] = {}
    for name, backend in backends.items():
        predictor, encoded = Predictor(backend), encoded_sample(backend)
        if name == OURS:
            tasks[name] = partial(predictor.decode, encoded, boxes)
        elif count <= QUICK_REFERENCE_BOXES or not context.settings.quick:
            tasks[name] = partial(_one_by_one, predictor, encoded, boxes)
    # a long row of boxes has its own rounds in it
    repeats = max(1, min(context.settings.repeats, 200 // count))
    samples = interleaved(tasks, repeats, context.settings.budget_seconds)
    for name in backends:
        if name in samples:
            context.add(section, decode_row(count), name, samples[name], details={"decodes": count})
            continue
        one = context.measured(decode_row(1), name, section).sample
        context.add(
            section, decode_row(count), name, Sample(tuple(count * value for value in one.values)),
            source=f"computed: {count} times one box", details={"decodes": count},
        )  # fmt: skip


def _pixels(backend: Backend) -> np.ndarray:
    """The sample image as the model sees it; nothing is encoded here, so that the first encode stays a cold one."""
    image, settings = many_objects(SIDE, 1).image, backend.spec.preprocessing
    return to_model(image, Frame.for_model(image.shape[:2], settings), settings)[None]


def _graph_inputs(backend: Backend, directory: Path):
    """(name, file, inputs) of each graph for one image and one box."""
    settings = backend.spec.preprocessing
    encoded = encoded_sample(backend)
    yield "encoder", ENCODER_FILE, {"pixels": _pixels(backend)}
    prompts = [Prompt(box=tuple(many_objects(SIDE, 1).boxes[0]))]
    arrays = decoder_inputs(prompts, [encoded.frame], settings.image_size, settings.mask_size)
    names = (*output_names(directory / ENCODER_FILE), *DECODER_INPUTS)
    yield "decoder", DECODER_FILE, dict(zip(names, (*encoded.features, *arrays), strict=True))


def achieved_gflops(entry: Measurement | None, details: Mapping[str, Any]) -> float:
    """Of a graph as the engine ran it, from its multiply-adds and the median time; NaN if they are not known."""
    if entry is None:
        return math.nan
    work = 0.0
    for graph, count in (("encoder", "encodes"), ("decoder", "decodes")):
        facts, runs = details.get(f"{entry.subject} {graph}"), entry.details.get(count, 0)
        work += 2 * facts["gmac"] * runs if facts and runs else 0.0
    return work / entry.sample.median if work else math.nan
