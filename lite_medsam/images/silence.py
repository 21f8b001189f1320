"""Silence: what decoders print about a damaged file before they raise is kept from the console."""

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences Python warnings and the logs of decoders: the error alone is enough."""
    logs = [logging.getLogger(name) for name in ("tifffile", "tifffile.tifffile", "nibabel.global", "pydicom")]
    for log in logs:
        log.addFilter(_refuse)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log in logs:
            log.removeFilter(_refuse)


def _refuse(record: logging.LogRecord) -> bool:
    return False


class _SilentStderr:
    """Sends stderr nowhere for a moment: from C, libtiff and OpenCV print there what is raised anyway."""

    def __init__(self):
        self._lock = threading.Lock()  # two threads at once would restore each other's nowhere

    def __enter__(self):
        self._lock.acquire()
        self._kept = None
        with contextlib.suppress(OSError):  # a program without a console has no stderr
            if sys.stderr:
                sys.stderr.flush()
            self._kept = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def __exit__(self, *_):
        if self._kept is not None:
            os.dup2(self._kept, 2)
            os.close(self._kept)
        self._lock.release()


SILENT_STDERR = _SilentStderr()
