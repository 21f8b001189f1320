"""The model that all clients share: one inference at a time, with and without zoom."""

import threading

import numpy as np

from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.runtime import Backend, decode_first
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.predictor import Predictor


class OneAtATime:
    """A backend that works for one thread at a time; between two slices of one client another one gets its turn.

    Args:
        backend: What does the work.
    """

    def __init__(self, backend: Backend):
        self._backend, self._lock = backend, threading.Lock()
        self.name, self.spec = backend.name, backend.spec
        if hasattr(backend, "variant"):
            self.variant = backend.variant

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `runtime.Backend`."""
        with self._lock:
            return self._backend.encode(pixels)

    def decode(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.Backend`."""
        with self._lock:
            return self._backend.decode(*inputs)

    def decode_first(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """See `runtime.decode_first`."""
        with self._lock:
            return decode_first(self._backend, *inputs)


class SharedModel:
    """A model for all clients.

    Args:
        backend: The engine with the model.
        zoom: What `Predictor` is asked for; a client may switch it off for itself.
        cache: Encodings of all clients, found again by the pixels alone; None for none.
        refine: What `Predictor` is asked for.
    """

    def __init__(self, backend: Backend, zoom: str = "auto", cache: EncodingCache | None = None, refine: str = "off"):
        shared = OneAtATime(backend)
        self._predictors = {
            zooms: Predictor(shared, zoom if zooms else "off", cache, refine) for zooms in (True, False)
        }
        self.zooms = zoom != "off"

    @property
    def spec(self) -> ModelSpec:
        """What the model is and what it was trained on."""
        return self._predictors[True].spec

    def predictor(self, zooms: bool) -> Predictor:
        """The model with zoom or without."""
        return self._predictors[zooms]
