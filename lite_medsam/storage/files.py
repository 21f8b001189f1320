"""Atomic file writing: a reader, a crash or a full disk never leaves or sees a half-written file."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lite_medsam.storage.names import cut_name

_LONGEST_SUFFIX, _PREFIX_BYTES = 16, 160


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside `path`; moves it onto `path` on success, removes it on any error.

    The temporary name keeps the suffix, because image writers choose the format by it, and is never longer than file systems
    take. The folder is created.

    Args:
        path: The file to write.

    Raises:
        OSError: If the folder cannot be made or the disk is full; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if len(path.suffix) <= _LONGEST_SUFFIX else ""  # a longer one is no format, but part of a name
    prefix = f".{cut_name(path.stem, _PREFIX_BYTES)}-"
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private (0600); give it the permissions that a plain open() would have
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
