"""Paths as messages show them, and the files below a folder."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Found:
    """The files below a folder.

    Attributes:
        files: In order of their paths.
        problems: (path, reason) of what could not be looked into, or is no file in spite of its name.
    """

    files: list[Path] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def files_below(folder: Path, endings: Collection[str]) -> Found:
    """The files with one of these endings in a folder and its subfolders; hidden files are not looked at.

    Args:
        folder: Where to look; links to folders in it are not followed.
        endings: In lower case, such as `.png`.
    """
    found = Found()

    def unreadable(error: OSError) -> None:
        reason = error.strerror or str(error)
        found.problems.append((Path(error.filename or folder), f"the folder could not be read ({reason})"))

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            if name.startswith(".") or not name.lower().endswith(tuple(endings)):
                continue
            path = Path(place, name)
            try:
                if path.is_file():
                    found.files.append(path)
                elif not path.is_dir():
                    found.problems.append((path, _why_no_file(path)))
            except OSError as error:
                found.problems.append((path, f"could not be read ({error.strerror or error})"))
    found.files.sort()
    return found


def _why_no_file(path: Path) -> str:
    return "a link to what is not there" if path.is_symlink() else "must be a regular file"


def shown_path(path: str | os.PathLike) -> str:
    """The path as an error message shows it: on one line, whatever characters the name holds."""
    return "".join(c if c.isprintable() else "?" for c in os.fspath(path))
