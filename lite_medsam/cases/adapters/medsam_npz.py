"""The files of the CVPR 2024 challenge "Segment Anything in Medical Images on Laptop": npz, npy pairs."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from lite_medsam.cases.adapters.naming import as_text, group_of, natural, published_split, relative
from lite_medsam.cases.adapters.npy_pairs import read_info, read_npy_case, volume_name
from lite_medsam.cases.adapters.pairing import image_files
from lite_medsam.cases.adapters.source import Item, ItemError, Listing, Options, Problem, Reading
from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError


class Adapter:
    """Challenge npz (2D images; volumes with spacing, stored x y z) and npy pairs; names are kept as they are.

    npy slices called NAME-000, NAME-001, ... belong to the group NAME. With an info file (`npy_pairs` writes it) they
    become one volume again; the reference's own, whose slices are stretched one by one, stay single images.
    """

    name = "medsam-npz"
    title = "Challenge npz (imgs, gts, spacing), 2D and 3D, or npy pairs (imgs/, gts/)"
    tree = """\
RAW/**/2D_CT_x_001.npz  RAW/**/3D_MR_x_002.npz     keys imgs, gts, spacing (x y z), boxes
RAW/imgs/NAME.npy       RAW/gts/NAME.npy           or pairs; slices NAME-000.npy; also below train/, val/, test/"""
    options = frozenset({"modality"})
    decision = ""

    def __init__(self, root: Path, options: Options):
        self.root, self.settings = root, options
        self._slices: dict[str, list[str]] = {}

    def find(self) -> Listing:
        items, problems = self._npz_items(), list[Problem]()
        arrays = image_files(self.root, (".npy",))
        for folder in sorted({path.parent.parent for path in arrays if path.parent.name == "imgs"}):
            items += self._npy_items(folder, problems)
        if not items and not problems:
            raise CaseError(f"{self.root} must hold npz cases, or imgs and gts with npy files; found neither")
        counts: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            counts[item.name.lower()].append(item)
        for same in counts.values():
            if len(same) > 1:
                message = f"{len(same)} files have this name"
                problems += [Problem("name-clash", relative(i.image, self.root), message) for i in same]
        unique = [item for item in items if len(counts[item.name.lower()]) == 1]
        return Listing(tuple(sorted(unique, key=lambda item: natural(item.name))), tuple(problems))

    def _npz_items(self) -> list[Item]:
        return [
            Item(as_text(p.stem), p, (p,), split=published_split(p, self.root), group=self._asked_group(p))
            for p in image_files(self.root, (".npz",))
        ]

    def _npy_items(self, folder: Path, problems: list[Problem]) -> list[Item]:
        stems = sorted((p.stem for p in (folder / "imgs").glob("*.npy")), key=natural)
        known = set(stems)
        for path in sorted((folder / "gts").glob("*.npy")):
            if path.stem not in known:
                problems.append(Problem("unpaired-mask", relative(path, self.root), "no image has its name"))
        volumes: dict[str, list[str]] = defaultdict(list)
        for stem in stems:
            name = volume_name(stem)
            whole = name != stem and (folder / "info" / f"{name}.json").is_file()
            volumes[name if whole else stem].append(stem)
        items = []
        for name, members in volumes.items():
            first, *rest = (folder / "imgs" / f"{member}.npy" for member in members)
            labels = tuple(p for m in members if (p := folder / "gts" / f"{m}.npy").exists())
            info = folder / "info" / f"{name}.json"
            # a slice on its own belongs to its volume; what the pattern or an info file says comes first
            volume = volume_name(name) if volume_name(name) != name else None
            split = published_split(folder / "x", self.root)
            group = self._asked_group(first) or volume
            items.append(Item(name, first, labels, (*rest, *([info] if info.is_file() else [])), split, group))
            self._slices[name] = members
        return items

    def _asked_group(self, path: Path) -> str | None:
        return group_of(self.settings.group_regex, path, self.root)

    def read(self, item: Item) -> Reading:
        case = load_case(item.image) if item.image.suffix.lower() == ".npz" else self._read_npy(item)
        if case.label is None and not self.settings.unlabelled:
            case.require("gts")
            raise ItemError("unpaired-image", "the case must hold a label (gts), has none")
        modality = case.modality or self.settings.modality
        group = self._asked_group(item.image) or case.group or item.group
        problems = tuple(Problem("unread-array", relative(item.image, self.root), note) for note in case.notes)
        return Reading(replace(case, modality=modality, group=group), problems)

    def _read_npy(self, item: Item):
        folder, members = item.image.parent.parent, self._slices[item.name]
        info = read_info(folder, item.name)
        count = info.get("slices")
        if count is not None and [volume_name(m) for m in members] != [item.name] * count:
            raise ItemError("unreadable", f"the volume must have {count} slices, found {len(members)}")
        return read_npy_case(folder, item.name, members, info)
