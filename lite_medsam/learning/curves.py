"""Pictures of a training run."""

import csv
from pathlib import Path

from lite_medsam.files import atomic_write


def draw_training(log: Path, target: Path) -> None:
    """Draws loss and learning rate over the steps.

    Args:
        log: log.csv of a run: step, loss, rate, seconds.
        target: The PNG to write, atomically.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    figure, loss_axis = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    loss_axis.plot(steps, [float(row["loss"]) for row in rows], color="#0072B2", linewidth=1)
    loss_axis.set(xlabel="step", ylabel="training loss, mean of 50 steps", ylim=(0, None))
    loss_axis.yaxis.label.set_color("#0072B2")
    rate_axis = loss_axis.twinx()
    rate_axis.plot(steps, [float(row["rate"]) for row in rows], color="#D55E00", linewidth=1, linestyle="--")
    rate_axis.set(ylabel="learning rate / largest", ylim=(0, 1.05))
    rate_axis.yaxis.label.set_color("#D55E00")
    hours = float(rows[-1]["seconds"]) / 3600
    loss_axis.set_title(f"{steps[-1]} steps, {hours:.2f} h", fontsize=10)
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
