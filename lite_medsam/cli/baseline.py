"""`lite-medsam baseline`."""

import sys
from pathlib import Path
from typing import Any

import click

from lite_medsam.cli.options import settings_options
from lite_medsam.cli.train import require_training


def specialist_options(function):
    """Adds an option for every field of SpecialistSettings."""
    from lite_medsam.learning.specialists.settings import CHOICES, SpecialistSettings

    return settings_options(function, SpecialistSettings, CHOICES)


@click.command(
    name="baseline",
    epilog="""\b
Examples:
  lite-medsam baseline --cases cases -o runs/unet
  lite-medsam evaluate -i test-cases --baseline runs/unet/model
  lite-medsam baseline --cases cases -o runs/relaynet --network relaynet --steps 500
  lite-medsam baseline --cases cases --split split.json -o runs/curve --curve 5,10,20,50,100 --steps 100
""",
)
@click.option("--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Folder of labelled npz cases, as `lite-medsam prepare` writes them.")  # fmt: skip
@click.option("--split", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="split.json of `lite-medsam prepare`.  [default: CASES/split.json if it is there]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder.")
@click.option("--curve", help="Numbers of training images, such as 5,10,20: all specialists and the fine-tuned model on each, "
              "scored on the split's test part. What is done already is kept.")  # fmt: skip
@click.option("--longer", type=click.IntRange(1), default=1, show_default=True,
              help="With --curve: the U-Net once more, with so many times the steps.")  # fmt: skip
@click.option("--pieces", type=click.IntRange(0), default=0, show_default=True,
              help="With --curve: most trainings in this call; 0 for all.")  # fmt: skip
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="With --curve: the model directory that is fine-tuned.  [default: the bundled one]")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@specialist_options
def command(cases, split, output, resume, curve, longer, pieces, weights, threads, **values) -> None:
    """Train a specialist to compare with: a U-Net, or a ReLayNet-style network.

    It gets the box as one more channel of the image, is trained from scratch on the split that `finetune` takes, and is
    scored by `evaluate` on the same boxes. OUTPUT/model holds the graph.
    """
    require_training("lightning_fabric", "monai", "onnx", "matplotlib")
    import torch

    from lite_medsam.learning.specialists.run import train_specialist
    from lite_medsam.learning.specialists.settings import SpecialistSettings

    if threads:
        torch.set_num_threads(threads)
    given: dict[str, Any] = {name: "" if value is None else value for name, value in values.items()}
    settings = SpecialistSettings(**given)
    try:
        if curve:
            runs = _curve(cases, split, output, curve, settings, longer, weights)
            _report(runs.run(pieces, _say), output)
            return
        result = train_specialist(cases, output, settings, split, resume, say=_say)
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from None
    print(
        f"{result.steps} steps in {result.seconds / 60:.1f} minutes, kept step {result.best_step} with Dice "
        f"{result.dice:.3f} on the validation cases -> {result.model}"
    )


def _curve(cases: Path, split: Path | None, output: Path, numbers: str, *options):
    """The runs of a curve, from the numbers of images as they are typed."""
    from lite_medsam.learning.specialists.curve import Curve

    try:
        sizes = [int(number) for number in numbers.split(",")]
    except ValueError:
        raise click.UsageError(f"--curve must be whole numbers such as 5,10,20, got {numbers!r}") from None
    return Curve(cases, split or cases / "split.json", output, sizes, *options)


def _report(document: dict[str, Any], output: Path) -> None:
    """The table, the picture, and what is left to do."""
    from lite_medsam.learning.specialists.curve_chart import curve_table, draw_curve

    if document["left"]:
        _say(f"not finished, left: {', '.join(document['left'])}; call it again to go on")
    draw_curve(document, output / "curve.png")
    print(curve_table(document))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
