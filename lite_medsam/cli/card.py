"""`lite-medsam card`."""

import json
from pathlib import Path

import click

from lite_medsam.cli.evaluate import labelled_cases, read_groups
from lite_medsam.cli.options import engine_options, open_predictor


@click.command(
    name="card",
    epilog="""\b
Example:
  lite-medsam card -i cases/val --groups cases/index.csv --weights runs/mine/model
""",
)
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True,
              help="Labelled validation cases, never trained on. Repeatable.")  # fmt: skip
@click.option("--groups", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV with the columns file and group.")  # fmt: skip
@click.option("--training-data", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV of the sets behind the weights and their terms.")  # fmt: skip
@click.option("--log", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="log.csv of the training run, for the picture of its loss.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take only every n-th case.")
@engine_options
def command(inputs, groups, training_data, log, every, weights, **engine) -> None:
    """Measure a model on validation cases and write its card.

    Writes README.md, scores.json and examples.png, and training.png if a log is given, into the model directory.
    """
    import cv2
    from tqdm import tqdm

    from lite_medsam.bundled import DEFAULT_WEIGHTS
    from lite_medsam.card import draw_examples, measure, write_card
    from lite_medsam.files import atomic_write

    directory = Path(weights or DEFAULT_WEIGHTS)
    cases = labelled_cases(inputs)[::every]
    predictor = open_predictor(weights=directory, **engine)
    with tqdm(unit="case") as bar:

        def progress(run: str, _: str) -> None:
            bar.set_description(run)
            bar.update()

        record = measure(predictor, cases, read_groups(groups), progress)
    with atomic_write(directory / "scores.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    with atomic_write(directory / "examples.png") as path:
        path.write_bytes(cv2.imencode(".png", draw_examples(predictor)[:, :, ::-1])[1].tobytes())
    curve = None
    if log:
        from lite_medsam.learning.curves import draw_training

        curve = "training.png"
        draw_training(log, directory / curve)
    with atomic_write(directory / "README.md") as path:
        path.write_text(write_card(predictor.spec, record, training_data, curve), encoding="utf-8")
    print(directory / "README.md")
