"""JSON that we write: readable, always valid UTF-8, and file names in it that lead back to their files."""

import json
import os
from pathlib import Path
from typing import Any


def json_text(value: Any) -> str:
    """A value as JSON text; bytes in file names that are no UTF-8 are escaped, everything else is written as it is."""
    return json_bytes(value).decode()


def json_bytes(value: Any) -> bytes:
    """The same as UTF-8. A byte of a name that Python keeps as a lone surrogate becomes its escape, `\\udcfc`."""
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")


def recorded_name(path: str | os.PathLike) -> str:
    """A file name as it is written down: the same text whatever encoding this process takes names to be in."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def path_of_name(name: str) -> Path:
    """The path of a name that was written down by `recorded_name`.

    Raises:
        ValueError: If a lone surrogate in it stands for no byte.
    """
    return Path(os.fsdecode(name.encode("utf-8", "surrogateescape")))
