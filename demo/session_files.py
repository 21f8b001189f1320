"""Work as one file that opens again with everything: a ZIP with what was opened, and what a session knows of it."""

import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lite_medsam.errors import CaseError
from lite_medsam.session.interactive import Session
from lite_medsam.storage.strict_json import parse_json

from .records import DOCUMENT, MASKS, MAX_DOCUMENT_BYTES, MAX_MASK_BYTES, Record
from .uploads import Upload

FORMAT, VERSION = "lite-medsam session", 1
MANIFEST = "session.json"
MAX_MANIFEST_BYTES, MAX_FILES = 2**20, 2000


@dataclass(frozen=True, eq=False)
class Kept:
    """What a session file holds.

    Attributes:
        record: What was done; its window is left out where the files have the pixels as they were shown.
        index: The slice that was shown.
        upload: The files that were opened; None for a sample.
        sample: The sample's name, None for files.
        series: Which series of those files.
    """

    record: Record
    index: int
    upload: Upload | None = None
    sample: str | None = None
    series: str | None = None


def session_members(session: Session, index: int, npz_name: str) -> dict[str, bytes]:
    """What makes a ZIP of results one that opens again: its npz is the picture, as it was shown."""
    source = {"kind": "files", "files": [{"name": npz_name, "member": npz_name}], "as_shown": True}
    return {MANIFEST: manifest(source, index), **Record.of(session, index).files()}


def manifest(source: dict, index: int) -> bytes:
    """`session.json`."""
    about = {"format": FORMAT, "version": VERSION, "slice": index, "source": source}
    return (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()


def read_session_file(upload: Upload, max_bytes: int) -> Kept | None:
    """What an uploaded session file holds; None where it is none.

    Args:
        upload: One file; the files inside come as another upload, which the caller discards.
        max_bytes: Of the files inside together.

    Raises:
        CaseError: If it is damaged, of a later version or too large.
    """
    path = upload.path(0)
    if len(upload.names) != 1 or not upload.names[0].lower().endswith(".zip") or not zipfile.is_zipfile(path):
        return None
    with told_damage("damaged session file", "take an earlier copy"), zipfile.ZipFile(path) as archive:
        if MANIFEST not in archive.namelist():
            return None
        return _kept(archive, _manifest_of(archive), read_record(archive), max_bytes)


@contextmanager
def told_damage(what: str, then: str) -> Iterator[None]:
    """Says in one way what zipfile and the ways to unpack make of a damaged ZIP.

    Args:
        what: What is damaged.
        then: What to do.

    Raises:
        CaseError: If the ZIP is damaged.
        OSError: If the disk is at fault, not the file.
    """
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise CaseError(f"{what} ({error}); {then}") from None
    except OSError as error:
        if error.errno is not None:  # (bz2 says damage so, without a number)
            raise
        raise CaseError(f"{what} ({error}); {then}") from None


def _manifest_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    text = _member(archive, MANIFEST, MAX_MANIFEST_BYTES).decode("utf-8", "replace")
    about = parse_json(text, MANIFEST, CaseError)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CaseError(f"{MANIFEST} must be of the format {FORMAT!r}")
    if about.get("version") != VERSION:
        raise CaseError(
            f"a session file must be of version {VERSION}, got {str(about.get('version'))[:20]}; use a newer lite-medsam"
        )
    return about


def read_record(archive: zipfile.ZipFile) -> Record:
    """The record in a session file.

    Raises:
        CaseError: If it is missing or damaged.
    """
    return Record.read(_member(archive, DOCUMENT, MAX_DOCUMENT_BYTES), _member(archive, MASKS, MAX_MASK_BYTES))


def _kept(archive: zipfile.ZipFile, about: dict[str, Any], record: Record, max_bytes: int) -> Kept:
    source, index = about.get("source"), about.get("slice", 0)
    if not isinstance(source, dict) or isinstance(index, bool) or not isinstance(index, int):
        raise CaseError(f"{MANIFEST} must say its source and slice")
    if source.get("kind") == "sample":
        return Kept(record, index, sample=str(source.get("name"))[:200])
    files, series = source.get("files"), source.get("series")
    if not isinstance(files, list) or not 0 < len(files) <= MAX_FILES or not isinstance(series, str | None):
        raise CaseError(f"{MANIFEST} must name 1 to {MAX_FILES} files")
    if any(not isinstance(file, dict) for file in files):
        raise CaseError(f"{MANIFEST} must name its files as objects")
    names, members = ([str(file.get(key))[:300] for file in files] for key in ("name", "member"))
    try:
        sizes = [archive.getinfo(member).file_size for member in members]
    except KeyError:
        raise CaseError("a session file must hold every file that it names, one is missing") from None
    if sum(sizes) > max_bytes:
        raise CaseError(
            f"the files inside must have at most {max_bytes / 2**20:.1f} MB, have {sum(sizes) / 2**20:.1f} MB"
        )
    inside = Upload(names, sizes)
    try:
        for number, member in enumerate(members):
            with archive.open(member) as file:
                while piece := file.read(2**20):
                    inside.append(number, piece)
    except BaseException:
        inside.discard()
        raise
    is_as_shown = source.get("as_shown") is True
    return Kept(record.on_shown_pixels() if is_as_shown else record, index, inside, series=series)


def _member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    try:
        if archive.getinfo(name).file_size > max_bytes:
            raise CaseError(f"{name} must have at most {max_bytes} bytes")
        with archive.open(name) as file:
            data = file.read(max_bytes + 1)
    except KeyError:
        raise CaseError(f"a session file must hold {name}") from None
    if len(data) > max_bytes:
        raise CaseError(f"{name} must have at most {max_bytes} bytes")
    return data
