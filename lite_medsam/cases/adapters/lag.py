"""LAG: fundus images for glaucoma with the attention of ophthalmologists.

Li, Xu, Wang, Jiang and Liu, CVPR 2019, and the larger version in IEEE TMI 2020.
"""

import re
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError

DIAGNOSES = {"non_glaucoma": ("0", "no glaucoma"), "suspicious_glaucoma": ("1", "suspicious glaucoma")}
NAMES = {1: "attention region (not a lesion)"}
FAINT = 16  # a map whose brightest pixel is below this shows the noise of its JPEG only


class Adapter:
    """The diagnosis is case metadata; the label is where the doctors looked, never a lesion.

    The attention map (grey, smaller than the image) is enlarged to the image's size (bilinear) and cut at
    `attention_threshold` times its maximum. The threshold, the rule and the diagnosis stand in each case's metadata.
    Images without a map carry the diagnosis only: `unlabelled` takes them, otherwise they are left out.
    """

    name = "lag"
    title = "LAG glaucoma fundus: diagnosis as metadata, attention map as a region by a threshold"
    tree = """\
RAW/**/non_glaucoma/{image,attention_map,label}/         image *.jpg, attention_map *.jpg, label *.txt (0 or 1)
RAW/**/suspicious_glaucoma/{image,attention_map,label}/"""
    options = frozenset({"attention_threshold"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        if not 0 < options.attention_threshold <= 1:
            raise CaseError(f"the attention threshold must lie in 0..1, above 0, got {options.attention_threshold}")
        self.root, self.settings = root, options
        self._maps: dict[Path, Path | None] = {}
        self._texts: dict[Path, Path | None] = {}

    def find(self) -> Listing:
        folders = [p for p in (self.root, *sorted(self.root.rglob("*"))) if p.is_dir() and _diagnosis(p) in DIAGNOSES]
        if not folders:
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no folder of either name")
        found, problems = [], []
        for folder in folders:
            images = image_files(folder / "image") if (folder / "image").is_dir() else []
            if not images:
                problems.append(Problem("unreadable", relative(folder, self.root), "no images in its folder image"))
            found += [(image, _diagnosis(folder)) for image in images]
            for kind, own, suffixes in (
                ("attention_map", self._maps, None),
                ("label", self._texts, (".txt",)),
            ):
                files = _files(folder / kind, suffixes)
                own.update(_matched(files, images))
                used = set(own.values())
                problems += [
                    Problem("unpaired-mask", relative(path, self.root), f"no image for this {kind}")
                    for path in files if path not in used
                ]  # fmt: skip
        names = case_names([f"{kind.replace('_', '-')}_{image.stem}" for image, kind in found], "lag", "Fundus")
        items = []
        for (image, _), name in zip(found, names, strict=True):
            if self._maps[image] is None and not self.settings.unlabelled:
                message = "has a diagnosis only; --unlabelled takes it"
                problems.append(Problem("no-attention-map", relative(image, self.root), message))
                continue
            group = group_of(self.settings.group_regex, image, self.root)
            beside = tuple(p for p in (self._maps[image], self._texts[image]) if p)
            items.append(Item(name, image, beside, split=published_split(image, self.root), group=group))
        return Listing(tuple(items), tuple(problems))

    def read(self, item: Item) -> Reading:
        problems: list[Problem] = []
        image = read_image(item.image)
        folder = item.image.parent
        while _diagnosis(folder) not in DIAGNOSES:
            folder = folder.parent
        expected, diagnosis = DIAGNOSES[_diagnosis(folder)]
        metadata = {"diagnosis": diagnosis, "diagnosis_from": "folder"}
        text = self._texts[item.image]
        if text is None:
            problems.append(Problem("no-label-file", relative(item.image, self.root), "the diagnosis is the folder's"))
        elif (said := _said(text)) != expected:
            raise ItemError("diagnosis-mismatch", f"{text.name} must say {expected} in {folder.name}, says {said!r}")
        else:
            metadata["diagnosis_from"] = "folder and label file"
        label = None
        if (path := self._maps[item.image]) is not None:
            share = self.settings.attention_threshold
            label = self._region(path, image.shape[:2], problems)
            metadata["label_is"] = "where ophthalmologists looked (attention map cut at a threshold), not a lesion"
            metadata["attention_threshold"] = f"{share:g} of the map's maximum"
        case = Case(
            image, label, name=item.name, modality="Fundus", group=item.group,
            label_names=NAMES if label is not None else None, metadata=metadata,
        )  # fmt: skip
        return Reading(case, tuple(problems))

    def _region(self, path: Path, size_hw: tuple[int, int], problems: list[Problem]) -> np.ndarray:
        grey = read_image(path)
        if grey.ndim == 3:
            if (np.ptp(grey.astype(np.int16), axis=2) > 16).any():
                raise ItemError("unexpected-labels", f"the attention map {path.name} must be grey, is a colour picture")
            grey = grey.mean(axis=2)
        attention = cv2.resize(grey.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        if grey.max() < FAINT:
            message = f"its maximum is {grey.max():g} of 255: no region"
            problems.append(Problem("faint-map", relative(path, self.root), message))
            return np.zeros(size_hw, np.uint8)
        return (attention >= self.settings.attention_threshold * attention.max()).astype(np.uint8)


def _diagnosis(folder: Path) -> str:
    return re.sub(r"[\s-]+", "_", folder.name.lower())


def _files(folder: Path, suffixes: tuple[str, ...] | None) -> list[Path]:
    if not folder.is_dir():
        return []
    return image_files(folder, suffixes) if suffixes else image_files(folder)


def _matched(files: list[Path], images: list[Path]) -> dict[Path, Path | None]:
    """For each image the file with its stem, else the only one with its number (image12.jpg, 0012.txt)."""
    by_stem = {path.stem: path for path in files}
    by_number: dict[int, list[Path]] = {}
    for path in files:
        if (number := _number(path.stem)) is not None:
            by_number.setdefault(number, []).append(path)
    matched: dict[Path, Path | None] = {}
    for image in images:
        same = by_number.get(_number(image.stem) or -1, [])
        matched[image] = by_stem.get(image.stem) or (same[0] if len(same) == 1 else None)
    return matched


def _number(stem: str) -> int | None:
    numbers = re.findall(r"\d+", stem)
    return int(numbers[0]) if len(numbers) == 1 else None


def _said(path: Path) -> str:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            said = file.read(64).strip()
        return str(int(float(said))) if re.fullmatch(r"\d+(\.0*)?", said) else said
    except OSError as error:
        raise CaseError(f"{path.name}: could not be read ({error.strerror or error})") from None
