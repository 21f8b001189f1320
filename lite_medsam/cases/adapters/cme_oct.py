"""CME-OCT: B-scans with cystoid macular edema and binary masks of the fluid.

Ahmed, Ahmed, Baqai and Umrani 2022, Mehran University and LUMHS, published as "Intraretinal Cystoid Fluid". Its
description: 1,000 scans of the Kermany collection's DME class for training, 200 of another hospital for testing, masks
of 0 and 1. The archive, by listings of it: one folder per scan, 1,460 of them, no folder for the test part, no name that
tells the patient; and many scans called *_F have the object count and area of another one, as a mirrored copy would.
"""

import hashlib
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import object_of, stored_mask

NAMES = {1: "cystoid fluid"}
MIN_TWIN_AREA_PX = 24  # a few pixels of fluid could lie alike by chance
_KERMANY = re.compile(r"(?P<group>(?:CNV|DME|DRUSEN|NORMAL)-\d+)-\d+$", re.IGNORECASE)


class Adapter:
    """One label value, 1 the fluid; `instances` gives every cyst its own.

    The patient is read off names of the Kermany form DME-<patient>-<number>; the published renumbered names have none.
    Copies are known by their mask: the same mask, mirrored or not, is the same scan, and `Reading.twin` says so.
    """

    name = "cme-oct"
    title = "Cystoid macular edema OCT (Mehran UET / LUMHS): scans with 0/1 masks"
    tree = """\
RAW/**/NAME/images/NAME.jpeg  RAW/**/NAME/masks/*.png      one folder per scan, as published
RAW/train/images/*  RAW/train/masks/*  RAW/test/...        or pooled; also train_images/ and train_masks/"""
    options: frozenset[str] = frozenset()
    decision = ""

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    def find(self) -> Listing:
        images, masks = [], []
        for path in image_files(self.root):
            folder = path.parent.name.lower()
            if "mask" in folder:
                masks.append(path)
            elif "image" in folder:
                images.append(path)
        if not images or not masks:
            raise CaseError(
                f"{self.root} must look like\n{self.tree}\nfound {len(images)} files in image folders, {len(masks)} in "
                "mask folders; for other folders use the image-folder adapter with --modality OCT"
            )
        problems: list[Problem] = []
        pairs = self._pairs(images, masks, problems)
        splits = [published_split(image, self.root) for image, _ in pairs]
        names = case_names([image.stem for image, _ in pairs], "cme-oct", "OCT")
        items = []
        for (image, own), split, name in zip(pairs, splits, names, strict=True):
            if not own and not self.settings.unlabelled:
                problems.append(Problem("unpaired-image", relative(image, self.root), "no mask belongs to it"))
                continue
            items.append(Item(name, image, own, split=split, group=self._group(image)))
        return Listing(tuple(items), tuple(problems))

    def _group(self, image: Path) -> str | None:
        asked = group_of(self.settings.group_regex, image, self.root)
        known = _KERMANY.match(image.stem)
        return asked or (known["group"].upper() if known else None)

    def _pairs(
        self, images: list[Path], masks: list[Path], problems: list[Problem]
    ) -> list[tuple[Path, tuple[Path, ...]]]:
        """A scan's folder holds its own masks; in pooled folders the names decide."""
        in_folder: dict[Path, list[Path]] = defaultdict(list)
        for mask in masks:
            in_folder[_place(mask)].append(mask)
        together: dict[Path, list[Path]] = defaultdict(list)
        for image in images:
            together[_place(image)].append(image)
        pairs = []
        for place, members in together.items():
            candidates = in_folder.pop(place, [])
            if len(members) == 1:
                pairs.append((members[0], self._own(members[0], candidates, problems)))
                continue
            by_name: dict[str, list[Path]] = defaultdict(list)
            for mask in candidates:
                by_name[_bare(mask.stem)].append(mask)
            for image in members:
                pairs.append((image, tuple(by_name.pop(_bare(image.stem), ()))))
            in_folder[place] = [mask for rest in by_name.values() for mask in rest]
        for rest in in_folder.values():
            problems += [Problem("unpaired-mask", relative(mask, self.root), "no image belongs to it") for mask in rest]
        return pairs

    def _own(self, image: Path, masks: list[Path], problems: list[Problem]) -> tuple[Path, ...]:
        """Of several masks in a scan's folder, those that have its number; the published copy has a stray one."""
        if len(masks) < 2:
            return tuple(masks)
        numbers = set(re.findall(r"\d+", image.stem))
        own = [mask for mask in masks if numbers & set(re.findall(r"\d+", mask.stem))] if numbers else masks
        own = own or masks
        for mask in masks:
            if mask not in own:
                message = f"has not the number of {image.stem}; ignored"
                problems.append(Problem("stray-file", relative(mask, self.root), message))
        return tuple(own)

    def read(self, item: Item) -> Reading:
        image = read_image(item.image)
        if image.ndim == 3 and (np.ptp(image.astype(np.int16), axis=2) <= 8).all():
            image = image[..., 1]  # a grey scan that was saved as a colour JPEG
        label = None
        for path in item.labels:
            part = _binary(path)
            if part.shape != image.shape[:2]:
                sizes = f"{image.shape[1]} x {image.shape[0]}, has {part.shape[1]} x {part.shape[0]}"
                raise ItemError("size-mismatch", f"the mask {path.name} must have the scan's size {sizes}")
            label = part if label is None else np.maximum(label, part)
        case = Case(image, label, name=item.name, modality="OCT", group=item.group, label_names=NAMES)
        return Reading(case, twin=None if label is None else mirror_key(label))


def mirror_key(mask: np.ndarray) -> str | None:
    """A key that a mask and its mirror images share; None for one of fewer than `MIN_TWIN_AREA_PX` pixels."""
    if np.count_nonzero(mask) < MIN_TWIN_AREA_PX:
        return None
    sides = (mask, mask[:, ::-1], mask[::-1], mask[::-1, ::-1])
    either = min(np.packbits(side > 0).tobytes() for side in sides)
    return hashlib.sha256(repr(mask.shape).encode() + either).hexdigest()


def _binary(path: Path) -> np.ndarray:
    mask = stored_mask(path)
    values = set(np.unique(mask.values).tolist())
    if mask.is_colour or (mask.half is None and not (values <= {0, 1} or values <= {0, 255})):
        shown = "colours" if mask.is_colour else ", ".join(map(str, sorted(values)[:8]))
        raise ItemError("unexpected-labels", f"the mask {path.name} must hold 0 and 1 (or 255), has {shown}")
    return object_of(mask).astype(np.uint8)


def _place(path: Path) -> Path:
    """What an image folder and its mask folder share: train_images and train_masks -> train_."""
    return path.parent.with_name(re.sub(r"images?|masks?", "", path.parent.name.lower()) or "_")


def _bare(stem: str) -> str:
    return re.sub(r"masks?|[^a-z0-9]+", "", stem.lower())
