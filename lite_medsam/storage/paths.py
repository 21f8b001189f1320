"""Paths as messages show them."""

import os


def shown_path(path: str | os.PathLike) -> str:
    """The path as an error message shows it: on one line, whatever characters the name holds."""
    return "".join(c if c.isprintable() else "?" for c in os.fspath(path))
