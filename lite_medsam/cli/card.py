"""`lite-medsam card`: measure a model on validation cases and write its card."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from lite_medsam.cli.evaluate import groups_of, labelled_cases, targets_of
from lite_medsam.cli.options import engine_options, open_predictor

EXAMPLES_BYTES, FAILURES_BYTES = 480_000, 380_000  # pictures are committed with the weights
MODEL_BYTES = 45_000_000
SCORES = "scores.json"


@click.command(
    name="card",
    epilog="""\b
Examples:
  lite-medsam card -i cases/val --groups cases/index.csv --weights runs/mine/model
  lite-medsam card -i cases/val --groups cases/index.csv --weights runs/mine/model --calibrate
  lite-medsam card -i cases/val --every 20 --weights runs/mine/model -o look
  lite-medsam card --from-scores runs/mine/model/scores.json --weights runs/mine/model
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True,
              help="Labelled validation cases, never trained on. Repeatable.")  # fmt: skip
@click.option("--from-scores", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="scores.json of an earlier measurement: write its pages again, measure and draw nothing.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path),
              help="Where the card goes.  [default: the model directory]")  # fmt: skip
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns file and group.")  # fmt: skip
@click.option("--targets", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns dataset, label (or *) and target: what the labels are called.")  # fmt: skip
@click.option("--training-data", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV of the sets behind the weights and their terms.")  # fmt: skip
@click.option("--log", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="log.csv of the training run, for the picture of its loss.")  # fmt: skip
@click.option("--history", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True,
              help="CSV of `lite-medsam history`; further ones tell more of single modalities. Repeatable.")  # fmt: skip
@click.option("--ablation", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of reports of `evaluate --report NUMBER-NAME.json`: runs that differ in one thing.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take only every n-th case.")
@click.option("--curves-every", type=click.IntRange(1), default=2, show_default=True,
              help="Of these, prompt every n-th with moved boxes and up to 20 clicks.")  # fmt: skip
@click.option("--phantoms", type=click.IntRange(1), default=6, show_default=True,
              help="Phantoms of each kind that are searched for failures.")  # fmt: skip
@click.option("--calibrate", is_flag=True,
              help="Fit the map of scores on half of the groups and write it into the model's spec.json.")  # fmt: skip
@engine_options
def command(inputs, output, training_data, ablation, weights, from_scores, **measuring) -> None:
    """Measure a model on validation cases and write its card.

    Writes README.md, measurements.md, scores.json and pictures into the model directory. The first page has a table by modality,
    the second all of them: by data set, size and target beside baselines, Dice over moved boxes and clicks, calibration of the
    scores, and the phantoms it fails on.
    """
    from lite_medsam.card.ablation import read_reports
    from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

    if bool(inputs) == bool(from_scores):
        raise click.UsageError(
            "give either -i CASES to measure, or --from-scores to write the pages of a measurement again"
        )
    reports = read_reports(ablation) if ablation else None
    directory = Path(weights or DEFAULT_WEIGHTS)
    output = output or directory
    failed = None
    if from_scores:
        spec, record = _read(from_scores, directory)
    else:
        spec, record, failed = _measured(inputs, output, directory, **measuring)
    _write_pages(output, spec, record, training_data, reports)
    if failed:
        raise failed


def _read(scores: Path, directory: Path) -> tuple[Any, dict[str, Any]]:
    """A model's spec and the record of its measurement, which must be of these weights and of this map of scores."""
    from lite_medsam.card.summary import VERSION
    from lite_medsam.errors import CaseError
    from lite_medsam.model.spec import load_spec

    spec = load_spec(directory)
    try:
        record = json.loads(scores.read_text(encoding="utf-8"))
        version, files, found = record["version"], record["model"]["files"], record["calibration"]
        calibration = found["slope"], found["intercept"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CaseError(f"{scores} must be the scores.json of lite-medsam card, it is something else") from None
    if version != VERSION:
        raise CaseError(f"{scores} must have version {VERSION}, got {version!r}; measure again with -i")
    mine = spec.score_calibration.slope, spec.score_calibration.intercept
    if files != spec.files or calibration != mine:
        raise CaseError(f"{scores} must be of the weights in {directory}, but hashes or score calibration differ")
    return spec, record


def _measured(
    inputs,
    output,
    directory,
    *,
    groups,
    targets,
    log,
    history,
    every,
    curves_every,
    phantoms,
    calibrate,
    zoom,
    refine,
    **engine,
) -> tuple[Any, dict[str, Any], ValueError | None]:
    """Measures, writes scores.json and the pictures; gives the spec, the record, and why no calibration was found."""
    from dataclasses import replace

    from lite_medsam.card import CardSettings, summarise_card
    from lite_medsam.card.halves import fit
    from lite_medsam.errors import CaseError
    from lite_medsam.model.spec import save_spec
    from lite_medsam.storage.files import atomic_write

    found = labelled_cases(inputs)
    settings = CardSettings(
        zoom=zoom,
        refine=refine,
        curves_every=curves_every,
        groups=groups_of(groups, found) or {},
        targets=targets_of(targets, found),
    )
    predictor = open_predictor(weights=directory, zoom=zoom, refine=refine, **engine)
    measured = _measure(predictor.backend, found[::every], settings)
    for name, reason in measured.skipped:
        print(f"left out: {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
    if not measured.images:
        raise CaseError(f"the input must hold labelled cases, got none in {', '.join(map(str, inputs))}")
    spec, failed = predictor.spec, None
    if calibrate:
        try:
            spec = replace(spec, score_calibration=fit(measured.observations))
            save_spec(directory, spec)
        except ValueError as error:  # too few cases: what was measured is written all the same
            failed = error
    record: dict[str, Any] = {"model": {"name": spec.name, "engine": predictor.backend.name, "files": spec.files}}
    record |= summarise_card(measured, settings, spec.score_calibration)
    _write_pictures(output, record, predictor, phantoms, log, history)
    with atomic_write(output / SCORES) as path:
        path.write_text(
            json.dumps(record, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n", encoding="utf-8"
        )
    return spec, record, failed


def _write_pages(
    output: Path, spec, record: dict[str, Any], training_data: Path | None, reports: list[dict[str, Any]] | None
) -> None:
    from lite_medsam.card import write_card
    from lite_medsam.storage.files import atomic_write

    pictures = {path.name for path in output.glob("*.png")}
    for name, text in write_card(spec, record, training_data, pictures, reports).items():
        with atomic_write(output / name) as path:
            path.write_text(text, encoding="utf-8")
        print(output / name)
    size = sum(path.stat().st_size for path in output.iterdir() if path.is_file())
    if size > MODEL_BYTES:
        print(f"{output} holds {size / 1e6:.1f} MB, more than {MODEL_BYTES / 1e6:.0f} MB", file=sys.stderr)


def _measure(backend, cases, settings):
    from tqdm import tqdm

    from lite_medsam.card import measure

    with tqdm(total=len(cases), unit="case") as bar:
        return measure(backend, cases, settings, lambda _: bar.update())


def _write_pictures(
    output: Path, record: dict, predictor, phantoms: int, log: Path | None, history: tuple[Path, ...]
) -> None:
    """The sheets of phantoms; the plots too, where matplotlib is installed. Pictures that were not drawn are removed."""
    from lite_medsam.card.plots import draw_curves, draw_reliability
    from lite_medsam.card.sheets import FIRST_SEED, draw_examples, draw_failures, find_failures, small_png
    from lite_medsam.errors import MissingExtraError
    from lite_medsam.storage.files import atomic_write

    failures = find_failures(predictor, range(FIRST_SEED, FIRST_SEED + phantoms))
    sheets = {
        "examples.png": (draw_examples(predictor), EXAMPLES_BYTES),
        "failures.png": (draw_failures(failures), FAILURES_BYTES),
    }
    for name, (picture, limit) in sheets.items():
        with atomic_write(output / name) as path:
            path.write_bytes(small_png(picture, limit))
    for name, draw in (("curves.png", draw_curves), ("reliability.png", draw_reliability)):
        try:
            drawn = draw(record, output / name)
        except MissingExtraError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            drawn = False
        if not drawn:  # an older picture would not belong to these numbers
            (output / name).unlink(missing_ok=True)
    if log:
        from lite_medsam.learning.training.curves import draw_training

        draw_training(log, output / "training.png")
    if history:
        from lite_medsam.learning.training.history import draw_history, merge_histories, read_history

        draw_history(merge_histories([read_history(path) for path in history]), output / "history.png")
