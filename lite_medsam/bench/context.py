"""What the parts of a bench share: settings, the models, and where results go."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lite_medsam.bench.contenders import Contender
from lite_medsam.bench.timing import Measurement, Sample


@dataclass(frozen=True)
class BenchSettings:
    """What is measured, and how long.

    Attributes:
        weights: Model directory; None for the one that comes with the package.
        engines: What runs the models; the first runs everything, others the graphs alone. Empty: ONNX Runtime, and
            OpenVINO and torch if they are installed.
        threads: Of the models; None for as many as physical cores.
        repeats: Rounds of each comparison.
        quick: Leave out what takes long: large counts of the reference are computed from one box.
        with_reference: Measure the published LiteMedSAM beside.
        cases: Labelled npz case or folder of them for zoom's Dice; None for phantoms.
    """

    weights: Path | None = None
    engines: tuple[str, ...] = ()
    threads: int | None = None
    repeats: int = 15
    quick: bool = False
    with_reference: bool = True
    cases: Path | None = None

    @property
    def budget_seconds(self) -> float:
        """No comparison begins another round after this."""
        return 3.0 if self.quick else 12.0


@dataclass(eq=False)
class Context:
    """Models and a temporary folder, in; measurements, details and what was left out, out.

    Attributes:
        settings: What was asked for.
        ours: The model.
        reference: The published LiteMedSAM, None if it can't be had.
        threads: Of the models.
        folder: For files; removed at the end.
        measurements: Cells of the tables.
        details: More results by name, for the JSON file and the goals.
        skipped: (what, reason) of what this machine or version can't measure.
    """

    settings: BenchSettings
    ours: Contender
    reference: Contender | None
    threads: int
    folder: Path
    measurements: list[Measurement] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def contenders(self) -> list[Contender]:
        """The models in the order of their columns."""
        return [self.ours] + ([self.reference] if self.reference else [])

    @property
    def engine(self) -> str:
        """The engine that runs everything."""
        return self.settings.engines[0]

    def add(self, section: str, what: str, subject: str, sample: Sample, **more) -> None:
        """Adds a cell, see `Measurement`."""
        self.measurements.append(Measurement(section, what, subject, sample, **more))

    def find(self, what: str, subject: str, section: str | None = None) -> Measurement | None:
        """The first measurement of a row and column; None if that was not measured."""
        for entry in self.measurements:
            if (entry.what, entry.subject) == (what, subject) and section in (None, entry.section):
                return entry
        return None

    def measured(self, what: str, subject: str, section: str | None = None) -> Measurement:
        """The first measurement of a row and column that was measured."""
        entry = self.find(what, subject, section)
        assert entry is not None, f"{what} of {subject} is measured before it is used"
        return entry
