"""What was aimed at, and whether it was reached; nothing is left out of the list."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lite_medsam.bench import files, processes
from lite_medsam.bench.contenders import OURS, REFERENCE
from lite_medsam.bench.context import Context
from lite_medsam.bench.files import MANY, overhead
from lite_medsam.bench.graphs import achieved_gflops, decode_row
from lite_medsam.bench.zooming import gain

BEND = 1.25  # a slope that grows by more than a quarter is no straight line
REACHED, MISSED, UNKNOWN = "reached", "not reached", "not measured"


@dataclass(frozen=True)
class Goal:
    """One goal with what was measured.

    Attributes:
        name: What it is about.
        target: Number to reach.
        at_least: True if more is better.
        value: Number measured; NaN if it was not.
        unit: Follows the numbers.
        note: How it was found.
    """

    name: str
    target: float
    at_least: bool
    value: float
    unit: str = "x"
    note: str = ""

    @property
    def status(self) -> str:
        """REACHED, MISSED or UNKNOWN."""
        if math.isnan(self.value):
            return UNKNOWN
        good = self.value >= self.target if self.at_least else self.value <= self.target
        return REACHED if good else MISSED

    def record(self) -> dict[str, object]:
        """Plain values for JSON."""
        value = None if math.isnan(self.value) else self.value
        return {**vars(self), "value": value, "status": self.status}


def ratio(context: Context, what: str, section: str | None = None) -> tuple[float, str]:
    """The reference's median over this model's, and how the reference's came about; NaN if one is missing.

    Args:
        context: With what was measured.
        what: The row.
        section: Of the row, where others have rows of that name; None for any.
    """
    ours, theirs = context.find(what, OURS, section), context.find(what, REFERENCE, section)
    if ours is None or theirs is None:
        return math.nan, ""
    return theirs.sample.median / ours.sample.median, "" if theirs.source == "measured" else f"{theirs.source}"


def all_goals(context: Context) -> list[Goal]:
    """The goals of the project with what this run says of them."""
    return [*_speed_goals(context), *_machine_goals(context), *_growth_goals(context), *_zoom_goals(context)]


def _speed_goals(context: Context) -> Iterator[Goal]:
    rows = [
        ("encode", "encode", 14.0, None),
        ("decode, one box", decode_row(1), 3.0, None),
        # their memory is measured too, in rows of the same names
        ("file to mask, 1024 px, one box", files.row(1024, 1, "auto"), 7.0, files.SECTION),
        ("64 boxes, image encoded already", decode_row(MANY), 8.0, None),
        ("64 boxes, file to mask, no zoom", files.row(1024, MANY, "off"), 8.0, files.SECTION),
        ("64 boxes, file to mask, zoom", files.row(1024, MANY, "auto"), 8.0, files.SECTION),
    ]
    for name, what, target, section in rows:
        value, note = ratio(context, what, section)
        yield Goal(name, target, True, value, " times faster", note)


def _machine_goals(context: Context) -> Iterator[Goal]:
    first, libraries = context.find(processes.FIRST_MASK, OURS), context.find(processes.LIBRARIES, "")
    yield Goal("first mask of a cold process", 1.0, False, first.sample.median if first else math.nan, " s")
    value = first.sample.median / libraries.sample.median if first and libraries else math.nan
    yield Goal(
        "cold process to first mask", 4.0, False, value, " times the imports", "imports: numpy, cv2, onnxruntime"
    )

    facts, ceiling = context.details.get(f"{OURS} encoder"), context.details.get("ceiling")
    achieved = achieved_gflops(context.find("encode", OURS), context.details)
    share = 100 * achieved / context.details.get("product GFLOP/s between encodes", math.nan)
    free = 100 * facts["free_gflops"] / ceiling["matrix product GFLOP/s"] if facts and ceiling else math.nan
    yield Goal(
        "encoder, whole, of the matrix ceiling",
        50.0,
        True,
        share,
        " %",
        "as the engine ran it, medians of the same rounds",
    )
    yield Goal("encoder, operators not bound by memory", 50.0, True, free, " %", "of the matrix ceiling, quickest runs")

    stages = context.details.get("stages", {}).get(files.row(1024, 1, "auto"))
    for name, with_files in (("overhead outside the graphs, in memory", False), ("overhead, file to file", True)):
        value = 100 * overhead(stages, with_files) if stages else math.nan
        yield Goal(name, 20.0, False, value, " %", "with PNG reading, checks and writing" if with_files else "")

    for count in (1, MANY):
        what = files.row(1024, count, "auto")
        entry = context.find(what, OURS, processes.MEMORY)
        yield Goal(f"peak memory, {what}", 350.0, False, entry.sample.median if entry else math.nan, " MB")


def _growth_goals(context: Context) -> Iterator[Goal]:
    for name in ("boxes", "slices"):
        fit = context.details.get(f"linear in {name}")
        note = f"R² {fit['r2']:.4f}, {1e3 * fit['each']:.1f} ms each" if fit else ""
        yield Goal(f"linear in {name}", BEND, False, fit["bend"] if fit else math.nan, "x slope at the end", note)
    folders = context.details.get("memory of folders")
    note = "{} and {} images: {:.0f} and {:.0f} MB".format(*folders["images"], *folders["mb"]) if folders else ""
    value = folders["ratio"] if folders else math.nan
    yield Goal("memory of a folder stays", 1.05, False, value, "x", note)


def _zoom_goals(context: Context) -> Iterator[Goal]:
    facts = context.details.get("zoom")
    change = gain(facts["modes"]) if facts and "auto" in facts["modes"] else {"small": math.nan, "lowest": math.nan}
    note = f"{facts['images']} images, {facts['cases']}" if facts else ""
    yield Goal("zoom, objects under 1 % of the image", 10.0, True, change["small"], " Dice points", note)
    yield Goal("zoom, lowest change of a modality or size", 0.0, True, change["lowest"], " Dice points", note)
