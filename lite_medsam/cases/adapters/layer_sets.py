"""Sets of B-scans with masks of layers in folders of their own: AROI, GOALS, OCT5k, NR206.

Melinščak et al. 2021 (AROI), Fang et al. 2022 (GOALS), Arikan et al. 2025 (OCT5k), He et al. 2023 (NR206).
The trees of AROI, GOALS and OCT5k are those that third parties' loaders read; that of NR206 was not read anywhere, so any folders
called image and mask will do.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.label_maps import label_from_colours
from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import stored_mask, whole_numbers


class _Layers:
    """Images and masks are known by their folders and paired by patient and name."""

    name = ""
    title = ""
    tree = ""
    options: frozenset[str] = frozenset()
    decision = ""
    image_folders = ""  # patterns of the path below the root, with slashes
    mask_folders = ""
    patient = ""
    label_names: Mapping[int, str] = {}
    stored: Mapping[int, int] = {}  # number in the file -> label value; empty: as stored
    colours: tuple[tuple[int, int, int], ...] = ()
    largest = 0  # largest label value where no names are known

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    def find(self) -> Listing:
        images, masks = [], defaultdict(list)
        for path in image_files(self.root):
            below = path.relative_to(self.root).as_posix()
            if re.search(self.mask_folders, below, re.IGNORECASE):
                masks[self._key(below)].append(path)
            elif re.search(self.image_folders, below, re.IGNORECASE):
                images.append(path)
        if not images or not masks:
            raise CaseError(
                f"{self.root} must look like\n{self.tree}\nfound {len(images)} images and {len(masks)} masks; for other folders "
                "take image-folder with --modality OCT"
            )
        items, problems = [], []
        stems = [self._stem(path) for path in images]
        for path, name in zip(images, case_names(stems, self.name, "OCT"), strict=True):
            below = path.relative_to(self.root).as_posix()
            own = masks.pop(self._key(below), [])
            if len(own) > 1:
                problems.append(Problem("name-clash", below, f"{len(own)} masks have its name; left out"))
                continue
            if not own and not self.settings.unlabelled:
                problems.append(Problem("unlabelled-part", below, "no mask has its name"))
                continue
            group = group_of(self.settings.group_regex, path, self.root) or self._patient(below)
            items.append(Item(name, path, tuple(own), split=published_split(path, self.root), group=group))
        for rest in masks.values():
            problems += [Problem("unpaired-mask", relative(path, self.root), "no image has its name") for path in rest]
        return Listing(tuple(items), tuple(problems))

    def _patient(self, below: str) -> str | None:
        found = re.search(self.patient, below, re.IGNORECASE) if self.patient else None
        return found[1] if found else None

    def _key(self, below: str) -> tuple[str | None, str | None, str]:
        split = published_split(self.root / below, self.root)
        return split, self._patient(below), Path(below).stem.lower()

    def _stem(self, path: Path) -> str:
        below = path.relative_to(self.root).as_posix()
        parts = (published_split(path, self.root), self._patient(below))
        return "_".join([*(part for part in parts if part and part not in path.stem), path.stem])

    def read(self, item: Item) -> Reading:
        image = read_image(item.image)
        if image.ndim == 3 and (np.ptp(image.astype(np.int16), axis=2) <= 8).all():
            image = image[..., 1]
        label = self._label(item.labels[0], image.shape[:2]) if item.labels else None
        names = dict(self.label_names) or None
        return Reading(Case(image, label, name=item.name, modality="OCT", group=item.group, label_names=names))

    def _label(self, path: Path, size_hw: tuple[int, ...]) -> np.ndarray:
        mask = stored_mask(path)
        if mask.grey.shape != size_hw:
            raise ItemError("size-mismatch", f"the mask {path.name} must be {size_hw}, is {mask.grey.shape}")
        if mask.is_colour:
            if not self.colours:
                raise ItemError("unexpected-labels", f"the mask {path.name} is in colour; this set's masks are numbers")
            return label_from_colours(mask.values, self.colours).astype(np.uint8)
        numbers = whole_numbers(mask, path)
        found = set(np.unique(numbers).tolist())
        known = set(self.stored) or {0, *(self.label_names or range(self.largest + 1))}
        if not found <= known:
            odd = ", ".join(map(str, sorted(found - known)[:8]))
            raise ItemError("unexpected-labels", f"the mask {path.name} must hold {sorted(known)}, holds {odd} too")
        if not self.stored:
            return numbers.astype(np.uint8)
        table = np.zeros(256, np.uint8)
        table[list(self.stored)] = list(self.stored.values())
        return table[numbers]


class Aroi(_Layers):
    """Values as published: 1 ILM to IPL/INL, 2 IPL/INL to RPE, 3 RPE to Bruch's membrane, 4 below it, 5 PED, 6 SRF with
    subretinal hyperreflective material, 7 IRF. The group is the patient; B-scans without a mask are left out."""

    name = "aroi"
    title = "AROI neovascular AMD: layers, PED, SRF, IRF"
    tree = """\
