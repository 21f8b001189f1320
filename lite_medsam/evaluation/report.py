"""The scores of a run: its rows, their averages as text, CSV, Markdown or JSON, and what was left out."""

import os
from dataclasses import dataclass
from typing import Any

from lite_medsam.evaluation import score_tables, scores


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a run.

    Attributes:
        rows: One dict per object with the keys `scores.COLUMNS`, then dice_0, dice_1, ... (Dice after that
            many clicks; dice_0 after the box alone) where the protocol clicks.
        settings: What was run: protocol name, version and hash, tolerance, slices per volume.
        skipped: (case name, reason): unreadable, unlabelled, without a prediction, ...; the run went on
            without them.
        too_small: Objects below the protocol's smallest area, left out.
        over_limit: Objects beyond the protocol's number per image, left out.
        notes: What a reader must know of the scores.
    """

    rows: list[scores.Row]
    settings: dict[str, Any]
    skipped: list[tuple[str, str]]
    too_small: int = 0
    over_limit: int = 0
    notes: tuple[str, ...] = ()

    def summary(self, by: str = "modality") -> list[scores.Row]:
        """Averages by "modality", "dataset" or "size", see `scores.summarise` for columns and order."""
        return scores.summarise(self.rows, by)

    def write_csv(self, path: str | os.PathLike) -> None:
        """Writes the rows, atomically.

        Raises:
            OSError: If the file can't be written; nothing is left behind.
        """
        score_tables.write_csv(path, self.rows)

    def format_table(self, by: str = "modality") -> str:
        """The summary as aligned text for a terminal."""
        return score_tables.format_table(self.summary(by))

    def to_markdown(self) -> str:
        """Settings, the three summaries and what was left out, as Markdown."""
        lines = [", ".join(f"{key.replace('_', ' ')} {value}" for key, value in self.settings.items())]
        for by in ("modality", "dataset", "size"):
            lines += ["", f"By {by}:", "", score_tables.format_table(self.summary(by), markdown=True)]
        lines += ["", *(f"Note: {note}." for note in self.notes), f"Left out: {self._left_out()}."]
        lines += [f"- {name}: {reason}" for name, reason in self.skipped]
        return "\n".join(lines) + "\n"

    def to_json(self) -> str:
        """Settings, the three summaries and what was left out, as JSON; NaN and inf are null."""
        summaries = {by: self.summary(by) for by in ("modality", "dataset", "size")}
        skipped = [{"case": name, "reason": reason} for name, reason in self.skipped]
        left_out = {"too_small": self.too_small, "over_limit": self.over_limit, "skipped": skipped}
        record = {"settings": self.settings, "summary": summaries, "left_out": left_out}
        return score_tables.to_json(record | ({"notes": list(self.notes)} if self.notes else {}))

    def _left_out(self) -> str:
        return (
            f"{len(self.skipped)} cases, {self.too_small} objects that are too small, "
            f"{self.over_limit} beyond the limit per image"
        )
