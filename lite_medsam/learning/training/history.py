"""The learning curve: how good the weights were that a training run kept along its way."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lite_medsam.errors import WeightsError
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.scores import MEAN, Row, average
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.training.loop import KEPT, load_averaged
from lite_medsam.prompts.prompt_set import load_protocol
from lite_medsam.prompts.targets import Targets, family_of, known_target
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.files import atomic_write

COLUMNS = ("step", "what", "images", "objects", "dice", "surface_dice")
FIRST_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def measure_history(
    run: Path, cases: Sequence[Path], targets: Targets, out: Path, progress: Callable[[str], object] | None = None
) -> list[dict[str, Any]]:
    """Scores every kept checkpoint of a run on the same boxes; steps that `out` holds already are not measured again.

    Args:
        run: Folder of a run whose settings had `keep_every`.
        cases: Validation cases, never trained on.
        targets: What labels are called, for the families of targets.
        out: CSV to write after each checkpoint, atomically: step, what (the mean over modalities, a modality, or a family of
            targets), images, objects, dice, surface_dice.
        progress: Called with the name of each case.

    Raises:
        WeightsError: If the run kept nothing.
    """
    checkpoints = sorted((run / KEPT).glob("checkpoint-*.pt"))
    if not checkpoints:
        raise WeightsError(f"{run} must hold {KEPT}/checkpoint-*.pt; train with keep_every in the recipe")
    lines = read_history(out) if out.exists() else []
    known = {line["step"] for line in lines}
    for path in checkpoints:
        step = int(path.stem.rpartition("-")[2])
        if step in known:
            continue
        predictor = Predictor(TorchBackend(load_averaged(path)))
        rows = evaluate(predictor, cases, load_protocol("box"), progress=progress).rows
        for row in rows:
            target = known_target(targets, row["case"], row["label"])
            row["family"] = family_of(row["modality"], target)
        lines += [{"step": step, **line} for line in _lines(rows)]
        lines.sort(key=lambda line: line["step"])
        with atomic_write(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(lines)
    return lines


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a history, numbers as numbers."""
    kinds = {"step": int, "what": str, "images": int, "objects": int, "dice": float, "surface_dice": float}
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: kinds[name](row[name]) for name in COLUMNS} for row in csv.DictReader(file)]


def merge_histories(histories: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One history of several: the first has the mean over modalities, what a later one tells of parts replaces the first's."""
    merged = {(line["step"], line["what"]): line for line in histories[0]}
    for history in histories[1:]:
        merged |= {(line["step"], line["what"]): line for line in history if line["what"] != MEAN}
    return sorted(merged.values(), key=lambda line: line["step"])


def _lines(rows: list[Row]) -> Iterator[dict[str, Any]]:
    parts: dict[str, list[Row]] = {MEAN: rows}
    for key in ("modality", "family"):
        for name in sorted({row[key] for row in rows} - {""}):
            parts[name] = [row for row in rows if row[key] == name]
    for what, part in parts.items():
        values = {name: round(average(part, name, what == MEAN), 4) for name in ("dice", "surface_dice")}
        yield {"what": what, "images": len({row["image"] for row in part}), "objects": len(part)} | values


def draw_history(lines: Sequence[dict[str, Any]], target: Path) -> None:
    """Draws Dice and surface Dice over the steps: mean and families of targets left, modalities right.

    Args:
        lines: From `measure_history`.
        target: The PNG to write, atomically.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(line["what"] for line in lines))
    families = [name for name in names if ":" in name or name.startswith("OCT ")]
    modalities = [name for name in names if name not in (MEAN, *families)]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.4), layout="constrained", sharey=True)
    for axis, shown in ((left, [MEAN, *families]), (right, modalities)):
        colours = [*FIRST_COLOURS, *map(pyplot.get_cmap("tab10"), range(10))]
        for name, colour in zip(shown, colours, strict=False):
            part = [line for line in lines if line["what"] == name]
            steps, width = [line["step"] for line in part], 2.5 if name == MEAN else 1.2
            axis.plot(steps, [line["dice"] for line in part], color=colour, linewidth=width, marker=".", label=name)
            if name == MEAN:
                surface = [line["surface_dice"] for line in part]
                axis.plot(steps, surface, ":", color=colour, linewidth=2, label=f"{name}, surface Dice")
        axis.set(xlabel="step", ylim=(0, 1))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right", ncols=2)
    left.set_ylabel("validation Dice, boxes")
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
