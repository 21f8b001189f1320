"""A model's card: the measurements on validation cases, and the page made from them."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lite_medsam.baselines import BaselineSegmenter
from lite_medsam.evaluation import Evaluation, evaluate
from lite_medsam.overlay import draw_masks, draw_prompts
from lite_medsam.phantoms import bundled_cases
from lite_medsam.predictor import Predictor
from lite_medsam.prompts import Prompt, load_protocol
from lite_medsam.results import MEAN
from lite_medsam.spec import ModelSpec

BASELINES = ("box", "ellipse", "grabcut")
Progress = Callable[[str, str], None]


def measure(
    predictor: Predictor, cases: Sequence[Path], groups: Mapping[str, str] | None, progress: Progress
) -> dict[str, Any]:
    """Everything that the card tells, as plain JSON values.

    Args:
        predictor: The model with its own zoom.
        cases: Labelled validation cases.
        groups: Group by case name.
        progress: Called with the name of the run and of the case that is done.

    Returns:
        Summaries by run: the model with each protocol, without zoom, and the baselines on the same boxes.
    """
    runs: dict[str, tuple[Any, str]] = {
        "box": (predictor, "box"),
        "box, zoom off": (Predictor(predictor.backend, zoom="off"), "box"),
        "box-tight": (predictor, "box-tight"),
        "box-jitter": (predictor, "box-jitter"),
        "clicks": (predictor, "clicks"),
        "box+clicks": (predictor, "box+clicks"),
    }
    runs |= {f"baseline {kind}": (BaselineSegmenter(kind), "box") for kind in BASELINES}
    record: dict[str, Any] = {"cases": len(cases), "runs": {}}
    for name, (segmenter, protocol) in runs.items():
        result = evaluate(
            segmenter,
            cases,
            load_protocol(protocol),
            groups=groups,
            progress=lambda case, run=name: progress(run, case),
        )
        record["runs"][name] = _plain(result)
    return record


def _plain(result: Evaluation) -> dict[str, Any]:
    return json.loads(result.to_json())


def write_card(spec: ModelSpec, record: dict[str, Any], training_data: Path | None, curve: str | None) -> str:
    """The card as Markdown.

    Args:
        spec: The model.
        record: From `measure`.
        training_data: CSV with dataset, modality, targets, training_files, copy_taken_from, source_and_terms.
        curve: File name of a picture of the training curve beside the card, if there is one.
    """
    parts = [
        f"# {spec.name}",
        f"*{spec.notes}*" if spec.notes else "",
        _purpose(spec),
        "![the bundled phantoms with boxes and masks](examples.png)\n\nThe bundled phantoms (synthetic images) with the boxes "
        "that were given and the masks that came back.",
        "## How good it is",
        _headline(record),
        _by_modality(record),
        "Dice: mean over the objects of an image, then over images, then over modalities; the interval is a 95 % bootstrap "
        "over groups (patients, eyes, videos). Surface Dice: true 2D surface Dice at 2 px of the image. Box, ellipse and "
        "GrabCut see the same boxes (the protocol `box`: each side 0 to 5 % too large) and need no model.",
        _by_dataset(record),
        _by_size(record),
        "## How it depends on the prompt",
        _by_protocol(record),
        _clicks(record),
        f"## Training\n\n![training loss]({curve})" if curve else "",
        _training(training_data) if training_data else "",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


LIMITS = """## Limits, in plain words

- Research use only, not a medical device: no diagnosis, no treatment decision.
- A box cannot say which of two nested or crossing things is meant. Retinal vessels, single retinal layers, tubes in chest
  films, heart walls and tumour parts score worst, as the tables show.
- It answers every prompt with some mask, also where there is no object. The score is an estimate of its own IoU and is
  not calibrated.
- The validation images come from the same sources as the training images (other patients, eyes and videos); other
  devices and other protocols will score lower.
