"""RETOUCH: OCT volumes of three makers with intraretinal fluid, subretinal fluid and pigment epithelial detachment.

Bogunovic et al. 2019, IEEE TMI. A folder per volume with oct.mhd and, in the training parts, reference.mhd.
"""

from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, relative
from lite_medsam.cases.adapters.pairing import LITTER
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import stretch_to_uint8
from lite_medsam.images.metaimage import read_metaimage

NAMES = {1: "intraretinal fluid", 2: "subretinal fluid", 3: "pigment epithelial detachment"}
_MAKERS = ("cirrus", "spectralis", "topcon")


class Adapter:
    """Volumes with their spacing, which the headers have. The group is the volume: the set has no patient numbers. Only the
    training parts have references, so no part of a split is taken from the folders."""

    name = "retouch"
    title = "RETOUCH OCT volumes: IRF, SRF, PED"
    tree = """\
RAW/**/TRAIN001/oct.mhd (with oct.raw)   RAW/**/TRAIN001/reference.mhd (with reference.raw)
the maker is read from a folder's name: RETOUCH-TrainingSet-Cirrus, ...-Spectralis, ...-Topcon"""
    options: frozenset[str] = frozenset()
    decision = ""

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    def find(self) -> Listing:
        found = [path for path in sorted(self.root.rglob("*")) if path.name.lower() == "oct.mhd"]
        found = [path for path in found if not LITTER & set(path.parts)]
        if not found:
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no oct.mhd")
        items, problems = [], []
        stems = [f"{_maker(path)}_{path.parent.name}".strip("_") for path in found]
        for path, stem, name in zip(found, stems, case_names(stems, "retouch", "OCT"), strict=True):
            reference = next((p for p in path.parent.iterdir() if p.name.lower() == "reference.mhd"), None)
            if reference is None and not self.settings.unlabelled:
                problems.append(Problem("unlabelled-part", relative(path, self.root), "no reference.mhd beside it"))
                continue
            group = group_of(self.settings.group_regex, path, self.root) or stem
            labels = () if reference is None else (reference,)
            items.append(Item("3D" + name.removeprefix("2D"), path, labels, group=group))
        return Listing(tuple(items), tuple(problems))

    def read(self, item: Item) -> Reading:
        volume = read_metaimage(item.image)
        if volume.values.ndim != 3:
            raise ItemError("unsupported", f"oct.mhd must be a volume, has {volume.values.ndim} axes")
        label = None
        if item.labels:
            label = read_metaimage(item.labels[0]).values
            if label.shape != volume.values.shape:
                raise ItemError("size-mismatch", f"reference.mhd must be {volume.values.shape}, is {label.shape}")
            odd = sorted(set(np.unique(label).tolist()) - {0, *NAMES})
            if odd:
                raise ItemError("unexpected-labels", f"reference.mhd must hold 0 to 3, holds {odd[:8]}")
            label = label.astype(np.uint8)
        problems = []
        if volume.spacing_mm is None:
            problems.append(Problem("no-spacing", relative(item.image, self.root), "the header has no ElementSpacing"))
        case = Case(
            stretch_to_uint8(volume.values), label, spacing_mm=volume.spacing_mm, name=item.name, modality="OCT",
            group=item.group, is_volume=True, label_names=NAMES,
        )  # fmt: skip
        return Reading(case, tuple(problems))


def _maker(path: Path) -> str:
    text = "/".join(path.parts[:-1]).lower()
    return next((maker for maker in _MAKERS if maker in text), "")
