"""Which known data set a folder is, by how its files lie: what is there, what is missing, and how to prepare it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.cases.datasets import Dataset, load_registry
from lite_medsam.errors import CaseError
from lite_medsam.storage.paths import shown_path

_MAX_FILES = 500_000


@dataclass(frozen=True)
class Signature:
    """How a set lies on disk.

    Attributes:
        dataset: Its id in the registry.
        adapter: Of `prepare`.
        marks: Patterns of paths below the folder (slashes, any case), each of which some file must fit.
        parts: What belongs to the set: in words, its pattern, and how many files there are where that was published.
        extra: Options that `prepare` needs.
    """

    dataset: str
    adapter: str
    marks: tuple[str, ...]
    parts: tuple[tuple[str, str, int | None], ...]
    extra: str = ""


@dataclass(frozen=True)
class Recognised:
    """A set that a folder may be.

    Attributes:
        dataset: Its entry.
        parts: Each part in words with the number of files that were found and that there should be.
        missing: What is not there, in words.
        command: How to make cases of it.
    """

    dataset: Dataset
    parts: tuple[tuple[str, int, int | None], ...]
    missing: tuple[str, ...]
    command: str


_PICTURE = r"[^/]+\.(png|jpe?g|bmp|tiff?)$"
SIGNATURES = (
    Signature("retouch", "retouch", (r"(^|/)oct\.mhd$",),
              (("volumes", r"(^|/)oct\.mhd$", 112), ("their raw files", r"(^|/)oct\.(z?raw)$", 112),
               ("references", r"(^|/)reference\.mhd$", 70))),
    Signature("duke-cyst", "duke-dme", (r"(^|/)subject_\d\d\.mat$",), (("subjects", r"(^|/)subject_\d\d\.mat$", 10),)),
    Signature("duke-wloa", "duke-amd", (r"farsiu_ophthalmology_2013_(amd|control)_subject_\d+\.mat$",),
              (("AMD", r"_amd_subject_\d+\.mat$", 269), ("controls", r"_control_subject_\d+\.mat$", 115))),
    Signature("umn", "umn", (r"(^|/)(umn_?|dme_?|amd_?)dataset\.mat$",), (("files", r"dataset\.mat$", None),)),
    Signature("aroi", "aroi", (r"patient\d+/raw/", r"patient\d+/mask/number/"),
              (("B-scans", r"/raw/labeled/" + _PICTURE, 1136), ("masks", r"/mask/number/" + _PICTURE, 1136))),
    Signature("goals", "goals", (r"(^|/)image/" + _PICTURE, r"(^|/)layer_masks/" + _PICTURE),
              (("B-scans", r"(^|/)image/" + _PICTURE, 300), ("masks", r"(^|/)layer_masks/" + _PICTURE, None))),
    Signature("oct5k", "oct5k", (r"images/images_manual/", r"masks/masks_manual/grading_1/"),
              (("B-scans", r"images/images_manual/.*" + _PICTURE, 1672),
               ("masks of the first grader", r"masks/masks_manual/grading_1/.*" + _PICTURE, 1672))),
    Signature("amd-sd", "amd-sd", (r"amd-?sd[^/]*/.*" + _PICTURE,), (("pictures", _PICTURE, 3049),)),
    Signature("oimhs", "oimhs", (r"(^|/)images/\d+/\d+\.png$",), (("pictures", r"(^|/)images/\d+/\d+\.png$", 3859),)),
    Signature("nr206", "nr206", (r"nr206[^/]*/.*" + _PICTURE,), (("pictures", _PICTURE, None),)),
    Signature("tjdr", "tjdr", (r"(^|/)(train|test)/annotation/",),
              (("images", r"(^|/)(train|test)/image/" + _PICTURE, 561),
               ("annotations", r"(^|/)(train|test)/annotation/[^/]+\.(png|json)$", 561))),
    Signature("lag", "lag", (r"(^|/)(suspicious_glaucoma|non_glaucoma)/image/", r"attention_map/"),
              (("images", r"/image/" + _PICTURE, 5824), ("attention maps", r"/attention_map/" + _PICTURE, 5824))),
    Signature("cme-oct", "cme-oct", (r"/images/" + _PICTURE, r"/masks/" + _PICTURE, r"(dme-\d|_f[/.]|cystoid|cme)"),
              (("B-scans", r"/images/" + _PICTURE, None), ("masks", r"/masks/" + _PICTURE, None))),
    Signature("cvpr24-medsam-laptop", "medsam-npz", (r"(^|/)(2d|3d)_[^/]+\.npz$",), (("npz", r"\.npz$", None),)),
)  # fmt: skip


def recognise(folder: Path) -> list[Recognised]:
    """The known sets that a folder may be, the likeliest first; none where no pattern fits.

    Raises:
        CaseError: If it is no folder, or holds nothing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CaseError(f"{shown_path(folder)}: must be a folder, it is {'a file' if folder.exists() else 'not there'}")
    names = _names(folder)
    if not names:
        raise CaseError(f"{shown_path(folder)}: holds no files")
    registry = load_registry()
    found = []
    for signature in SIGNATURES:
        hits = [_count(names, mark) for mark in signature.marks]
        if all(hits):
            found.append((len(signature.marks), min(hits), _recognised(signature, registry, names, folder)))
    found.sort(key=lambda entry: entry[:2], reverse=True)
    return [recognised for *_, recognised in found]


def _names(folder: Path) -> list[str]:
    """Paths below the folder with its own name in front, in lower case."""
    top, names = folder.resolve().name.lower(), []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        below = Path(place).relative_to(folder).as_posix().lower()
        start = top if below == "." else f"{top}/{below}"
        names += [f"{start}/{name.lower()}" for name in sorted(files) if not name.startswith(".")]
        if len(names) > _MAX_FILES:
            raise CaseError(
                f"{shown_path(folder)}: must hold at most {_MAX_FILES} files; give the data set's own folder"
            )
    return names


def _count(names: list[str], pattern: str) -> int:
    compiled = re.compile(pattern)
    return sum(1 for name in names if compiled.search(name))


def _recognised(signature: Signature, registry: dict[str, Dataset], names: list[str], folder: Path) -> Recognised:
    parts = tuple((words, _count(names, pattern), wanted) for words, pattern, wanted in signature.parts)
    missing = tuple(
        f"{words}: none" if not count else f"{words}: {count} of {wanted} as printed"
        for words, count, wanted in parts
        if not count or (wanted is not None and count < wanted)
    )
    shown = shown_path(folder)
    place = f'"{shown}"' if " " in shown else shown
    command = f"lite-medsam prepare {signature.adapter} -i {place} -o cases{signature.extra}"
    return Recognised(registry[signature.dataset], parts, missing, command)
