"""Runs the parts of a bench one after the other; a part that fails is named and the others go on."""

import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lite_medsam.bench import files, graphs, processes, refining, scale, volumes, zooming
from lite_medsam.bench.contenders import OURS, REFERENCE, Contender, reference
from lite_medsam.bench.context import BenchSettings, Context
from lite_medsam.bench.goals import Goal, all_goals
from lite_medsam.bench.machine import machine_facts
from lite_medsam.bench.timing import Measurement
from lite_medsam.errors import MissingExtraError
from lite_medsam.evaluation.score_tables import to_json
from lite_medsam.model.published import find_weights
from lite_medsam.model.runtime import ENGINES, physical_cores

FORMAT, VERSION = "lite-medsam-bench", 1
INTERRUPTED = "interrupted; what was not measured before it is missing"
PARTS: dict[str, Callable[[Context], None]] = {
    "graphs": graphs.measure_graphs,
    "roofline": graphs.measure_roofline,
    "threads": graphs.measure_threads,
    "other engines": graphs.measure_other_engines,
    "files": files.measure_files,
    "stages": files.measure_stages,
    "volumes": volumes.measure_volumes,
    "cold processes": processes.measure_startup,
    "memory": processes.measure_memory,
    "folders": processes.measure_folders,
    "zoom": zooming.measure_zoom,
    "refine": refining.measure_refining,
    "scale": scale.measure_scale,
}


@dataclass(frozen=True, eq=False)
class BenchReport:
    """All that a run found.

    Attributes:
        machine: See `machine_facts`.
        settings: What was asked for.
        measurements: Cells of the tables.
        details: Rooflines, fits, stages, zoom.
        goals: With what this run says of them.
        skipped: (what, reason) that this machine or version can't measure.
        failures: (part, reason) that went wrong.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    measurements: list[Measurement]
    details: dict[str, Any]
    goals: list[Goal]
    skipped: list[tuple[str, str]]
    failures: list[tuple[str, str]]

    def to_json(self) -> str:
        """The record as JSON; NaN is null."""
        return to_json(
            {
                "format": FORMAT,
                "version": VERSION,
                "machine": self.machine,
                "settings": self.settings,
                "measurements": [
                    {**entry.record(), "gflops": graphs.achieved_gflops(entry, self.details)}
                    for entry in self.measurements
                ],
                "details": self.details,
                "goals": [goal.record() for goal in self.goals],
                "skipped": [{"what": what, "reason": reason} for what, reason in self.skipped],
                "failures": [{"part": part, "reason": reason} for part, reason in self.failures],
            }
        )


def run_bench(
    settings: BenchSettings,
    parts: tuple[str, ...] | None = None,
    progress: Callable[[str], None] = lambda part: None,
) -> BenchReport:
    """Measures what the settings ask for.

    Args:
        settings: See `BenchSettings`.
        parts: Keys of PARTS; None for all.
        progress: Called with the name of each part before it begins.

    Raises:
        WeightsError: If the model can't be opened.
        CaseError: If there are no cases where they should be.
        MissingExtraError: If an engine that was asked for is not installed.
    """
    settings = replace(settings, engines=settings.engines or installed_engines())
    threads = settings.threads or physical_cores()
    ours = Contender(OURS, find_weights(settings.weights))
    for engine in settings.engines:
        ours.open(engine, threads)  # what can't be opened is the user's to mend, before minutes have passed
    if settings.cases is not None:
        zooming.labelled(settings.cases, 1)
    machine = machine_facts()
    skipped: list[tuple[str, str]] = []
    failures: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="lite-medsam-bench-") as folder:
        other = _reference(settings, skipped, failures, progress)
        context = Context(settings, ours, other, threads, Path(folder), skipped=skipped)
        for name in PARTS if parts is None else parts:
            progress(name)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of the libraries; what matters is in the tables
                    PARTS[name](context)
            except Exception as error:  # a part that fails costs its rows, not the minutes before it
                failures.append((name, _one_line(error)))
            except KeyboardInterrupt:  # neither does a user who has seen enough
                failures.append((name, INTERRUPTED))
                break
    shown = {**vars(settings), "threads": threads, "weights": ours.directory.name}
    shown["reference"] = None if other is None else other.weights
    shown["cases"] = None if settings.cases is None else settings.cases.name
    return BenchReport(
        machine, shown, context.measurements, context.details, all_goals(context), context.skipped, failures
    )


def installed_engines() -> tuple[str, ...]:
    """Names of the engines whose packages are installed, ONNX Runtime first."""
    return tuple(name for name in ENGINES if importlib.util.find_spec(name) is not None)


def _reference(settings: BenchSettings, skipped: list, failures: list, progress: Callable) -> Contender | None:
    if not settings.with_reference:
        skipped.append((REFERENCE, "--no-reference was given"))
        return None
    progress(f"{REFERENCE}, to compare with")
    try:
        return reference()
    except MissingExtraError as error:
        skipped.append((REFERENCE, str(error)))
    except (OSError, ValueError) as error:
        failures.append((REFERENCE, _one_line(error)))
    return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
