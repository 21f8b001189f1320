"""The client package's own modules for the wire: paths, headers, arrays as bytes; imported without torch."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _torch_hidden() -> Iterator[None]:
    """The client looks for torch when it is imported, and goes on without; we never send it tensors, and save 500 MB."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # what an import then takes for not installed
    try:
        yield
    finally:
        del sys.modules["torch"]


with _torch_hidden():
    from nnInteractive.inference.remote import _protocol as names
    from nnInteractive.inference.remote.serialization import MAGIC, pack_array, unpack_array

__all__ = ["MAGIC", "names", "pack_array", "unpack_array"]
