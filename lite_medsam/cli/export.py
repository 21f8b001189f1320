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
  lite-medsam export --int8 -o models/mine-int8 --weights models/mine --evaluation cases/val
""",
)
@click.option("--checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="checkpoint.pt of a training run.")  # fmt: skip
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
def command(checkpoint, output: Path, int8: bool, weights, calibration, evaluation, **described) -> None:
    """Turn a training run into a model directory, or a model into an int8 version of itself.

    A training run: takes the averaged weights, stores them in half precision, and checks both graphs against torch.

    --int8 needs no torch. It writes a model directory of its own whose card tells how much faster the encoder is here and
    what it costs in Dice. If it is faster here and loses no more than half a Dice point, `--engine auto` takes it for
    --weights from then on.
    """
    if int8 and checkpoint:
        raise click.UsageError("give either --checkpoint or --int8 with --weights, not both")
    if int8:
        _export_int8(weights, output, calibration, evaluation)
        return
    if not checkpoint:
        raise click.UsageError("give --checkpoint, or --int8")
    if weights or calibration or evaluation:
        raise click.UsageError("--weights, --calibration and --evaluation go with --int8")
    _export_run(checkpoint, output, **described)


def _export_run(checkpoint: Path, output: Path, name, licence, training_data, notes, refine_scale) -> None:
    from lite_medsam.cli.train import require_training

    require_training()
    from lite_medsam.learning.network.export import export_model
    from lite_medsam.learning.training.loop import load_averaged

    model = load_averaged(checkpoint)
    given = {"name": name, "licence": licence, "notes": notes}
    changes = {key: value for key, value in given.items() if value is not None}
    if training_data:
        changes["training_data"] = tuple(part.strip() for part in training_data.split(",") if part.strip())
    if refine_scale is not None:
        changes["zoom"] = dataclasses.replace(model.spec.zoom, refine_scale=refine_scale)
    difference = export_model(model, output, dataclasses.replace(model.spec, **changes))
    print(f"largest difference between torch and ONNX Runtime: {difference:.1e} -> {output}")


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
