"""`lite-medsam train`."""

from pathlib import Path

import click


@click.command(
    name="train",
    epilog="""\b
Example:
  lite-medsam train --recipe weights/recipes/lite-medsam.json --cases cases/train --start starts -o runs/mine
""",
)
@click.option("--recipe", type=click.Path(path_type=Path), required=True, help="JSON: model, settings, start.")
@click.option("--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Folder of labelled npz cases, names 2D_<modality>_<data set>_<rest>.")  # fmt: skip
@click.option("--start", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder with the recipe's starting weights.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
def command(recipe: Path, cases: Path, start: Path | None, output: Path, resume: bool, threads: int | None) -> None:
    """Train a model from a recipe.

    Writes checkpoint.pt, log.csv and settings.json; `lite-medsam export` makes a model directory of them.
    """
    require_training()
    import torch

    from lite_medsam.learning.recipe import load_recipe, run_recipe

    if threads:
        torch.set_num_threads(threads)
    trainer = run_recipe(load_recipe(recipe), cases, start, output, resume)
    print(f"{trainer.step} steps in {trainer.seconds / 60:.1f} minutes -> {output / 'checkpoint.pt'}")


def require_training() -> None:
    """Raises MissingExtraError unless the packages that training needs are there."""
    from lite_medsam.errors import MissingExtraError

    try:
        import safetensors  # noqa: F401
        import segment_anything  # noqa: F401
        import timm  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train", error.name) from None
