"""Reading one item to its end, and what only a look across files can tell: copies, leaks between parts."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from lite_medsam.cases.adapters.label_maps import (
    count_objects,
    drop_small,
    largest_label,
    resize_label,
    split_instances,
)
from lite_medsam.cases.adapters.naming import natural, relative
from lite_medsam.cases.adapters.source import Adapter, Drop, Item, ItemError, Options, Problem, error_kind
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError

__all__ = [
    "COPY_KEY",
    "ERROR",
    "KINDS",
    "LEFT_OUT",
    "PUBLISHED_SPLIT",
    "SLICE_FACTS",
    "WARNING",
    "Facts",
    "Seen",
    "format_report",
    "inspect",
    "pixel_sha256",
    "severity",
]

ERROR, LEFT_OUT, WARNING = "error", "left out", "warning"
# keys of a case's metadata: the part of the data set's own split, and what copies of one original share
PUBLISHED_SPLIT, COPY_KEY = "published_split", "copy_key"
# and where the slices of a volume lie along their normal, which the manifest has too
SLICE_FACTS = ("slice_positions_mm", "slice_gaps")
MAX_SHOWN = 20  # labels in a report; instances without names have a label each
# kind -> (how bad, what it says). An error's case is not written and the command ends with code 2; what is left out
# is not written either, to keep a data set's parts apart or because it has nothing to learn from, and that is no fault
KINDS = {
    "unreadable": (ERROR, "damaged, cut off, or of another kind"),
    "nan": (ERROR, "holds NaN or infinity"),
    "size-mismatch": (ERROR, "image and label differ in size"),
    "unexpected-labels": (ERROR, "label values that should not be there"),
    "unpaired-image": (ERROR, "an image without a label"),
    "unpaired-mask": (ERROR, "a label without an image"),
    "name-clash": (ERROR, "several files of one name"),
    "unsupported": (ERROR, "can't be done with what is asked for"),
    "diagnosis-mismatch": (ERROR, "two places disagree on the diagnosis"),
    "same-image-in-two-splits": (LEFT_OUT, "also in a held-out part of the data set's own split"),
    "copy-in-two-splits": (LEFT_OUT, "a copy, mirrored perhaps, of a case in a held-out part"),
    "group-in-two-splits": (LEFT_OUT, "its patient is in a held-out part too"),
    "no-attention-map": (LEFT_OUT, "has a diagnosis only"),
    "unlabelled-part": (LEFT_OUT, "images that the data set publishes without labels"),
    "not-written": (ERROR, "a case that could not be written"),
    "left-out-channels": (WARNING, "channels of the image that are not in the case"),
    "mask-values": (WARNING, "what the values of the masks were taken for"),
    "overlapping-masks": (WARNING, "masks of one image that overlap"),
    "soft-mask": (WARNING, "a mask with soft edges or from a JPEG, cut at half"),
    "empty-mask": (WARNING, "no object in it"),
    "duplicate": (WARNING, "the same pixels as another image of its part"),
    "mirrored-copy": (WARNING, "the same mask as another case's, mirrored perhaps"),
    "dropped-objects": (WARNING, "objects of the source that are not in the case"),
    "label-disagreement": (WARNING, "two labels of one image differ"),
    "ignored-label": (WARNING, "pixels of the ignored label"),
    "unread-array": (WARNING, "an optional array that could not be used; the case is without it"),
    "stray-file": (WARNING, "a file that belongs elsewhere"),
    "no-label-file": (WARNING, "no label file beside the image"),
    "faint-map": (WARNING, "an attention map without attention"),
    "assumed-spacing": (WARNING, "a voxel size that is assumed, not measured"),
    "no-spacing": (WARNING, "the voxel size is not known"),
    "reading-note": (WARNING, "how a volume was read"),
    "slice-gap": (WARNING, "slices that are missing or further apart than the others"),
    "left-over": (WARNING, "from an earlier run"),
}


def severity(problem: Problem) -> str:
    """`ERROR`, `LEFT_OUT` or `WARNING`."""
    return KINDS[problem.kind][0]


@dataclass(frozen=True)
class Facts:
    """What is known of one item after it was read; all of it can be written as JSON.

    Attributes:
        name: The case's name.
        file: The image's path below the root.
        label_files: Those of its label.
        split: The published part, or None.
        group: Patient, eye, video or volume, or None.
        modality: One of `case.MODALITIES`, or None.
        sha256: Of the case's image: its shape and pixel values, after any resizing (`pixel_sha256`).
        size: (H, W) or (D, H, W).
        objects: Connected components per label, by the label's name or number.
        drops: Objects of the source that are not in the case.
        problems: What is odd about it; an error means that there is no case.
        twin: Key shared by copies whose bytes differ.
        slices: Where the slices of a volume lie, by `SLICE_FACTS`; empty where that is not known.
    """

    name: str
    file: str
    label_files: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    modality: str | None = None
    sha256: str | None = None
    size: tuple[int, ...] = ()
    objects: dict[str, int] = field(default_factory=dict)
    drops: tuple[Drop, ...] = ()
    problems: tuple[Problem, ...] = ()
    twin: str | None = None
    slices: dict[str, str] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Whether a case is written for it."""
        return all(severity(problem) == WARNING for problem in self.problems)


