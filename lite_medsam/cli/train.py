"""`lite-medsam train`: a model from a recipe."""

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
@click.option("--cases", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, multiple=True,
              help="Folder of labelled npz cases, names 2D_<modality>_<data set>_<rest>. Repeatable.")  # fmt: skip
@click.option("--start", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder with the recipe's starting weights.")  # fmt: skip
@click.option("--targets", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV dataset,label,target: what objects are called, for recipes that teach names.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue from the checkpoint in the folder.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--accelerator", type=click.Choice(["cpu", "cuda", "mps"]), default="cpu", show_default=True,
              help="What computes.")  # fmt: skip
@click.option("--devices", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True,
              help="Processes that make batches; 0: a thread. For a GPU.")  # fmt: skip
def command(
    recipe: Path, cases: tuple[Path, ...], start, targets, output: Path, resume, threads, accelerator, devices, workers
) -> None:
    """Train a model from a recipe.

    Writes checkpoint.pt, log.csv and settings.json; `lite-medsam export` makes a model directory of them. Real cases and
    phantoms may be mixed: modalities are drawn in equal shares.
    """
    require_training()

    from lite_medsam.learning.network.threads import set_threads
    from lite_medsam.learning.training.recipe import load_recipe, run_recipe
    from lite_medsam.learning.training.stepping import make_fabric

    set_threads(threads)
    loaded = load_recipe(recipe)
    fabric = make_fabric(accelerator, devices, precision="bf16-mixed" if loaded.train.bfloat16 else "32-true")
    fabric.launch()
    try:
        trainer = run_recipe(loaded, cases, start, output, resume, fabric, targets, workers)
    except FloatingPointError as error:
        raise click.ClickException(str(error)) from None
    print(f"{trainer.step} steps in {trainer.seconds / 60:.1f} minutes -> {output / 'checkpoint.pt'}")


def require_training(*more: str) -> None:
    """Raises MissingExtraError unless the packages that training needs are there.

    Args:
        more: Packages that are only looked for, not imported.
    """
    import importlib.util
    import os

    from lite_medsam.errors import MissingExtraError

    # threads that wait by spinning make torch several times slower beside any other busy program; read when torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    try:
        import lightning_fabric  # noqa: F401
        import safetensors  # noqa: F401
        import segment_anything  # noqa: F401
        import timm  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("training", "train", error.name) from None
    for name in more:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError("training", "train", name)
