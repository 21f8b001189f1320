"""A model as a model directory: weights, two ONNX graphs, and the proof that they agree."""

import dataclasses
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.checkpoint import WEIGHTS_FILE, Segmenter, round_to_stored, save_weights
from lite_medsam.learning.network.graph_decoder import GraphDecoder
from lite_medsam.learning.network.litemedsam_encoder import fuse_conv_norm
from lite_medsam.learning.network.model import PADDING, PromptedSegmenter
from lite_medsam.model.engines import ANSWERS_INPUT, DECODER_FILE, DECODER_INPUTS, ENCODER_FILE, OnnxBackend
from lite_medsam.model.prompt_tokens import FIRST_TARGET
from lite_medsam.model.spec import OWN_FAMILY, ModelSpec, save_spec, sha256_of
from lite_medsam.storage.files import atomic_write

FEATURE_NAMES = ("embedding", "skip4", "skip2", "detail")
PUBLISHED_FEATURE_NAMES = ("embedding",)
MAXIMUM_DIFFERENCE = 1e-3
OPSET = 17
# a protobuf file holds at most 2 GB; weights beyond this lie in a file beside the graph
EMBEDDED_BYTES = 1_500_000_000
EXTERNAL_SUFFIX = ".data"
# images and prompts of the check; encoders of published models are heavy, so they see one image
PARITY_CASES = ((1, 1), (1, 3), (1, 17), (3, 3), (3, 6))
PUBLISHED_PARITY_CASES = ((1, 1), (1, 3), (1, 17))


class _Encoder(nn.Module):
    def __init__(self, model: Segmenter):
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return self.model.encode(pixels)


class _Decoder(nn.Module):
    """Features and prompts side by side, as a graph takes them; our own decoder in the form made for graphs."""

    def __init__(self, model: Segmenter):
        super().__init__()
        self.split = len(feature_names(model.spec))
        self.decoder = GraphDecoder(model) if isinstance(model, PromptedSegmenter) else model
        self.call = self.decoder if isinstance(model, PromptedSegmenter) else model.decode

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.call(inputs[: self.split], *inputs[self.split :])


def feature_names(spec: ModelSpec) -> tuple[str, ...]:
    """Names of what the encoder hands to the decoder."""
    return FEATURE_NAMES if spec.architecture.family == OWN_FAMILY else PUBLISHED_FEATURE_NAMES


