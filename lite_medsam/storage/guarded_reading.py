"""Files for decoders that believe every size that a file names: no read makes room for more than there is.

`file.read(n)` of Python takes n bytes of memory before it reads the first one, and a damaged length of four bytes asks for
4 GiB. These files read large parts in pieces instead.
"""

import gzip
import io
import os
from collections.abc import Callable

PIECE_BYTES = 1 << 20


class GuardedFile(io.BufferedReader):
    """A file opened for reading."""

    def __init__(self, path: str | os.PathLike):
        super().__init__(io.FileIO(os.fspath(path)))

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; fewer at the end of the file."""
        return _in_pieces(super().read, size)


class GuardedGzip(gzip.GzipFile):
    """A gzip file opened for reading, which is never unpacked to its end by one call."""

    def __init__(self, path: str | os.PathLike):
        super().__init__(os.fspath(path), "rb")

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; fewer at the end of the file.

        Raises:
            OSError: For a negative size, which would unpack all there is, however much that be.
        """
        if size is None or size < 0:
            raise OSError("packed files are read up to a given size, got none")
        return _in_pieces(super().read, size)


def _in_pieces(read: Callable[[int], bytes], size: int | None) -> bytes:
    if size is None or size < 0 or size <= PIECE_BYTES:
        return read(-1 if size is None else size)
    parts = []
    while size > 0:
        part = read(min(size, PIECE_BYTES))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
