"""Dividing cases into train, val and test: by group, stratified, seeded."""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lite_medsam.cases.adapters.check import COPY_KEY, PUBLISHED_SPLIT, pixel_sha256
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError

__all__ = [
    "PARTS",
    "Entry",
    "Split",
    "entries_of",
    "make_split",
    "parse_fractions",
]

PARTS = ("train", "val", "test")
_RANK = {"test": 2, "val": 1, "train": 0}


@dataclass(frozen=True)
class Entry:
    """A case as a split sees it.

    Attributes:
        name: The case's name.
        group: Patient, eye, video or volume; None makes the case a group of its own.
        sha256: Of its image; cases that share it stay together.
        labels: Names (or numbers) of the labels in it.
        modality: Its modality.
        published: The part of the data set's own split that it belongs to.
        twin: A further key whose holders stay together.
    """

    name: str
    group: str | None = None
    sha256: str | None = None
    labels: frozenset[str] = frozenset()
    modality: str | None = None
    published: str | None = None
    twin: str | None = None


@dataclass(frozen=True)
class Split:
    """Which case is in which part.

    Attributes:
        parts: Names of the cases of each part, sorted.
        groups: Each case's group; cases that have to stay together share one.
        images: SHA-256 of each case's image, where known.
        seed: Seed of the division.
        fractions: What was asked for; empty when the published parts were taken as they are.
        left_out: Cases of no part, with the reason.
    """

    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, str]
    images: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    fractions: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of everything in it: what a model's card records."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()

    def content(self) -> dict:
        """What its hash is taken over, as JSON holds it."""
        return {
            "seed": self.seed,
            "fractions": dict(self.fractions),
            "parts": {
                part: [
                    {"name": n, "group": self.groups[n]} | ({"sha256": self.images[n]} if n in self.images else {})
                    for n in names
                ]
                for part, names in self.parts.items()
            },
            "left_out": dict(self.left_out),
        }

    def part_of(self, name: str) -> str | None:
        """The part that a case is in; None when it is left out or unknown."""
        return next((part for part, names in self.parts.items() if name in names), None)


