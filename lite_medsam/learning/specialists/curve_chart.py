"""What a learning curve of specialists came to, as a picture and as a table."""

import math
from pathlib import Path
from typing import Any

from lite_medsam.evaluation.score_tables import format_table
from lite_medsam.storage.files import atomic_write

COLOURS = {"fine-tuned": "#0072B2", "unet": "#D55E00", "relaynet": "#009E73"}
NAMES = {
    "fine-tuned": "promptable, fine-tuned",
    "unet": "U-Net from scratch",
    "relaynet": "ReLayNet-style from scratch",
    "as it comes": "promptable, as it comes",
    "ellipse": "ellipse in the box",
}


def draw_curve(document: dict[str, Any], target: Path) -> None:
    """Draws mean Dice on the test part over the number of training images, with 95 % intervals.

    Args:
        document: The content of curve.json.
        target: The PNG to write, atomically.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    results = document["results"]
    shortest = _shortest(results)
    for place, (method, colour) in enumerate(COLOURS.items()):
        points = [r for r in results if r["method"] == method and r["steps"] <= shortest]
        points.sort(key=lambda r: r["images"])
        if not points:  # not run yet
            continue
        x = [r["images"] * 1.03 ** (place - 1) for r in points]  # side by side, so that intervals stay readable
        errors = [[abs(r["dice"] - _or(r[side], r["dice"])) for r in points] for side in ("dice_low", "dice_high")]
        axis.errorbar(
            x,
            [r["dice"] for r in points],
            errors,
            color=colour,
            marker="o",
            capsize=3,
            linewidth=1.4,
            label=NAMES[method],
        )
    for r in results:
        if r["images"] == 0:
            style = "--" if r["method"] == "as it comes" else ":"
            axis.axhline(r["dice"], color="#555555", linestyle=style, linewidth=1, label=NAMES[r["method"]])
        elif r["steps"] > shortest:
            times = round(r["steps"] / shortest)
            label = f"{NAMES[r['method']]}, {times} times the steps"
            axis.plot(r["images"], r["dice"], "*", color=COLOURS[r["method"]], markersize=11, label=label)
    sizes = sorted({r["images"] for r in results} - {0})
    axis.set(xscale="log", xlabel="training images", ylabel="mean Dice, groups that nobody trained on", ylim=(0, 1))
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)


def curve_table(document: dict[str, Any], markdown: bool = False) -> str:
    """One line per contender and number of images: Dice with its interval, surface Dice at 2 px, Dice by data set."""
    lines = []
    for r in sorted(document["results"], key=lambda r: (r["images"], r.get("steps", 0))):
        line = {"method": NAMES[r["method"]], "images": r["images"] or None, "steps": r.get("steps")}
        line |= {
            "dice": r["dice"],
            "dice_low": _or(r["dice_low"], math.nan),
            "dice_high": _or(r["dice_high"], math.nan),
        }
        line["surface_dice"] = r["surface_dice"]
        line |= {name: value for name, value in r.items() if name.startswith("dice ")}
        lines.append(line)
    return format_table(lines, markdown)


def _or(value: float | None, other: float) -> float:
    """A bound of an interval, or the mean itself where there is none, as with a single group."""
    return other if value is None else value


def _shortest(results: list[dict[str, Any]]) -> int:
    return min((r["steps"] for r in results if r["images"]), default=0)
