"""Any folder of images with label masks."""

from collections import Counter
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.masks import colours_of, label_from_colours, read_mask
from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import IMAGE_FOLDERS, pair_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case, modality_from_name
from lite_medsam.errors import CaseError

MAX_COLOURS = 64


class Adapter:
    """Images and label masks, paired by `pairing.pair_files`.

    How mask values become labels is decided once for the whole folder, so that a value means the same in every file:

    * "binary": most masks hold nothing but 0 and 255 (65535 with 16 bits) -> 0 and 1 (also asked for by
      `labels="binary"`, then any value or colour above 0, or above `mask_threshold`, is 1).
    * "values": the values are the labels: 0/1, class numbers, palette indices (never the palette's colours), 16 bits.
    * "colours": black is 0; the other colours of all masks together, sorted by red, then green, then blue, are
      1, 2, ... (or the order of `colours`), and their names are their values in the form #rrggbb.

    Several masks of one image (a file per object) are merged; where they overlap the later file wins.
    """

    name = "image-folder"
    title = "Any folder of images with label masks (0/1, 0/255, palette or colour PNG, 16 bit)"
    tree = """\
RAW/images/a.png  RAW/masks/a.png          two folders, also below train/, val/, test/ or a patient's folder
RAW/a.png  RAW/a_mask.png                  or one folder and --mask-suffix _mask, --mask-prefix, --mask-regex"""
    options = frozenset({
        "dataset", "modality", "images", "masks", "mask_prefix", "mask_suffix", "image_regex", "mask_regex",
        "labels", "mask_threshold", "expect", "ignore_label", "colours", "names",
    })  # fmt: skip

    def __init__(self, root: Path, options: Options):
        if options.labels not in ("auto", "binary", "values", "colours"):
            raise CaseError(f"labels must be auto, binary, values or colours, got {options.labels!r}")
        self.root, self.settings = root, options
        self._forget()

    def _forget(self) -> None:
        self._kind = self.settings.labels
        self._table: tuple[tuple[int, int, int], ...] = tuple(colour for colour, _ in self.settings.colours)
        self._names: dict[int, str] = dict(self.settings.names)

    @property
    def decision(self) -> str:
        """How mask values become labels."""
        return f"{self._kind} {self._table}"

    def find(self) -> Listing:
        pairs, problems = pair_files(self.root, self.settings)
        modality = self.settings.modality or modality_from_name(self.root.name)
        dataset = self.settings.dataset or self.root.resolve().name
        names = case_names([_stem(pair.image, self.root) for pair in pairs], dataset, modality)
        items = []
        for pair, name in zip(pairs, names, strict=True):
            if not pair.masks and not self.settings.unlabelled:
                problems.append(Problem("unpaired-image", relative(pair.image, self.root), "no mask has its name"))
                continue
            group = group_of(self.settings.group_regex, pair.image, self.root)
            items.append(Item(name, pair.image, pair.masks, split=published_split(pair.image, self.root), group=group))
        self._forget()
        self._decide([path for pair in pairs for path in pair.masks])
        return Listing(tuple(items), tuple(problems))

    def read(self, item: Item) -> Reading:
        image = read_image(item.image)
        label, problems = None, list[Problem]()
        for path in item.labels:
            part = self._label(path, problems)
            if part.shape != image.shape[:2]:
                sizes = f"must have the image's size {_size(image)}, has {_size(part)}"
                raise ItemError("size-mismatch", f"the mask {path.name} {sizes}")
            label = part if label is None else np.where(part > 0, part, label)
        modality = self.settings.modality or modality_from_name(self.root.name)
        case = Case(image, label, name=item.name, modality=modality, group=item.group, label_names=self._names or None)
        return Reading(case, tuple(problems))

    def _label(self, path: Path, problems: list[Problem]) -> np.ndarray:
        mask = read_mask(path)
        void = self.settings.ignore_label
        if self._kind == "colours":
            if mask.ndim == 2:  # a colour mask that shows grey only: black, or a grey that the table knows
                mask = np.repeat(mask[..., None], 3, axis=2)
            label = label_from_colours(mask, self._table)
        elif mask.ndim == 3 and (self.settings.labels == "binary" or self.settings.mask_threshold is not None):
            label = (mask.max(axis=2) > (self.settings.mask_threshold or 0)).astype(np.int32)
        elif mask.ndim == 3:
            message = "the mask must be grey or a palette like the others, is a colour picture"
            raise ItemError("unexpected-labels", message)
        else:
            label = self._from_values(mask, path)
        if void is not None and (count := np.count_nonzero(label == void)):
            label = np.where(label == void, 0, label)
            message = f"{count} pixels of the ignored label {void} became background"
            problems.append(Problem("ignored-label", relative(path, self.root), message))
        return label

    def _from_values(self, mask: np.ndarray, path: Path) -> np.ndarray:
        threshold = self.settings.mask_threshold
        if threshold is not None:
            return (mask > threshold).astype(np.int32)
        if self._kind == "binary" and self.settings.labels == "binary":
            return (mask > 0).astype(np.int32)
        values = set(np.unique(mask).tolist()) - {self.settings.ignore_label}
        if self._kind == "binary":
            white = 65535 if 65535 in values else 255
            _expect(mask, path, values, {0, 1} if values <= {0, 1} else {0, white})
            return (mask > 0).astype(np.int32)
        _expect(mask, path, values, None if self.settings.expect is None else {0, *self.settings.expect})
        return mask

    def _decide(self, paths: list[Path]) -> None:
        """Looks at all masks once: values or colours, and which."""
        settings = self.settings
        if settings.labels == "binary" or settings.mask_threshold is not None:
            self._kind = "binary"
            return
        if settings.labels == "values" or (settings.labels == "colours" and self._table):
            return self._name_colours()
        kinds: Counter[str] = Counter()
        colours: set[tuple[int, int, int]] = set()
        for path in paths:
            try:
                mask = read_mask(path)
            except (CaseError, OSError):
                continue  # read() reports it
            found = colours_of(mask) if mask.ndim == 3 else set()
            if len(found) > MAX_COLOURS:
                kinds["pictures"] += 1  # a few of them are faults of their own, which read() reports
            elif found:
                kinds["colours"] += 1
                colours |= found
            else:
                kinds[_value_kind(mask)] += 1
        if settings.labels == "auto":
            del kinds["empty"]  # an empty mask fits every kind
            self._kind = kinds.most_common(1)[0][0] if kinds else "values"
            if self._kind == "binary" and set(settings.expect or ()) - {0, 255}:
                self._kind = "values"  # the user's list says that 255 is one value among others
        if self._kind == "pictures" or (self._kind == "colours" and len(colours) > MAX_COLOURS and not self._table):
            raise CaseError(
                f"colour masks must have at most {MAX_COLOURS} colours together, these have more (JPEG, or softened "
                "edges?); name the real ones with --colour R,G,B=NAME, or cut the masks with --mask-threshold"
            )
        if self._kind == "colours" and not self._table:
            self._table = tuple(sorted(colours - {(0, 0, 0)}))
        self._name_colours()

    def _name_colours(self) -> None:
        if self._kind != "colours":
            return
        given = dict(self.settings.colours)
        for value, (red, green, blue) in enumerate(self._table, 1):
            named = given.get((red, green, blue)) or f"#{red:02x}{green:02x}{blue:02x}"
            self._names.setdefault(value, named)


