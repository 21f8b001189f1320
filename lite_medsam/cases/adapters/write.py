"""From a listing to a folder of cases: checked, resumable, with a manifest, nothing half written."""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from lite_medsam.cases.adapters.check import ERROR, LEFT_OUT, SLICE_FACTS, Facts, Seen, inspect, severity
from lite_medsam.cases.adapters.npy_pairs import info_path, pair_paths, write_npy_pairs
from lite_medsam.cases.adapters.source import Adapter, Drop, Item, Options, Problem
from lite_medsam.cases.adapters.split import Entry, Split, make_split
from lite_medsam.cases.adapters.split_file import save_split
from lite_medsam.cases.case import Case, save_case
from lite_medsam.errors import CaseError
from lite_medsam.storage.files import atomic_write

__all__ = ["LAYOUTS", "Report", "check_source", "prepare_cases"]

LAYOUTS = ("npz", "npy")
JOURNAL, MANIFEST, PROBLEMS, SPLIT = "prepared.jsonl", "manifest.csv", "problems.csv", "split.json"
# a change of what adapters make of a file must change this, so that no old case is taken for a new one
_VERSION = 1
_PROBLEM_FIELDS = ("severity", "kind", "file", "message")
_ESCAPED = "backslashreplace"  # of file names: bytes that are no UTF-8
_HELD_OUT_FIRST = {"test": 0, "val": 1}


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Attributes:
        facts: Of every item, in the order they were read: held-out parts first.
        problems: Of pairing, and of the output folder.
        written: Cases written now.
        kept: Cases that were finished by an earlier run.
        split: The split that was written, if any.
    """

    facts: tuple[Facts, ...]
    problems: tuple[Problem, ...]
    written: int = 0
    kept: int = 0
    split: Split | None = None

    @property
    def all_problems(self) -> list[Problem]:
        """Those of pairing, then those of the items."""
        return [*self.problems, *(problem for facts in self.facts for problem in facts.problems)]

    @property
    def errors(self) -> list[Problem]:
        """The problems that a person must look at: their files made no case."""
        return [problem for problem in self.all_problems if severity(problem) == ERROR]


def check_source(adapter: Adapter, options: Options, on_item: Callable[[int], object] = lambda total: None) -> Report:
    """Reads everything and writes nothing.

    Args:
        adapter: The opened adapter.
        options: Those that it was opened with.
        on_item: Called after each item with the number of all items.

    Raises:
        CaseError: If the root does not look like the data set.
    """
    listing = adapter.find()
    seen, facts = Seen(), []
    for item in _in_order(listing.items):
        found, _ = inspect(adapter, item, options)
        facts.append(seen.judge(found))
        on_item(len(listing.items))
    return Report(tuple(facts), listing.problems)


def prepare_cases(
    adapter: Adapter,
    options: Options,
    out: Path,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    layout: str = "npz",
    on_item: Callable[[int], object] = lambda total: None,
) -> Report:
    """Writes a folder of cases.

    * NAME.npz per case, or imgs/ gts/ info/ for the layout "npy"; below train/, val/, test/ where the data set
      publishes these parts.
    * manifest.csv: a row per case; problems.csv: a row per problem.
    * split.json: where shares are given, or the data set publishes parts.
    * prepared.jsonl: a line per finished case, by which the next run knows what is done. A case is made again when
      its files (size, time) or the options changed.

    Args:
        adapter: The opened adapter.
        options: Those that it was opened with.
        out: The folder; must lie outside the root.
        fractions: Shares for `split.make_split`.
        seed: Its seed.
        layout: One of `LAYOUTS`.
        on_item: Called after each item with the number of all items.

    Raises:
        CaseError: If the root does not look like the data set, `out` lies in it, or the cases can't be split so.
        OSError: If `out` can't be written.
    """
    if layout not in LAYOUTS:
        raise CaseError(f"the layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if out.resolve().is_relative_to(adapter.root.resolve()):
        raise CaseError(f"the output must lie outside the input {adapter.root}, got {out}: it would be read as input")
    listing = adapter.find()
    if fractions:  # what can't be divided so is said before the work, as far as the listing tells
        make_split([Entry(i.name, i.group, published=i.split) for i in listing.items], fractions, seed)
    done = _read_journal(out / JOURNAL)
    seen, facts, problems, written = Seen(), [], list(listing.problems), 0
    out.mkdir(parents=True, exist_ok=True)
    with open(out / JOURNAL, "a", encoding="utf-8", errors=_ESCAPED) as journal:
        for item in _in_order(listing.items):
            key = _key(adapter, item, options, layout)
            found, case = done.get(key), None
            if found is not None and _is_there(out, found, layout):
                found = seen.judge(found)
            else:
                found, case = inspect(adapter, item, options)
                raw, found = found, seen.judge(found)
                if found.is_usable and case is not None:
                    try:
                        _write(out, found, case, layout)
                    except (OSError, CaseError) as error:  # a name that is too long here, a full disk
                        message = getattr(error, "strerror", None) or str(error)
                        found = replace(found, problems=(*found.problems, Problem("not-written", found.file, message)))
                    else:
                        written += 1
                        _note(journal, key, raw)
            if any(severity(problem) == LEFT_OUT for problem in found.problems):
                _remove(out, found, layout)
            facts.append(found)
            on_item(len(listing.items))
    usable = [fact for fact in facts if fact.is_usable]
    split = _split(usable, fractions, seed)
    problems += _left_over(out, usable, layout)
    if split is None and (out / SPLIT).exists():
        problems.append(Problem("left-over", SPLIT, "of an earlier run; make it again with the same shares"))
    report = Report(tuple(facts), tuple(problems), written, len(usable) - written)
    _write_csv(out / MANIFEST, _manifest(usable))
    rows = [dict(zip(_PROBLEM_FIELDS, (severity(p), *p), strict=True)) for p in report.all_problems]
    _write_csv(out / PROBLEMS, rows, _PROBLEM_FIELDS)
    if split is not None:
        save_split(out / SPLIT, split)
    return replace(report, split=split)


def _in_order(items: tuple[Item, ...]) -> list[Item]:
    # held-out parts first: a copy that stands in train too is then found in train, and left out there
    return sorted(items, key=lambda item: _HELD_OUT_FIRST.get(item.split or "", 2))


def _place(out: Path, facts: Facts) -> Path:
    return out / facts.split if facts.split else out


def _target(out: Path, facts: Facts, layout: str) -> Path:
    folder = _place(out, facts)
    return folder / f"{facts.name}.npz" if layout == "npz" else info_path(folder, facts.name)


def _is_there(out: Path, facts: Facts, layout: str) -> bool:
    return _target(out, facts, layout).is_file()


def _write(out: Path, facts: Facts, case: Case, layout: str) -> None:
    if layout == "npz":
        save_case(_target(out, facts, layout), case)
    else:
        write_npy_pairs(_place(out, facts), case)


def _remove(out: Path, facts: Facts, layout: str) -> None:
    """A case that an earlier run wrote and that is no longer wanted must not be found by a later training."""
    target = _target(out, facts, layout)
    if layout == "npy" and target.is_file():
        for path in pair_paths(_place(out, facts), facts.name):
            path.unlink(missing_ok=True)
    target.unlink(missing_ok=True)


def _key(adapter: Adapter, item: Item, options: Options, layout: str) -> str:
    """Names what a case is made of: its files as they are now, and everything that is done to them."""
    asked = {f.name: getattr(options, f.name) for f in fields(options)}
    if asked["frame"] is None:  # as before there was such an option: what was finished stays so
        del asked["frame"]
    state: list = [_VERSION, adapter.name, adapter.decision, layout, item.name, item.split, item.group]
    state.append(str(sorted(asked.items(), key=str)))
    for path in (item.image, *item.labels, *item.others):
        try:
            stat = os.stat(path)
            state.append([path.relative_to(adapter.root).as_posix() if path.is_relative_to(adapter.root) else path.name,
                          stat.st_size, stat.st_mtime_ns])  # fmt: skip
        except OSError:
            state.append([path.name, None, None])
    return hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()


def _note(journal: io.TextIOBase, key: str, facts: Facts) -> None:
    journal.write(json.dumps({"key": key, **asdict(facts)}, ensure_ascii=False) + "\n")
    journal.flush()


def _read_journal(path: Path) -> dict[str, Facts]:
    """Finished cases by key; a line that a crash cut off is no finished case."""
    done: dict[str, Facts] = {}
    if not path.is_file():
        return done
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            key = row.pop("key")
            row["label_files"], row["size"] = tuple(row["label_files"]), tuple(row["size"])
            row["drops"] = tuple(Drop(*drop) for drop in row["drops"])
            row["problems"] = tuple(Problem(*problem) for problem in row["problems"])
            done[key] = Facts(**row)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return done


def _left_over(out: Path, usable: list[Facts], layout: str) -> Iterator[Problem]:
    wanted = {_target(out, facts, layout) for facts in usable}
    pattern = "*.npz" if layout == "npz" else "info/*.json"
    for folder in (out, *(out / part for part in ("train", "val", "test"))):
        for path in sorted(folder.glob(pattern)):
            if path not in wanted and not path.name.startswith("."):
                message = "not of this run (other options, or a file that is gone); delete it, or it will be trained on"
                yield Problem("left-over", path.relative_to(out).as_posix(), message)


def _manifest(usable: list[Facts]) -> list[dict]:
    rows = []
    for facts in sorted(usable, key=lambda facts: facts.name):
        rows.append(
            {
                "name": facts.name,
                "file": facts.file,
                "label_files": ";".join(facts.label_files),
                "group": facts.group or "",
                "split": facts.split or "",
                "modality": facts.modality or "",
                "size": "x".join(map(str, facts.size)),
                "sha256": facts.sha256,
                "labels": ";".join(facts.objects),
                "objects": ";".join(f"{label}={count}" for label, count in facts.objects.items()),
                **{key: facts.slices.get(key, "") for key in SLICE_FACTS},
                "dropped": ";".join(f"{d.count} x {d.label}: {d.reason}" for d in facts.drops),
            }
        )
    return rows


_MANIFEST_FIELDS = (
    "name", "file", "label_files", "group", "split", "modality", "size", "sha256", "labels", "objects",
    *SLICE_FACTS, "dropped",
)  # fmt: skip


def _write_csv(path: Path, rows: list[dict], names: tuple[str, ...] = _MANIFEST_FIELDS) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", errors=_ESCAPED, newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _split(usable: list[Facts], fractions: Mapping[str, float] | None, seed: int) -> Split | None:
    published = {facts.split for facts in usable} - {None}
    if fractions is None and len(published) < 2:
        return None
    entries = [Entry(f.name, f.group, f.sha256, frozenset(f.objects), f.modality, f.split, f.twin) for f in usable]
    return make_split(entries, fractions, seed)