def inspect(adapter: Adapter, item: Item, options: Options) -> tuple[Facts, Case | None]:
    """Reads an item and does with it what the options ask for; never raises for a bad file.

    Order: resize (objects are counted before and after), remove small objects, split into instances.

    Returns:
        The facts, and the case; None when a problem is an error.
    """
    root = adapter.root
    if item.shown is None:
        labels = tuple(relative(path, root) for path in item.labels)
    else:
        labels = tuple(f"label {number} of {item.shown}" for number in range(1, len(item.labels) + 1))
    facts = Facts(item.name, item.shown or relative(item.image, root), labels, item.split, item.group)
    try:
        reading = adapter.read(item)
        case, drops = _finished(reading.case, options, reading.has_objects)
    except Exception as error:  # whatever way one input fails, the others go on
        kind = error_kind(error) if isinstance(error, CaseError) else "unreadable"
        message = " ".join(str(error).split()) or type(error).__name__
        return replace(facts, problems=(Problem(kind, facts.file, message),)), None
    drops = [*reading.drops, *drops]
    problems = list(reading.problems)
    if drops:
        text = "; ".join(f"{d.count} x {d.label}: {d.reason}" for d in drops)
        problems.append(Problem("dropped-objects", facts.file, text))
    objects = {} if case.label is None else count_objects(case.label, case.label_names)
    if case.label is not None and not objects:
        problems.append(Problem("empty-mask", facts.file, "the label has no object"))
    facts = replace(
        facts, group=case.group, modality=case.modality, sha256=pixel_sha256(case.image), size=case.label_shape,
        objects=objects, drops=tuple(drops), problems=tuple(problems), twin=reading.twin,
        slices={key: value for key, value in (case.metadata or {}).items() if key in SLICE_FACTS},
    )  # fmt: skip
    return facts, _marked(case, facts.split, facts.twin)


def _finished(case: Case, options: Options, has_objects: bool) -> tuple[Case, list[Drop]]:
    image, label, names = case.image, case.label, case.label_names
    drops: list[Drop] = []
    if label is not None:
        largest_label(label)
    longest = max(image.shape[:2])
    if options.resize_px and not case.is_volume and longest > options.resize_px:
        scale = options.resize_px / longest
        size_hw = tuple(max(1, round(side * scale)) for side in image.shape[:2])
        image = cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA)
        if label is not None:
            label, drops = resize_label(label, size_hw, names)
        sides = zip(case.spacing_mm or (), case.label_shape, size_hw, strict=False)
        spacing = tuple(mm * before / after for mm, before, after in sides) or None
        case = replace(case, image=image, label=label, boxes=None, spacing_mm=spacing)
    elif options.resize_px and case.is_volume:
        raise ItemError("unsupported", "a volume can't be resized; leave --resize away")
    if label is not None and options.min_area_px > 1:
        label, small = drop_small(label, options.min_area_px, names)
        drops += small
    if label is not None and options.instances and not has_objects:
        label, names = split_instances(label, names)
    if label is not case.label:
        case = replace(case, label=label, label_names=names)
    return case, drops