def export_model(model: Segmenter, directory: str | os.PathLike, spec: ModelSpec | None = None) -> float:
    """Writes spec.json, model.safetensors, encoder.onnx and decoder.onnx, and checks the graphs against torch.

    Our own weights are rounded to what is stored first, so that torch and the graphs compute with the same numbers;
    published ones stay as they are, in half precision only where that loses nothing, with normalisation folded into the
    convolutions of the graph.
    spec.json is written last: an interrupted export leaves no directory that looks complete.

    Args:
        model: The model; it is left in evaluation mode with rounded weights.
        directory: Where to write; existing files of these names are replaced.
        spec: Name, terms, training data and so on; the model's own by default.

    Returns:
        The largest difference of logits or scores between torch and ONNX Runtime over prompts of several kinds.

    Raises:
        WeightsError: If they differ by 1e-3 or more.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    model.eval()
    spec = spec or model.spec
    own = isinstance(model, PromptedSegmenter)
    if isinstance(model, PromptedSegmenter):
        round_to_stored(model)
    names = feature_names(spec)
    record = dataclasses.replace(spec, files={}).to_json()
    size = spec.preprocessing.image_size
    pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    encoder = _Encoder(model) if own else fuse_conv_norm(_Encoder(model))
    _export(encoder, (pixels,), ("pixels",), names, directory / ENCODER_FILE, record)
    del encoder
    with torch.no_grad():
        features = model.encode(pixels) if isinstance(model, PromptedSegmenter) else model.example_features()
    prompts = [
        torch.from_numpy(a) for a in example_prompts(4, size, 0, spec.preprocessing.mask_size, len(spec.targets))
    ]
    inputs = [*names, *DECODER_INPUTS]
    if own:
        prompts.append(torch.tensor(spec.architecture.mask_tokens))
        inputs.append(ANSWERS_INPUT)
    _export(_Decoder(model), (*features, *prompts), inputs, ("logits", "scores"), directory / DECODER_FILE, record)
    save_weights(directory, model)
    difference = parity(model, directory, spec)
    if not difference < MAXIMUM_DIFFERENCE:
        raise WeightsError(
            f"the graphs must equal torch within {MAXIMUM_DIFFERENCE}, got a difference of {difference:.2g}"
        )
    graphs = (ENCODER_FILE, DECODER_FILE)
    beside = (name + EXTERNAL_SUFFIX for name in graphs)
    files = [*graphs, WEIGHTS_FILE, *(name for name in beside if (directory / name).is_file())]
    save_spec(directory, dataclasses.replace(spec, files={name: sha256_of(directory / name) for name in files}))
    return difference


def parity(model: Segmenter, directory: str | os.PathLike, spec: ModelSpec) -> float:
    """Largest difference between torch and ONNX Runtime: 1, 3 and 17 prompts, mixed kinds, one image and three.

    Args:
        model: The model in torch.
        directory: Holds the graphs.
        spec: The model's spec.
    """
    torch_backend, onnx_backend = TorchBackend(model), OnnxBackend(Path(directory), spec, threads=1)
    size = spec.preprocessing.image_size
    worst = 0.0
    encoded = {}
    for images, count in PARITY_CASES if spec.architecture.family == OWN_FAMILY else PUBLISHED_PARITY_CASES:
        if images not in encoded:
            pixels = np.random.default_rng(images).standard_normal((images, 3, size, size), np.float32)
            encoded[images] = torch_backend.encode(pixels), onnx_backend.encode(pixels)
        expected, features = encoded[images]
        prompts = example_prompts(count, size, count, spec.preprocessing.mask_size, len(spec.targets))
        pairs = [*zip(expected, features, strict=True)]
        answers = torch_backend.decode(expected, *prompts)
        pairs += zip(answers, onnx_backend.decode(features, *prompts), strict=True)
        firsts = [part[:, :1] for part in answers]
        pairs += zip(firsts, onnx_backend.decode_first(features, *prompts), strict=True)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in pairs))
    return worst


def example_prompts(
    count: int, size: int, seed: int, mask_size: int | None = None, targets: int = 0
) -> tuple[np.ndarray, ...]:
    """Prompts of mixed kinds as decoder inputs: boxes, clicks, both, with and without a previous mask or a name.

    Args:
        count: Number of prompts N.
        size: Side of the model frame.
        seed: Of what is drawn.
        mask_size: Side of previous masks M; S by default.
        targets: How many names the model knows; the last third of the prompts has one.

    Returns:
        coords (N, 4, 2), labels (N, 4), previous (N, 1, M, M) and has_previous (N,), float32.
    """
    mask_size = mask_size or size
    rng = np.random.default_rng(seed)
    coords = np.sort(rng.uniform(0, size - 1, (count, 4, 2)).astype(np.float32), axis=1)
    kinds = np.array([[2, 3, PADDING, PADDING], [1, 0, PADDING, PADDING], [2, 3, 1, 0]], np.float32)
    labels = kinds[np.arange(count) % 3]
    if targets:
        named = np.arange(count) >= count - count // 3
        labels[named, 3] = FIRST_TARGET + rng.integers(targets, size=named.sum())
    previous = rng.standard_normal((count, 1, mask_size, mask_size), np.float32) * 5
    return coords, labels, previous, (np.arange(count) % 2).astype(np.float32)


def _export(module: nn.Module, inputs: tuple, names: Sequence[str], outputs: tuple, path: Path, record: str) -> None:
    """Traces a module to ONNX with free batch and prompt dimensions, weights in half precision."""
    free = {"features": "images", "prompts": "prompts"}
    axes = {name: {0: free["features"]} for name in ("pixels", *FEATURE_NAMES)}
    axes |= {name: {0: free["prompts"]} for name in (*DECODER_INPUTS, "logits", "scores")}
    axes["coords"][1] = axes["labels"][1] = "tokens"
    axes[ANSWERS_INPUT] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the tracer warns of every shape that it treats as constant; those here are constants of the model
        warnings.simplefilter("ignore")
        traced = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module,
            inputs,
            str(traced),
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes={name: axes[name] for name in (*names, *outputs)},
            opset_version=OPSET,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # keep normalisation apart, so that rounding stays exact
            dynamo=False,
        )
        graph = onnx.load(traced)
    _store_in_half(graph)
    if ANSWERS_INPUT in names:  # an initializer beside the input makes it optional
        graph.graph.initializer.append(numpy_helper.from_array(inputs[-1].numpy(), ANSWERS_INPUT))
    entry = graph.metadata_props.add()
    entry.key, entry.value = "lite_medsam_spec", record
    if sum(tensor.ByteSize() for tensor in graph.graph.initializer) > EMBEDDED_BYTES:
        _save_with_external_weights(graph, path)
        return
    onnx.checker.check_model(graph)
    with atomic_write(path) as temporary:
        onnx.save(graph, temporary)
    path.with_name(path.name + EXTERNAL_SUFFIX).unlink(missing_ok=True)  # of an earlier, larger model


def _save_with_external_weights(graph: onnx.ModelProto, path: Path) -> None:
    """Writes a graph too large for one protobuf file, its weights beside it."""
    data = path.with_name(path.name + EXTERNAL_SUFFIX)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # inside the graph the weights are named relative to it, so both get their final names at once
        written = Path(folder) / path.name
        onnx.save(graph, written, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name)
        onnx.checker.check_model(str(written))
        os.replace(written.with_name(data.name), data)
        os.replace(written, path)


def _store_in_half(graph: onnx.ModelProto) -> None:
    """Stores matrices and kernels as float16 followed by a cast, which every runtime folds when it loads the graph."""
    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue  # a constant of the trace, not a stored weight
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
