"""What a second look at the border of a large object costs: a box prompt with and without it, taking turns."""

from functools import partial

import numpy as np

from lite_medsam.bench.contenders import OURS, RecordingBackend
from lite_medsam.bench.context import Context
from lite_medsam.bench.samples import one_object
from lite_medsam.bench.timing import Sample, interleaved
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.refinement import can_refine

SIDE = 1024
SECTION = f"Borders: one box in a picture of {SIDE} px, picture to mask"
# not "auto": a model may ask for none
MODES = ("off", "always")


def measure_refining(context: Context) -> None:
    """Seconds of a box prompt with each mode, and how many times those of "off" the other takes."""
    backend = RecordingBackend(context.ours.open(context.engine, context.threads))
    if not can_refine(backend.spec):
        context.skipped.append(("--refine always", f"{backend.spec.name} was not trained on crops with masks so far"))
        return
    sample = one_object(SIDE)
    tasks, encoded = {}, {}
    for mode in MODES:
        predictor = Predictor(backend, refine=mode)
        tasks[mode] = partial(_mask, predictor, sample.image, sample.boxes)
        backend.reset()
        tasks[mode]()
        encoded[mode] = backend.images
    found = interleaved(tasks, context.settings.repeats, context.settings.budget_seconds)
    for mode, timed in found.items():
        context.add(SECTION, f"--refine {mode}", OURS, timed, details={"images encoded": encoded[mode]})
    times = found["always"].median / found["off"].median
    context.add(SECTION, "always over off", OURS, Sample((times,)), unit="times", source="computed")


def _mask(predictor: Predictor, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return predictor.segment(image, boxes).mask(0)
