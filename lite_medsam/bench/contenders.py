"""The models that are measured against each other, and where the published one is kept between runs."""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.published import cached_models
from lite_medsam.model.runtime import Backend, decode_first, open_backend
from lite_medsam.model.spec import load_spec, sha256_of
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.machine import cache_folder
from lite_medsam.storage.signed_cache import TAG, TAG_FILE

OURS, REFERENCE = "this model", "LiteMedSAM"
PUBLISHED = "litemedsam"  # its name in the manifest
KEPT_SECONDS = 30 * 24 * 3600.0
# the code that decides what the exported reference is
_SOURCES = (
    "published/random_reference",
    "network/export",
    "network/families",
    "network/litemedsam_encoder",
    "network/model",
)


@dataclass(frozen=True)
class Contender:
    """A model directory with the name of its column.

    Attributes:
        title: Of the column.
        directory: The model.
        weights: What is in it, for people, where the title does not say.
    """

    title: str
    directory: Path
    weights: str = ""

    def open(self, engine: str, threads: int | None) -> Backend:
        """See `runtime.open_backend`."""
        return open_backend(self.directory, engine, threads)


class RecordingBackend:
    """A backend that notes how long its graphs ran and how much they were given."""

    def __init__(self, backend: Backend):
        self.backend, self.name, self.spec = backend, backend.name, backend.spec
        self.reset()

    def __getattr__(self, name: str):
        return getattr(self.backend, name)

    def reset(self) -> None:
        """Forgets what was noted."""
        self.encode_seconds = self.decode_seconds = 0.0
        self.images = self.prompts = self.runs = 0  # runs: counted by whoever knows what a run is

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        started = time.perf_counter()
        features = self.backend.encode(pixels)
        self.encode_seconds += time.perf_counter() - started
        self.images += len(pixels)
        return features

    def decode(
        self,
        features: tuple[np.ndarray, ...],
        coords: np.ndarray,
        labels: np.ndarray,
        previous: np.ndarray,
        has_previous: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._timed(self.backend.decode, (features, coords, labels, previous, has_previous))

    def decode_first(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._timed(partial(decode_first, self.backend), inputs)

    def _timed(self, decode: Callable, inputs: tuple) -> tuple[np.ndarray, np.ndarray]:
        started = time.perf_counter()
        answer = decode(*inputs)
        self.decode_seconds += time.perf_counter() - started
        self.prompts += len(inputs[1])
        return answer


def reference(folder: Path | None = None) -> Contender:
    """LiteMedSAM with its published weights where this machine has them (`lite-medsam weights get litemedsam`).

    Else the published architecture with random weights, exported by torch the first time and kept: it takes as long. Its
    folder is named by a hash of the code that makes it; its spec.json holds the SHA-256 of each file, which is checked here.
    What does not fit is made anew.

    Args:
        folder: Where it is kept; the user's cache by default.

    Raises:
        MissingExtraError: If it is not there and torch is not installed.
        OSError: If it cannot be written.
    """
    published = cached_models().get(PUBLISHED)
    if published is not None and _intact(published):
        return Contender(REFERENCE, published, "its published weights")
    folder = cache_folder() / "bench" if folder is None else Path(folder)
    directory = folder / f"litemedsam-{_signature()}"
    if not _intact(directory):
        _make(folder, directory)
    return Contender(REFERENCE, directory, "its published architecture with random weights")


def _make(folder: Path, directory: Path) -> None:
    try:
        from lite_medsam.learning.published.random_reference import export_reference
    except ImportError as error:
        raise MissingExtraError("exporting LiteMedSAM's architecture (once)", "train", error.name) from None
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / TAG_FILE) as tag:
        tag.write_text(TAG, encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        export_reference(made)
        for old in folder.glob("litemedsam-*"):  # those of other versions stay a while: they may be running just now
            if old == directory or time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was quicker, and made the same
            shutil.copytree(made, directory)
    if not _intact(directory):
        raise OSError(f"{directory} could not be written; free some space or give --no-reference")


def _intact(directory: Path) -> bool:
    try:
        files = load_spec(directory).files
        return bool(files) and all(sha256_of(directory / name) == value for name, value in files.items())
    except (OSError, WeightsError):
        return False


def _signature() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent.parent / "learning" / f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]
