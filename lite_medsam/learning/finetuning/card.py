"""What a fine-tuning run leaves for people: the card of the new model, its scores, and the pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lite_medsam.evaluation.score_tables import format_table
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.learning.finetuning.data import Division, evenly
from lite_medsam.learning.finetuning.result import FinetuneResult
from lite_medsam.learning.finetuning.settings import FinetuneSettings
from lite_medsam.learning.training.curves import draw_training
from lite_medsam.learning.training.run_log import TRAINING, VALIDATION
from lite_medsam.learning.training.validation import comparison, draw_panel, format_comparison
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write

CURVES, PANEL, SCORES, CARD = "training.png", "validation.png", "scores.json", "README.md"
PANEL_CASES = 8

LIMITS = """## Limits, in plain words

- Research use only, not a medical device.
- The validation chose the step that was kept, so its Dice is a little too high; score a test set that was never looked at
  with `lite-medsam evaluate`.
- Held-out groups come from the same source as the training groups; other devices and sites will score lower.
- What the starting model could do elsewhere can have become worse; these tables do not show it."""


def write_report(
    result: FinetuneResult,
    settings: FinetuneSettings,
    division: Division,
    validation: Sequence[Path],
    spec: ModelSpec,
    predictors: tuple[Predictor, Predictor],
    out: Path,
) -> None:
    """Writes the card, scores.json, the curves and the panel into the model directory, and the rows as CSV beside it.

    The panel shows validation images of the user: it belongs to the user's own folder.

    Args:
        result: What the run came to.
        settings: Of the run.
        division: Its cases.
        validation: The files that were scored.
        spec: Of the new model.
        predictors: The starting model and the new one.
        out: Folder of the run.
    """
    model = result.model
    for side, scores in (("before", result.before), ("after", result.after)):
        for name, evaluation in scores.items():
            evaluation.write_csv(out / f"scores-{side}-{name.replace('+', '-')}.csv")
    record = {
        "split_sha256": division.split.sha256,
        "data_sha256": division.sha256,
        "protocols": {user.name: user.sha256 for user in settings.report_protocols()},
        "table": comparison(result.before, result.after),
        "before": {name: json.loads(e.to_json()) for name, e in result.before.items()},
        "after": {name: json.loads(e.to_json()) for name, e in result.after.items()},
    }
    with atomic_write(model / SCORES) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draw_training(out / TRAINING, model / CURVES, out / VALIDATION)
    panel = draw_panel(*predictors, evenly(validation, PANEL_CASES), settings.report_protocols()[0])
    write_png(model / PANEL, panel)
    with atomic_write(model / CARD) as path:
        path.write_text(card(result, settings, division, spec), encoding="utf-8")


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 RGB image, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(png_bytes(image))


def card(result: FinetuneResult, settings: FinetuneSettings, division: Division, spec: ModelSpec) -> str:
    """The card as Markdown."""
    main = settings.report_protocols()[0]
    after = result.after[main.name]
    kept = (
        f"the averaged weights of step {result.best_step} of {result.steps}"
        if result.best_step
        else f"the starting weights: none of {result.steps} steps was better on the validation cases"
    )
    minutes = result.seconds / 60
    parts = [
        f"# {spec.name}",
        spec.notes,
        f"Trained part: `{settings.train}`, {minutes:.1f} minutes in steps. Kept: {kept}. Licence of the weights: {spec.licence}.",
        "## Before and after",
        format_comparison(comparison(result.before, result.after), markdown=True),
        "The same held-out cases and prompts for both models, through the same predictor. Means over the objects of an image, "
        "then over images, then over modalities; surface Dice at 2 px.",
        f"After, protocol `{main.name}`, by modality:",
        format_table(after.summary("modality"), markdown=True),
        f"By size of the object:\n\n{format_table(after.summary('size'), markdown=True)}",
        f"![held-out cases: truth, before, after]({PANEL})",
        f"![training loss and validation scores]({CURVES})",
        "## Data",
        _data(settings, division),
        "## Settings",
        "```json\n" + _changed(settings) + "\n```",
        "Fields that are not shown have their defaults; `settings.json` of the run has all of them.",
        LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(settings: FinetuneSettings, division: Division) -> str:
    split = division.split
    groups = sorted({split.groups[path.stem] for path in division.validation})
    shown = ", ".join(groups[:40]) + (f" and {len(groups) - 40} more" if len(groups) > 40 else "")
    lines = [
        f"- Training: cases {len(division.train)}, groups {division.train_groups}.",
        f"- Held out: cases {len(division.validation)}, groups {division.validation_groups}: {shown}.",
        f"- Split SHA-256 `{split.sha256}`, data SHA-256 `{division.sha256}`.",
    ]
    if division.ungrouped:
        lines.append(f"- {division.ungrouped} cases name no group; each counts as a group of its own.")
    if division.unlabelled or division.outside:
        lines.append(f"- Left out: {division.unlabelled} without an object, {division.outside} outside the two parts.")
    users = {user.name: user for user in settings.report_protocols()}
    lines += [f"- Protocol `{name}` version {user.version}, SHA-256 `{user.sha256}`." for name, user in users.items()]
    return "\n".join(lines)


def _changed(settings: FinetuneSettings) -> str:
    default = FinetuneSettings()
    changed = {k: v for k, v in vars(settings).items() if v != getattr(default, k)}
    return json.dumps({"train": settings.train, "seed": settings.seed, **changed}, indent=1)
