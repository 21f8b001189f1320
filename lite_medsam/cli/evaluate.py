"""`lite-medsam evaluate`: scores of a model or of finished predictions on labelled cases."""

import sys
from pathlib import Path
from typing import Any

import click

from lite_medsam.cli.options import engine_options, open_predictor


@click.command(
    name="evaluate",
    epilog="""\b
Examples:
  lite-medsam evaluate -i cases -o scores.csv
  lite-medsam evaluate -i cases --protocol clicks --weights runs/mine/model
  lite-medsam evaluate -i cases --targets targets.csv
  lite-medsam evaluate -i cases --baseline ellipse
  lite-medsam evaluate -i cases --predictions out
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True,
              help="Labelled npz case, or a folder of them. Repeatable.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV with the scores of every object.")
@click.option("--report", type=click.Path(path_type=Path), help="Summary tables: Markdown (.md) or JSON (.json).")
@click.option("--protocol", default="box", show_default=True,
              help="Who prompts: box, box-tight, box-jitter, clicks, box+clicks, or a JSON file.")  # fmt: skip
@click.option("--predictions", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Score the `segs` of this folder's NAME.npz instead of a model.")  # fmt: skip
@click.option("--baseline", type=click.Choice(["box", "ellipse", "grabcut"]),
              help="Score this instead of a model.")  # fmt: skip
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns file and group: whose image each case is.")  # fmt: skip
@click.option("--targets", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with dataset, label (or *) and target: prompts say the names that the model knows.")  # fmt: skip
@click.option("--by", type=click.Choice(["modality", "dataset", "size"]), default="modality", show_default=True,
              help="Rows of the table that is printed.")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0), default=2.0, show_default=True,
              help="Of surface Dice, pixels.")  # fmt: skip
@click.option("--slices", type=click.IntRange(1), default=6, show_default=True,
              help="Labelled slices taken from a volume.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Take only every n-th case, for a quick look.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@engine_options
def command(
    inputs,
    output,
    report,
    protocol,
    predictions,
    baseline,
    groups,
    targets,
    by,
    tolerance,
    slices,
    every,
    as_json,
    quiet,
    **engine,
) -> None:
    """Score a model or finished predictions on labelled cases.

    Dice, IoU, surface Dice and HD95 per case and label; averages over objects, then images, then modalities.
    """
    from tqdm import tqdm

    from lite_medsam.errors import CaseError
    from lite_medsam.evaluation.baselines import BaselineSegmenter
    from lite_medsam.evaluation.evaluate import evaluate, evaluate_predictions, known_targets
    from lite_medsam.prompts.prompt_set import load_protocol
    from lite_medsam.prompts.targets import read_targets
    from lite_medsam.storage.files import atomic_write

    if predictions and baseline:
        raise click.UsageError("give either --predictions or --baseline, not both")
    if targets and (predictions or baseline):
        raise click.UsageError("--targets is for models; leave it out with --predictions and --baseline")
    names = None if targets is None else read_targets(targets)
    paths = labelled_cases(inputs)[::every]
    if not paths:
        raise CaseError(f"the input must hold npz cases, got none in {', '.join(map(str, inputs))}")
    with tqdm(total=len(paths), unit="case", disable=quiet, leave=False) as bar:

        def progress(_: str) -> None:
            bar.update()

        if predictions:
            result = evaluate_predictions(paths, predictions, tolerance_px=tolerance, progress=progress)
        else:
            segmenter: Any = BaselineSegmenter(baseline) if baseline else open_predictor(**engine)
            if names is not None and not known_targets(segmenter):
                print(f"--targets changes nothing: {segmenter.spec.name} knows no names", file=sys.stderr)
            result = evaluate(
                segmenter, paths, load_protocol(protocol), tolerance_px=tolerance, slices_per_volume=slices,
                groups=read_groups(groups), targets=names, progress=progress,
            )  # fmt: skip
    for name, reason in result.skipped:
        print(f"left out: {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
    if not result.rows:
        raise CaseError("no case could be scored; see the reasons above")
    if output:
        result.write_csv(output)
    if report:
        with atomic_write(report) as path:
            text = result.to_json() if report.suffix.lower() == ".json" else result.to_markdown()
            path.write_text(text, encoding="utf-8")
    print(result.to_json() if as_json else result.format_table(by))


def labelled_cases(inputs: tuple[Path, ...]) -> list[Path]:
    """The npz files of the inputs, folders searched with their subfolders."""
    paths = []
    for given in inputs:
        paths += sorted(given.rglob("*.npz")) if given.is_dir() else [given]
    return paths


def read_groups(path: Path | None) -> dict[str, str] | None:
    """Group by case name from a CSV with the columns `file` and `group`."""
    import csv

    from lite_medsam.errors import CaseError

    if path is None:
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"file", "group"} <= set(rows.fieldnames or ()):
            raise CaseError(f"{path} must be a CSV with the columns file and group, got {rows.fieldnames}")
        return {Path(row["file"]).stem: row["group"] for row in rows}
