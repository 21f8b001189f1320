"""`lite-medsam evaluate`: scores of a model or of finished predictions on labelled cases."""

import sys
from pathlib import Path
from typing import Any

import click

from lite_medsam.cli.measures import columns_of, open_baseline, protocol_of, with_measures
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
  lite-medsam evaluate -i cases --metrics review -o measures.csv
  lite-medsam evaluate -i cases --metrics clicks --protocol box+clicks
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True,
              help="Labelled npz case, or a folder of them. Repeatable.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="CSV with the scores of every object.")
@click.option("--report", type=click.Path(path_type=Path), help="Summary tables: Markdown (.md) or JSON (.json).")
@click.option("--protocol", default="box", show_default=True,
              help="Who prompts: box, box-tight, box-jitter, clicks, box+clicks, or a JSON file.")  # fmt: skip
@click.option("--predictions", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Score this folder's NAME.npz (`segs`), NAME.png (stored numbers), NAME.nii.gz instead of a model.")  # fmt: skip
@click.option("--metrics", type=click.Choice(["basic", "review", "clicks"]), default="basic", show_default=True,
              help="review: every measure of docs/evaluation.md with its unit; clicks: areas under the curve over 5 clicks, "
              "and clicks to a goal, at most 20.")  # fmt: skip
@click.option("--baseline", metavar="[box|ellipse|grabcut|FOLDER]",
              help="Score this instead of a model; FOLDER is a specialist of `lite-medsam baseline`.")  # fmt: skip
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns file and group: whose image each case is. Rows that fit no case are counted.")  # fmt: skip
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
    metrics,
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
    from lite_medsam.evaluation.evaluate import evaluate, evaluate_predictions, known_targets

    if predictions and baseline:
        raise click.UsageError("give either --predictions or --baseline, not both")
    if metrics == "clicks" and predictions:
        raise click.UsageError("--metrics clicks needs someone to answer clicks; leave --predictions out")
    if targets and (predictions or baseline):
        raise click.UsageError("--targets is for models; leave it out with --predictions and --baseline")
    found = labelled_cases(inputs)
    if not found:
        raise CaseError(f"the input must hold npz cases, got none in {', '.join(map(str, inputs))}")
    names = None if targets is None else targets_of(targets, found)
    owners, paths = groups_of(groups, found), found[::every]
    columns = columns_of(metrics, tolerance)
    with tqdm(total=len(paths), unit="case", disable=quiet, leave=False) as bar:

        def progress(_: str) -> None:
            bar.update()

        if predictions:
            result = evaluate_predictions(
                paths, predictions, tolerance_px=tolerance, groups=owners, progress=progress, columns=columns,
            )  # fmt: skip
        else:
            segmenter: Any = open_baseline(baseline, engine["threads"]) if baseline else open_predictor(**engine)
            if names is not None and not known_targets(segmenter):
                print(f"--targets changes nothing: {segmenter.spec.name} knows no names", file=sys.stderr)
            result = evaluate(
                segmenter, paths, protocol_of(protocol, metrics), tolerance_px=tolerance, slices_per_volume=slices,
                groups=owners, targets=names, progress=progress, columns=columns,
            )  # fmt: skip
            if names is not None and known_targets(segmenter) and result.rows and not result.settings["named_objects"]:
                print(
                    "--targets named no object: no label of the cases is in it with a name that the model knows",
                    file=sys.stderr,
                )
    for name, reason in result.skipped:
        print(f"left out: {reason if name in reason else f'{name}: {reason}'}", file=sys.stderr)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if not result.rows:
        raise CaseError("no case could be scored; see the reasons above")
    result = with_measures(result, metrics)
    print(result.to_json() if as_json else result.format_table(by))
    _write(result, output, report)


def _write(result, output: Path | None, report: Path | None) -> None:
    """Writes the files that were asked for; one that cannot be written does not keep the other from it.

    Raises:
        OSError: At the end, the first that went wrong.
    """
    from lite_medsam.storage.files import atomic_write

    errors = []
    try:
        if output:
            result.write_csv(output)
    except OSError as error:
        errors.append(error)
    try:
        if report:
            text = result.to_json() if report.suffix.lower() == ".json" else result.to_markdown()
            with atomic_write(report) as path:
                path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        errors.append(error)
    if errors:
        raise errors[0]


def labelled_cases(inputs: tuple[Path, ...]) -> list[Path]:
    """The npz files of the inputs, each once, folders searched with their subfolders; what cannot be read is told."""
    from lite_medsam.storage.paths import files_below, shown_path

    paths: dict[Path, Path] = {}
    for given in inputs:
        found = files_below(given, (".npz",)) if given.is_dir() else None
        for path in [given] if found is None else found.files:
            paths.setdefault(path.resolve(), path)
        for path, reason in [] if found is None else found.problems:
            print(f"left out: {shown_path(path)}: {reason}", file=sys.stderr)
    return list(paths.values())


def groups_of(table: Path | None, cases: list[Path]) -> dict[str, str] | None:
    """Groups by case name from a user's table, with its notes on stderr; None without a table."""
    from lite_medsam.cases.groups import read_groups

    if table is None:
        return None
    groups, notes = read_groups(table, [path.stem for path in cases])
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return groups


def targets_of(table: Path | None, cases: list[Path]):
    """Names of labels from a user's table, with notes on rows that fit nothing on stderr; none without a table."""
    from lite_medsam.prompts.targets import read_targets, unfit_rows

    targets = read_targets(table)
    if table is not None:
        for note in unfit_rows(targets, [path.stem for path in cases], table):
            print(f"note: {note}", file=sys.stderr)
    return targets
