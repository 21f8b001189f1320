"""Standard output and error that never end a run: what they lack is replaced, a reader may leave."""

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from lite_medsam.storage.json_text import json_text

# what a reader that went away gives, as `| head` does; on Windows a closed pipe is EINVAL
_LEFT = (errno.EPIPE, errno.ESHUTDOWN, errno.ECONNRESET, *((errno.EINVAL,) if os.name == "nt" else ()))


class SafeStream:
    """A text stream that takes any text and never raises.

    What its encoding lacks is written as `?`. When writing fails, as to a pipe that nobody reads any more or to a full disk,
    the rest goes nowhere, and `lost` is the error.

    Args:
        stream: What to write to; None for nowhere, as there is no console under pythonw.
    """

    def __init__(self, stream: TextIO | None):
        self._stream = _Nowhere() if stream is None or stream.closed else stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def reader_left(self) -> bool:
        """Whether writing failed because nobody reads any more, which is no fault."""
        return self.lost is not None and self.lost.errno in _LEFT

    def write(self, text: str) -> int:
        """Writes text, as far as that can be done."""
        if self.lost is not None:
            return len(text)
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                self._stream.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError) as error:  # ValueError: somebody closed it
            self._let_go(error)
        return len(text)

    def writelines(self, lines) -> None:
        """Writes texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hands on what was written, as far as that can be done."""
        try:
            if self.lost is None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self._let_go(error)

    def _let_go(self, error: OSError | ValueError) -> None:
        self.lost = error if isinstance(error, OSError) else OSError(errno.EPIPE, str(error))
        # what still waits in the stream's own buffer must find a place when Python ends, else it says so and exits with 120
        with contextlib.suppress(OSError, ValueError, io.UnsupportedOperation):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def safe_console() -> Iterator[tuple[SafeStream, SafeStream]]:
    """Puts safe streams in the place of `sys.stdout` and `sys.stderr` for a while."""
    _open_missing()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err = SafeStream(sys.stdout), SafeStream(sys.stderr)
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def print_json(value: Any) -> None:
    """Prints a value as JSON; letters that the console lacks are escaped, so that nothing of it is lost."""
    text = json_text(value)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1)
    print(text)


class _Nowhere(io.TextIOBase):
    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)


def _open_missing() -> None:
    """Opens file numbers 0 to 2 where they are closed: the next file would get them, and a library's messages with them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
