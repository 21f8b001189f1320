"""B-scans of MATLAB files: Duke's DME and AMD sets, and the fluid of Minnesota (UMN); those that somebody has labelled.

Chiu et al. 2015, doi:10.1364/BOE.6.001172 (duke-dme); Farsiu et al. 2014, doi:10.1016/j.ophtha.2013.07.013 (duke-amd); Parhi
laboratory (umn). The files have no size of a voxel, so the cases have no spacing: docs/oct.md says what the publications give.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.cases.case import Case, to_uint8
from lite_medsam.errors import CaseError
from lite_medsam.images.matlab import mat_arrays, mat_shapes

LAYERS = {
    1: "retinal nerve fibre layer", 2: "ganglion cell and inner plexiform layer", 3: "inner nuclear layer",
    4: "outer plexiform layer", 5: "outer nuclear layer and inner segments", 6: "inner segment ellipsoid",
    7: "outer segments to retinal pigment epithelium",
}  # fmt: skip


class _Mat(ABC):
    """Lists the labelled B-scans of every file; a file is read once for all of its B-scans."""

    name = ""
    tree = ""
    title = ""
    options: frozenset[str] = frozenset()
    decision = ""
    label_names: Mapping[int, str] = {}
    needs: tuple[str, ...] = ()

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options
        self._places: dict[str, tuple[int, ...]] = {}

    def find(self) -> Listing:
        files, problems = [], []
        for path in image_files(self.root, (".mat",)):
            try:
                if set(self.needs) <= set(mat_shapes(path)):
                    files.append(path)
            except CaseError as error:
                problems.append(Problem("unreadable", relative(path, self.root), str(error)))
        if not files:
            wanted = " and ".join(self.needs)
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no .mat file with the arrays {wanted}")
        places = [(path, place) for path in files for place in self.labelled(path)]
        stems = ["_".join([path.stem, *(f"{k:03d}" for k in place)]) for path, place in places]
        items = []
        for (path, place), name in zip(places, case_names(stems, self.name, "OCT"), strict=True):
            group = group_of(self.settings.group_regex, path, self.root) or self.group(path, place)
            items.append(Item(name, path, (path,), split=published_split(path, self.root), group=group))
            self._places[name] = place
        for path in files:
            if not any(other == path for other, _ in places):
                problems.append(
                    Problem("unlabelled-part", relative(path, self.root), "none of its B-scans has a label")
                )
        return Listing(tuple(items), tuple(problems))

    @abstractmethod
    def labelled(self, path: Path) -> Iterable[tuple[int, ...]]:
        """The places of the B-scans of a file that somebody has labelled."""

    def group(self, path: Path, place: tuple[int, ...]) -> str:
        return path.stem

    def read(self, item: Item) -> Reading:
        image, label, problems = self.b_scan(item.image, self._places[item.name])
        if label.shape != image.shape:
            raise ItemError("size-mismatch", f"the label must have the B-scan's shape {image.shape}, has {label.shape}")
        names = dict(self.label_names)
        case = Case(to_uint8(image), label, name=item.name, modality="OCT", group=item.group, label_names=names)
        where = relative(item.image, self.root)
        return Reading(case, tuple(Problem(kind, where, text) for kind, text in problems))

    @abstractmethod
    def b_scan(self, path: Path, place: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
        """(H, W) image and labels of a B-scan, and kind and text of what is odd about it."""


class DukeDme(_Mat):
    """Seven layers between the eight surfaces of the first grader, 8 the fluid of the first grader, which wins; B-scans that
    the grader did not draw in are left out, and where the second grader's fluid differs is counted."""

    name = "duke-dme"
    title = "Duke DME (Chiu 2014): seven layers and fluid of two graders"
    tree = "RAW/**/Subject_01.mat (images, manualLayers1, manualFluid1, manualFluid2)"
    label_names: Mapping[int, str] = {**LAYERS, 8: "retinal fluid"}
    needs = ("images", "manualLayers1", "manualFluid1")

    def labelled(self, path: Path) -> Iterable[tuple[int, ...]]:
        drawn = mat_arrays(path, ("manualLayers1",))["manualLayers1"]
        return [(int(k),) for k in np.flatnonzero(np.isfinite(drawn).any(axis=(0, 1)))]

    def b_scan(self, path: Path, place: tuple[int, ...]):
        (k,) = place
        held = _arrays(path, path.stat().st_mtime_ns, ("images", "manualLayers1", "manualFluid1", "manualFluid2"))
        image = held["images"][..., k]
        label = between_surfaces(held["manualLayers1"][..., k], image.shape)
        fluid, problems = _wet(held["manualFluid1"][..., k]), []
        label[fluid] = 8
        if "manualFluid2" in held:
            differing = int(np.count_nonzero(_wet(held["manualFluid2"][..., k]) != fluid))
            if differing:
                problems.append(("label-disagreement", f"B-scan {k}: the graders' fluid differs in {differing} pixels"))
        return image, label, problems


