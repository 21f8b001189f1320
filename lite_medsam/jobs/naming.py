"""Where the results of each input go: no two inputs write the same file, and a second run finds the first's."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from lite_medsam.results.annotations import ENDINGS
from lite_medsam.storage.json_text import recorded_name
from lite_medsam.storage.names import MAX_NAME_BYTES, name_key, short_hash, writable_folder, writable_name

OUTPUT_ENDINGS = (
    ".npz",
    "_label.png",
    "_label.tif",
    "_label.nii.gz",
    "_label.nrrd",
    "_label.mha",
    "_seg.dcm",
    "_overlay.png",
    ".json",
    *ENDINGS,
)
STEM_BYTES = MAX_NAME_BYTES - max(map(len, OUTPUT_ENDINGS))


@dataclass(frozen=True)
class Source:
    """An input file.

    Attributes:
        path: Where it is.
        below: Its path below the folder that was given; its name alone if it was given itself.
        folder: Name of that folder, or of the one that it lies in.
        url: Where it is if not on a disk of this machine; `path` is its name alone then.
        series: Which DICOM series of it; None: all that it holds.
    """

    path: Path
    below: PurePath
    folder: str
    url: str | None = None
    series: str | None = None


def targets(sources: Sequence[Source], endings: Sequence[str]) -> list[PurePath]:
    """The path of each input's results below the output folder, without ending.

    A name alone where that is enough, else the first of these that no other input has, equal meaning equal on any system
    (case, Unicode's forms): the name with its ending (`a_png`), with its folder in front (`P1_slice`), both, and with a hash
    of the path. Depends on the inputs alone, not on what lies in the output folder.

    Args:
        sources: The inputs, each once.
        endings: Of files that can be read, in lower case; what follows another dot is part of the name.
    """
    choices = [_choices(source, endings) for source in sources]
    level = [0] * len(sources)
    while True:
        by_key: dict[str, list[int]] = {}
        for i, number in enumerate(level):
            by_key.setdefault(name_key(choices[i][number].as_posix()), []).append(i)
        moved = False
        for same in by_key.values():
            if len(same) > 1:
                lowest = min(level[i] for i in same)
                for i in same:
                    if level[i] == lowest and lowest + 1 < len(choices[i]):
                        level[i], moved = lowest + 1, True
        if not moved:
            return [choices[i][number] for i, number in enumerate(level)]


def stem_of(name: str, endings: Sequence[str]) -> str:
    """A file's name without its ending; that of `a.nii.gz` is `a`, that of `1.2.3.55` the whole.

    Args:
        name: The file's.
        endings: Those that are cut, in lower case.
    """
    fitting = [end for end in endings if name.lower().endswith(end) and len(name) > len(end)]
    return name[: len(name) - max(map(len, fitting), default=0)]


def source_id(path: Path, url: str | None = None) -> str:
    """Tells inputs of one name apart: a hash of the whole path or address, so that a record does not tell where a file lies."""
    return short_hash(url or recorded_name(os.path.abspath(path)))


def _choices(source: Source, endings: Sequence[str]) -> list[PurePath]:
    name = source.below.name
    stem, whole = stem_of(name, endings), name.replace(".", "_")
    inside = PurePath(*map(writable_folder, source.below.parts[:-1]))
    names = [stem, whole]
    # the first stays the same where the data are moved; two folders of one name need the second
    codes = short_hash(recorded_name(PurePath(source.folder) / source.below)), source_id(source.path, source.url)
    if source.folder:
        names += [f"{source.folder}_{stem}", f"{source.folder}_{whole}"]
    return [
        *(inside / writable_name(name, STEM_BYTES) for name in names),
        *(inside / f"{writable_name(stem, STEM_BYTES - 9)}-{code}" for code in codes),
    ]
