"""What crops around small objects cost, and what they bring: each zoom mode over the same cases, taking turns."""

import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lite_medsam.bench.contenders import OURS, RecordingBackend
from lite_medsam.bench.context import Context
from lite_medsam.bench.timing import Sample
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.scores import Row, summarise
from lite_medsam.phantoms import bundled_cases
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.segment import predictor as predictors
from lite_medsam.segment.predictor import Predictor

SECTION = "Zoom"
MODES = ("off", "auto", "always")
MOST_CASES, QUICK_CASES = 120, 24
SLICES_PER_VOLUME = 3


def measure_zoom(context: Context) -> None:
    """Time per image and Dice of each mode, over labelled cases or, without any, over phantoms."""
    cases = labelled(context.settings.cases, QUICK_CASES if context.settings.quick else MOST_CASES)
    modes = [mode for mode in MODES if mode in predictors.ZOOM_MODES]
    for mode in set(MODES) - set(modes):
        context.skipped.append((f"zoom {mode}", "this version has no such mode"))
    recorder = RecordingBackend(context.ours.open(context.engine, context.threads))
    protocol = load_protocol("box")
    rows: dict[str, list[Row]] = {mode: [] for mode in modes}
    encoded = dict.fromkeys(modes, 0)
    for number, case in enumerate(cases):
        for mode in modes:
            recorder.reset()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = evaluate(Predictor(recorder, mode), [case], protocol, slices_per_volume=SLICES_PER_VOLUME)
            # images are counted from 0 in each call
            rows[mode] += [{**row, "image": (number, row["image"])} for row in found.rows]
            encoded[mode] += recorder.images
    if not rows["off"]:
        raise CaseError("no case could be scored for zoom; --cases must name labelled npz cases")
    summary = {mode: {**scores(rows[mode]), "images encoded": encoded[mode]} for mode in modes}
    for mode in modes:
        context.add(SECTION, f"zoom {mode}", OURS, Sample(image_seconds(rows[mode])), details=summary[mode])
    source = "phantoms" if context.settings.cases is None else "labelled cases"
    context.details["zoom"] = {"cases": source, "images": len(image_seconds(rows["off"])), "modes": summary}


def labelled(given: Path | None, most: int) -> Sequence[Case | Path]:
    """Phantoms, or at most so many npz files, spread evenly over what is there."""
    if given is None:
        return bundled_cases()
    paths = sorted(given.rglob("*.npz")) if given.is_dir() else [given]
    if not paths:
        raise CaseError(f"--cases must hold labelled npz cases, got none in {given}")
    count = min(most, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]


def scores(rows: Sequence[Row]) -> dict[str, Any]:
    """Mean Dice over modalities of all objects, of small and of large ones, and by modality; NaN where there are none."""
    by_modality = {line["modality"]: line for line in summarise(rows)}
    mean = by_modality.pop("mean over modalities")
    sizes = {line["size"]: line for line in summarise(rows, "size")}
    small = next((line for name, line in sizes.items() if name.startswith("<")), None)
    large = next((line for name, line in sizes.items() if name.startswith(">=")), None)
    return {
        "dice": mean["dice"],
        "dice small": small["dice"] if small else math.nan,
        "dice large": large["dice"] if large else math.nan,
        "small objects": small["objects"] if small else 0,
        "large objects": large["objects"] if large else 0,
        "by modality": {name: line["dice"] for name, line in by_modality.items()},
    }


def image_seconds(rows: Iterable[Row]) -> tuple[float, ...]:
    """Seconds of each image: a row holds its share of them."""
    sums: dict[object, float] = {}
    for row in rows:
        sums[row["image"]] = sums.get(row["image"], 0.0) + row["seconds"]
    return tuple(sums.values())


def gain(summary: dict[str, dict], mode: str = "auto") -> dict[str, float]:
    """Points of Dice that a mode brings against "off": for small objects, and the lowest change of any modality or size."""
    off, other = summary["off"], summary[mode]
    changes = [other["by modality"][name] - value for name, value in off["by modality"].items()]
    changes += [other[name] - off[name] for name in ("dice small", "dice large")]
    known = [change for change in changes if not math.isnan(change)]
    return {"small": 100 * (other["dice small"] - off["dice small"]), "lowest": 100 * min(known, default=math.nan)}
