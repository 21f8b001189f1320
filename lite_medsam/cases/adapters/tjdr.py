"""TJDR: 561 colour fundus images with four lesions of diabetic retinopathy.

Mao, Ma, Bi and Zhang 2023, arXiv:2312.15389.
"""

from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.label_maps import label_from_colours
from lite_medsam.cases.adapters.labelme import read_shapes
from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import Pair, pair_files
from lite_medsam.cases.adapters.source import Drop, Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import stored_mask, whole_numbers

NAMES = {1: "hard exudate (EX)", 2: "haemorrhage (HE)", 3: "microaneurysm (MA)", 4: "soft exudate (SE)"}
# the first colours of the PASCAL VOC map, as Labelme exports label images
COLOURS = ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
_SHAPE_LABELS = {
    "ex": 1, "he": 2, "ma": 3, "se": 4, "1": 1, "2": 2, "3": 3, "4": 4,
    "hard exudate": 1, "hard exudates": 1, "hemorrhage": 2, "hemorrhages": 2, "haemorrhage": 2, "haemorrhages": 2,
    "microaneurysm": 3, "microaneurysms": 3, "soft exudate": 4, "soft exudates": 4, "cotton wool spot": 4,
}  # fmt: skip


class Adapter:
    """Label values as published: 1 EX, 2 HE, 3 MA, 4 SE. Nothing is resized unless asked for.

    The label comes from the palette PNG (its indices), a colour or grey PNG of the same classes, or Labelme JSON
    with that image's name in the same folders or beside the image; where both are there, "auto" takes the PNG and
    reports how many pixels the JSON disagrees on. The published train and test parts stay apart: an image that is in
    both (byte by byte, which the published copy is known to have) is left out of train.
    """

    name = "tjdr"
    title = "TJDR fundus lesions: EX, HE, MA, SE; palette PNG or Labelme JSON"
    tree = """\
RAW/train/image/*.png   RAW/train/annotation/*.png (or *.json)
RAW/test/image/*.png    RAW/test/annotation/*.png (or *.json)"""
    options = frozenset({"annotation"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        if options.annotation not in ("auto", "png", "json"):
            raise CaseError(f"annotation must be auto, png or json, got {options.annotation!r}")
        self.root, self.settings = root, options

    def find(self) -> Listing:
        pairs, problems = pair_files(self.root, Options(), (".png", ".bmp", ".tif", ".tiff", ".json"))
        pairs = [Pair(p.image, p.masks + self._json_beside(p)) for p in pairs]
        if not any(pair.masks for pair in pairs):
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound {len(pairs)} images and no annotation")
        splits = [published_split(pair.image, self.root) for pair in pairs]
        stems = [_stem(pair.image.stem, split) for pair, split in zip(pairs, splits, strict=True)]
        items = []
        for pair, split, name in zip(pairs, splits, case_names(stems, "tjdr", "Fundus"), strict=True):
            if not pair.masks and not self.settings.unlabelled:
                message = "no annotation has its name"
                problems.append(Problem("unpaired-image", relative(pair.image, self.root), message))
                continue
            group = group_of(self.settings.group_regex, pair.image, self.root)
            items.append(Item(name, pair.image, pair.masks, split=split, group=group))
        return Listing(tuple(items), tuple(problems))

    def _json_beside(self, pair: Pair) -> tuple[Path, ...]:
        beside = pair.image.with_suffix(".json")
        return (beside,) if beside.is_file() and beside not in pair.masks else ()

    def read(self, item: Item) -> Reading:
        image = read_image(item.image)
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        label, problems, drops = None, list[Problem](), list[Drop]()
        if item.labels:
            label, drops = self._label(item, image.shape[:2], problems)
        case = Case(image, label, name=item.name, modality="Fundus", group=item.group, label_names=NAMES)
        return Reading(case, tuple(problems), tuple(drops))

    def _label(self, item: Item, size_hw: tuple[int, int], problems: list[Problem]) -> tuple[np.ndarray, list[Drop]]:
        pictures = [path for path in item.labels if path.suffix.lower() != ".json"]
        drawings = [path for path in item.labels if path.suffix.lower() == ".json"]
        wanted = self.settings.annotation
        if len(pictures) > 1 or len(drawings) > 1:
            names = ", ".join(path.name for path in item.labels)
            raise ItemError("name-clash", f"the image must have one annotation of a kind, has {names}")
        if (wanted == "png" and not pictures) or (wanted == "json" and not drawings):
            raise ItemError("unpaired-image", f"the image must have a {wanted} annotation, has none")
        if not pictures or wanted == "json":
            return read_shapes(drawings[0], size_hw, _SHAPE_LABELS)
        label = _from_picture(pictures[0], size_hw)
        if drawings and wanted == "auto":
            other, _ = read_shapes(drawings[0], size_hw, _SHAPE_LABELS)
            if differing := int(np.count_nonzero(other != label)):
                message = f"differs from {drawings[0].name} in {differing} pixels; the picture was taken"
                problems.append(Problem("label-disagreement", relative(pictures[0], self.root), message))
        return label, []


def _from_picture(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    mask = stored_mask(path)
    rows, columns = mask.grey.shape
    if (rows, columns) != size_hw:
        sizes = f"must have the image's size {size_hw[1]} x {size_hw[0]}, has {columns} x {rows}"
        raise ItemError("size-mismatch", f"the annotation {path.name} {sizes}")
    if mask.is_lossy and mask.grey.any():
        raise ItemError(
            "unexpected-labels", f"the annotation {path.name} is a JPEG, which changes numbers; save it as PNG"
        )
    if mask.is_colour:
        return label_from_colours(mask.values, COLOURS)
    label = whole_numbers(mask, path)
    odd = sorted(set(np.unique(label).tolist()) - {0, *NAMES})
    if odd:
        raise ItemError("unexpected-labels", f"annotation values must be 0 to 4, found {', '.join(map(str, odd[:8]))}")
    return label


def _stem(stem: str, split: str | None) -> str:
    return stem if split is None or split in stem.lower() else f"{split}_{stem}"
