"""A training run as a file: model, settings and starting point, so that a model can be made again."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch

from lite_medsam.errors import WeightsError
from lite_medsam.learning.dataset import load_images
from lite_medsam.learning.encoder import load_folded_mobilenetv2
from lite_medsam.learning.training import Trainer, TrainSettings, new_model
from lite_medsam.spec import ModelSpec, build_dataclass


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        spec: The model to build.
        train: The settings of the run.
        start: Name of the ImageNet file in the folder of starting points, "" for random weights.
    """

    spec: ModelSpec = field(default_factory=ModelSpec)
    train: TrainSettings = field(default_factory=TrainSettings)
    start: str = ""


def load_recipe(path: str | os.PathLike) -> Recipe:
    """Reads a recipe; fields that are left out have their defaults.

    Raises:
        WeightsError: If it is not JSON or has unknown or wrong fields.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"the recipe must be a JSON file, got {path} ({error})") from None
    return build_dataclass(Recipe, record, str(path))


def run_recipe(recipe: Recipe, cases: Path, start_folder: Path | None, out: Path, resume: bool) -> Trainer:
    """Trains a recipe to its end and returns the trainer.

    Args:
        recipe: What to do.
        cases: Folder of labelled npz cases, searched recursively.
        start_folder: Where the file `recipe.start` lies; needed if it is named and the run is new.
        out: Folder of the run: checkpoint, settings, log.
        resume: Continue from the checkpoint in `out` if there is one.

    Raises:
        CaseError: If a case is damaged.
        WeightsError: If the starting point or the checkpoint does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    settings = recipe.train
    images = load_images(sorted(cases.rglob("*.npz")), settings.sampling.slices_per_volume)
    model = new_model(recipe.spec, settings.seed)
    trainer = Trainer(model, images, settings)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        if not resume:
            raise WeightsError(f"{out} must be a new folder, but holds a checkpoint; add --resume or name another --out")
        trainer.resume(checkpoint)
    elif recipe.start:
        if start_folder is None:
            raise WeightsError(f"the recipe starts from {recipe.start}; name its folder with --start")
        tensors = safetensors.torch.load_file(start_folder / recipe.start)
        pixels = torch.cat([trainer.source.batch(i).pixels for i in range(4)])
        load_folded_mobilenetv2(model.image_encoder.backbone, tensors, pixels)
        trainer.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    trainer.train(out)
    return trainer

