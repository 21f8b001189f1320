"""What a fine-tuning run came to."""

from dataclasses import dataclass
from pathlib import Path

from lite_medsam.evaluation.report import Evaluation
from lite_medsam.learning.training.run_record import RunRecord
from lite_medsam.learning.training.validation import comparison


@dataclass(frozen=True)
class FinetuneResult:
    """What a run came to.

    Attributes:
        model: The model directory.
        before: Scores of the starting weights on the held-out cases, by protocol.
        after: Scores of the exported model on the same cases.
        steps: Optimiser steps taken.
        best_step: The step whose averaged weights were kept; 0: the starting weights.
        seconds: Time spent in steps.
        record: Where the time of this process went.
    """

    model: Path
    before: dict[str, Evaluation]
    after: dict[str, Evaluation]
    steps: int
    best_step: int
    seconds: float
    record: RunRecord

    @property
    def table(self) -> list[dict]:
        """The before/after table, see `validation.comparison`."""
        return comparison(self.before, self.after)
