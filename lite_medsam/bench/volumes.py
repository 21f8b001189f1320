"""A volume with several objects: followed slice by slice, each slice encoded once for all of them."""

from functools import partial

import numpy as np

from lite_medsam.bench.contenders import OURS, REFERENCE, RecordingBackend
from lite_medsam.bench.context import Context
from lite_medsam.bench.graphs import decode_row
from lite_medsam.bench.timing import Sample, interleaved, line_fit
from lite_medsam.cases.case import Case
from lite_medsam.challenge.reference_quirks import segment_volume_with_quirks
from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_object import Box, corners_of
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor

SECTION = "Volume, CT, several objects"
OBJECTS = 4
SLICES = (8, 16, 32)
CHECKED_SLICES = 4  # of the reference's own loop that are really run, to check what is computed
SIDE = 256


def row(slices: int, zoom: str = "off") -> str:
    """Name of a row."""
    return f"{slices} slices, {OBJECTS} objects" + ", zoom" * (zoom != "off")


def measure_volumes(context: Context) -> None:
    """Volumes of several depths, without zoom, where each slice is encoded once for all objects, and with it.

    The reference's time is computed from its medians, and checked on a few slices.
    """
    try:
        from lite_medsam.volumes import propagation
    except ImportError:
        context.skipped.append(("volumes", "this version has no lite_medsam.volumes.propagation"))
        return
    recorder = RecordingBackend(context.ours.open(context.engine, context.threads))
    tasks, counts, cases = {}, {}, {n: make_phantom_volume("ct", 0, (n, SIDE, SIDE)) for n in SLICES}
    for zoom in ("off", "auto"):
        predictor = Predictor(recorder, zoom)
        for slices, case in cases.items():
            seeds = [propagation.VolumeObject({z: Prompt(box=box)}, z_range=ends) for z, box, ends in seeds_of(case)]
            what = row(slices, zoom)
            tasks[what] = partial(propagation.propagate, predictor, case.image, seeds)
            recorder.reset()
            tasks[what]()
            counts[what] = {"images encoded": recorder.images, "prompts decoded": recorder.prompts}
    samples = interleaved(tasks, min(5, context.settings.repeats), 2 * context.settings.budget_seconds)
    for zoom in ("off", "auto"):
        for slices, case in cases.items():
            what = row(slices, zoom)
            context.add(SECTION, what, OURS, samples[what], details=counts[what])
            _compute_reference(context, what, case)
    medians = [samples[row(slices, "auto")].median for slices in SLICES]
    context.details["linear in slices"] = {"counts": SLICES, "seconds": medians, **line_fit(SLICES, medians)}
    if context.reference and not context.settings.quick:
        _check_reference(context)


def seeds_of(case: Case) -> list[tuple[int, Box, tuple[int, int]]]:
    """(slice, box in it, first and last slice) of the objects that span most slices, each at its widest slice."""
    found = []
    for value in range(1, int(case.truth.max()) + 1):
        areas = (case.truth == value).sum((1, 2))
        inside = np.flatnonzero(areas)
        if not len(inside):
            continue
        middle = int(areas.argmax())
        rows, columns = np.nonzero(case.truth[middle] == value)
        box = corners_of((columns.min(), rows.min(), columns.max(), rows.max()))
        found.append((middle, box, (int(inside[0]), int(inside[-1]))))
    return sorted(found, key=lambda seed: seed[2][0] - seed[2][1])[:OBJECTS]


def _compute_reference(context: Context, what: str, case: Case) -> None:
    encode, decode = context.find("encode", REFERENCE), context.find(decode_row(1), REFERENCE)
    if encode is None or decode is None:
        return
    steps = sum(last - first + 1 for _, _, (first, last) in seeds_of(case))  # each encodes and decodes, per object
    value = steps * (encode.sample.median + decode.sample.median)
    source = f"computed: {steps} encodes and decodes, every object encodes its slices anew"
    context.add(SECTION, what, REFERENCE, Sample((value,)), source=source)


def _check_reference(context: Context) -> None:
    """Runs the reference's own loop over a few slices of two objects beside what its medians say."""
    encode, decode = context.find("encode", REFERENCE), context.find(decode_row(1), REFERENCE)
    if encode is None or decode is None:
        return
    case = make_phantom_volume("ct", 0, (CHECKED_SLICES, SIDE, SIDE))
    last = CHECKED_SLICES - 1
    boxes = np.array([(x0, y0, 0, x1, y1, last) for _, (x0, y0, x1, y1), _ in seeds_of(case)[:2]])
    assert context.reference is not None  # its row was found
    backend = context.reference.open(context.engine, context.threads)
    timed = interleaved({"loop": lambda: segment_volume_with_quirks(backend, case.image, boxes)}, 1)["loop"]
    expected = 2 * CHECKED_SLICES * (encode.sample.median + decode.sample.median)
    context.details["volume reference check"] = {"measured": timed.median, "computed": expected}
