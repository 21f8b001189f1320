"""`lite-medsam export`."""

import dataclasses
from pathlib import Path

import click

from lite_medsam.cli.train import require_training


@click.command(name="export")
@click.option("--checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="checkpoint.pt of a training run.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model directory to write.")
@click.option("--name", help="Name of the model.")
@click.option("--licence", help="Terms of the weights.")
@click.option("--training-data", help="Comma-separated names of the data sets behind the weights.")
@click.option("--notes", help="Free text for `lite-medsam info`.")
def command(checkpoint: Path, output: Path, name, licence, training_data, notes) -> None:
    """Turn a training run into a model directory.

    Takes the averaged weights, stores them in half precision, and checks both graphs against torch.
    """
    require_training()
    from lite_medsam.learning.export import export_model
    from lite_medsam.learning.training import load_averaged

    model = load_averaged(checkpoint)
    given = {"name": name, "licence": licence, "notes": notes}
    changes = {key: value for key, value in given.items() if value is not None}
    if training_data:
        changes["training_data"] = tuple(part.strip() for part in training_data.split(",") if part.strip())
    difference = export_model(model, output, dataclasses.replace(model.spec, **changes))
    print(f"largest difference between torch and ONNX Runtime: {difference:.1e} -> {output}")
