"""`lite-medsam export`: a training run becomes a model directory."""

import dataclasses
from pathlib import Path

import click

from lite_medsam.cli.options import WeightsPath


@click.command(
    name="export",
    epilog="""\b
Examples:
  lite-medsam export --checkpoint runs/mine/checkpoint.pt -o models/mine
  lite-medsam export --checkpoint runs/a/checkpoint.pt --checkpoint runs/b/checkpoint.pt -o models/both
  lite-medsam export --int8 -o models/mine-int8 --weights models/mine --evaluation cases/val
""",
)
@click.option("--checkpoint", "checkpoints", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True,
              help="checkpoint.pt of a training run. Repeatable: of runs from one start the mean is taken.")  # fmt: skip
@click.option(
    "--shares", metavar="A,B,...", help="With several checkpoints: what each counts.  [default: all the same]"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model directory to write.")
@click.option("--name", help="Name of the model.")
@click.option("--licence", help="Terms of the weights.")
@click.option("--training-data", help="Comma-separated names of the data sets behind the weights.")
@click.option("--notes", help="Free text for `lite-medsam info`.")
@click.option("--refine-scale", type=click.FloatRange(1),
              help="Image pixels per model pixel from which --refine auto looks at borders again.  [default: never]")  # fmt: skip
@click.option("--int8", is_flag=True, help="Make an int8 version of --weights instead, and measure both.")
@click.option(
    "--weights", type=WeightsPath(), metavar="PATH|NAME", help="With --int8: the model.  [default: the bundled one]"
)
@click.option("--calibration", type=click.Path(exists=True, path_type=Path), multiple=True,
              help="With --int8: cases or images for the ranges.  [default: synthetic cases]")  # fmt: skip
@click.option("--evaluation", type=click.Path(exists=True, path_type=Path), multiple=True,
              help="With --int8: labelled cases to compare on.  [default: synthetic cases]")  # fmt: skip
def command(checkpoints, shares, output: Path, int8: bool, weights, calibration, evaluation, **described) -> None:
    """Turn a training run into a model directory, or a model into an int8 version of itself.

    A training run: takes the averaged weights, stores them in half precision, and checks both graphs against torch.

    --int8 needs no torch. It writes a model directory of its own whose card tells how much faster the encoder is here and
    what it costs in Dice. If it is faster here and loses no more than half a Dice point, `--engine auto` takes it for
    --weights from then on.
    """
    if int8 and checkpoints:
        raise click.UsageError("give either --checkpoint or --int8 with --weights, not both")
    if int8:
        _export_int8(weights, output, calibration, evaluation)
        return
    if not checkpoints:
        raise click.UsageError("give --checkpoint, or --int8")
    if weights or calibration or evaluation:
        raise click.UsageError("--weights, --calibration and --evaluation go with --int8")
    _export_run(checkpoints, _numbers(shares), output, **described)


def _export_run(checkpoints, shares: list[float], output: Path, **described) -> None:
    from lite_medsam.cli.train import require_training

    require_training()
    from lite_medsam.learning.network.export import export_model
    from lite_medsam.learning.training.blending import load_blend

    model = load_blend(checkpoints, shares)
    changes = {key: described[key] for key in ("name", "licence", "notes") if described[key] is not None}
    if described["training_data"]:
        names = described["training_data"].split(",")
        changes["training_data"] = tuple(part.strip() for part in names if part.strip())
    if described["refine_scale"] is not None:
        changes["zoom"] = dataclasses.replace(model.spec.zoom, refine_scale=described["refine_scale"])
    difference = export_model(model, output, dataclasses.replace(model.spec, **changes))
    print(f"largest difference between torch and ONNX Runtime: {difference:.1e} -> {output}")


def _numbers(shares: str | None) -> list[float]:
    try:
        return [float(part) for part in shares.split(",")] if shares else []
    except ValueError:
        raise click.UsageError(f"--shares must be numbers with commas between them, got {shares!r}") from None


def _export_int8(weights: Path | None, output: Path, calibration, evaluation) -> None:
    from lite_medsam.evaluation.int8 import export_int8
    from lite_medsam.model.engine_choice import LARGEST_DICE_LOSS
    from lite_medsam.model.trial import run_trial
    from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

    source = weights or DEFAULT_WEIGHTS
    spec = export_int8(source, output, _files(calibration), _files(evaluation))
    r = spec.int8
    print(
        f"Dice {r.dice:.4f}, {r.dice_change_points:+.2f} points against {r.source}, {r.objects} objects of {r.evaluation}"
    )
    print(f"encoder {r.encode_ratio:.2f} times as fast as the full one on this machine -> {output}")
    if r.dice_change_points < -LARGEST_DICE_LOSS:
        print(f"it loses more than {LARGEST_DICE_LOSS} points, so auto never takes it; by name: --weights {output}")
        return
    choice, _ = run_trial(source, output)
    taken = "takes it" if choice.directory else f"does not take it but {choice.engine} in full precision"
    print(f"--engine auto {taken} for {source} on this machine")


def _files(given: tuple[Path, ...]) -> list[Path]:
    from lite_medsam.cases.case import IMAGE_SUFFIXES

    suffixes = {".npz", *IMAGE_SUFFIXES}
    found = []
    for path in given:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"{path} must hold npz cases or images, got none")
        found += inside
    return found
