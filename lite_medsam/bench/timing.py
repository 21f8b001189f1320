"""Timings that can be compared: tasks take turns, so that a disturbance of the machine hits all of them."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)  # what tasks are called

SLOW_SECONDS = 2.0  # a first call that takes so long is little changed by being the first
VISIT_SECONDS = 0.15  # a turn of a quick task lasts about so long
CALLS_PER_VISIT = 5


@dataclass(frozen=True)
class Sample:
    """What a task took.

    Attributes:
        values: One number per call, seconds or another unit.
        first: The first call, which finds everything cold; NaN if there was none apart.
    """

    values: tuple[float, ...]
    first: float = float("nan")

    @property
    def median(self) -> float:
        """Middle of the values."""
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile, by linear interpolation; the spread that the tables show."""
        low, high = np.percentile(self.values, (25, 75))
        return float(low), float(high)


@dataclass(frozen=True)
class Measurement:
    """One cell of a table.

    Attributes:
        section: Table it belongs to.
        what: Row.
        subject: Column: a model.
        sample: The values.
        unit: "s", "MB", or another word.
        source: "measured", or "computed" with the medians that it was computed from.
        details: More numbers about it, for the JSON file.
    """

    section: str
    what: str
    subject: str
    sample: Sample
    unit: str = "s"
    source: str = "measured"
    details: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        low, high = self.sample.quartiles
        return {
            "section": self.section,
            "what": self.what,
            "subject": self.subject,
            "unit": self.unit,
            "median": self.sample.median,
            "q1": low,
            "q3": high,
            "count": len(self.sample.values),
            "first": None if np.isnan(self.sample.first) else self.sample.first,
            "source": self.source,
            **({"details": self.details} if self.details else {}),
        }


def interleaved(
    tasks: Mapping[Key, Callable[[], object]],
    repeats: int,
    budget_seconds: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, Sample]:
    """Runs tasks in turns, A B A B ..., and times them.

    Each task runs once to get warm; that call is `Sample.first`, and a value too if it is long. A quick task runs once
    untimed whenever its turn comes, because the one before took its place in the processor's caches, and then a few times.

    Args:
        tasks: By name.
        repeats: Rounds.
        budget_seconds: No new round begins after this, if every task has a value.
        clock: Seconds that only grow.
    """
    started = clock()
    values: dict[Key, list[float]] = {name: [] for name in tasks}
    first = {}
    for name, task in tasks.items():
        first[name] = _timed(task, clock)
        if first[name] > SLOW_SECONDS:
            values[name].append(first[name])
    latest = dict(first)
    for _ in range(repeats):
        if all(values.values()) and clock() - started > budget_seconds:
            break
        for name, task in tasks.items():
            if latest[name] > SLOW_SECONDS and len(values[name]) >= repeats:
                continue
            calls = 1
            if latest[name] < VISIT_SECONDS:
                task()
                calls = min(CALLS_PER_VISIT, max(1, int(VISIT_SECONDS / max(latest[name], 1e-6))))
            for _ in range(calls):
                latest[name] = _timed(task, clock)
                values[name].append(latest[name])
    return {name: Sample(tuple(values[name]), first[name]) for name in tasks}


def line_fit(counts: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """How a cost grows with a count: least squares, and whether it grows faster than a straight line.

    Args:
        counts: Ascending, at least 3.
        seconds: Cost of each.

    Returns:
        `fixed` and `each` (seconds), `r2`, and `bend`: the slope between the last two counts over the slope between the
        two before; above 1 the cost grows faster than linearly.
    """
    if len(counts) < 3:
        raise ValueError(f"a fit needs at least 3 counts, got {len(counts)}")
    x, y = np.asarray(counts, float), np.asarray(seconds, float)
    each, fixed = np.polyfit(x, y, 1)
    spread = ((y - y.mean()) ** 2).sum()
    slopes = np.diff(y) / np.diff(x)
    return {
        "fixed": float(fixed),
        "each": float(each),
        "r2": float(1 - ((y - fixed - each * x) ** 2).sum() / spread) if spread else 1.0,
        "bend": float(slopes[-1] / slopes[-2]) if slopes[-2] > 0 else float("nan"),
    }


def _timed(task: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    task()
    return clock() - started
