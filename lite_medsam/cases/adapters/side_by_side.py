"""Sets whose pictures hold the B-scan on the left and its coloured mask on the right: OIMHS and AMD-SD.

Ye et al. 2023, doi:10.1038/s41597-023-02675-1; Hu et al. 2024, doi:10.1038/s41597-024-03844-6. Colours as a third party's loaders
of both sets have them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import case_names, group_of, published_split, relative
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading, read_image
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError

_STRAY_SHARE = 0.01  # of a mask in colours that no class has: more is another kind of picture


class _Halves:
    """The folder of a picture is its group: the eye of OIMHS, the patient of AMD-SD. Grey in the mask's half is background; the few
    pixels of mixed colours at edges are background too, and counted."""

    name = ""
    title = ""
    tree = ""
    options: frozenset[str] = frozenset()
    decision = ""
    colours: tuple[tuple[tuple[int, int, int], str], ...] = ()

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options

    @property
    def label_names(self) -> Mapping[int, str]:
        return {value: name for value, (_, name) in enumerate(self.colours, 1)}

    def find(self) -> Listing:
        images = [path for path in image_files(self.root) if path.parent != self.root]
        if not images:
            raise CaseError(f"{self.root} must look like\n{self.tree}\nfound no pictures in folders")
        stems = [f"{path.parent.name}_{path.stem}" for path in images]
        items = []
        for path, name in zip(images, case_names(stems, self.name, "OCT"), strict=True):
            group = group_of(self.settings.group_regex, path, self.root) or path.parent.name
            items.append(Item(name, path, (path,), split=published_split(path, self.root), group=group))
        return Listing(tuple(items))

    def read(self, item: Item) -> Reading:
        picture = read_image(item.image)
        if picture.ndim != 3 or picture.shape[1] % 2 or picture.shape[1] < picture.shape[0]:
            raise ItemError("unsupported", f"must be a B-scan with its mask to the right, is {picture.shape}")
        middle = picture.shape[1] // 2
        image, mask = picture[:, :middle], picture[:, middle:]
        if np.ptp(image.astype(np.int16), axis=2).max() > 40:
            raise ItemError("unsupported", "the left half must be a grey B-scan, it is in colour")
        label, stray = self._label(mask)
        if stray > _STRAY_SHARE * label.size:
            raise ItemError("unexpected-labels", f"{stray} pixels of the mask have colours that no class has")
        where = relative(item.image, self.root)
        problems = [Problem("soft-mask", where, f"{stray} pixels between colours became background")] if stray else []
        names = dict(self.label_names)
        case = Case(image[..., 1].copy(), label, name=item.name, modality="OCT", group=item.group, label_names=names)
        return Reading(case, tuple(problems))

    def _label(self, mask: np.ndarray) -> tuple[np.ndarray, int]:
        bright = mask > 127
        label = np.zeros(mask.shape[:2], np.uint8)
        for value, (colour, _) in enumerate(self.colours, 1):
            label[(bright == (np.array(colour) > 127)).all(axis=2)] = value
        grey = np.ptp(mask.astype(np.int16), axis=2) <= 24  # black, or the B-scan that shows through
        label[grey] = 0
        return label, int(np.count_nonzero((label == 0) & ~grey))


class Oimhs(_Halves):
    __doc__ = _Halves.__doc__
    name = "oimhs"
    title = "OIMHS macular holes: choroid, retina, cysts, hole"
    tree = "RAW/Images/EYE/NUMBER.png (B-scan on the left, mask on the right)"
    colours = (
        ((255, 255, 0), "choroid"),
        ((0, 255, 0), "retina"),
        ((0, 0, 255), "intraretinal cyst"),
        ((255, 0, 0), "macular hole"),
    )


class AmdSd(_Halves):
    __doc__ = _Halves.__doc__
    name = "amd-sd"
    title = "AMD-SD wet AMD: EZ disruption, IRF, SRF, SHRM, PED"
    tree = "RAW/**/images/PATIENT/*.png (B-scan on the left, mask on the right)"
    colours = (
        ((255, 0, 255), "ellipsoid zone disruption"),
        ((0, 255, 0), "intraretinal fluid"),
        ((255, 0, 0), "subretinal fluid"),
        ((255, 255, 0), "subretinal hyperreflective material"),
        ((0, 0, 255), "pigment epithelial detachment"),
    )
