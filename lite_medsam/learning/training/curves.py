"""Pictures of a training run: loss, learning rate, validation Dice."""

from pathlib import Path

from lite_medsam.learning.training.run_log import read_rows
from lite_medsam.storage.files import atomic_write

LOSS, RATE, DICE = "#0072B2", "#D55E00", "#009E73"


def draw_training(log: Path, target: Path, validation: Path | None = None) -> None:
    """Draws loss and learning rate over the steps, and the validation Dice below where there is one.

    Args:
        log: log.csv of a run: step, loss, rate, seconds.
        target: The PNG to write, atomically.
        validation: validation.csv of a run: step, dice, iou, surface_dice, best, seconds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows, scores = read_rows(log), read_rows(validation) if validation else []
    parts = [(draw, found) for draw, found in ((_draw_loss, rows), (_draw_scores, scores)) if found]
    count = max(1, len(parts))
    figure, axes = pyplot.subplots(count, figsize=(7, 3.2 * count), layout="constrained", squeeze=False, sharex=True)
    for axis, (draw, found) in zip(axes[:, 0], parts, strict=False):
        draw(axis, found)
    axes[-1, 0].set_xlabel("step")
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_loss(axis, rows: list[dict[str, str]]) -> None:
    steps = [int(row["step"]) for row in rows]
    axis.plot(steps, [float(row["loss"]) for row in rows], color=LOSS, linewidth=1)
    axis.set(ylabel="training loss, running mean", ylim=(0, None))
    axis.yaxis.label.set_color(LOSS)
    rate_axis = axis.twinx()
    rate_axis.plot(steps, [float(row["rate"]) for row in rows], color=RATE, linewidth=1, linestyle="--")
    rate_axis.set(ylabel="learning rate / largest", ylim=(0, 1.05))
    rate_axis.yaxis.label.set_color(RATE)
    hours = float(rows[-1]["seconds"]) / 3600
    axis.set_title(f"{steps[-1]} steps, {hours:.2f} h", fontsize=10)


def _draw_scores(axis, scores: list[dict[str, str]]) -> None:
    steps = [int(row["step"]) for row in scores]
    for name, style in (("dice", "-"), ("surface_dice", ":")):
        values = [float(row[name]) for row in scores]
        axis.plot(steps, values, style, color=DICE, marker=".", linewidth=1, label=name.replace("_", " "))
    best = max((row for row in scores if row["best"] == "1"), key=lambda row: int(row["step"]), default=scores[0])
    axis.plot(int(best["step"]), float(best["dice"]), "o", color=RATE, fillstyle="none", markersize=9, label="kept")
    axis.set_ylabel("validation, held-out groups")
    axis.legend(fontsize=8)
