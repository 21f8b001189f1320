"""What went wrong with one input: whether the others can go on, and how it is told."""

import errno

from lite_medsam.storage.paths import shown_path

_FULL = (errno.ENOSPC, errno.EDQUOT)


def of_one_job(error: Exception) -> Exception:
    """The error, if the other inputs can go on; a full disk is raised, since they would fail as well."""
    if isinstance(error, OSError) and error.errno in _FULL:
        raise error
    return error


def failure_text(error: Exception) -> str:
    """What to tell of an error, on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and not isinstance(error, (ImportError, ValueError)):
        name = error.filename2 or error.filename  # a number, where a file was opened by its number
        return f"{shown_path(name)}: {error.strerror}" if isinstance(name, str) else error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory for it; use a smaller image or close other programs"
    if isinstance(error, (ValueError, OSError, ImportError)) and not isinstance(error, UnicodeError):
        return text
    return f"unexpected {type(error).__name__}: {text}"
