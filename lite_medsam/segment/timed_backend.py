"""A backend that notes how long each thread has spent in it."""

import threading
import time

import numpy as np

from lite_medsam.model.runtime import decode_first


class TimedBackend:
    """A backend that notes how long each thread has spent in it.

    Args:
        backend: What does the work.
    """

    def __init__(self, backend):
        self._backend = backend
        self.name, self.spec = backend.name, backend.spec
        if hasattr(backend, "variant"):
            self.variant = backend.variant
        self._spent = threading.local()

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `runtime.Backend`."""
        return self._timed("encode", self._backend.encode, pixels)

    def decode(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.Backend`."""
        return self._timed("decode", self._backend.decode, *inputs)

    def decode_first(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.decode_first`."""
        return self._timed("decode", decode_first, self._backend, *inputs)

    def spent(self) -> dict[str, float]:
        """Seconds of this thread in "encode" and "decode" since it last asked."""
        spent = getattr(self._spent, "seconds", {})
        self._spent.seconds = {}
        return {"encode": spent.get("encode", 0.0), "decode": spent.get("decode", 0.0)}

    def _timed(self, name: str, call, *arguments):
        started = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            seconds = self._spent.seconds = getattr(self._spent, "seconds", {})
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
