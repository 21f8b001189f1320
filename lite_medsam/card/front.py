"""The first page of a card, for a screen and a phone: what it is for, how good it is, what it cannot do."""

from typing import Any

from lite_medsam.card.honesty import words
from lite_medsam.card.markdown import number, table
from lite_medsam.card.measure import BASELINES
from lite_medsam.card.pictures import picture
from lite_medsam.card.record import line_of
from lite_medsam.card.weaknesses import LIMITS, short_weaknesses
from lite_medsam.evaluation.scores import MEAN
from lite_medsam.model.spec import ModelSpec
from lite_medsam.results.score_words import score_words

USE = (
    "For research on segmentation, and for labelling images under a person's eyes: prompt, look, correct. It runs on a laptop's "
    "CPU. **It is not a medical device**: no diagnosis, no treatment decision, no measurement that a patient depends on."
)
NAMES_CHANGE = 0.03  # of Dice, by a name: told on the first page from here on


def front(spec: ModelSpec, record: dict[str, Any], pictures: set[str], more: str) -> str:
    """The page as Markdown.

    Args:
        spec: The model.
        record: From `summarise_card`.
        pictures: Names of those that lie beside the page.
        more: File with the long tables.
    """
    parts = [
        f"# {spec.name}",
        f"*{spec.notes}*" if spec.notes else "",
        USE,
        _facts(spec),
        "## How good it is",
        _headline(record),
        _by_modality(record),
        _columns(more),
        _names(record),
        picture("examples.png", pictures),
        "## What it cannot do",
        "\n".join(f"- {sentence}" for sentence in (*LIMITS, *short_weaknesses(record))),
        "## What a score means",
        words(record),
        "## More",
        f"[Measurements]({more}): intervals, data sets, targets, small objects, moved boxes, clicks, calibration, all known "
        "weaknesses, and what it was trained on under which terms.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(spec: ModelSpec) -> str:
    size = spec.preprocessing.image_size
    return (
        f"2D images, input {size} x {size}, backbone `{spec.architecture.backbone}`. Prompts it was trained on: "
        f"{', '.join(spec.prompts)}. Licence of the weights: {spec.licence}."
    )


def _best_baseline(record: dict, name: str) -> tuple[str, float | None]:
    """The best way without a model, and its Dice."""
    found = {kind: line_of(record, f"baseline {kind}", name=name)["dice"] for kind in BASELINES}
    best = max(found, key=lambda kind: found[kind] or 0)
    return best, found[best]


def _headline(record: dict) -> str:
    mean = line_of(record, "box")
    kind, baseline = _best_baseline(record, MEAN)
    return (
        f"Validation, a box for every object: {mean['objects']} objects on {mean['images']} images of {mean['groups']} groups "
        f"(patients, eyes, videos), none of them trained on. Mean over modalities: **Dice {number(mean['dice'])}**, surface Dice "
        f"{number(mean['surface_dice'])}, {mean['dice'] - (baseline or 0):+.3f} Dice against the best baseline without a model "
        f"({kind}, {number(baseline)})."
    )


def _by_modality(record: dict) -> str:
    rows = []
    for line in record["runs"]["box"]["modality"]:
        name = "**mean**" if line["name"] == MEAN else line["name"]
        rows.append(
            [
                name,
                number(line["dice"], 2),
                number(_best_baseline(record, line["name"])[1], 2),
                score_words(line["iou"]),
            ]
        )
    return table(["modality", "Dice", "no model", "in words"], rows)


def _columns(more: str) -> str:
    return (
        "*No model*: the filled box, the ellipse in it or GrabCut, whichever is best. *In words*: what the mean IoU of the "
        "modality means, see below; single objects are better and worse. Intervals and surface Dice are in the "
        f"[measurements]({more})."
    )


def _names(record: dict) -> str:
    """Where saying what is in the box helps, if the model knows names."""
    if "box, named" not in record["runs"]:
        return ""
    plain, named = line_of(record, "box, unnamed"), line_of(record, "box, named")
    better, worse = list[str](), list[str]()
    for by in ("modality", "family"):
        for line in record["runs"]["box, named"][by]:
            before = line_of(record, "box, unnamed", by, line["name"])["dice"]
            if line["name"] != MEAN and abs(line["dice"] - before) >= NAMES_CHANGE:
                change = f"{line['name']} {number(before, 2)} to {number(line['dice'], 2)}"
                (better if line["dice"] > before else worse).append(change)
    sentences = [
        f"With the name of what is in the box (`--target`) the mean is {number(named['dice'])} instead of {number(plain['dice'])}.",
        f"It helps most here: {', '.join(better)}." if better else "",
        f"It makes worse: {', '.join(worse)}." if worse else "",
    ]
    return " ".join(filter(None, sentences))