- A 3D volume is a stack of slices to it; nothing carries over from slice to slice."""


def _purpose(spec: ModelSpec) -> str:
    size = spec.preprocessing.image_size
    return (
        f"Promptable segmentation of 2D medical images: boxes, clicks, boxes with clicks, and a previous mask to refine. "
        f"Input {size} x {size}, backbone `{spec.architecture.backbone}`. Licence of the weights: {spec.licence}."
    )


def _line(record: dict, run: str, name: str = MEAN) -> dict:
    return next(row for row in record["runs"][run]["summary"]["modality"] if row["modality"] == name)


def _headline(record: dict) -> str:
    mean = _line(record, "box")
    best = max(BASELINES, key=lambda kind: _line(record, f"baseline {kind}")["dice"])
    baseline = _line(record, f"baseline {best}")["dice"]
    return (
        f"Validation, protocol `box`, mean over modalities: **Dice {mean['dice']:.3f}**, surface Dice {mean['surface_dice']:.3f}, "
        f"{mean['dice'] - baseline:+.3f} Dice against the best simple baseline ({best}, {baseline:.3f}). "
        f"{mean['objects']} objects on {mean['images']} images of {mean['groups']} groups, none of them trained on."
    )


def _by_modality(record: dict) -> str:
    header = ["modality", "groups", "objects", "Dice", "95 %", "IoU", "surface Dice", "HD95 px", *BASELINES]
    rows = []
    for row in record["runs"]["box"]["summary"]["modality"]:
        others = [_line(record, f"baseline {kind}", row["modality"])["dice"] for kind in BASELINES]
        interval = f"{_number(row['dice_low'])}..{_number(row['dice_high'])}"
        rows.append(
            [row["modality"], row["groups"], row["objects"], _number(row["dice"]), interval, _number(row["iou"]),
             _number(row["surface_dice"]), _number(row["hd95_median"], 1), *map(_number, others)]
        )  # fmt: skip
    return _table(header, rows)


def _by_dataset(record: dict) -> str:
    rows = [
        [row["dataset"], row["groups"], row["objects"], _number(row["dice"]), _number(row["surface_dice"])]
        for row in record["runs"]["box"]["summary"]["dataset"]
    ]
    return "By data set:\n\n" + _table(["data set", "groups", "objects", "Dice", "surface Dice"], rows)


def _by_size(record: dict) -> str:
    rows = []
    for run in ("box", "box, zoom off"):
        rows += [
            [run, row["size"], row["objects"], _number(row["dice"]), _number(row["surface_dice"])]
            for row in record["runs"][run]["summary"]["size"]
        ]
    return "By the object's share of the image:\n\n" + _table(["run", "size", "objects", "Dice", "surface Dice"], rows)


def _by_protocol(record: dict) -> str:
    rows = [
        [run, _number(mean["dice"]), _number(mean["surface_dice"])]
        for run in ("box", "box, zoom off", "box-tight", "box-jitter", "clicks", "box+clicks")
        for mean in [_line(record, run)]
    ]
    text = "Means over modalities; with clicks, after the last of five. The protocols are the files in `prompts/protocols`.\n\n"
    return text + _table(["protocol", "Dice", "surface Dice"], rows)


def _clicks(record: dict) -> str:
    columns = [f"dice_{k}" for k in range(6)]
    rows = [[run, *(_number(_line(record, run).get(column)) for column in columns)] for run in ("clicks", "box+clicks")]
    return "Dice after so many clicks:\n\n" + _table(["protocol", *map(str, range(6))], rows)


def _training(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as file:
        sources = [row for row in csv.DictReader(file) if int(row["training_files"])]
    rows = [[r["dataset"], r["modality"], r["targets"], r["training_files"], r["source_and_terms"]] for r in sources]
    text = (
        "Trained on the training split of these sets, split by group. Several are for research only or of unknown terms, so "
        "the weights are for research only. None of the images is part of this project.\n\n"
    )
    return text + _table(["data set", "modality", "targets", "files", "source and terms as stated there"], rows)


def _table(header: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def draw_examples(predictor: Predictor, height_px: int = 230, width_px: int = 1230) -> np.ndarray:
    """The bundled phantoms as the model sees them: boxes and masks over each, on one sheet.

    Args:
        predictor: The model.
        height_px: Height of a picture.
        width_px: A row holds as many pictures as fit into this.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows: list[list[np.ndarray]] = [[]]
    for case in bundled_cases():
        prompts = [Prompt(box=tuple(box)) for box in case.boxes.tolist()]
        labels = predictor.segment(case.image, prompts).label_map()
        picture = draw_prompts(draw_masks(case.image, labels), prompts)
        width = round(picture.shape[1] * height_px / picture.shape[0])
        picture = cv2.resize(picture, (width, height_px), interpolation=cv2.INTER_AREA)
        if sum(p.shape[1] for p in rows[-1]) + width > width_px and rows[-1]:
            rows.append([])
        rows[-1].append(picture)
    strips = [np.concatenate(row, axis=1) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(s, ((0, 4), (0, width - s.shape[1]), (0, 0))) for s in strips])
