"""The result of a bench as one picture: both models' times, ratios against the goals, stages, growth with boxes."""

import math
from pathlib import Path

from lite_medsam.bench.contenders import OURS, REFERENCE
from lite_medsam.bench.files import STAGES
from lite_medsam.bench.goals import MISSED, REACHED, Goal
from lite_medsam.bench.run import BenchReport
from lite_medsam.bench.timing import Measurement
from lite_medsam.errors import MissingExtraError
from lite_medsam.storage.files import atomic_write

# Okabe and Ito's colours, which people with any kind of colour vision tell apart
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#999999"
STAGE_COLOURS = ("#56B4E9", "#F0E442", "#0072B2", "#009E73", "#CC79A7", "#999999")


def check_matplotlib() -> None:
    """Raises MissingExtraError unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("--chart", "plots", error.name) from None


def draw_chart(report: BenchReport, target: Path) -> None:
    """Draws the PNG, atomically.

    Args:
        report: What was found; panels without numbers say so.
        target: The file.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _draw_times(axes[0, 0], report)
    _draw_ratios(axes[0, 1], report.goals)
    _draw_stages(axes[1, 0], report)
    _draw_growth(axes[1, 1], report)
    facts = report.machine
    figure.suptitle(
        f"{facts['processor']}, {report.settings['threads']} threads, {facts['date'][:10]}. "
        f"{REFERENCE}: {report.settings.get('reference') or 'left out'}",
        fontsize=10,
    )
    with atomic_write(target) as path:
        figure.savefig(path, dpi=110)


def _draw_times(axis, report: BenchReport) -> None:
    """Both models' medians, on a logarithmic scale; hatched bars are computed."""
    engine = next((e.section for e in report.measurements if e.section.startswith("Graphs in")), "")
    entries = [e for e in report.measurements if e.section in (engine, "File to written mask")]
    rows = [what for what in dict.fromkeys(e.what for e in entries) if "open" not in what and "first" not in what]
    if not rows:
        return _empty(axis, "Time")
    for offset, subject, colour in ((-0.2, OURS, BLUE), (0.2, REFERENCE, ORANGE)):
        for place, what in enumerate(rows):
            entry = next((e for e in entries if (e.what, e.subject) == (what, subject)), None)
            if entry is not None:
                _bar(axis, place + offset, entry, colour)
    for subject, colour in ((OURS, BLUE), (REFERENCE, ORANGE)):
        axis.barh(0, 0, color=colour, label=subject)
    axis.barh(0, 0, color="white", edgecolor=GREY, hatch="////", label="computed, not measured")
    least = min(entry.sample.median for entry in entries if entry.what in rows)
    axis.set(xscale="log", xlabel="seconds, median and quartiles", yticks=range(len(rows)), yticklabels=rows)
    axis.set_xlim(left=least / 2)
    axis.set_title(f"Time. {engine}", fontsize=10)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    axis.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, -0.3), ncols=3)


def _bar(axis, place: float, entry: Measurement, colour: str) -> None:
    middle, (low, high) = entry.sample.median, entry.sample.quartiles
    measured = entry.source == "measured"
    style = {"color": colour} if measured else {"color": "white", "edgecolor": colour, "hatch": "////"}
    axis.barh(place, middle, height=0.38, xerr=[[middle - low], [high - middle]], ecolor="black", **style)


def _draw_ratios(axis, goals: list[Goal]) -> None:
    """How many times faster, a line at each goal."""
    rows = [goal for goal in goals if goal.unit == " times faster" and not math.isnan(goal.value)]
    if not rows:
        return _empty(axis, "Times faster")
    for place, goal in enumerate(rows):
        axis.barh(place, goal.value, height=0.6, color=GREEN if goal.status == REACHED else GREY)
        axis.plot([goal.target] * 2, [place - 0.4, place + 0.4], color="black", linewidth=2)
        inside = goal.value > 0.3 * max(row.value for row in rows)
        place_x, side = (goal.value, "right") if inside else (max(goal.value, goal.target), "left")
        text = (
            f" {goal.value:.1f} " + ("(computed) " if goal.note else "") + ("below the aim " * (goal.status == MISSED))
        )
        axis.text(place_x, place, text, va="center", ha=side, fontsize=9, color="white" if inside else "black")
    axis.set(
        yticks=range(len(rows)), yticklabels=[goal.name for goal in rows], xlabel="times faster; black line: the aim"
    )
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.set_title(f"{REFERENCE} over {OURS}", fontsize=10)


def _draw_stages(axis, report: BenchReport) -> None:
    """Shares of the time of a file."""
    stages = report.details.get("stages")
    if not stages:
        return _empty(axis, "Where the time goes")
    for place, (_what, times) in enumerate(stages.items()):
        total, left = sum(times.values()), 0.0
        for stage, colour in zip(STAGES, STAGE_COLOURS, strict=True):
            share = 100 * times[stage] / total
            axis.barh(place, share, left=left, height=0.5, color=colour, label=stage if place == 0 else None)
            if share > 5:
                dark = colour == BLUE
                text = f"{share:.0f} %"
                axis.text(
                    left + share / 2, place, text, ha="center", va="center", fontsize=8, color="w" if dark else "k"
                )
            left += share
    names = [f"{what}\n{1e3 * sum(times.values()):.0f} ms" for what, times in stages.items()]
    axis.set(yticks=range(len(stages)), yticklabels=names, xlabel="% of the time, file to written mask", xlim=(0, 100))
    axis.set_title(f"Where the time goes, {OURS}", fontsize=10)
    axis.invert_yaxis()
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, -0.35))


def _draw_growth(axis, report: BenchReport) -> None:
    """Time over the number of boxes, and of slices where volumes were measured."""
    drawn = False
    for name, colour, marker in (("boxes", BLUE, "o"), ("slices", GREEN, "s")):
        fit = report.details.get(f"linear in {name}")
        if not fit:
            continue
        counts, drawn = fit["counts"], True
        axis.plot(counts, fit["seconds"], marker, color=colour, label=f"{name}, measured")
        line = [fit["fixed"] + fit["each"] * count for count in counts]
        label = f"{1e3 * max(0, fit['fixed']):.0f} ms + {1e3 * fit['each']:.1f} ms each, R² {fit['r2']:.4f}"
        axis.plot(counts, line, color=colour, linewidth=1, label=label)
    if not drawn:
        return _empty(axis, "Growth")
    axis.set(xlabel="boxes of one image; slices of a volume with 4 objects", ylabel="seconds", ylim=(0, None))
    axis.set_title("Cost by number of boxes, and of slices", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _empty(axis, title: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes, color=GREY)
    axis.set_axis_off()
