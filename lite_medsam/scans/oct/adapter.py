"""The adapter `oct` of `lite-medsam prepare`: any OCT files that are read here, with label maps beside them, as volumes."""

from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, published_split
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.registry import OWN_SUFFIXES, SHARED_SUFFIXES, is_oct_file
from lite_medsam.scans.scale import origin_words
from lite_medsam.storage.paths import files_below

_VOLUMES = (*OWN_SUFFIXES, *SHARED_SUFFIXES, ".mhd", ".mha", ".tif", ".tiff", ".dcm")
_LABEL_ENDINGS = (".nii.gz", ".nii", ".npz", ".tif", ".tiff", ".mhd", ".mha")
_LABEL_WORDS = ("_label", "_labels", "_mask", "_seg", "_reference")


class Adapter:
    """Volumes with the label map of their name: `NAME_label.nii.gz` as `lite-medsam segment` writes it, or `reference.mhd` beside
    `oct.mhd`. The scale goes into the case where all three steps are known, whatever their origin, and a problem names it
    where it is assumed."""

    name = "oct"
    title = "OCT files of clinics (.vol, XML, .e2e, .fda, .fds, .img, .OCT, DICOM, .mhd, .mat, TIFF stacks) and their labels"
    tree = """\
RAW/**/NAME.vol (or another OCT file)   RAW/**/NAME_label.nii.gz (.npz, .tif, .mhd; also _mask, _seg, _reference)"""
    options: frozenset[str] = frozenset({"dataset", "names"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    def find(self) -> Listing:
        files = files_below(self.root, _VOLUMES).files
        scans = [path for path in files if not _is_label(path) and self._is_scan(path)]
        if not scans:
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no OCT file")
        dataset = self.settings.dataset or self.root.resolve().name
        stems = ["_".join(path.relative_to(self.root).with_suffix("").parts) for path in scans]
        items, problems = [], []
        for path, name in zip(scans, case_names(stems, dataset, "OCT"), strict=True):
            labels = _labels_of(path)
            if not labels and not self.settings.unlabelled:
                where = path.relative_to(self.root).as_posix()
                problems.append(Problem("unpaired-image", where, f"no {path.stem}_label.nii.gz (.npz, .tif) beside it"))
                continue
            group = group_of(self.settings.group_regex, path, self.root)
            split = published_split(path, self.root)
            items.append(Item("3D" + name.removeprefix("2D"), path, labels[:1], split=split, group=group))
        return Listing(tuple(items), tuple(problems))

    def _is_scan(self, path: Path) -> bool:
        return path.suffix.lower() in (".mhd", ".mha", ".dcm") or is_oct_file(path)

    def read(self, item: Item) -> Reading:
        from lite_medsam.scans.reading import load_volume

        scan = load_volume(item.image)
        label = None
        if item.labels:
            label = label_of(item.labels[0])
            if label.shape != scan.label_shape:
                raise ItemError(
                    "size-mismatch", f"the label map must have the scan's shape {scan.label_shape}, has {label.shape}"
                )
        problems = []
        where = item.image.relative_to(self.root).as_posix()
        if any(step.origin == "assumed" for step in scan.scale):
            problems.append(Problem("assumed-spacing", where, f"the voxel size is {origin_words(scan.scale)}"))
        spacing = scan.spacing_mm if scan.spacing_mm and len(scan.spacing_mm) == scan.values.ndim else None
        if spacing is None:
            problems.append(Problem("no-spacing", where, "the voxel size is not known: measures will be in px"))
        names = dict(self.settings.names) or None
        case = Case(
            scan.to_uint8(), label, spacing_mm=spacing, name=item.name, modality="OCT", group=item.group,
            is_volume=scan.is_volume, label_names=names,
        )  # fmt: skip
        return Reading(case, tuple(problems))


def label_of(path: Path) -> np.ndarray:
    """A label map on the voxels of its scan: of NIfTI in the order of the file, `segs` or `gts` of npz, pages of a TIFF.

    Raises:
        CaseError: If it is damaged, or holds other numbers than whole ones from 0.
    """
    from lite_medsam.scans.reading import load_volume

    name = path.name.lower()
    if name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as file:
            key = next((key for key in ("segs", "gts", "label") if key in file.files), None)
            if key is None:
                raise CaseError(
                    f"{path.name}: a label map must be called segs or gts, holds {', '.join(file.files)[:80]}"
                )
            values = file[key]
    else:
        values = load_volume(path, plane="axial").values
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
        values = values.astype(np.int64)
    if values.dtype.kind not in "ui" or values.min(initial=0) < 0:
        raise ItemError("unexpected-labels", f"the label map {path.name} must hold whole numbers from 0")
    return values


def _is_label(path: Path) -> bool:
    stem = path.stem.lower()
    return stem.endswith(_LABEL_WORDS) or stem == "reference"


def _labels_of(path: Path) -> tuple[Path, ...]:
    stem = path.name[: -len(path.suffix)]
    names = [f"{stem}{word}{ending}" for word in _LABEL_WORDS for ending in _LABEL_ENDINGS]
    if stem.lower() == "oct":
        names += [f"reference{ending}" for ending in _LABEL_ENDINGS]
    return tuple(found for found in (path.with_name(name) for name in names) if found.is_file())
