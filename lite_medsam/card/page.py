"""The card as Markdown, from the record of the measurements."""

import csv
from pathlib import Path
from typing import Any

from lite_medsam.card.ablation import ablation_table
from lite_medsam.card.markdown import number, percent, table, with_interval
from lite_medsam.card.measure import BASELINES, ORACLE
from lite_medsam.card.weaknesses import weaknesses
from lite_medsam.evaluation.scores import MEAN
from lite_medsam.model.spec import ModelSpec

PICTURES = {
    "training.png": "Training: loss and learning rate over the steps.",
    "curves.png": "Dice against how far every side of the box is moved, and against the number of clicks; the bands are 95 % "
    "intervals over groups.",
    "history.png": "Learning curve: validation Dice of the averaged weights that the run kept along its way.",
    "reliability.png": "Score against measured IoU, before and after calibration, on the groups that it was not fitted on.",
    "failures.png": "The phantoms that it gets most wrong: the truth in green, the answer in magenta, the box in white.",
    "examples.png": "The bundled phantoms (synthetic images) with the boxes that were given and the masks that came back.",
}

NO_PLOT = "*No plot here: drawing one needs the extra `plots`. The tables hold the numbers.*"

USE = """## What it is for

Research on segmentation, and labelling of images under a person's eyes: prompt, look, correct. It runs on a laptop's CPU.
**It is not a medical device**: no diagnosis, no treatment decision, no measurement that a patient depends on. Masks have to be
looked at; nothing in the file warns when an image is unlike those it was trained on.
"""

ABLATION = (
    "What each part brings, from short runs with equally many steps that are far from finished (see "
    "`weights/recipes/ablation`); every line adds to the one above it, unless its name says otherwise.\n\n"
)

LIMITS = (
    "It answers every prompt with some mask, also where there is no object.",
    "A box alone cannot say which of two nested or crossing things is meant: vessels, single layers, heart walls, tumour parts, "
    "tubes.",
    "The validation images come from the same sources as the training images (other patients, eyes and videos); other devices "
    "and other protocols will score lower.",
    "Volumes are scored here slice by slice, each slice with a prompt of its own.",
)


