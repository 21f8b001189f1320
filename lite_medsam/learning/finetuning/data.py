"""The cases of a fine-tuning run: which are there, which are trained on, which are held out, and their hash."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.split import Entry, Split, entries_of, make_split
from lite_medsam.cases.adapters.split_file import load_split
from lite_medsam.cases.case import Case, load_case
from lite_medsam.errors import CaseError

SPLIT = "split.json"
NEEDS = "fine-tuning needs labelled cases of at least two groups (patients): one to train on, one to validate on"


@dataclass(frozen=True)
class Division:
    """The two sides of a run.

    Attributes:
        train: Files to train on, by name.
        validation: Files that are held out, by name.
        split: Where they come from.
        sha256: Over names, images and labels of both sides.
        train_groups: Groups on the training side.
        validation_groups: Groups on the other side.
        origin: Which division this is, in words.
        ungrouped: Cases that name no group, each taken for a group of its own.
        unlabelled: Cases without a label or an object, left out.
        outside: Cases that are in no part or in the test part, left out.
    """

    train: tuple[Path, ...]
    validation: tuple[Path, ...]
    split: Split
    sha256: str
    train_groups: int
    validation_groups: int
    origin: str
    ungrouped: int
    unlabelled: int
    outside: int


def divide(folder: Path, split_file: Path | None, validation_share: float, seed: int) -> Division:
    """Finds the labelled cases of a folder and divides them by group.

    Args:
        folder: Searched for npz cases, recursively.
        split_file: What `lite-medsam prepare` wrote; its train and val parts are taken, its test part is not touched. None
            takes the folder's own split.json, and divides here where there is none. A split without a val part, as data
            sets with a test part alone publish it, gets one out of its train part.
        validation_share: Share of the cases to hold out, where that is decided here.
        seed: Of that division.

    Raises:
        CaseError: If there is too little, two files share a name, the file names cases that are not there, or a group or an
            image is on both sides. Damaged cases are left out with a RuntimeWarning.
    """
    paths = _files(folder)
    hashes: dict[str, str] = {}
    entries = {e.name: e for e in entries_of(_labelled(list(paths.values()), hashes))}
    if len(entries) < 2:
        raise CaseError(f"{NEEDS}, got {len(entries)} in {folder}; see lite-medsam prepare")
    if split_file is None and (folder / SPLIT).is_file():
        split_file = folder / SPLIT
    shares = {"train": 1 - validation_share, "val": validation_share}
    if split_file is None:
        split, origin = _own_split(list(entries.values()), shares, seed)
    else:
        split, origin = load_split(split_file), f"split of {split_file}"
        if "val" not in split.parts and "train" in split.parts:
            split, origin = _with_validation(split, entries, shares, seed), f"{origin}, its train part divided by group"
    sides = {part: _side(split, part, paths, entries, split_file) for part in ("train", "val")}
    _refuse_leaks([entries[n] for n in sides["train"]], [entries[n] for n in sides["val"]])
    used = [*sides["train"], *sides["val"]]
    digest = hashlib.sha256()
    for part, names in sides.items():
        for name in names:
            digest.update(f"{part}\0{name}\0{hashes[name]}\n".encode())
    return Division(
        train=tuple(paths[name] for name in sides["train"]),
        validation=tuple(paths[name] for name in sides["val"]),
        split=split,
        sha256=digest.hexdigest(),
        train_groups=len({split.groups[name] for name in sides["train"]}),
        validation_groups=len({split.groups[name] for name in sides["val"]}),
        origin=origin,
        ungrouped=sum(entries[name].group is None for name in used),
        unlabelled=len(paths) - len(entries),
        outside=len(entries) - len(used),
    )


def _own_split(entries: list[Entry], shares: dict[str, float], seed: int) -> tuple[Split, str]:
    """A division made here; parts that the data set publishes stay as they are."""
    published = {entry.published for entry in entries} - {None}
    if not published & {"val", "test"}:
        return make_split(entries, shares, seed), f"divided here by group, seed {seed}"
    # what lies in no published part is trained on
    entries = [replace(entry, published=entry.published or "train") for entry in entries]
    if "val" in published:
        return make_split(entries), "the data set's own split"
    split = make_split(entries, shares, seed)
    return split, f"divided here by group, seed {seed}; the data set's own test part is kept apart"


def _with_validation(split: Split, entries: dict[str, Entry], shares: dict[str, float], seed: int) -> Split:
    """A split whose train part is divided by its groups into train and val; its other parts stay."""
    named = [entries[name] for name in split.parts["train"] if name in entries]
    divided = make_split(
        [replace(entry, group=split.groups[entry.name], published=None) for entry in named], shares, seed
    )
    return replace(split, parts={**split.parts, **divided.parts}, fractions=shares, seed=seed)


def evenly(items: Sequence, most: int) -> list:
    """At most so many items, spread evenly."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _files(folder: Path) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.npz")):
        if path.stem in paths:
            raise CaseError(f"cases need names that differ, got {paths[path.stem]} and {path}; rename one")
        paths[path.stem] = path
    return dict(sorted(paths.items()))


def _labelled(paths: Sequence[Path], hashes: dict[str, str]) -> Iterator[Case]:
    for path in paths:
        try:
            case = load_case(path)
            case.require("gts")
        except CaseError as error:  # one damaged file among many must not cost the run, nor go unsaid
            warnings.warn(f"left out of the fine-tuning: {error}", RuntimeWarning, stacklevel=2)
            continue
        if case.label is None or not case.label.any():
            continue
        digest = hashlib.sha256()
        for array in (case.image, case.label):
            digest.update(repr((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes())
        hashes[case.name] = digest.hexdigest()
        yield case


def _side(
    split: Split, part: str, paths: dict[str, Path], entries: dict[str, Entry], split_file: Path | None
) -> list[str]:
    named = split.parts.get(part, ())
    missing = [name for name in named if name not in paths]
    if missing:
        raise CaseError(
            f"{split_file}: every case must be in the folder of cases, {len(missing)} of {part} are not, "
            f"such as {missing[0]}"
        )
    usable = [name for name in named if name in entries]
    if not usable:
        raise CaseError(f"{NEEDS}, but the split's part {part} holds no labelled case; make it with train=0.8,val=0.2")
    return usable


def _refuse_leaks(train: list[Entry], validation: list[Entry]) -> None:
    """What the cases themselves say counts too: a split file can be older than they are."""
    for what, key in (("group", "group"), ("image", "sha256")):
        home = {getattr(entry, key): entry.name for entry in train}
        for entry in validation:
            value = getattr(entry, key)
            if value is not None and value in home:
                raise CaseError(
                    f"a {what} must not be on both sides, {home[value]} (train) and {entry.name} (val) share {value[:40]}; "
                    "make the split again"
                )