def _value_kind(mask: np.ndarray) -> str:
    top = int(mask.max())
    if top == 0:
        return "empty"
    return "binary" if top in (255, 65535) and not ((mask != 0) & (mask != top)).any() else "values"


def _expect(mask: np.ndarray, path: Path, values: set[int], allowed: set[int] | None) -> None:
    """Refuses values that no label map of this folder should have.

    Without a list: 255 beside class numbers is a "don't care" mark or a stray binary mask, and many values that look
    like brightness are a mask with softened edges, a JPEG or a picture.
    """
    if allowed is not None:
        odd = sorted(values - allowed)
        hint = (
            "cut the mask with --mask-threshold"
            if allowed in ({0, 255}, {0, 65535})
            else "list it in --expect if it is right"
        )
    elif len(values) > 64 and (path.suffix.lower() in (".jpg", ".jpeg") or _is_soft(mask)):
        odd = sorted(values)
        hint = "a JPEG or softened edges? cut it with --mask-threshold 127, or list them in --expect"
    else:
        odd = [255] if 255 in values and 254 not in values else []
        hint = "--ignore-label 255 if it means don't care, --expect if it is a class, --labels binary if 0/255"
    if odd:
        shown = ", ".join(map(str, odd[:8])) + (", ..." if len(odd) > 8 else "")
        raise ItemError("unexpected-labels", f"the mask holds the values {shown}; {hint}")


def _is_soft(mask: np.ndarray) -> bool:
    """Whether 8-bit values look like brightness: mostly nearly white, or changing from pixel to pixel."""
    if mask.max() > 255:
        return False
    inside = mask > 0
    nearly_white = 2 * np.count_nonzero(mask >= 250) > np.count_nonzero(inside)
    pairs = inside[:, 1:] & inside[:, :-1]
    changes = np.count_nonzero((mask[:, 1:] != mask[:, :-1]) & pairs)
    return bool(nearly_white or changes > 0.3 * np.count_nonzero(pairs))


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"


def _stem(path: Path, root: Path) -> str:
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    return "/".join([*(part for part in folders if part.lower() not in IMAGE_FOLDERS), path.stem])
