"""The adapter `nifti` of `lite-medsam prepare`: NIfTI, NRRD and MetaImage volumes with label maps."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.layouts import (
    channel_names,
    folder_kind,
    nnunet_channel,
    nnunet_labels,
    place_of,
    without_channel,
)
from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.prepare_volumes import case_of, scan_problems
from lite_medsam.prompts.label_volumes import onto
from lite_medsam.scans.itk_files import ITK_SUFFIXES
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.scans.reading import load_volume
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.paths import files_below

_ENDINGS = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)
_LABEL_WORDS = ("_label", "_labels", "_mask", "_seg", "_segmentation", "_gt")
_MR = {"mri", "mr", "t1", "t1w", "t1gd", "t1ce", "t2", "t2w", "flair", "adc", "dwi"}


class Adapter:
    """Volumes with the label map of their name, every slice of them. The patient is what --group-regex finds in the path, else
    the BIDS subject (sub-01), else the volume itself: never a single slice."""

    name = "nifti"
    title = "NIfTI, NRRD and MetaImage volumes with label maps: nnU-Net, Medical Segmentation Decathlon, or NAME and NAME_label"
    tree = """\
RAW/**/imagesTr/NAME.nii.gz (or NAME_0000.nii.gz for each channel)   RAW/**/labelsTr/NAME.nii.gz   RAW/**/dataset.json
RAW/**/NAME.nii.gz   RAW/**/NAME_label.nii.gz (also _mask, _seg, _gt; or --mask-suffix, --masks)"""
    options = frozenset({"dataset", "modality", "images", "masks", "mask_suffix", "names", "ignore_label", "frame"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    def find(self) -> Listing:
        files = files_below(self.root, _ENDINGS)
        problems = [Problem("unreadable", relative(path, self.root), reason) for path, reason in files.problems]
        masks = [path for path in files.files if self._is_mask(path)]
        images = [path for path in files.files if path not in set(masks) and self._is_image(path)]
        if not images:
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no volume beside {len(masks)} label maps")
        by_key, by_stem = defaultdict(list), defaultdict(list)
        for mask in masks:
            stem = self._mask_stem(mask)
            by_key[self._place(mask), stem].append(mask)
            by_stem[stem].append(mask)
        stems = ["_".join((*path.relative_to(self.root).parts[:-1], _stem(path))) for path in images]
        dataset = self.settings.dataset or self.root.resolve().name
        used: set[Path] = set()
        items = []
        for path, name in zip(images, case_names(stems, dataset, self._modality(images[0])), strict=True):
            stem = without_channel(_stem(path)) if _channel(path) is not None else _stem(path)
            found = by_key.get((self._place(path), stem), []) or (by_stem[stem] if len(by_stem[stem]) == 1 else [])
            used.update(found)
            if len(found) > 1:
                problems.append(Problem("name-clash", relative(path, self.root), f"{len(found)} label maps fit it"))
                continue
            if not found and not self.settings.unlabelled:
                is_part = any(folder.lower() == "imagests" for folder in path.relative_to(self.root).parts)
                kind = "unlabelled-part" if is_part else "unpaired-image"
                problems.append(Problem(kind, relative(path, self.root), "no label map has its name"))
                continue
            group = group_of(self.settings.group_regex, path, self.root) or _subject(path) or stem
            split = published_split(path, self.root)
            items.append(Item("3D" + name.removeprefix("2D"), path, tuple(found), split=split, group=group))
        for mask in masks:
            if mask not in used:
                problems.append(Problem("unpaired-mask", relative(mask, self.root), "no volume has its name"))
        return Listing(tuple(items), tuple(problems))

    def read(self, item: Item) -> Reading:
        scan = load_volume(item.image, frame=self.settings.frame)
        where = relative(item.image, self.root)
        problems, label = scan_problems(scan, where), None
        names, ignored = nnunet_labels(item.image)
        names = dict(self.settings.names) or names
        ignored = self.settings.ignore_label or ignored
        if item.labels:
            label = label_on(scan, item.labels[0])
            if ignored is not None and (count := int(np.count_nonzero(label == ignored))):
                label = np.where(label == ignored, 0, label)
                problems.append(Problem("ignored-label", where, f"{count} voxels of {ignored} became background"))
        return Reading(case_of(scan, label, item, names, self._modality(item.image)), tuple(problems))

    def _is_mask(self, path: Path) -> bool:
        if self.settings.masks is not None:
            is_there = path.is_relative_to(self.root / self.settings.masks)
            return is_there and _stem(path).endswith(self.settings.mask_suffix)
        if self.settings.mask_suffix:
            return _stem(path).endswith(self.settings.mask_suffix)
        kinds = (folder_kind(folder) for folder in reversed(path.relative_to(self.root).parts[:-1]))
        kind = next((kind for kind in kinds if kind), None)
        return kind == "mask" or (kind is None and _stem(path).lower().endswith(_LABEL_WORDS))

    def _is_image(self, path: Path) -> bool:
        return self.settings.images is None or path.is_relative_to(self.root / self.settings.images)

    def _mask_stem(self, path: Path) -> str:
        stem = _stem(path)
        if self.settings.mask_suffix:
            return stem.removesuffix(self.settings.mask_suffix)
        if self.settings.masks is None:
            return re.sub(rf"({'|'.join(_LABEL_WORDS)})$", "", stem, flags=re.IGNORECASE)
        return stem

    def _place(self, path: Path) -> tuple[str, ...]:
        """The folders above, without what says image or mask; below --images and --masks each from there."""
        for top in (self.settings.masks, self.settings.images):
            if top is not None and path.is_relative_to(self.root / top):
                return path.relative_to(self.root / top).parts[:-1]
        return place_of(path.relative_to(self.root).parts[:-1])

    def _modality(self, path: Path) -> str | None:
        if self.settings.modality is not None:
            return self.settings.modality
        names = channel_names(path)
        number = _channel(path) or self.settings.frame or 0
        said = names[number] if number < len(names) else ""
        words = set(re.split(r"[^a-z0-9]+", said))
        return "CT" if "ct" in words else "PET" if words & {"pet", "pt"} else "MR" if words & _MR else None


def label_on(scan: Scan, path: Path) -> np.ndarray:
    """A label map in the slices of its scan, (D, H, W) integers.

    Raises:
        ItemError: If it lies on other voxels, or holds other numbers than whole ones from 0.
    """
    read = load_volume(path, is_label=True)
    if read.values.min(initial=0) < 0 or (read.values != np.rint(read.values)).any():
        raise ItemError("unexpected-labels", f"the label map {path.name} must hold small whole numbers from 0")
    voxels = read.geometry.uncut(read.values).astype(np.uint32)
    try:
        return scan.geometry.cut(onto(voxels, read.geometry.affine, scan.geometry))
    except PromptError as error:
        raise ItemError("size-mismatch", f"{path.name}: {error}") from None


def _stem(path: Path) -> str:
    ending = max((end for end in _ENDINGS if path.name.lower().endswith(end)), key=len)
    return path.name[: -len(ending)]


def _channel(path: Path) -> int | None:
    return nnunet_channel(path.with_name(_stem(path) + ".nii"))


def _subject(path: Path) -> str | None:
    """The subject of BIDS in a file's name or folders."""
    match = re.search(r"(?:^|[/_])(sub-[A-Za-z0-9]+)", path.as_posix())
    return match[1] if match else None
