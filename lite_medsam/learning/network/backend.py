"""TorchBackend: a model in torch behind the same two methods as the exported graphs."""

from pathlib import Path

import numpy as np
import torch

from lite_medsam.learning.network.checkpoint import Segmenter, load_model
from lite_medsam.learning.network.threads import set_threads


class TorchBackend:
    """Runs a model of either kind on the CPU; see `lite_medsam.model.runtime.Backend` for the contract.

    Args:
        model: The model; it is left in evaluation mode.
        threads: CPU threads. torch has one number for the whole process, which is changed; None leaves it.
        directory: Where the model was read from; None for one in memory.
    """

    name = "torch"

    def __init__(self, model: Segmenter, threads: int | None = None, directory: Path | None = None):
        self.model, self.spec = model.eval(), model.spec
        self.threads, self.directory = threads, directory
        if threads is not None:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(f.numpy() for f in self.model.encode(torch.from_numpy(pixels)))

    @torch.inference_mode()
    def decode(
        self,
        features: tuple[np.ndarray, ...],
        coords: np.ndarray,
        labels: np.ndarray,
        previous: np.ndarray,
        has_previous: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        given = tuple(torch.from_numpy(f) for f in features)
        at, kinds, before, counts = (torch.from_numpy(a) for a in (coords, labels, previous, has_previous))
        logits, scores = self.model.decode(given, at, kinds, before, counts)
        return logits.numpy(), scores.numpy()


def open_torch(directory: Path, threads: int | None) -> TorchBackend:
    """What `lite_medsam.model.runtime.open_backend` calls for the engine "torch"."""
    set_threads(threads)
    return TorchBackend(load_model(directory), threads, directory)
