"""A backend that encodes each view once and gives the network's own scores."""

import hashlib
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from lite_medsam.runtime import Backend
from lite_medsam.spec import ScoreCalibration

KEPT_BYTES = 256 * 2**20


class RawBackend:
    """Wraps a backend for measuring: the same pixels are encoded once, scores are not calibrated.

    Boxes that differ a little often share a view (the whole image always), and the protocols of a card look at each image
    some forty times. Views are recognised by their pixels, so whatever the predictor does to choose them stays valid.

    Args:
        backend: The engine with a model.
        kept_bytes: Features kept; the least recently used go first.
    """

    def __init__(self, backend: Backend, kept_bytes: int = KEPT_BYTES):
        self.backend = backend
        self.spec = replace(backend.spec, score_calibration=ScoreCalibration())
        self.encoded = self.reused = 0
        self._kept: OrderedDict[bytes, tuple[np.ndarray, ...]] = OrderedDict()
        self._limit, self._bytes = kept_bytes, 0

    def __getattr__(self, name: str):
        return getattr(self.backend, name)

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """As `Backend.encode`; (B, 3, S, S) to features with leading dimension B."""
        keys = [hashlib.blake2b(np.ascontiguousarray(view), digest_size=16).digest() for view in pixels]
        missing = [i for i, key in enumerate(keys) if key not in self._kept and key not in keys[:i]]
        self.encoded, self.reused = self.encoded + len(missing), self.reused + len(keys) - len(missing)
        fresh: dict[bytes, tuple[np.ndarray, ...]] = {}
        if missing:
            features = self.backend.encode(pixels if len(missing) == len(pixels) else pixels[missing])
            # copies, so that one view that is kept does not hold the memory of its whole batch
            parts = [tuple(f[i : i + 1].copy() for f in features) for i in range(len(missing))]
            fresh = {keys[i]: part for i, part in zip(missing, parts, strict=True)}
        found = [fresh[key] if key in fresh else self._kept[key] for key in keys]
        for key, part in zip(keys, found, strict=True):
            self._keep(key, part)
        return found[0] if len(found) == 1 else tuple(np.concatenate(group) for group in zip(*found, strict=True))

    def decode(self, *inputs) -> tuple[np.ndarray, np.ndarray]:
        """As `Backend.decode`."""
        return self.backend.decode(*inputs)

    def _keep(self, key: bytes, features: tuple[np.ndarray, ...]) -> None:
        if key not in self._kept:
            self._bytes += sum(feature.nbytes for feature in features)
        self._kept[key] = features
        self._kept.move_to_end(key)
        while self._bytes > self._limit and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= sum(feature.nbytes for feature in oldest)