class DukeAmd(_Mat):
    """1 the retina above the complex, 2 the complex of RPE and drusen, between the three surfaces of `layerMaps`; columns without
    them stay 0, and B-scans without any are left out."""

    name = "duke-amd"
    title = "Duke AMD and controls (Farsiu 2013, RPEDC): retina and RPE-drusen complex"
    tree = """\
RAW/**/Farsiu_Ophthalmology_2013_AMD_Subject_1001.mat      (images, layerMaps)
RAW/**/Farsiu_Ophthalmology_2013_Control_Subject_1001.mat"""
    label_names: Mapping[int, str] = {1: "retina", 2: "RPE drusen complex"}
    needs = ("images", "layerMaps")

    def labelled(self, path: Path) -> Iterable[tuple[int, ...]]:
        drawn = mat_arrays(path, ("layerMaps",))["layerMaps"]
        return [(int(k),) for k in np.flatnonzero((np.isfinite(drawn) & (drawn > 0)).all(axis=2).any(axis=1))]

    def b_scan(self, path: Path, place: tuple[int, ...]):
        (k,) = place
        held = _arrays(path, path.stat().st_mtime_ns, ("images", "layerMaps"))
        image, rows = held["images"][..., k], held["layerMaps"][k].T
        return image, between_surfaces(np.where(rows > 0, rows, np.nan), image.shape), []


class Umn(_Mat):
    """1 the fluid of the first grader; every B-scan of the subjects that have any. The B-scans of a subject are not in the order
    of their places (a reader of the set found that), so they are pictures and no volume."""

    name = "umn"
    title = "UMN fluid of AMD and DME: B-scans with the fluid of two graders"
    tree = "RAW/**/UMN_Dataset.mat or UMNDataset.mat, DMEDataset.mat (AllSubjects, ManualFluid1, ManualFluid2)"
    label_names: Mapping[int, str] = {1: "retinal fluid"}
    needs = ("AllSubjects", "ManualFluid1")

    def labelled(self, path: Path) -> Iterable[tuple[int, ...]]:
        subjects = _arrays(path, path.stat().st_mtime_ns, ("AllSubjects", "ManualFluid1", "ManualFluid2"))[
            "ManualFluid1"
        ]
        places = []
        for number, fluid in enumerate(subjects.ravel()):
            if np.ndim(fluid) == 3 and _wet(fluid).any():
                places += [(number, k) for k in range(fluid.shape[2])]
        return places

    def group(self, path: Path, place: tuple[int, ...]) -> str:
        folder = path.parent.name if path.parent != self.root else ""
        return "-".join(filter(None, (folder, path.stem, f"{place[0]:03d}")))

    def b_scan(self, path: Path, place: tuple[int, ...]):
        number, k = place
        held = _arrays(path, path.stat().st_mtime_ns, ("AllSubjects", "ManualFluid1", "ManualFluid2"))
        image, fluid = held["AllSubjects"].ravel()[number][..., k], _wet(held["ManualFluid1"].ravel()[number][..., k])
        problems = []
        if "ManualFluid2" in held and held["ManualFluid2"].size > number:
            other = _wet(held["ManualFluid2"].ravel()[number][..., k])
            if other.shape == fluid.shape and (differing := int(np.count_nonzero(other != fluid))):
                where = f"subject {number}, B-scan {k}"
                problems.append(("label-disagreement", f"{where}: the graders' fluid differs in {differing} pixels"))
        return image, fluid.astype(np.uint8), problems


def between_surfaces(rows: np.ndarray, size_hw: tuple[int, ...]) -> np.ndarray:
    """(H, W) uint8: n between surface n and n + 1, 0 where either is missing.

    Args:
        rows: (surfaces, W), from top to bottom, as MATLAB counts rows: from 1; NaN where there is none.
        size_hw: Of the B-scan.
    """
    label = np.zeros(size_hw, np.uint8)
    here = np.arange(1, size_hw[0] + 1, dtype=np.float64)[:, None]
    for value, (top, bottom) in enumerate(pairwise(rows), 1):
        with np.errstate(invalid="ignore"):
            label[(here >= top) & (here < bottom)] = value
    return label


def _wet(drawn: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(drawn, np.float64)) > 0


@lru_cache(maxsize=1)
def _arrays(path: Path, changed_ns: int, names: tuple[str, ...]) -> Mapping[str, np.ndarray]:
    return mat_arrays(path, names)
