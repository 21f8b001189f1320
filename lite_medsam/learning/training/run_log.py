"""What a run writes down while it goes: CSV always, TensorBoard event files where that package is installed."""

import csv
from pathlib import Path

from lite_medsam.storage.files import atomic_write

TRAINING, VALIDATION = "log.csv", "validation.csv"
_COLUMNS = {
    TRAINING: ("step", "loss", "rate", "seconds"),
    VALIDATION: ("step", "dice", "iou", "surface_dice", "best", "seconds"),
}


class RunLog:
    """Rows of a run in its folder; a continued run first drops what it is about to do again.

    Args:
        folder: Folder of the run.
        step: The step that the run continues from; 0 for a new one.
    """

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in _COLUMNS:
            _cut(folder / name, step)
        self._append(TRAINING)
        self._events = _event_writer(folder / "tensorboard", step)

    def training(self, step: int, loss: float, rate: float, seconds: float) -> None:
        """One line of log.csv: mean loss since the last one, factor of the learning rate, seconds in steps so far."""
        self._append(TRAINING, [step, f"{loss:.5f}", f"{rate:.4f}", f"{seconds:.1f}"])
        self._show(step, {"train/loss": loss, "train/rate": rate})

    def validation(self, step: int, scores: dict[str, float], best: bool, seconds: float) -> None:
        """One line of validation.csv: means over modalities, and whether the weights are the best so far."""
        names = ("dice", "iou", "surface_dice")
        self._append(VALIDATION, [step, *(f"{scores[name]:.5f}" for name in names), int(best), f"{seconds:.1f}"])
        self._show(step, {f"validation/{name}": scores[name] for name in names})

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _append(self, name: str, *rows: list) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([*([_COLUMNS[name]] if fresh else []), *rows])

    def _show(self, step: int, values: dict[str, float]) -> None:
        if self._events is not None:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column name; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _cut(path: Path, step: int) -> None:
    """Removes rows after a step, and the half-written one that a kill can leave."""
    rows = read_rows(path)
    kept = [
        row for row in rows if None not in row.values() and row.get("step", "").isdigit() and int(row["step"]) <= step
    ]
    if len(kept) == len(rows):
        return
    if not kept:
        path.unlink()
        return
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)


def _event_writer(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