def _marked(case: Case, split: str | None, twin: str | None) -> Case:
    """Lets the case itself say what must not be forgotten when its manifest is not at hand."""
    marks = {key: value for key, value in ((PUBLISHED_SPLIT, split), (COPY_KEY, twin)) if value is not None}
    return replace(case, metadata={**(case.metadata or {}), **marks}) if marks else case


def pixel_sha256(image: np.ndarray) -> str:
    """SHA-256 of an image's shape and values: the same for every file that shows the same pixels."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


class Seen:
    """Compares each item with those before it. Held-out parts must come first, so that they stay whole."""

    def __init__(self):
        self._images: dict[str, Facts] = {}
        self._twins: dict[str, Facts] = {}
        self._groups: dict[str, Facts] = {}

    def judge(self, facts: Facts) -> Facts:
        """The facts with the problems that earlier items give them; usable items are remembered."""
        if not facts.is_usable or facts.sha256 is None:
            return facts
        problems = []
        same = self._images.get(facts.sha256)
        twin = self._twins.get(facts.twin) if facts.twin else None
        relatives = self._groups.get(facts.group) if facts.group else None
        if same is not None:
            kind = "duplicate" if same.split == facts.split else "same-image-in-two-splits"
            problems.append(Problem(kind, facts.file, _like(same)))
        elif twin is not None:
            kind = "mirrored-copy" if twin.split == facts.split else "copy-in-two-splits"
            problems.append(Problem(kind, facts.file, _like(twin)))
        if relatives is not None and relatives.split != facts.split:
            problems.append(Problem("group-in-two-splits", facts.file, f"{facts.group}: {_like(relatives)}"))
        facts = replace(facts, problems=facts.problems + tuple(problems))
        if facts.is_usable and facts.sha256 is not None:
            self._images.setdefault(facts.sha256, facts)
            if facts.twin:
                self._twins.setdefault(facts.twin, facts)
            if facts.group:
                self._groups.setdefault(facts.group, facts)
        return facts


def _like(other: Facts) -> str:
    return f"as {other.file}" + (f" ({other.split})" if other.split else "")


def format_report(facts: Iterable[Facts], problems: Iterable[Problem], verbose: bool = True) -> str:
    """The report of `--check`: a line per problem, then totals.

    Args:
        facts: Of all items.
        problems: Of pairing.
        verbose: Whether warnings get lines of their own, or are only counted; what mask values were taken for always has.
    """
    facts = list(facts)
    all_problems = [*problems, *(problem for fact in facts for problem in fact.problems)]
    lines = [
        f"{severity(p)}: {p.kind}: {p.path}: {p.message}"
        for p in all_problems
        if verbose or severity(p) != WARNING or p.kind == "mask-values"
    ]
    usable = [fact for fact in facts if fact.is_usable]
    parts = Counter(fact.split for fact in usable if fact.split)
    groups = len({fact.group for fact in usable if fact.group})
    lines.append(
        f"{len(usable)} of {len(facts)} images make a case"
        + (f" ({', '.join(f'{n} {part}' for part, n in sorted(parts.items()))})" if parts else "")
        + (f", {groups} groups" if groups else ", no groups known")
    )
    objects: Counter[str] = Counter()
    for fact in usable:
        objects.update(fact.objects)
    shown = sorted(objects, key=natural)[:MAX_SHOWN]
    lines += [f"  {objects[label]} objects of {label}" for label in shown]
    if len(objects) > len(shown):
        lines.append(
            f"  {objects.total() - sum(objects[s] for s in shown)} objects of {len(objects) - len(shown)} more"
        )
    dropped: Counter[tuple[str, str]] = Counter()
    for fact in usable:
        dropped.update({(d.label, d.reason): d.count for d in fact.drops})
    for (label, reason), count in sorted(dropped.items()):
        lines.append(f"  {count} objects of {label} dropped: {reason}")
    for kind, count in sorted(Counter(p.kind for p in all_problems).items()):
        lines.append(f"  {count} x {KINDS[kind][0]}: {kind}, {KINDS[kind][1]}")
    return "\n".join(lines)
