"""Any folder of images with label masks, or with Labelme's JSON beside them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.labelme import draw_shapes, label_names
from lite_medsam.cases.adapters.layouts import (
    channel_names,
    folder_kind,
    nnunet_document,
    nnunet_labels,
    without_channel,
)
from lite_medsam.cases.adapters.mask_meaning import MaskMeaning
from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import Pair, drawings_beside, pair_files
from lite_medsam.cases.adapters.source import Drop, Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case, modality_from_name
from lite_medsam.errors import CaseError

_RGB = (("r", "g", "b"), ("red", "green", "blue"))


class Adapter:
    """Images and label masks, paired by `pairing.pair_files`.

    What mask values mean is decided once for the whole folder (`MaskMeaning`), so that a value means the same in every
    file. Several masks of one image (a file per object) are merged; where they overlap the later file wins, and the pixels
    are counted. Masks that belong to an image because it is alone in its folder (DSB 2018) are one object each. Labelme's
    JSON counts where an image has no mask: its labels, sorted over all files, are 1, 2, ... .
    """

    name = "image-folder"
    title = "Any folder of images with label masks (0/1, 0/255, JPEG, palette or colour PNG, 16 bit) or Labelme JSON"
    tree = """\
RAW/images/a.png  RAW/masks/a.png          two folders, also below train/, val/, test/ or a patient's folder
RAW/a.png  RAW/a_mask.png                  or one folder and --mask-suffix _mask, --mask-prefix, --mask-regex
RAW/a.png  RAW/a.json                      or Labelme's JSON beside the images
nnU-Net, DSB 2018, BUSI, REFUGE, ISIC, CVC-ClinicDB and Kvasir-SEG as they come: see docs/datasets.md"""
    options = frozenset({
        "dataset", "modality", "images", "masks", "mask_prefix", "mask_suffix", "image_regex", "mask_regex",
        "labels", "mask_threshold", "expect", "order", "ignore_label", "colours", "names",
    })  # fmt: skip

    def __init__(self, root: Path, options: Options):
        if options.labels not in ("auto", "binary", "values", "colours"):
            raise CaseError(f"labels must be auto, binary, values or colours, got {options.labels!r}")
        self.root, self.settings = root, options
        self._pairs: dict[Path, Pair] = {}
        self._meaning = MaskMeaning(options)
        self._channels: tuple[str, ...] = ()
        self._shape_values: dict[str, int] = {}
        self._shape_names: dict[int, str] = {}

    @property
    def decision(self) -> str:
        """How mask values and shapes become labels."""
        return f"{self._meaning.decision} {self._shape_values} {self._channels}"

    def find(self) -> Listing:
        pairs, problems = pair_files(self.root, self.settings)
        pairs, passed = drawings_beside(self.root, pairs)
        problems = self._without_json(problems, pairs) + passed
        modality = self.settings.modality or modality_from_name(self.root.name)
        dataset = self.settings.dataset or self.root.resolve().name
        names = case_names([_stem(pair.image, self.root) for pair in pairs], dataset, modality)
        masked = {self._part(pair.image) for pair in pairs if pair.masks}
        tests: Counter[str] = Counter()
        items, self._pairs = [], {pair.image: pair for pair in pairs}
        for pair, name in zip(pairs, names, strict=True):
            if not pair.masks and not self.settings.unlabelled:
                part = self._part(pair.image)
                if part and part not in masked:
                    tests[part] += 1
                else:
                    problems.append(Problem("unpaired-image", relative(pair.image, self.root), "no mask has its name"))
                continue
            group = group_of(self.settings.group_regex, pair.image, self.root)
            split = published_split(pair.image, self.root)
            items.append(Item(name, pair.image, pair.masks, pair.channels, split=split, group=group))
        for part, count in tests.items():
            text = f"{count} images of a part without labels; take them with --unlabelled"
            problems.append(Problem("unlabelled-part", part, text))
        problems = self._decide(pairs, problems)
        notes = list(self._meaning.notes)
        if self._shape_values and any(path.suffix.lower() != ".json" for pair in pairs for path in pair.masks):
            notes.append("some images have masks and others JSON, whose labels are numbered apart; do them one by one")
        elif self._shape_values and (
            odd := [n for n in self.settings.names.values() if n.lower() not in self._shape_values]
        ):
            notes.append(f"--name says {', '.join(odd)}, which no JSON of this folder holds")
        problems += [Problem("mask-values", ".", note) for note in notes]
        return Listing(tuple(items), tuple(problems))

    def _part(self, image: Path) -> str | None:
        """The folder that says which held-out part an image is of, test or nnU-Net's imagesVal; None for others."""
        if not image.is_relative_to(self.root):
            return None
        folders = image.relative_to(self.root).parts[:-1]
        for end, folder in enumerate(folders, 1):
            if folder.lower() == "imagesval" or published_split(Path(folder, "x"), Path()) == "test":
                return "/".join(folders[:end])
        return None

    def _without_json(self, problems: list[Problem], pairs: list[Pair]) -> list[Problem]:
        """The problems of pairing without those of files that turned out to be drawings."""
        drawings = {
            relative(path, self.root) for pair in pairs for path in pair.masks if path.suffix.lower() == ".json"
        }
        return [problem for problem in problems if problem.path not in drawings]

    def _decide(self, pairs: list[Pair], problems: list[Problem]) -> list[Problem]:
        """Decides what masks and shapes mean; returns the problems, with what the set's own description has."""
        settings, problems = self._published_names(pairs, problems)
        self._meaning = MaskMeaning(settings)
        pictures = [path for pair in pairs for path in pair.masks if path.suffix.lower() != ".json"]
        self._meaning.decide(pictures)
        found: set[str] = set()
        for path in (path for pair in pairs for path in pair.masks if path.suffix.lower() == ".json"):
            try:
                found.update(label.strip() for label in label_names(path))
            except (CaseError, OSError):
                continue  # read() reports it
        given = {name.strip().lower(): value for value, name in settings.names.items()}
        free = iter(n for n in range(1, len(found) + len(given) + 1) if n not in given.values())
        self._shape_values, self._shape_names = {}, {}
        for label in sorted(found, key=lambda text: (text.lower(), text)):
            key = label.lower()
            if key not in self._shape_values:
                self._shape_values[key] = given[key] if key in given else next(free)
                self._shape_names[self._shape_values[key]] = label
        return problems

    def _published_names(self, pairs: list[Pair], problems: list[Problem]) -> tuple[Options, list[Problem]]:
        """The options, with what an nnU-Net data set says of its labels where the user says nothing."""
        settings = self.settings
        documents = {nnunet_document(pair.image) for pair in pairs}
        path = documents.pop() if len(documents) == 1 else None  # several sets number their labels apart
        if path is None:
            return settings, problems
        shown = relative(path, self.root)
        problems = [problem for problem in problems if problem.path != shown]
        try:
            names, ignored = nnunet_labels(pairs[0].image)
            self._channels = channel_names(pairs[0].image)
        except CaseError as error:
            return settings, [*problems, Problem("stray-file", shown, f"names of labels are not taken: {error}")]
        if names and not settings.names:
            settings = replace(settings, names=names)
        if ignored is not None and settings.ignore_label is None:
            settings = replace(settings, ignore_label=ignored)
        return settings, problems

    def read(self, item: Item) -> Reading:
        problems: list[Problem] = []
        image = self._image(item, problems)
        size_hw = image.shape[:2]
        label, names, drops, has_objects = None, self._meaning.names, list[Drop](), False
        drawings = [path for path in item.labels if path.suffix.lower() == ".json"]
        if drawings:
            label, names, drops, has_objects = self._drawn(drawings[0], size_hw)
        elif item.labels:
            label, has_objects = self._masked(item, size_hw, problems)
        if has_objects and not drawings:
            names = {}
        modality = self.settings.modality or modality_from_name(self.root.name)
        case = Case(image, label, name=item.name, modality=modality, group=item.group, label_names=names or None)
        return Reading(case, tuple(problems), tuple(drops), has_objects=has_objects)

    def _image(self, item: Item, problems: list[Problem]) -> np.ndarray:
        image = read_image(item.image)
        if not item.others:
            return image
        if len(item.others) == 2 and self._channels in _RGB:
            channels = [image, *map(read_image, item.others)]
            if any(channel.shape != image.shape or channel.ndim != 2 for channel in channels):
                raise ItemError("size-mismatch", "the channels of an image must be grey and of one size")
            return np.dstack(channels)
        text = f"{len(item.others)} further channels are left out; take another one with --image-regex '(.+)_0001$'"
        problems.append(Problem("left-out-channels", relative(item.image, self.root), text))
        return image

    def _drawn(self, path: Path, size_hw: tuple[int, int]) -> tuple[np.ndarray, dict[int, str], list[Drop], bool]:
        drawing = draw_shapes(path, size_hw, self._shape_values)
        if self.settings.instances:
            return drawing.objects, drawing.names, drawing.drops, True
        return drawing.label, self._shape_names, drawing.drops, False

    def _masked(self, item: Item, size_hw: tuple[int, int], problems: list[Problem]) -> tuple[np.ndarray, bool]:
        """The label map of an image's mask files, and whether each of its values is one object."""
        pair = self._pairs.get(item.image)
        apart = bool(pair and pair.by_folder and len(item.labels) > 1 and self.settings.labels == "auto")
        label: np.ndarray = np.zeros(size_hw, np.int32)
        overlap = 0
        is_first = True
        for number, path in enumerate(item.labels, 1):
            part = self._meaning.label(path, self.root, problems)
            if part.shape != size_hw:
                sizes = f"must have the image's size {size_hw[1]} x {size_hw[0]}, has {part.shape[1]} x {part.shape[0]}"
                turned = "; is one of them turned (EXIF)?" if part.shape == size_hw[::-1] else ""
                raise ItemError("size-mismatch", f"the mask {path.name} {sizes}{turned}")
            if apart and self._meaning.kind == "binary":
                part = np.where(part > 0, number, 0).astype(np.int32)
            if is_first:
                label, is_first = part, False
                continue
            overlap += np.count_nonzero((label > 0) & (part > 0) & (label != part))
            label = np.where(part > 0, part, label)
        if overlap:
            message = f"{overlap} pixels lie in several of its {len(item.labels)} masks; the later file counts"
            problems.append(Problem("overlapping-masks", relative(item.image, self.root), message))
        return label, apart and self._meaning.kind == "binary"


def _stem(path: Path, root: Path) -> str:
    folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
    stem = path.stem
    if folders and folders[-1].lower() in ("imagestr", "imagests", "imagesval"):
        stem = without_channel(stem)
    return "/".join([*(part for part in folders if folder_kind(part) != "image"), stem])
