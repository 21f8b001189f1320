"""One process at a time: a lock that the system takes back when its holder dies."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.2


@contextlib.contextmanager
def one_at_a_time(path: str | os.PathLike, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds the lock of a file; waits while another process holds it.

    Where the file system knows no locks, as on some network drives, nothing is held: callers must be right without it, and
    only do work twice.

    Args:
        path: The lock file; it is made, and stays.
        on_wait: Called once if another process holds it.

    Raises:
        OSError: If the file can't be made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        while not _taken(file.fileno()):
            if on_wait is not None:
                on_wait()
                on_wait = None
            time.sleep(POLL_SECONDS)
        yield  # closing the file gives it back


if sys.platform == "win32":
    import msvcrt

    def _taken(handle: int) -> bool:
        os.lseek(handle, 0, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        return True
else:
    import fcntl

    def _taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True