RAW/**/patient1/raw/labeled/patient1_raw0012.png   RAW/**/patient1/mask/number/patient1_raw0012.png
also RAW/images/patient1_raw0012.png and RAW/labels/"""
    image_folders = r"(^|/)(raw|images)/"
    mask_folders = r"(^|/)(mask/number|labels)/"
    patient = r"(patient\d+)"
    label_names: Mapping[int, str] = {
        1: "ILM to IPL/INL", 2: "IPL/INL to RPE", 3: "RPE to Bruch's membrane", 4: "below Bruch's membrane",
        5: "pigment epithelial detachment", 6: "subretinal fluid", 7: "intraretinal fluid",
    }  # fmt: skip


class Goals(_Layers):
    """Values as published (0 RNFL, 80 GCIPL, 160 choroid, 255 the rest) become 1 RNFL, 2 GCIPL, 3 choroid, 0 the rest. The
    challenge gives no patients."""

    name = "goals"
    title = "GOALS glaucoma: RNFL, GCIPL, choroid of circumpapillary B-scans"
    tree = "RAW/**/Train/Image/0001.png   RAW/**/Train/Layer_Masks/0001.png"
    image_folders = r"(^|/)images?/"
    mask_folders = r"(^|/)layer[_ ]?masks?/"
    label_names: Mapping[int, str] = {
        1: "retinal nerve fibre layer", 2: "ganglion cell and inner plexiform layer", 3: "choroid",
    }  # fmt: skip
    stored: Mapping[int, int] = {0: 1, 80: 2, 160: 3, 255: 0}


class Oct5k(_Layers):
    """The masks of the first grader, values as stored (up to 8; their names are not established here). The group is the
    scan, AMD (1), which is a patient's."""

    name = "oct5k"
    title = "OCT5k: layers of several graders, by the first one"
    tree = """\
RAW/**/Images/Images_Manual/AMD Part1/AMD (1).E2E/*.png
RAW/**/Masks/Masks_Manual/Grading_1/AMD Part1/AMD (1).E2E/*.png"""
    image_folders = r"(^|/)images/images_manual/"
    mask_folders = r"(^|/)masks/masks_manual/grading_1/"
    patient = r"((?:AMD|DME|Normal) ?\(\d+\))"
    largest = 8


class Nr206(_Layers):
    """Numbers 0 to 8, or the colours in which the set draws its eight regions from the ILM down (red, olive, yellow, dark green,
    green, cyan, blue, magenta, by a third party's code). The folders are not established: any called image and mask."""

    name = "nr206"
    title = "NR206: layers of normal eyes"
    tree = "RAW/**/train/images/*.png   RAW/**/train/masks/*.png (also img, mask, label; val, test)"
    image_folders = r"(^|/)[^/]*(image|img|scan)s?[^/]*/"
    mask_folders = r"(^|/)[^/]*(mask|label|annotation|gt|seg)s?[^/]*/"
    largest = 8
    colours = (
        (255, 0, 0), (128, 128, 0), (255, 255, 0), (0, 128, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255),
    )  # fmt: skip
