"""Plots of a card: Dice over moved boxes and clicks, and how honest the scores are; needs matplotlib."""

import re
from pathlib import Path
from typing import Any

from lite_medsam.errors import MissingExtraError
from lite_medsam.storage.files import atomic_write

BLACK, BLUE, ORANGE, GREEN, GREY = "#000000", "#0072B2", "#D55E00", "#009E73", "#888888"


def draw_curves(record: dict[str, Any], target: Path) -> bool:
    """Draws Dice against the box and against clicks: the mean over modalities with its interval, each modality thin.

    Args:
        record: From `summarise_card`.
        target: The PNG to write, atomically.

    Returns:
        False, and no file, if the record holds no curve.

    Raises:
        MissingExtraError: Without matplotlib.
    """
    moved = [line for line in record["moved"] if line["name"].startswith("moved") and line["dice"] is not None]
    if not moved or not record["clicks"]["clicks"]:
        return False
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.4), layout="constrained", sharey=True)
    names = list(moved[0]["by_modality"])
    colours = [*pyplot.get_cmap("Dark2").colors, *pyplot.get_cmap("tab10").colors]
    shifts = [int(re.findall(r"[+-]\d+", line["name"])[0]) for line in moved]
    for name, colour in zip(names, colours, strict=False):
        left.plot(shifts, [line["by_modality"][name] for line in moved], color=colour, linewidth=0.9, label=name)
    _mean(
        left, shifts, [line["dice"] for line in moved], [(line["dice_low"], line["dice_high"]) for line in moved], BLACK
    )
    left.axvline(0, color=GREY, linewidth=0.6)
    left.set(xlabel="every side of the box moved by, % of the box (+ is outwards)", ylabel="Dice", ylim=(0, 1))
    left.legend(fontsize=7, ncols=3, loc="lower center")
    clicks = record["clicks"]["clicks"]
    for name, colour in zip(names, colours, strict=False):
        right.plot(clicks["clicks"], clicks["by_modality"][name], color=colour, linewidth=0.9)
    _mean(right, clicks["clicks"], clicks["dice"], clicks["intervals"], BLACK, "clicks alone, mean over modalities")
    both = record["clicks"]["box+clicks"]
    if both:
        _mean(right, both["clicks"], both["dice"], both["intervals"], BLACK, "a box first", style="--")
    right.set(xlabel="clicks", xticks=sorted({*clicks["clicks"], *both.get("clicks", ())}))
    right.legend(fontsize=8, loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    _save(pyplot, figure, target)
    return True


def draw_reliability(record: dict[str, Any], target: Path) -> bool:
    """Draws the measured IoU over the score, before and after calibration, and how many masks each bin holds.

    Args:
        record: From `summarise_card`.
        target: The PNG to write, atomically.

    Returns:
        False, and no file, if no mask has a score.

    Raises:
        MissingExtraError: Without matplotlib.
    """
    found = record["calibration"]
    if not found["bins"].get("all", {}).get("after"):
        return False
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(
        2, 2, figsize=(8, 4.8), layout="constrained", sharex=True, sharey="row", height_ratios=(4, 1)
    )
    errors = {line["kind"]: line for line in found["kinds"]}
    colours = {"all": BLACK, "box": BLUE, "moved boxes": GREY, "clicks": ORANGE, "box+clicks": GREEN}
    for column, when in enumerate(("before", "after")):
        axis, counts = axes[:, column]
        axis.plot((0, 1), (0, 1), color=GREY, linewidth=0.8)
        for kind, bins in found["bins"].items():
            if not bins[when]:
                continue
            scores, ious, _ = zip(*bins[when], strict=True)
            label = f"{kind}: error {errors[kind][f'error_{when}']:.3f}"
            axis.plot(scores, ious, marker="o", markersize=3, linewidth=2 if kind == "all" else 1,
                      color=colours.get(kind), label=label)  # fmt: skip
        axis.set(title=f"{when} calibration", xlim=(0, 1), ylim=(0, 1))
        axis.legend(fontsize=7, loc="upper left")
        axis.grid(alpha=0.3)
        scores, _, objects = zip(*found["bins"]["all"][when], strict=True)
        counts.bar([(int(min(s, 0.999) * 10) + 0.5) / 10 for s in scores], objects, width=0.09, color=GREY)
        counts.set_xlabel("score")
    axes[0, 0].set_ylabel("measured IoU")
    axes[1, 0].set_ylabel("masks")
    _save(pyplot, figure, target)
    return True


def _mean(axis, x, values, intervals, colour, label: str = "mean over modalities", style: str = "-") -> None:
    axis.plot(x, values, style, color=colour, marker="o", markersize=4, linewidth=2.5, label=label)
    if all(low is not None for low, _ in intervals):
        axis.fill_between(x, *zip(*intervals, strict=True), color=colour, alpha=0.15, linewidth=0)


def _pyplot():
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("drawing plots", "plots", "matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(pyplot, figure, target: Path) -> None:
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
