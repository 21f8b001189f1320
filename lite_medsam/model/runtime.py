"""Opening a model directory with an engine: which one is taken, and the check of its files."""

import hashlib
import importlib
import os
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.engine_choice import recall_choice
from lite_medsam.model.engines import DECODER_FILE, ENCODER_FILE, GRAPH_FILES, OnnxBackend, OpenVinoBackend
from lite_medsam.model.published import find_weights
from lite_medsam.model.spec import ModelSpec, load_spec, sha256_of
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS
from lite_medsam.storage.machine import check_threads, physical_cores

__all__ = ["DECODER_FILE", "ENCODER_FILE", "ENGINES", "Backend", "decode_first", "open_backend", "physical_cores"]

ENGINES = ("onnxruntime", "openvino", "torch")
# named, not imported: torch is above this package, and is looked for only when somebody asks for it
TORCH_ENGINE = "lite_medsam.learning.network.backend"


class Backend(Protocol):
    """A loaded model: images to features, features and prompts to masks.

    A backend may have a third method `decode_first`, see the function of that name.
    """

    name: str
    spec: ModelSpec

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        """(B, 3, S, S) float32 model input to features, each with leading dimension B."""

    def decode(
        self,
        features: tuple[np.ndarray, ...],
        coords: np.ndarray,
        labels: np.ndarray,
        previous: np.ndarray,
        has_previous: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prompts to masks.

        Args:
            features: From `encode`, for B images; N is a multiple of B and the prompts come in B equal groups.
            coords: (N, P, 2) float32 x, y in model pixels.
            labels: (N, P) float32: 1 object, 0 background, 2 and 3 corners of a box, -1 padding.
            previous: (N, 1, L, L) float32 logits of an earlier answer; L is `Preprocessing.mask_size`.
            has_previous: (N,) float32, 1 where `previous` counts.

        Returns:
            (N, M, L, L) logits and (N, M) predicted IoU, float32.
        """


def decode_first(
    backend: Backend, features: tuple[np.ndarray, ...], *prompts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first mask of each prompt alone, (N, 1, L, L) logits and (N, 1) scores; quicker where the backend can.

    Args:
        backend: The model.
        features: See `Backend.decode`.
        prompts: coords, labels, previous and has_previous.
    """
    if hasattr(backend, "decode_first"):
        return backend.decode_first(features, *prompts)
    logits, scores = backend.decode(features, *prompts)
    return logits[:, :1], scores[:, :1]


def open_backend(weights: str | os.PathLike, engine: str = "auto", threads: int | None = None) -> Backend:
    """Opens a model directory.

    "auto" never measures anything itself, so that a command starts quickly. It takes what a trial on this machine found
    to be fastest (`lite-medsam info --trial`, `lite_medsam.model.trial`), and ONNX Runtime where there was none.

    Args:
        weights: Directory with spec.json and the graphs, or the name of a published model, see `published.find_weights`.
        engine: "onnxruntime", "openvino", "torch", or "auto".
        threads: CPU threads; None: as many as physical cores, in a container at most its share. More than CPUs give a
            RuntimeWarning.

    Raises:
        WeightsError: If the directory is incomplete or its files are not those that the spec was written for.
        MissingExtraError: If the engine is not installed.
        ValueError: If there is no such engine, or threads is not positive.
    """
    directory = find_weights(weights)
    spec = load_spec(directory)
    if engine != "auto" and engine not in ENGINES:
        raise ValueError(f"engine must be auto or one of {', '.join(ENGINES)}, got {engine!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    check_threads(threads)
    given, threads = threads, threads or physical_cores()
    if engine == "auto":
        choice = recall_choice(spec, threads)
        engine = choice.engine
        if choice.directory is not None:
            check_files(directory, spec)
            directory, spec = choice.directory, load_spec(choice.directory)
    if engine == "torch":
        return _open_torch(directory, given)
    check_files(directory, spec)
    if engine == "openvino":
        return OpenVinoBackend(directory, spec, threads)
    return OnnxBackend(directory, spec, threads, keep=True)


class Recipe(NamedTuple):
    """How to open a model again, in another process say.

    Attributes:
        directory: The model directory, absolute; None for the one that comes with the package.
        engine: Name of the engine.
        threads: CPU threads.
        spec_sha256: Of the spec, to notice another model in the directory.
    """

    directory: str | None
    engine: str
    threads: int | None
    spec_sha256: str


def recipe_of(backend: Backend) -> Recipe:
    """How to open a backend's model again.

    Raises:
        WeightsError: If it has no model directory.
    """
    directory = getattr(backend, "directory", None)
    if directory is None:
        raise WeightsError(
            f"a predictor must have a model directory to be pickled, because it is opened again from there; "
            f"{backend.spec.name} in {backend.name} is in memory only: open a directory with Predictor.open"
        )
    path = Path(directory).resolve()
    bundled = path == DEFAULT_WEIGHTS.resolve()  # which may lie elsewhere where it is opened
    return Recipe(None if bundled else str(path), backend.name, getattr(backend, "threads", None), _spec_hash(backend))


def reopen_backend(recipe: Recipe) -> Backend:
    """Opens a model again.

    Raises:
        WeightsError: If the directory is gone, or holds another model by now.
    """
    directory = DEFAULT_WEIGHTS if recipe.directory is None else Path(recipe.directory)
    backend = open_backend(directory, recipe.engine, recipe.threads)
    if _spec_hash(backend) != recipe.spec_sha256:
        raise WeightsError(f"{directory} must hold the model that was pickled, but its spec.json has changed since")
    return backend


def _spec_hash(backend: Backend) -> str:
    return hashlib.sha256(backend.spec.to_json().encode()).hexdigest()


def _open_torch(directory: Path, threads: int | None) -> Backend:
    try:
        module = importlib.import_module(TORCH_ENGINE)
    except ImportError as error:
        raise MissingExtraError("the torch engine", "train", error.name) from None
    return module.open_torch(directory, threads)


def check_files(directory: Path, spec: ModelSpec) -> None:
    """Raises WeightsError unless the graphs, and the weights beside them, are the files that the spec names."""
    beside = (name for name in spec.files if name.endswith(".data"))  # weights too large for the graph's own file
    for name in (*GRAPH_FILES, *beside):
        path = directory / name
        if not path.is_file():
            raise WeightsError(f"{directory} must hold {name}, but it is missing; export the model again")
        expected = spec.files.get(name)
        if expected is not None and sha256_of(path) != expected:
            raise WeightsError(f"{path} must be the file that spec.json names, but its SHA-256 differs; get it again")
