"""Model directories opened by the names of segment_anything's models."""

import os
from collections.abc import Callable
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.runtime import Backend, Recipe, recipe_of, reopen_backend
from lite_medsam.segment.predictor import Predictor


class SamModel:
    """An opened model directory with the few attributes of segment_anything's `Sam` that scripts touch.

    Attributes:
        backend: What runs the model.
        mask_threshold: A pixel belongs to the object where its logit is above this.
        image_format: Order of the colours.
        device: Always "cpu".
    """

    image_format = "RGB"
    device = "cpu"

    def __init__(self, backend: Backend):
        self.backend = backend
        self.mask_threshold = backend.spec.mask_threshold

    def __reduce__(self):
        """Pickled, it opens its model directory again."""
        return _reopened, (recipe_of(self.backend),)

    def to(self, device: object = None) -> "SamModel":
        """The model itself: it runs on the CPU, wherever a script wants it."""
        return self

    def eval(self) -> "SamModel":
        """The model itself."""
        return self


def _reopened(recipe: Recipe) -> SamModel:
    return SamModel(reopen_backend(recipe))


def open_sam_model(
    checkpoint: str | os.PathLike | None = None, engine: str = "auto", threads: int | None = None
) -> SamModel:
    """Opens a model directory for `SamPredictor`.

    Args:
        checkpoint: The directory; None for the model that comes with the package.
        engine: See `lite_medsam.model.runtime.open_backend`.
        threads: CPU threads; None for as many as physical cores.

    Raises:
        WeightsError: If it is no model directory.
    """
    if checkpoint is not None and Path(checkpoint).is_file():
        raise WeightsError(
            f"checkpoint must be a model directory, got the file {checkpoint}; run: lite-medsam convert {checkpoint} "
            "--out DIR"
        )
    return SamModel(Predictor.open(checkpoint, engine, threads).backend)


# every name opens whatever the directory holds: its spec.json says what that is
sam_model_registry: dict[str, Callable[..., SamModel]] = dict.fromkeys(
    ("default", "vit_h", "vit_l", "vit_b", "vit_t"), open_sam_model
)
