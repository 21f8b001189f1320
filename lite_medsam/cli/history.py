"""`lite-medsam history`: the learning curve of a training run."""

from pathlib import Path

import click

from lite_medsam.cli.evaluate import labelled_cases, targets_of
from lite_medsam.cli.train import require_training


@click.command(
    name="history",
    epilog="""\b
Example:
  lite-medsam history --run runs/default -i cases/val --targets cases/targets.csv --every 3 -o history.csv
""",
)
@click.option("--run", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True,
              help="Folder of a run of `train` whose recipe has keep_every.")  # fmt: skip
@click.option("-i", "--input", "inputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True,
              help="Labelled validation cases, never trained on. Repeatable.")  # fmt: skip
@click.option("--targets", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CSV dataset,label,target: shows layers, fluid, disc, cup and vessels apart.")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take only every n-th case.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="CSV; the picture goes beside it.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
def command(run: Path, inputs, targets, every, output: Path, threads) -> None:
    """Measure the learning curve of a training run.

    Scores each checkpoint that the run kept on the same boxes. Steps that the CSV holds already are not measured again.
    """
    require_training("matplotlib")
    from tqdm import tqdm

    from lite_medsam.errors import CaseError
    from lite_medsam.learning.network.threads import set_threads
    from lite_medsam.learning.training.history import draw_history, measure_history

    set_threads(threads)
    found = labelled_cases(inputs)
    if not found:
        raise CaseError(f"the input must hold npz cases, got none in {', '.join(map(str, inputs))}")
    names = targets_of(targets, found)
    with tqdm(unit="case", leave=False) as bar:
        lines = measure_history(run, found[::every], names, output, lambda _: bar.update())
    draw_history(lines, output.with_suffix(".png"))
    last = lines[-1]["step"]
    for line in lines:
        if line["step"] == last:
            print(f"{line['what']:<28} {line['objects']:>5} objects  Dice {line['dice']:.3f}")
    print(output)
