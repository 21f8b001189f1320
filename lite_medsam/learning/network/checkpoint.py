"""The weights of a model directory: safetensors in, an exact float32 model out."""

import os
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.families import PublishedSegmenter
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.model.spec import OWN_FAMILY, ModelSpec, load_spec
from lite_medsam.storage.files import atomic_write

WEIGHTS_FILE = "model.safetensors"


Segmenter = PromptedSegmenter | PublishedSegmenter


def build_model(spec: ModelSpec) -> Segmenter:
    """The network that a spec describes, with fresh weights.

    Raises:
        WeightsError: If the spec names a family that this version does not know.
    """
    return PromptedSegmenter(spec) if spec.architecture.family == OWN_FAMILY else PublishedSegmenter(spec)


def to_stored(state: dict[str, Tensor], exact: bool = False) -> dict[str, Tensor]:
    """A state dict as it is stored: matrices and kernels in half precision, the rest as it is.

    Vectors stay in single precision: variances of a normalisation layer can be too small for half, and they are few.
    Counters of the training are left out.

    Args:
        state: Parameters and buffers by name.
        exact: Use half precision only where it loses nothing, as for published weights.
    """

    def stored(value: Tensor) -> Tensor:
        half = value.half() if value.ndim >= 2 else value
        return value if exact and not torch.equal(half.float(), value) else half

    return {
        name: stored(value).contiguous() for name, value in state.items() if not name.endswith("num_batches_tracked")
    }


def round_to_stored(model: PromptedSegmenter) -> None:
    """Gives a model exactly the numbers that its stored weights will have."""
    model.load_state_dict({k: v.float() for k, v in to_stored(model.state_dict()).items()}, strict=False)


def save_weights(directory: str | os.PathLike, model: Segmenter) -> None:
    """Writes model.safetensors into a model directory, atomically."""
    exact = model.spec.architecture.family != OWN_FAMILY
    with atomic_write(Path(directory) / WEIGHTS_FILE) as path:
        safetensors.torch.save_file(to_stored(model.state_dict(), exact), path)


def load_model(directory: str | os.PathLike) -> Segmenter:
    """The model of a directory, in evaluation mode, float32.

    Raises:
        WeightsError: If a file is missing or damaged, or the weights do not fit the spec.
    """
    spec = load_spec(directory)
    path = Path(directory) / WEIGHTS_FILE
    try:
        state = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path} must be a readable safetensors file, got: {error}") from None
    with torch.random.fork_rng(devices=[]):
        model = build_model(spec)
    expected = {k: v.shape for k, v in to_stored(model.state_dict()).items()}
    missing, unexpected = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    wrong = [k for k in expected if k in state and state[k].shape != expected[k]]
    if missing or unexpected or wrong:
        raise WeightsError(
            f"{path} must hold the weights that its spec.json describes; missing: {missing[:5]}, "
            f"unexpected: {unexpected[:5]}, of another shape: {wrong[:5]}"
        )
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.eval()
