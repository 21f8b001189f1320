"""Inputs that lie in object stores and on servers: listed and fetched by fsspec, one file at a time."""

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from lite_medsam.errors import CaseError, MissingExtraError

# two letters at least: `C:` is a drive
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: str) -> bool:
    """Whether a text is an address such as `s3://bucket/scans/a.png`, not a path."""
    return _ADDRESS.match(text) is not None


def urls_below(url: str, endings: Collection[str]) -> tuple[str, list[tuple[PurePath, str]]]:
    """The files at an address, those in subfolders too, in order of their paths.

    Args:
        url: A file, or a folder.
        endings: Of the files to find in a folder, in lower case; hidden files are left out.

    Returns:
        The folder's name, and (path below it, address) of each file.

    Raises:
        OSError: If it cannot be read, or is not there.
        ValueError: If nothing is known of this kind of address.
        MissingExtraError: If fsspec or a package of this kind of address is not installed.
    """
    files, root = _file_system(url)
    top = PurePath(root)
    if not files.isdir(root):
        if not files.exists(root):
            raise FileNotFoundError("it does not exist")
        return top.parent.name, [(PurePath(top.name), url)]
    below = []
    for found in sorted(files.find(root)):
        path = PurePath(found).relative_to(top)
        if path.name.lower().endswith(tuple(endings)) and not any(part.startswith(".") for part in path.parts):
            below.append((path, files.unstrip_protocol(found)))
    return top.name, below


@contextmanager
def fetched(url: str, name: str) -> Iterator[Path]:
    """A copy of a file on this machine's disk, for as long as it is needed.

    Args:
        url: Where it is.
        name: What the copy is called.

    Raises:
        CaseError: If nothing is there, or nothing is known of this kind of address.
        OSError: If it cannot be fetched.
        MissingExtraError: As for `urls_below`.
    """
    with tempfile.TemporaryDirectory(prefix="lite-medsam-") as folder:
        path = Path(folder, name)
        try:
            files, there = _file_system(url)
            with files.open(there, "rb") as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        except FileNotFoundError:
            raise CaseError(f"{url}: an input must be a file, but this does not exist") from None
        yield path


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("reading from object stores", "ray", "fsspec") from None
    try:
        return fsspec.core.url_to_fs(url)
    except ValueError as error:
        raise CaseError(f"{url}: {' '.join(str(error).split())}") from None
