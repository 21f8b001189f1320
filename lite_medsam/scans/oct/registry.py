"""Which reader a file or folder belongs to, by its ending and content."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.errors import CaseError
from lite_medsam.scans.metaimage import load_metaimage
from lite_medsam.scans.oct.bioptigen import is_bioptigen, load_bioptigen
from lite_medsam.scans.oct.cirrus import is_cirrus, load_cirrus
from lite_medsam.scans.oct.duke import load_duke
from lite_medsam.scans.oct.heyex_e2e import is_e2e, load_e2e
from lite_medsam.scans.oct.heyex_vol import is_vol, load_vol
from lite_medsam.scans.oct.heyex_xml import is_heyex_xml, load_heyex_xml
from lite_medsam.scans.oct.optovue import load_optovue
from lite_medsam.scans.oct.stack import is_tiff_stack, load_folder_stack, load_tiff_stack, pictures_of
from lite_medsam.scans.oct.topcon import is_topcon, load_topcon
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.paths import shown_path

_START_BYTES = 4096


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        title: Maker and ending.
        is_it: Whether a path with these first bytes is of the kind.
        load: Path and most voxels to a Scan.
    """

    title: str
    is_it: Callable[[Path, bytes], bool]
    load: Callable[[Path, int], Scan]


def _ends(*endings: str) -> Callable[[Path, bytes], bool]:
    return lambda path, start: path.name.lower().endswith(endings)


FORMATS = (
    Format("Heidelberg .vol", is_vol, load_vol),
    Format("Heidelberg XML", is_heyex_xml, load_heyex_xml),
    Format("Heidelberg .e2e", is_e2e, load_e2e),
    Format("Topcon .fda or .fds", is_topcon, load_topcon),
    Format("Zeiss Cirrus .img", is_cirrus, load_cirrus),
    Format("Bioptigen .OCT", is_bioptigen, load_bioptigen),
    Format("Optovue .OCT", _ends(".oct"), load_optovue),
    Format("Duke .mat", _ends(".mat"), load_duke),
    Format("TIFF stack", lambda path, start: is_tiff_stack(path), load_tiff_stack),
)
# endings that no other kind of input has; .xml, .img and .mat are looked into
OWN_SUFFIXES = (".vol", ".e2e", ".fda", ".fds", ".oct")
SHARED_SUFFIXES = (".xml", ".img", ".mat")
_REFUSED = {
    ".sdb": "the data base of Heyex is not read; export the exam from Heyex as .vol (raw), XML or .e2e",
}


def find_format(path: Path) -> Format | None:
    """The kind of an OCT file, None of all others.

    Raises:
        CaseError: If it is of a kind that is known and not read; says what to export instead.
    """
    ending = path.suffix.lower()
    if ending in _REFUSED:
        raise CaseError(f"{shown_path(path)}: {_REFUSED[ending]}")
    start = first_bytes(path)
    return next((kind for kind in FORMATS if kind.is_it(path, start)), None)


def is_oct_file(path: Path) -> bool:
    """Whether a file is read by this package; of the kinds that are refused too, so that their message comes."""
    try:
        return path.is_file() and find_format(path) is not None
    except CaseError:
        return True


def folder_loader(folder: Path) -> Callable[[int], Scan] | None:
    """How to read a folder that is one exam: oct.mhd of RETOUCH, the XML of Heyex, or B-scans as pictures; None for others."""
    volumes = [p for p in sorted(folder.iterdir()) if p.name.lower() in ("oct.mhd", "oct.mha") and p.is_file()]
    if volumes:
        return lambda most: load_metaimage(volumes[0], most)
    exports = [p for p in sorted(folder.glob("*.[xX][mM][lL]")) if is_heyex_xml(p, first_bytes(p))]
    if len(exports) == 1:
        return lambda most: load_heyex_xml(exports[0], most)
    if len(exports) > 1:
        raise CaseError(f"{shown_path(folder)}: must hold one XML export, holds {len(exports)}; give one of them")
    return (lambda most: load_folder_stack(folder, most)) if pictures_of(folder) else None


def first_bytes(path: Path) -> bytes:
    """The beginning of a file; nothing of one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_START_BYTES)
    except OSError:
        return b""
