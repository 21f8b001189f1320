"""`lite-medsam finetune`: a model made better on one's own labelled images."""

import sys
from pathlib import Path

import click

from lite_medsam.cli.options import WeightsPath, settings_options
from lite_medsam.cli.train import require_training


def finetune_options(function):
    """Adds an option for every field of FinetuneSettings."""
    from lite_medsam.learning.finetuning.settings import CHOICES, FinetuneSettings

    return settings_options(function, FinetuneSettings, CHOICES, renamed={"protocols": "protocol"})


@click.command(
    name="finetune",
    epilog="""\b
Examples:
  lite-medsam prepare image-folder ... -o cases
  lite-medsam finetune --cases cases -o runs/oct
  lite-medsam evaluate -i test-cases --weights runs/oct/model
  lite-medsam finetune --cases cases -o runs/all --train all --minutes 120 --memory 8GB
  torchrun --nproc-per-node 2 -m lite_medsam finetune --cases cases -o runs/two --devices 2
""",
)
@click.option("--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Folder of labelled npz cases, as `lite-medsam prepare` writes them.")  # fmt: skip
@click.option("--split", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="split.json of `lite-medsam prepare`.  [default: CASES/split.json if it is there]")  # fmt: skip
@click.option(
    "--weights",
    type=WeightsPath(),
    metavar="PATH|NAME",
    help="Model directory to start from.  [default: the bundled one]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder; it ends as if it had not been cut.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path),
              help="Folder for features, kept for other runs.  [default: inside the run's, removed at the end]")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@finetune_options
def command(cases, split, weights, output, resume, cache, threads, **values) -> None:
    """Make a model better on your own labelled images.

    With --train decoder, the default, the image encoder stays as it is and its features are computed once: minutes for a
    hundred images on a laptop. Some groups (patients) are held out; the weights that are best on them are kept. The model
    directory OUTPUT/model, with its card, is ready for `segment` and `evaluate`.
    """
    require_training("lightning_fabric", "monai", "onnx", "matplotlib")

    from lite_medsam.learning.finetuning.run import finetune
    from lite_medsam.learning.finetuning.settings import FinetuneSettings
    from lite_medsam.learning.network.threads import set_threads
    from lite_medsam.learning.training.validation import format_comparison

    set_threads(threads)
    values = {name: "" if value is None else value for name, value in values.items()}
    settings = FinetuneSettings(**values)
    try:
        result = finetune(cases, output, settings, weights, split, resume, cache, say=_say)
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from None
    if result is not None:
        kept = f"step {result.best_step}" if result.best_step else "the starting weights, which no step improved on"
        print(format_comparison(result.table))
        print(f"{result.steps} steps in {result.seconds / 60:.1f} minutes, kept {kept} -> {result.model}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
