"""Engines that run the two exported graphs; the only place that knows ONNX Runtime and OpenVINO."""

import os
from pathlib import Path
from typing import Protocol

import numpy as np

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.spec import ModelSpec, load_spec, sha256_of

ENGINES = ("onnxruntime", "openvino", "torch")
ENCODER_FILE, DECODER_FILE = "encoder.onnx", "decoder.onnx"
DECODER_INPUTS = ("coords", "labels", "previous", "has_previous")
# an optional input of the decoder: how many of the masks to draw
ANSWERS_INPUT = "answers"


class Backend(Protocol):
    """A loaded model: images to features, features and prompts to masks."""

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


class OnnxBackend:
    """ONNX Runtime on the CPU."""

    name = "onnxruntime"

    def __init__(self, directory: Path, spec: ModelSpec, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # warnings about graph clean-up are of no use to a user
        # spinning threads burn a laptop's battery and starve the other graph's threads between two calls
        options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
        
        def open_session(name: str):
            try:
                return onnxruntime.InferenceSession(str(directory / name), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise WeightsError(
                    f"{directory / name} must be a readable ONNX graph, got: {_first_line(error)}"
                ) from None

        self.spec = spec
        self._encoder, self._decoder = open_session(ENCODER_FILE), open_session(DECODER_FILE)
        self._feature_names = [output.name for output in self._encoder.get_outputs()]
        self._limits_answers = ANSWERS_INPUT in {i.name for i in self._decoder.get_overridable_initializers()}

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self._encoder.run(None, {"pixels": pixels}))

    def decode(self, features, coords, labels, previous, has_previous):
        prompts = zip(DECODER_INPUTS, (coords, labels, previous, has_previous), strict=True)
        inputs = dict(zip(self._feature_names, features, strict=True)) | dict(prompts)
        logits, scores = self._decoder.run(None, inputs)
        return logits, scores

    def decode_first(self, features, coords, labels, previous, has_previous):
        prompts = zip(DECODER_INPUTS, (coords, labels, previous, has_previous), strict=True)
        inputs = dict(zip(self._feature_names, features, strict=True)) | dict(prompts)
        if self._limits_answers:
            inputs[ANSWERS_INPUT] = np.array(1)
        logits, scores = self._decoder.run(None, inputs)
        return logits[:, 0], scores[:, 0]


class OpenVinoBackend:
    """OpenVINO on the CPU, from the same ONNX files."""

    name = "openvino"

    def __init__(self, directory: Path, spec: ModelSpec, threads: int):
        try:
            import openvino
        except ImportError:
            raise MissingExtraError("the OpenVINO engine", "openvino", "openvino") from None
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        core = openvino.Core()
        self.spec = spec
        try:
            self._encoder, self._decoder = (
                core.compile_model(str(directory / name), "CPU", settings) for name in (ENCODER_FILE, DECODER_FILE)
            )
        except RuntimeError as error:
            raise WeightsError(f"{directory} must hold readable ONNX graphs, got: {_first_line(error)}") from None
        self._feature_names = [output.get_any_name() for output in self._encoder.outputs]

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        results = self._encoder({"pixels": pixels})
        return tuple(np.array(results[name]) for name in self._feature_names)

    def decode(self, features, coords, labels, previous, has_previous):
        prompts = zip(DECODER_INPUTS, (coords, labels, previous, has_previous), strict=True)
        results = self._decoder(dict(zip(self._feature_names, features, strict=True)) | dict(prompts))
        return np.array(results["logits"]), np.array(results["scores"])


def open_backend(weights: str | os.PathLike, engine: str = "auto", threads: int | None = None) -> Backend:
    """Opens a model directory.

    Args:
        weights: Directory with spec.json and the graphs.
        engine: "onnxruntime", "openvino", "torch", or "auto", which is ONNX Runtime.
        threads: CPU threads; None: as many as physical cores.

    Raises:
        WeightsError: If the directory is incomplete or its files are not those that the spec was written for.
        MissingExtraError: If the engine is not installed.
        ValueError: If there is no such engine, or threads is not positive.
    """
    directory = Path(weights)
    spec = load_spec(directory)
    if engine != "auto" and engine not in ENGINES:
        raise ValueError(f"engine must be auto or one of {', '.join(ENGINES)}, got {engine!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    threads = threads or physical_cores()
    if engine == "torch":
        return _open_torch(directory)
    beside = (name for name in spec.files if name.endswith(".data"))  # weights too large for the graph's own file
    _check_files(directory, spec, (ENCODER_FILE, DECODER_FILE, *beside))
    backend = OpenVinoBackend if engine == "openvino" else OnnxBackend
    return backend(directory, spec, threads)


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        cores = set()
        for cpu in allowed:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            cores.add(siblings.read_text().strip() if siblings.is_file() else cpu)
        return max(1, len(cores))
    return os.cpu_count() or 1


def _open_torch(directory: Path) -> Backend:
    try:
        from lite_medsam.learning.backend import TorchBackend
        from lite_medsam.learning.checkpoint import load_model
    except ImportError as error:
        raise MissingExtraError("the torch engine", "train", error.name) from None
    return TorchBackend(load_model(directory))


def _check_files(directory: Path, spec: ModelSpec, names: tuple[str, ...]) -> None:
    for name in names:
        path = directory / name
        if not path.is_file():
            raise WeightsError(f"{directory} must hold {name}, but it is missing; export the model again")
        expected = spec.files.get(name)
        if expected is not None and sha256_of(path) != expected:
            raise WeightsError(f"{path} must be the file that spec.json names, but its SHA-256 differs; get it again")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
