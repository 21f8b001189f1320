"""What was encoded lately, found again by the image's content; in memory, and in a folder if given."""

import hashlib
import threading
import uuid
import weakref
from collections import OrderedDict
from pathlib import Path

import numpy as np

from lite_medsam.errors import WeightsError
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.runtime import Backend
from lite_medsam.storage.signed_cache import SignedCache

DEFAULT_LIMIT_BYTES = 256 * 1024 * 1024
# the engines that only run files, which the spec's hashes name; the weights behind another engine may change in memory
FILE_ENGINES = ("onnxruntime", "openvino")
# raise it when the way from image to model input changes, so that nothing older is found on disk
FORMAT = "1"

Features = tuple[np.ndarray, ...]


class EncodingCache:
    """The encodings that were used last, up to a number of bytes; several predictors and threads may share one.

    An entry is found by the pixels of the image, the frame and the model, so nothing has to be told when the image
    changes. Results are the same with and without it. The arrays that it gives back are shared and read-only.

    Args:
        limit_bytes: Most bytes kept in memory; what was not used for longest goes first, and an encoding larger than
            this is not kept. One encoding of the default model takes 7 MB.
        folder: A folder for the disk level, which outlives the process and may be deleted at any time; None for none.
            Entries carry the model's hashes and checksums: those of other weights, and damaged ones, are not found.
        disk_limit_bytes: Most bytes in the folder, None for no limit.

    Raises:
        ValueError: If a limit is negative.
        NotADirectoryError: If the folder is a file.
    """

    def __init__(
        self,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        folder: Path | None = None,
        disk_limit_bytes: int | None = None,
    ):
        for name, limit in (("limit_bytes", limit_bytes), ("disk_limit_bytes", disk_limit_bytes)):
            if limit is not None and limit < 0:
                raise ValueError(f"{name} must be at least 0, got {limit}")
        self.limit_bytes, self.folder, self.disk_limit_bytes = limit_bytes, folder, disk_limit_bytes
        self.hits = self.misses = 0
        self._entries: OrderedDict[tuple, Features] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()
        self._models: weakref.WeakKeyDictionary[Backend, str] = weakref.WeakKeyDictionary()
        self._disks: dict[str, SignedCache] = {}

    def __reduce__(self):
        """Pickled, it is an empty cache of the same limits and folder."""
        return EncodingCache, (self.limit_bytes, self.folder, self.disk_limit_bytes)

    @property
    def used_bytes(self) -> int:
        """Bytes of the entries in memory."""
        return self._used

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, backend: Backend, image_key: str, frame: Frame) -> Features | None:
        """The features of a frame of an image, None if they are not known.

        Args:
            backend: The model.
            image_key: From `image_key`.
            frame: The window that was encoded.
        """
        key = (self._model(backend), image_key, frame)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                self.hits += 1
                return self._entries[key]
        disk = self._disk(backend)
        stored = None if disk is None else disk.get(f"{image_key} {frame}")
        with self._lock:
            self.hits, self.misses = self.hits + (stored is not None), self.misses + (stored is None)
        if stored is None:
            return None
        features = tuple(stored[f"feature{i}"] for i in range(len(stored)))
        self._keep(key, features)
        return features

    def put(self, backend: Backend, image_key: str, frame: Frame, features: Features) -> None:
        """Keeps the features of a frame, in memory and on disk.

        Args:
            backend: The model.
            image_key: From `image_key`.
            frame: The window that was encoded.
            features: Arrays of their own, not views of a batch, which would keep all of it in memory; they become
                read-only.
        """
        self._keep((self._model(backend), image_key, frame), features)
        disk = self._disk(backend)
        if disk is not None:
            disk.put(f"{image_key} {frame}", {f"feature{i}": feature for i, feature in enumerate(features)})

    def clear(self) -> None:
        """Forgets what is in memory; the folder stays."""
        with self._lock:
            self._entries.clear()
            self._used = 0

    def _keep(self, key: tuple, features: Features) -> None:
        size = sum(feature.nbytes for feature in features)
        for feature in features:
            feature.setflags(write=False)
        with self._lock:
            if key in self._entries or size > self.limit_bytes:
                return
            self._entries[key] = features
            self._used += size
            while self._used > self.limit_bytes:
                _, oldest = self._entries.popitem(last=False)
                self._used -= sum(feature.nbytes for feature in oldest)

    def _model(self, backend: Backend) -> str:
        """What stands for a backend in keys: never the same for two that could answer differently."""
        with self._lock:
            if backend not in self._models:
                named = backend.name in FILE_ENGINES and backend.spec.files
                self._models[backend] = _model_hash(backend) if named else uuid.uuid4().hex
            return self._models[backend]

    def _disk(self, backend: Backend) -> SignedCache | None:
        if self.folder is None:
            return None
        if backend.name not in FILE_ENGINES or not backend.spec.files:
            raise WeightsError(
                f"a cache on disk needs an exported model with hashes in its spec, run by {' or '.join(FILE_ENGINES)}, "
                f"got {backend.spec.name} in {backend.name}; leave the folder out"
            )
        model = self._model(backend)
        with self._lock:
            if model not in self._disks:
                signature = {"format": FORMAT, "model": model, "name": backend.spec.name, "engine": backend.name}
                self._disks[model] = SignedCache(self.folder, signature, self.disk_limit_bytes)
            return self._disks[model]


def image_key(image: np.ndarray) -> str:
    """SHA-256 of an image's shape and pixels, hexadecimal.

    Args:
        image: (H, W) or (H, W, 3) uint8.
    """
    digest = hashlib.sha256(f"{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _model_hash(backend: Backend) -> str:
    # an engine may offer several graphs of one directory, as for 8-bit arithmetic, and says so in `variant`
    variant = getattr(backend, "variant", "")
    return hashlib.sha256(f"{backend.name}\0{variant}\0{backend.spec.to_json()}".encode()).hexdigest()
