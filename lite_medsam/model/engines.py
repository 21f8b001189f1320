"""The engines: the only place that knows ONNX Runtime and OpenVINO."""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.spec import ModelSpec
from lite_medsam.storage.machine import cache_folder, cpu_name, may_spin
from lite_medsam.storage.signed_cache import SignedCache

ENCODER_FILE, DECODER_FILE = "encoder.onnx", "decoder.onnx"
GRAPH_FILES = (ENCODER_FILE, DECODER_FILE)
DECODER_INPUTS = ("coords", "labels", "previous", "has_previous")
# an optional input of our own decoder: how many of the masks to draw
ANSWERS_INPUT = "answers"
# optimised graphs of larger models are not kept: they load slowly anyway, and would fill the disk
LARGEST_KEPT_BYTES = 64 << 20
KEPT_BYTES = 512 << 20


class OnnxBackend:
    """ONNX Runtime on the CPU.

    Args:
        directory: Holds the graphs.
        spec: Of the model.
        threads: CPU threads.
        keep: Take the optimised graphs from the user's cache, and keep them there.
    """

    name = "onnxruntime"

    def __init__(self, directory: Path, spec: ModelSpec, threads: int, keep: bool = False):
        self.spec, self.threads, self.directory = spec, threads, directory
        cache = _graph_cache(directory, spec) if keep else None
        sessions = self._open_kept(cache) or self._open(cache)
        self._encoder, self._decoder = sessions
        self._feature_names = [output.name for output in self._encoder.get_outputs()]
        self._limits_answers = ANSWERS_INPUT in {i.name for i in self._decoder.get_overridable_initializers()}

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(self._encoder.run(None, {"pixels": pixels}))

    def decode(self, features, coords, labels, previous, has_previous):
        logits, scores = self._decoder.run(None, self._inputs(features, coords, labels, previous, has_previous))
        return logits, scores

    def decode_first(self, features, coords, labels, previous, has_previous):
        """As `decode`, the first mask of each prompt alone: (N, 1, L, L) and (N, 1)."""
        inputs = self._inputs(features, coords, labels, previous, has_previous)
        if self._limits_answers:
            inputs[ANSWERS_INPUT] = np.array(1)
        logits, scores = self._decoder.run(None, inputs)
        return logits[:, :1], scores[:, :1]

    def _inputs(self, features, *prompts) -> dict[str, np.ndarray]:
        named = zip(DECODER_INPUTS, prompts, strict=True)
        return dict(zip(self._feature_names, features, strict=True)) | dict(named)

    def _options(self):
        options = import_onnxruntime().SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # warnings about graph clean-up are of no use to a user
        # threads that go on spinning after a call burn a laptop's battery and take the cores from the other graph; where
        # they share CPUs, or a container counts their time, they must not spin at all
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if may_spin(self.threads) else "0")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return options

    def _open(self, cache: SignedCache | None):
        onnxruntime = import_onnxruntime()

        def session(path: Path, target: Path | None):
            options = self._options()
            if target:
                options.optimized_model_filepath = str(target)
            try:
                return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise WeightsError(f"{path} must be a readable ONNX graph, got: {first_line(error)}") from None

        if cache is None:
            return [session(self.directory / name, None) for name in GRAPH_FILES]
        try:
            folder = tempfile.TemporaryDirectory()
        except OSError:  # nowhere to write: then nothing is kept
            return self._open(None)
        with folder:
            targets = [Path(folder.name) / name for name in GRAPH_FILES]
            sessions = [session(self.directory / t.name, t) for t in targets]
            if all(target.is_file() for target in targets):
                cache.put("graphs", {t.stem: np.fromfile(t, np.uint8) for t in targets})
        return sessions

    def _open_kept(self, cache: SignedCache | None):
        """Sessions from the cache, without optimising again; None if it has none."""
        if cache is None:
            return None
        onnxruntime = import_onnxruntime()
        if not cache.has("graphs"):
            return None
        try:
            kept = cache.get("graphs") or {}
            options = self._options()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            return [
                onnxruntime.InferenceSession(
                    kept[Path(name).stem].tobytes(), options, providers=["CPUExecutionProvider"]
                )
                for name in GRAPH_FILES
            ]
        except Exception:  # damaged bytes raise anything
            warnings.warn(
                f"the optimised graphs in {cache.folder} are damaged; they are made again", RuntimeWarning, stacklevel=4
            )
            return None


class OpenVinoBackend:
    """OpenVINO on the CPU, from the same ONNX files; compiled graphs are kept in the user's cache.

    Args:
        directory: Holds the graphs.
        spec: Of the model.
        threads: CPU threads.
    """

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
        self.spec, self.threads, self.directory = spec, threads, directory
        core = openvino.Core()
        try:
            folder = cache_folder() / "openvino"
            folder.mkdir(parents=True, exist_ok=True)
            kept = settings | {"CACHE_DIR": str(folder)}
        except OSError:
            kept = settings

        def compiled(name: str):
            try:
                return core.compile_model(str(directory / name), "CPU", kept)
            except RuntimeError:  # perhaps the cache, perhaps the graph: without the cache we see
                return core.compile_model(str(directory / name), "CPU", settings)

        try:
            self._encoder, self._decoder = (compiled(name) for name in GRAPH_FILES)
        except RuntimeError as error:
            raise WeightsError(f"{directory} must hold readable ONNX graphs, got: {first_line(error)}") from None
        names = {name for given in self._decoder.inputs for name in given.get_names()}
        # an output may have inner names besides the one that the decoder knows it by
        self._feature_names = [next(iter(output.get_names() & names)) for output in self._encoder.outputs]
        self._limits_answers = ANSWERS_INPUT in names

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        results = self._encoder({"pixels": pixels})
        return tuple(np.array(results[name]) for name in self._feature_names)

    def decode(self, features, coords, labels, previous, has_previous):
        prompts = zip(DECODER_INPUTS, (coords, labels, previous, has_previous), strict=True)
        inputs = dict(zip(self._feature_names, features, strict=True)) | dict(prompts)
        if self._limits_answers:
            inputs[ANSWERS_INPUT] = np.array(self.spec.architecture.mask_tokens)
        results = self._decoder(inputs)
        return np.array(results["logits"]), np.array(results["scores"])


def import_onnxruntime():
    """The module, told to keep no usage record: some builds write a device id and a data base when they are imported."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def graph_signature() -> dict[str, str]:
    """What an optimised graph depends on besides the graph."""
    return {"cpu": cpu_name(), "onnxruntime": import_onnxruntime().__version__}


def _graph_cache(directory: Path, spec: ModelSpec) -> SignedCache | None:
    """Where the optimised graphs of a model are kept; None for a model that is not fit for it, or without a folder."""
    hashes = {name: spec.files.get(name, "") for name in GRAPH_FILES}
    size = sum((directory / name).stat().st_size for name in GRAPH_FILES)
    if not all(hashes.values()) or any(name.endswith(".data") for name in spec.files) or size > LARGEST_KEPT_BYTES:
        return None
    folder = cache_folder() / "graphs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return SignedCache(folder, {**graph_signature(), **hashes}, KEPT_BYTES) if os.access(folder, os.W_OK) else None
    except OSError:  # a home that cannot be written is no fault: it only opens more slowly
        return None


def first_line(error: Exception) -> str:
    """What an engine's error says, cut to one line."""
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