def write_card(
    spec: ModelSpec,
    record: dict[str, Any],
    training_data: Path | None,
    pictures: set[str],
    ablation: list[dict[str, Any]] | None = None,
) -> str:
    """The card as Markdown.

    Args:
        spec: The model.
        record: From `summarise_card`.
        training_data: CSV with dataset, modality, targets, training_files, copy_taken_from, source_and_terms.
        pictures: Those of `PICTURES` that lie beside the card; the others are not shown.
        ablation: From `read_reports`.
    """
    parts = [
        f"# {spec.name}",
        f"*{spec.notes}*" if spec.notes else "",
        _purpose(spec),
        _picture("examples.png", pictures),
        USE.strip(),
        "## How good it is",
        _headline(record),
        _by_modality(record),
        _explain(record),
        _apart(record),
        _by_size(record),
        _by_dataset(record),
        _named(record),
        "## How it depends on the prompt",
        _picture("curves.png", pictures) or NO_PLOT,
        _moved(record),
        _clicks(record),
        "## How honest its score is",
        _calibration(record),
        _picture("reliability.png", pictures) or NO_PLOT,
        "## Known weaknesses",
        "\n".join(f"- {sentence}" for sentence in (*weaknesses(record), *LIMITS)),
        _picture("failures.png", pictures),
        "## Training" if training_data or ablation or pictures & {"training.png", "history.png"} else "",
        _picture("training.png", pictures),
        _picture("history.png", pictures),
        ABLATION + ablation_table(ablation) if ablation else "",
        _training(training_data) if training_data else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _picture(name: str, pictures: set[str]) -> str:
    return f"![{PICTURES[name]}]({name})\n\n{PICTURES[name]}" if name in pictures else ""


def _purpose(spec: ModelSpec) -> str:
    size = spec.preprocessing.image_size
    return (
        f"Promptable segmentation of 2D medical images. Prompts it was trained on: {', '.join(spec.prompts)}. Input {size} x "
        f"{size}, backbone `{spec.architecture.backbone}`. Licence of the weights: {spec.licence}."
    )


def _line(record: dict, run: str, by: str = "modality", name: str = MEAN) -> dict:
    found = record["runs"][run].get(by, ())
    return next((line for line in found if line["name"] == name), {"dice": None, "surface_dice": None})


def _headline(record: dict) -> str:
    mean = _line(record, "box")
    best = max(BASELINES, key=lambda kind: _line(record, f"baseline {kind}")["dice"] or 0)
    baseline = _line(record, f"baseline {best}")["dice"]
    return (
        f"Validation, a box for every object, mean over modalities: **Dice {number(mean['dice'])}**, surface Dice "
        f"{number(mean['surface_dice'])}, {mean['dice'] - baseline:+.3f} Dice against the best baseline without a model ({best}, "
        f"{number(baseline)}). {mean['objects']} objects on {mean['images']} images of {mean['groups']} groups, none of them "
        "trained on."
    )


_HEADER = ("groups", "objects", "Dice", "surface Dice", "challenge NSD")
_OTHERS = (*BASELINES, f"{ORACLE} (oracle)")


def _scored(line: dict) -> list[Any]:
    """The cells under `_HEADER`."""
    return [
        line["groups"], line["objects"], with_interval(line, "dice"), with_interval(line, "surface_dice"),
        number(line["challenge_nsd"]),
    ]  # fmt: skip


def _against(record: dict, by: str, name: str) -> list[str]:
    """Dice of the baselines on the same objects, under `_OTHERS`."""
    return [number(_line(record, f"baseline {kind}", by, name)["dice"]) for kind in (*BASELINES, ORACLE)]


def _by_modality(record: dict) -> str:
    rows = []
    for line in record["runs"]["box"]["modality"]:
        others = _against(record, "modality", line["name"])
        distances = [
            number(_line(record, f"baseline {kind}", "modality", line["name"])["surface_dice"]) for kind in BASELINES
        ]
        rows.append([line["name"], *_scored(line), *others, " / ".join(distances)])
    return table(["modality", *_HEADER, *_OTHERS, "surface Dice of " + " / ".join(BASELINES)], rows)


def _explain(record: dict) -> str:
    settings = record["settings"]
    return (
        "Dice: mean over the objects of an image, then over images, then over modalities; in brackets the 95 % bootstrap "
        f"interval over groups (patients, eyes, videos). Surface Dice: true 2D surface Dice at {settings['tolerance_px']:g} px "
        "of the image. Challenge NSD: the number that the CVPR 2024 script reports for pictures; it measures a slab one voxel "
        "thick, so it is mostly agreement of areas and higher. Columns after it: Dice on the same boxes (protocol `box`: each "
        "side 0 to 5 % too large) of the filled box, the inscribed ellipse, GrabCut, and the best grey-level threshold in "
        "the box. That last one is an oracle: threshold and polarity are chosen by the truth. At most 8 objects of an image "
        f"and {settings['slices_per_volume']} slices of a volume."
    )


def _apart(record: dict) -> str:
    families, targets = record["runs"]["box"]["family"], record["runs"]["box"]["target"]
    if not families and not targets:
        return ""
    rows = [[line["name"], *_scored(line), *_against(record, "family", line["name"])] for line in families]
    text = "Fundus and OCT apart:\n\n" + table(["what", *_HEADER, *_OTHERS], rows) if rows else ""
    rows = [[line["name"], *_scored(line)] for line in targets]
    return f"{text}\n\nBy what was segmented, as the data sets name it:\n\n" + table(["what", *_HEADER], rows)


def _named(record: dict) -> str:
    """The same boxes with and without a name."""
    if "box, named" not in record["runs"]:
        return ""
    plain, named = record["runs"]["box, unnamed"], record["runs"]["box, named"]
    rows = []
    for by in ("modality", "family", "target"):
        before = {line["name"]: line for line in plain[by]}
        for line in named[by]:
            old = before[line["name"]]
            change = f"{100 * (line['dice'] - old['dice']):+.1f}"
            name = f"**{line['name']}**" if line["name"] == MEAN else line["name"]
            rows.append([name, line["objects"], number(old["dice"]), with_interval(line, "dice"), change,
                         number(old["surface_dice"]), number(line["surface_dice"])])  # fmt: skip
    text = (
        "With the object's name beside the box (`--target`), the same boxes without it in the column before. Only objects "
        "whose name the model knows: modalities first, then families, then targets.\n\n"
    )
    header = [
        "what",
        "objects",
        "Dice, no name",
        "Dice, named",
        "points",
        "surface Dice, no name",
        "surface Dice, named",
    ]
    return text + table(header, rows)


def _by_size(record: dict) -> str:
    rows = [
        [run, line["name"], line["objects"], with_interval(line, "dice"), with_interval(line, "surface_dice")]
        for run in ("box", "box, zoom off")
        for line in record["runs"][run]["size"]
    ]
    return "Small objects, by the share of the image:\n\n" + table(["run", "size", "objects", *_HEADER[2:4]], rows)


def _by_dataset(record: dict) -> str:
    lines = record["runs"]["box"]["dataset"]
    rows = [[line["name"], *_scored(line), *_against(record, "dataset", line["name"])] for line in lines]
    return "By data set:\n\n" + table(["data set", *_HEADER, *_OTHERS], rows)


def _subset(record: dict) -> str:
    settings = record["settings"]
    if settings["curves_every"] == 1:
        return f"All {settings['curve_images']} images."
    return (
        f"Every {settings['curves_every']}. case: {settings['curve_images']} of {settings['images']} images, so the figures "
        "differ a little from those above."
    )


def _moved(record: dict) -> str:
    lines = [line for line in record["moved"] if line["dice"] is not None]
    if not lines:
        return ""
    modalities = list(lines[0]["by_modality"])
    names = {"box, curves": "each side 0 to 5 % outwards (`box`)"}
    rows = [
        [names.get(line["name"], line["name"]), with_interval(line, "dice"),
         *(number(line["by_modality"].get(name)) for name in modalities)]
        for line in lines
    ]  # fmt: skip
    text = (
        "Dice against the box. *moved*: every side of the exact box moved by this share of the box's width or height, "
        "outwards if positive; *within*: each side by a draw of its own between so far inwards and so far outwards. "
    )
    return text + _subset(record) + "\n\n" + table(["box", "mean over modalities", *modalities], rows)


def _clicks(record: dict) -> str:
    parts = []
    for name, start in (("clicks", "clicks alone"), ("box+clicks", "a box, then clicks")):
        found = record["clicks"][name]
        if not found:
            continue
        lines = [
            {"dice": dice, "dice_low": low, "dice_high": high}
            for dice, (low, high) in zip(found["dice"], found["intervals"], strict=True)
        ]
        rows = [["mean over modalities", *(with_interval(line, "dice") for line in lines)]]
        rows += [[modality, *map(number, values)] for modality, values in found["by_modality"].items()]
        header = [start, *(f"{k} clicks" if k != 1 else "1 click" for k in found["clicks"])]
        parts.append(table(header, rows) + f"\n\nSurface Dice after five clicks: {number(found['surface_dice'])}.")
    if not parts:
        return ""
    text = "Dice after so many clicks, each in the middle of the largest error so far, with the mask so far given back."
    return "\n\n".join([text, *parts, _noc(record["clicks"]["clicks"])])


def _noc(found: dict) -> str:
    """The table of NoC."""
    noc = found.get("noc", {})
    if not noc:
        return ""
    rows = []
    for measure, name in (("iou", "IoU"), ("dice", "Dice")):
        for goal in ("80%", "90%"):
            value, never = noc[f"noc_{measure}_{goal}"], noc[f"never_{measure}_{goal}"]
            rows.append([f"NoC@{goal[:-1]}, {name}", number(value, 1), percent(never)])
    return (
        "Number of clicks (NoC) until a mask is good enough for the first time, at most 20; objects that never get there count "
        "as 20 and are told beside it. Means over objects, then images, then modalities. In the literature on interactive "
        "segmentation NoC is by IoU.\n\n" + table(["", "clicks", "never in 20"], rows)
    )


def _calibration(record: dict) -> str:
    found = record["calibration"]
    rows = [
        [line["kind"].replace("all", "box, clicks, box+clicks alike"), line["masks"], number(line["error_before"]),
         number(line["error_after"]), _signed(line["bias_before"]), _signed(line["bias_after"])]
        for line in found["kinds"] if line["masks"]
    ]  # fmt: skip
    done = (found["slope"], found["intercept"]) != (1.0, 0.0)
    text = (
        "The network estimates the IoU of each mask. " + (
            f"`spec.json` holds a map of two numbers for it, sigmoid({found['slope']:g} logit(score) {found['intercept']:+g}), "
            f"fitted by `lite-medsam card --calibrate` on {found['groups_fitted']} groups. "
            if done else "The scores are not calibrated. "
        ) + f"The figures are from the other {found['groups_reported']} groups. Error: expected calibration error, the distance "
        "between score and measured IoU averaged over ten bins of scores. Bias: mean score minus mean IoU. Moved boxes were "
        "not used for fitting."
    )  # fmt: skip
    header = ["prompts", "masks", "error before", "error", "bias before", "bias"]
    by_modality = ", ".join(f"{line['name']} {_signed(line['bias'])}" for line in found["modalities"])
    bias = f"\n\nBias of the masks from boxes, by modality: {by_modality}." if by_modality else ""
    return text + "\n\n" + table(header, rows) + bias


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _training(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as file:
        sources = [row for row in csv.DictReader(file) if int(row["training_files"])]
    rows = [[r["dataset"], r["modality"], r["targets"], r["training_files"], r["source_and_terms"]] for r in sources]
    text = (
        "Trained on the training split of these sets, split by group. Several are for research only or of unknown terms, so "
        "the weights are for research only. None of the images is part of this project.\n\n"
    )
    return text + table(["data set", "modality", "targets", "files", "source and terms as stated there"], rows)
