"""What the mask values of a folder mean: decided once for all its files, by their stored numbers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.label_maps import colours_of, label_from_colours
from lite_medsam.cases.adapters.mask_survey import inside_out, is_black_inside, mixed_colours
from lite_medsam.cases.adapters.naming import relative
from lite_medsam.cases.adapters.source import ItemError, Options, Problem
from lite_medsam.cases.adapters.unexpected_values import refuse_brightness, refuse_values
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import Mask, object_of, stored_mask, whole_numbers

__all__ = ["MaskMeaning"]

MAX_COLOURS = 64
_WHITES = ({0, 255}, {0, 65535})


@dataclass
class _Survey:
    """What all masks of a folder hold."""

    kinds: Counter = field(default_factory=Counter)
    colours: set = field(default_factory=set)
    mixed: set = field(default_factory=set)
    values: set = field(default_factory=set)
    orders: Counter = field(default_factory=Counter)
    black_outside: int = 0
    inverted: int = 0


class MaskMeaning:
    """How masks become label maps, the same for every file of a folder.

    * "binary": most masks hold one object in white: 0 and 255 (65535, 1.0), with softened edges or as JPEG too. Also
      asked for by `labels="binary"` (any value or colour above 0) and by `mask_threshold` (above it).
    * "order": the values stand from the outside in, the first for the background (`order`); found by itself where a bright
      ground surrounds a ring that surrounds 0, as in masks of optic disc and cup.
    * "values": the numbers are the labels.
    * "colours": black is 0; the other colours of all masks together, sorted by red, then green, then blue, are
      1, 2, ... (or the order of `colours`), and their names are their values in the form #rrggbb.

    Attributes:
        kind: One of these.
        names: Names of the labels.
        notes: What the user should know of the folder's masks.
    """

    def __init__(self, settings: Options):
        if settings.order and (settings.labels not in ("auto", "values") or settings.mask_threshold is not None):
            raise CaseError("an order of values can't go with a threshold, colours or binary masks; give one of them")
        self.settings = settings
        self.kind = settings.labels
        self.names: dict[int, str] = dict(settings.names)
        self.notes: list[str] = []
        self._table: tuple[tuple[int, int, int], ...] = tuple(colour for colour, _ in settings.colours)
        self._order: tuple[int, ...] = ()

    @property
    def decision(self) -> str:
        """What was decided, as a text that changes with it."""
        return f"{self.kind} {self._table} {self._order} {sorted(self.names.items())}"

    def decide(self, paths: Iterable[Path]) -> None:
        """Looks at all masks once.

        Raises:
            CaseError: If they are colour pictures without a table of colours.
        """
        settings = self.settings
        survey = _Survey()
        for path in paths:
            try:
                self._look(stored_mask(path), survey)
            except (CaseError, OSError):
                continue  # reading it for its case reports it
        self._choose(survey)
        if self.kind == "order":
            named = {value: name for value, (_, name) in enumerate(settings.order) if value and name}
            self.names = {**named, **self.names}
        if self.kind == "binary" and survey.inverted and survey.inverted >= 0.9 * survey.kinds["binary"]:
            self.notes.append(
                f"white fills the border of {survey.inverted} of {survey.kinds['binary']} masks and is taken as the object; "
                "if black is the object, say --values 255=ground,0=NAME"
            )
        self._note_unmet(survey)

    def label(self, path: Path, root: Path, problems: list[Problem]) -> np.ndarray:
        """(H, W) integers of one mask; what is odd about it goes to `problems`.

        Raises:
            ItemError, MaskError: If its values are not of the folder's kind.
            CaseError: If it cannot be read.
        """
        mask = stored_mask(path)
        label = self._label(mask, path, root, problems)
        void = self.settings.ignore_label
        if void is not None and self.kind in ("values", "colours") and (count := np.count_nonzero(label == void)):
            label = np.where(label == void, 0, label)
            message = f"{count} pixels of the ignored label {void} became background"
            problems.append(Problem("ignored-label", relative(path, root), message))
        return label

    def _look(self, mask: Mask, survey: _Survey) -> None:
        if mask.is_colour:
            found = set() if mask.is_lossy else colours_of(mask.values)
            if mask.is_lossy or len(found) > MAX_COLOURS:
                survey.kinds["pictures"] += 1  # a few of them are faults of their own, which label() reports
            elif found:
                survey.kinds["colours"] += 1
                survey.colours |= found
                survey.mixed |= mixed_colours(mask.values)
            return
        grey = mask.grey
        if not grey.any():
            survey.kinds["empty"] += 1
        elif mask.half is not None or set(np.unique(grey).tolist()) in _WHITES:
            survey.kinds["binary"] += 1
            survey.values |= {0, 1, int(grey.max())}
            survey.inverted += is_black_inside(object_of(mask))
        else:
            survey.kinds["values"] += 1
            values = np.unique(grey)
            survey.values |= set(values[:1000].tolist())
            if order := inside_out(grey):
                survey.orders[order] += 1
            survey.black_outside += not (grey[0].all() and grey[-1].all() and grey[:, 0].all() and grey[:, -1].all())

    def _choose(self, survey: _Survey) -> None:
        settings, kinds = self.settings, survey.kinds
        if settings.labels == "binary" or settings.mask_threshold is not None:
            self.kind = "binary"
            return
        if settings.order:
            self.kind, self._order = "order", tuple(value for value, _ in settings.order)
            return
        if settings.labels == "auto":
            del kinds["empty"]  # an empty mask fits every kind
            self.kind = kinds.most_common(1)[0][0] if kinds else "values"
            if self.kind == "binary" and set(settings.expect or ()) - {0, 255}:
                self.kind = "values"  # the user's list says that 255 is one value among others
            if self.kind == "values" and settings.expect is None:
                self._find_order(survey)
        if self.kind == "pictures" or (self.kind == "colours" and not self._table and self._is_soft(survey)):
            raise CaseError(
                f"colour masks must have at most {MAX_COLOURS} colours together and no mixed ones, these have others (JPEG, "
                "softened edges, smooth resizing?); save them as PNG, resize with nearest neighbour, name the real "
                "colours with --colour R,G,B=NAME, or cut one object with --mask-threshold 127"
            )
        if self.kind == "colours":
            self._name_colours(survey)

    def _find_order(self, survey: _Survey) -> None:
        """Whether every mask of several values has its ground outside, a bright one, and 0 within."""
        if not survey.orders:
            return
        order = max(survey.orders, key=len)
        fits = sum(count for other, count in survey.orders.items() if set(other) <= set(order))
        if survey.black_outside > 0.1 * fits or fits < 0.9 * survey.orders.total() or not survey.values <= {*order, 1}:
            return
        self.kind, self._order = "order", order
        shown = ",".join(map(str, order))
        inner = ["optic disc", "optic cup"] if order == (255, 128, 0) else [f"value {value}" for value in order[1:]]
        self.names = {**dict(enumerate(inner, 1)), **self.names}
        self.notes.append(
            f"{order[0]} surrounds the other values and 0 lies within: read from the outside in as --values {shown} "
            f"({', '.join(f'{value} is label {n}' for n, value in enumerate(order[1:], 1))})"
        )

    def _is_soft(self, survey: _Survey) -> bool:
        return len(survey.colours) > MAX_COLOURS or len(survey.mixed) > 1

    def _name_colours(self, survey: _Survey) -> None:
        if not self._table:
            self._table = tuple(sorted(survey.colours - {(0, 0, 0)}))
        given = dict(self.settings.colours)
        for value, (red, green, blue) in enumerate(self._table, 1):
            named = given.get((red, green, blue)) or f"#{red:02x}{green:02x}{blue:02x}"
            self.names.setdefault(value, named)

    def _note_unmet(self, survey: _Survey) -> None:
        """Says which of the labels that the user speaks of are in no mask."""
        settings = self.settings
        if not survey.kinds:
            return
        present = {0, 1} if self.kind == "binary" else set(survey.values)
        if self.kind == "colours":
            present = {0, *(n for n, colour in enumerate(self._table, 1) if colour in survey.colours)}
            lacking = [",".join(map(str, c)) for c in self._table if c not in survey.colours]
            self._note_lacking("--colour", lacking)
        elif self.kind == "order":
            self._note_lacking("--values", [v for v in self._order if v not in survey.values and v != 0])
            present = set(range(len(self._order)))
        else:
            self._note_lacking("--expect", sorted(set(settings.expect or ()) - survey.values - {0}))
        void = settings.ignore_label
        self._note_lacking("--ignore-label", [void] if void is not None and void not in survey.values else [])
        self._note_lacking("--name", sorted(set(settings.names) - present))

    def _note_lacking(self, option: str, values: list) -> None:
        if values:
            self.notes.append(f"{option} names {', '.join(map(str, values))}, which no mask of this folder holds")

    def _label(self, mask: Mask, path: Path, root: Path, problems: list[Problem]) -> np.ndarray:
        threshold = self.settings.mask_threshold
        if threshold is not None:
            return (mask.grey > threshold).astype(np.int32)
        if self.kind == "order":
            return self._from_order(mask, path)
        if self.kind == "colours":
            return self._from_colours(mask)
        if mask.is_colour and self.settings.labels != "binary":
            message = "the mask must be grey or a palette like the others, is a colour picture"
            raise ItemError("unexpected-labels", message)
        if self.kind == "binary":
            return self._from_object(mask, path, root, problems)
        return self._from_values(mask, path)

    def _from_object(self, mask: Mask, path: Path, root: Path, problems: list[Problem]) -> np.ndarray:
        values = np.unique(mask.grey)
        if mask.half is None:
            found = set(whole_numbers(mask, path).ravel().tolist()) if len(values) < 3 else set(values.tolist())
            if self.settings.labels != "binary":
                white = 65535 if 65535 in found else 255
                found -= {self.settings.ignore_label}
                refuse_values(
                    sorted(found - ({0, 1} if found <= {0, 1} else {0, white})), "cut the mask with --mask-threshold"
                )
            return (mask.grey > 0).astype(np.int32)
        soft = np.count_nonzero((mask.grey > 0) & (mask.grey < mask.grey.max()))
        if soft:
            what = "JPEG" if mask.is_lossy else "softened edges"
            message = f"{soft} pixels between 0 and {mask.grey.max():g} ({what}); cut at half, {mask.half:g}"
            problems.append(Problem("soft-mask", relative(path, root), message))
        return (mask.grey > mask.half).astype(np.int32)

    def _from_values(self, mask: Mask, path: Path) -> np.ndarray:
        if mask.is_lossy and mask.half is not None and mask.grey.any():
            message = "the mask is a JPEG, which changes numbers, among masks of label numbers; save it as PNG"
            raise ItemError("unexpected-labels", message)
        label = whole_numbers(mask, path)
        values = set(np.unique(label).tolist())
        if self.settings.expect is not None:
            odd = values - {0, *self.settings.expect, self.settings.ignore_label}
            refuse_values(sorted(odd), "list it in --expect if it is right")
            return label
        refuse_brightness(label, values - {self.settings.ignore_label})
        return label

    def _from_colours(self, mask: Mask) -> np.ndarray:
        if mask.is_lossy and mask.grey.any():
            message = (
                "the mask is a JPEG, which changes colours; save it as PNG, or cut one object with --mask-threshold"
            )
            raise ItemError("unexpected-labels", message)
        # a colour mask that shows grey only: black, or a grey that the table knows
        colours = mask.values if mask.is_colour else np.repeat(mask.values[..., None], 3, axis=2)
        return label_from_colours(colours, self._table)

    def _from_order(self, mask: Mask, path: Path) -> np.ndarray:
        if mask.is_colour:
            raise ItemError(
                "unexpected-labels", "the mask must be grey to have an order of values, is a colour picture"
            )
        values = np.array(self._order)
        grey = mask.grey if mask.is_lossy else whole_numbers(mask, path)
        distances = np.abs(grey[None].astype(np.float64) - values[:, None, None])
        label = distances.argmin(axis=0).astype(np.int32)
        nearest = distances.min(axis=0)
        if mask.is_lossy:
            near = np.abs(np.diff(np.sort(values))).min() / 4
            if np.count_nonzero(nearest > near) > 0.05 * nearest.size:
                message = "the mask is a JPEG whose values do not crowd at those of --values; save it as PNG"
                raise ItemError("unexpected-labels", message)
            return label
        odd = np.unique(grey[nearest > 0]).tolist()
        refuse_values(odd, "resize masks with nearest neighbour, or list them in --values, from the outside in")
        return label