def parse_fractions(text: str) -> dict[str, float]:
    """Shares from a text like train=0.8,val=0.2.

    Raises:
        CaseError: If it is not of that form, a share is not above 0, or they do not add up to 1.
    """
    fractions: dict[str, float] = {}
    for piece in text.split(","):
        part, equals, number = (word.strip() for word in piece.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if part not in PARTS or not equals or not 0 < share <= 1 or part in fractions:
            raise CaseError(f"shares must look like train=0.8,val=0.2 (parts {', '.join(PARTS)}), got {text!r}")
        fractions[part] = share
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise CaseError(f"shares must add up to 1, {text!r} gives {sum(fractions.values()):g}")
    return fractions


def make_split(entries: Iterable[Entry], fractions: Mapping[str, float] | None = None, seed: int = 0) -> Split:
    """Divides cases; the result depends on the seed and the entries, not on their order.

    Cases of one group stay together, and so do cases with the same image or twin key, whatever their groups.
    A published division is kept: what it holds out stays in its part, and only its train part is divided, into
    train and val. A case that would stand with one leg in a held-out part is left out of the other.
    Groups are dealt out one at a time, those of the rarest label first and the largest first, each to the part
    that lacks most of what it brings (cases, labels, modality), in proportion: iterative stratification after
    Sechidis, Tsoumakas and Vlahavas (2011), on groups.

    Args:
        entries: The cases.
        fractions: Share of each part of the cases that are free to divide; None takes the published parts.
        seed: Decides among equals.

    Raises:
        CaseError: If names repeat, there are fewer groups than parts, or the shares name a part that is published.
    """
    entries = sorted(entries, key=lambda entry: entry.name)
    if len({entry.name for entry in entries}) < len(entries):
        raise CaseError("a split needs names that differ; some case's name comes twice")
    clusters = _clusters(entries)
    is_published = len({entry.published for entry in entries} - {None}) > 1
    held_out = {entry.published for entry in entries if entry.published} - {"train"} if is_published else set()
    if fractions is None and not is_published:
        raise CaseError("this data set publishes no split of its own; give the shares, such as train=0.8,val=0.2")
    if fractions and held_out & set(fractions):
        which = ", ".join(sorted(held_out & set(fractions)))
        raise CaseError(f"the data set publishes its own {which} part, which stays; give shares of the others only")
    assigned: dict[str, str] = {}
    left_out: dict[str, str] = {}
    free = []
    for members in clusters:
        claimed = {entry.published or "train" for entry in members} if is_published else {"train"}
        strongest = max(claimed, key=_RANK.__getitem__)
        for entry in members:
            if (entry.published or "train") != strongest and is_published:
                left_out[entry.name] = f"a case of its group, or a copy of it, is in the published {strongest} part"
        rest = [entry for entry in members if entry.name not in left_out]
        if strongest == "train":
            free.append(rest)
        else:
            assigned.update({entry.name: strongest for entry in rest})
    if fractions:
        assigned.update(_dealt(free, fractions, seed))
    else:
        assigned.update({entry.name: "train" for members in free for entry in members})
    known = {entry.group for entry in entries}
    groups = {entry.name: _group_name(members, known) for members in clusters for entry in members}
    parts = {p: tuple(sorted(n for n, part in assigned.items() if part == p)) for p in PARTS}
    return Split(
        parts={part: names for part, names in parts.items() if names},
        groups={name: groups[name] for name in assigned},
        images={entry.name: entry.sha256 for entry in entries if entry.sha256 and entry.name in assigned},
        seed=seed,
        fractions=dict(fractions or {}),
        left_out=left_out,
    )


def _clusters(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries that must not be parted: joined by group, image or twin, over several steps too."""
    parent = list(range(len(entries)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, entry in enumerate(entries):
        for kind, key in (("group", entry.group), ("image", entry.sha256), ("twin", entry.twin)):
            if key is not None:
                parent[root(i)] = root(first.setdefault((kind, key), i))
    joined: dict[int, list[Entry]] = defaultdict(list)
    for i, entry in enumerate(entries):
        joined[root(i)].append(entry)
    return sorted(joined.values(), key=lambda members: members[0].name)


def _group_name(members: list[Entry], known: set[str | None]) -> str:
    names = sorted({entry.group for entry in members if entry.group})
    if names:
        return "+".join(names[:3])
    alone = members[0].name
    return f"{alone} (alone)" if alone in known else alone


def _features(members: list[Entry]) -> Counter[str]:
    features: Counter[str] = Counter({"cases": len(members)})
    for entry in members:
        features.update(f"label {label}" for label in entry.labels or ("(none)",))
        features[f"modality {entry.modality}"] += 1
    return features


def _dealt(clusters: list[list[Entry]], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    parts = [part for part in PARTS if part in fractions]
    if len(clusters) < len(parts):
        raise CaseError(
            f"a split into {', '.join(parts)} needs at least {len(parts)} groups (patients), there are "
            f"{len(clusters)}; groups are never cut: get more patients, or ask for fewer parts"
        )
    features = [_features(members) for members in clusters]
    totals = sum(features, Counter())
    wanted = {(part, f): fractions[part] * total for part in parts for f, total in totals.items()}
    lots = np.random.default_rng(seed).permutation(len(clusters))
    order = sorted(
        range(len(clusters)),
        key=lambda i: (min(totals[f] for f in features[i]), -features[i]["cases"], lots[i]),
    )
    assigned: dict[str, str] = {}
    filled: Counter[str] = Counter()
    for position, i in enumerate(order):
        empty = [part for part in parts if not filled[part]]
        # the last groups go to parts that have none yet
        choices = empty if len(empty) >= len(order) - position else parts
        # how much of its share a part still lacks, summed over what this group brings, rare things first
        part = max(
            choices,
            key=lambda p: (
                sum(n * wanted[p, f] / (fractions[p] * totals[f] ** 2) for f, n in features[i].items()),
                wanted[p, "cases"],
                fractions[p],
            ),
        )
        for f, n in features[i].items():
            wanted[part, f] -= n
        filled[part] += 1
        assigned.update({entry.name: part for entry in clusters[i]})
    return assigned


def entries_of(cases: Iterable[Case]) -> list[Entry]:
    """Entries of cases that come without a manifest (`case.load_case`).

    A published part and a copy's key are read off the metadata that `lite-medsam prepare` leaves in a case.

    Args:
        cases: The cases; a generator will do, only one is needed at a time.
    """
    entries = []
    for case in cases:
        values = [] if case.label is None else [int(v) for v in np.unique(case.label) if v]
        names = case.label_names or {}
        labels = frozenset(names.get(v, str(v)) for v in values)
        marks = case.metadata or {}
        published = marks.get(PUBLISHED_SPLIT) if marks.get(PUBLISHED_SPLIT) in PARTS else None
        sha256 = pixel_sha256(case.image)
        entries.append(Entry(case.name, case.group, sha256, labels, case.modality, published, marks.get(COPY_KEY)))
    return entries
