"""What `lite-medsam segment` says: progress, a line for each input, failures at the end."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Report:
    """Takes the records of finished jobs, and of failed ones, as they come; tells of failures at the end, whatever ended it.

    Attributes:
        records: Of finished jobs; kept where they are printed as JSON at the end.
        failures: (path, message, whether the input or its prompts are wrong) of failed jobs.
        slices: A bar for the slices of a volume.
    """

    def __init__(self, count: int, quiet: bool, as_json: bool, table: Callable[[Any, dict], None] | None = None):
        """Begins a bar.

        Args:
            count: Of jobs.
            quiet: Say nothing but failures.
            as_json: Print the records at the end.
            table: Called with each finished job and its record, too.
        """
        from tqdm import tqdm

        self.count, self.quiet, self.as_json, self.table = count, quiet, as_json, table
        self.out = sys.stdout
        self.bar = tqdm(total=count, unit="file", disable=quiet or count < 2, leave=False)
        self.slices = SliceBar(quiet)
        self.records: list[dict] = []
        self.failures: list[tuple[Path, str, bool]] = []

    def __call__(self, job, record: dict) -> None:
        from lite_medsam.storage.paths import shown_path

        self.bar.update()
        if "error" in record:
            said = "" if job.place is None or job.place in record["error"] else f"{job.place}: "
            self.failures.append((job.path, said + record["error"], record["wrong_input"]))
            return
        if self.table is not None:
            self.table(job, record)
        if self.as_json:
            self.records.append(record)
        elif not self.quiet:
            self.bar.write(_line(job, record), file=self.out)
        for note in () if self.quiet or record.get("skipped") else record.get("notes", ()):
            self.bar.write(f"note: {shown_path(job.path.name)}: {note}", file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        from lite_medsam.storage.console import print_json
        from lite_medsam.storage.json_text import recorded_name
        from lite_medsam.storage.paths import shown_path

        self.slices.__exit__()
        self.bar.close()
        if self.as_json:
            print_json(
                self.records + [{"input": recorded_name(path), "error": text} for path, text, _ in self.failures]
            )
        for path, message, _wrong in self.failures:
            # most messages name their file already
            name, shown = shown_path(path.name), shown_path(path)
            print(f"error: {message if name in message else f'{shown}: {message}'}", file=sys.stderr)
        if self.failures and self.count > 1:
            print(f"{len(self.failures)} of {self.count} inputs failed", file=sys.stderr)


class SliceBar:
    """A bar on stderr for the slices of a volume, shown where it takes longer than a second."""

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self.bar: Any = None

    def __call__(self, job, done: int, total: int) -> None:
        from tqdm import tqdm

        from lite_medsam.storage.paths import shown_path

        if self.bar is None:
            name = shown_path(job.path.name)
            self.bar = tqdm(total=total, desc=name, unit="slice", delay=1, leave=False, disable=self.quiet)
        self.bar.update(done - self.bar.n)
        if done == total:
            self.__exit__()

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()
        self.bar = None


def _line(job, record: dict) -> str:
    from lite_medsam.storage.paths import shown_path

    name = shown_path(job.path.name)
    if record.get("skipped"):
        return f"{name}: finished before, skipped"
    objects = record["objects"]
    scores = ", ".join("-" if o["score"] is None else f"{o['score']:.2f}" for o in objects[:5]) + (
        ", ..." if len(objects) > 5 else ""
    )
    seconds = sum(record["seconds"].values())
    plural = "" if len(objects) == 1 else "s"
    return f"{name}: {len(objects)} object{plural}, score {scores}, {seconds:.2f} s -> {shown_path(job.target)}.json"
