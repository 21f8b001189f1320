"""A training run as a file: model, settings and starting point, so that a model can be made again."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from lite_medsam.cases.adapters.check import pixel_sha256
from lite_medsam.cases.adapters.split import Split
from lite_medsam.cases.adapters.split_file import load_split
from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError, WeightsError
from lite_medsam.learning.data.labelled_image import LabelledImage, load_images
from lite_medsam.learning.network.encoder import load_folded_mobilenetv2
from lite_medsam.learning.training.gluon_resnet import is_gluon_resnet, load_gluon_resnet50v2
from lite_medsam.learning.training.loop import Trainer, TrainSettings, new_model
from lite_medsam.model.spec import ModelSpec, build_dataclass
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.targets import read_targets
from lite_medsam.prompts.vocabulary import load_vocabulary


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        spec: The model to build.
        train: The settings of the run.
        start: Name of the safetensors file in the folder of starting points, "" for random weights: a whole model, as
            model.safetensors of a model directory; the backbone as timm names its parameters; `mobilenetv2_100` with batch
            normalisation folded in; or the first stages of Gluon's ResNet-50 v2.
        named: Teach the names of `prompts/targets.json`; the spec then lists them.
        scenes: So many phantom scenes of no modality are drawn with seeds 0, 1, ... and take the share of one more modality.
        split: File beside the recipe that names the cases of its training part with the hashes of their images; others are
            refused. "" for whatever lies in the folders.
    """

    spec: ModelSpec = field(default_factory=ModelSpec)
    train: TrainSettings = field(default_factory=TrainSettings)
    start: str = ""
    named: bool = False
    scenes: int = 0
    split: str = ""


def load_recipe(path: str | os.PathLike) -> Recipe:
    """Reads a recipe; fields that are left out have their defaults.

    Raises:
        WeightsError: If it is not JSON or has unknown or wrong fields.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise WeightsError(f"the recipe must be a JSON file, got {path} ({error})") from None
    recipe = build_dataclass(Recipe, record, str(path))
    if recipe.split:
        recipe = dataclasses.replace(recipe, split=str(Path(path).parent / recipe.split))
    if not recipe.named:
        return recipe
    names = tuple(target.name for target in load_vocabulary())
    return dataclasses.replace(recipe, spec=dataclasses.replace(recipe.spec, targets=names))


def run_recipe(
    recipe: Recipe,
    cases: Path | Sequence[Path],
    start_folder: Path | None,
    out: Path,
    resume: bool,
    fabric: Fabric | None = None,
    targets: Path | None = None,
) -> Trainer:
    """Trains a recipe to its end and returns the trainer.

    Args:
        recipe: What to do.
        cases: Folders of labelled npz cases, searched recursively; real ones and phantoms may be mixed. Modalities are drawn
            in equal shares whatever their numbers.
        start_folder: Where the file `recipe.start` lies; needed if it is named and the run is new.
        out: Folder of the run: checkpoint, settings, log.
        resume: Continue from the checkpoint in `out` if there is one.
        fabric: Device and processes; one CPU process by default.
        targets: CSV of what the labels of data sets are called, see `lite_medsam.prompts.targets.read_targets`; without it only
            cases that say it themselves are known by name.

    Raises:
        CaseError: If a case is damaged.
        WeightsError: If the starting point or the checkpoint does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    settings = recipe.train
    folders = [cases] if isinstance(cases, Path) else list(cases)
    paths = [path for folder in folders for path in sorted(folder.rglob("*.npz"))]
    check = training_part(load_split(recipe.split)) if recipe.split else None
    images = load_images(paths, settings.sampling.slices_per_volume, read_targets(targets), check)
    drawn = (LabelledImage.from_case(make_phantom("scene", seed)) for seed in range(recipe.scenes))
    images += [image for image in drawn if image is not None]  # in some, all things are unlabelled ones
    model = new_model(recipe.spec, settings.seed)
    trainer = Trainer(model, images, settings, fabric)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        if not resume:
            raise WeightsError(
                f"{out} must be a new folder, but holds a checkpoint; add --resume or name another --out"
            )
        trainer.resume(checkpoint)
    elif recipe.start:
        if start_folder is None:
            raise WeightsError(f"the recipe starts from {recipe.start}; name its folder with --start")
        tensors = safetensors.torch.load_file(start_folder / recipe.start)
        if "mask_decoder.iou_token.weight" in tensors:
            start_model(model, tensors, recipe.start)
        else:
            pixels = torch.cat([trainer.source.batch(i).pixels for i in range(4)])
            start_backbone(model.image_encoder.backbone, tensors, pixels, recipe.start)
        trainer.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    trainer.train(out)
    return trainer


def training_part(split: Split) -> Callable[[Case], None]:
    """A check that raises CaseError for a case that the split does not train on, or whose image it does not know so."""
    train = set(split.parts.get("train", ()))

    def check(case: Case) -> None:
        if case.name not in train:
            part = split.part_of(case.name)
            where = f"is in its {part} part" if part else "is not in it"
            raise CaseError(f"{case.name} must be in the recipe's training part, but {where}; remove it from --cases")
        known = split.images.get(case.name)
        if known is not None and pixel_sha256(case.image) != known:
            raise CaseError(f"{case.name} must be the image that the recipe was made with, but its pixels differ")

    return check


def start_model(model: nn.Module, tensors: dict[str, Tensor], origin: str) -> None:
    """Starts a model from the stored weights of another of the same architecture; the input size may differ.

    Args:
        model: The new model.
        tensors: Contents of a model.safetensors.
        origin: What to call the file in errors.

    Raises:
        WeightsError: If they are of another architecture.
    """
    expected = {k: v.shape for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name in ("prompt_encoder.target_embedding.weight", "mask_decoder.target_film.weight"):
        if name not in tensors:  # a model that knew no names learns them from nothing
            expected.pop(name, None)
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name]]
    if wrong or set(tensors) - set(expected):
        raise WeightsError(
            f"{origin} must hold the {len(expected)} tensors of the recipe's model; {len(wrong)} are missing or of another "
            f"shape{', such as ' + wrong[0] if wrong else ''}, {len(set(tensors) - set(expected))} are unknown"
        )
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)


def start_backbone(backbone: nn.Module, tensors: dict[str, Tensor], images: Tensor, origin: str) -> None:
    """Starts a backbone from stored weights.

    Args:
        backbone: A timm feature network.
        tensors: Its parameters and statistics under timm's names (a classifier may be among them and is left out), or those
            that `load_folded_mobilenetv2` reads.
        images: (B, 3, S, S) float32 model input, for statistics that are not stored.
        origin: What to call the file in errors.

    Raises:
        WeightsError: If they are of another network.
    """
    if is_gluon_resnet(tensors):
        load_gluon_resnet50v2(backbone, tensors)
        return
    # feature networks of timm write stages_0 where the whole model has stages.0
    named = {name: value.float() for name, value in tensors.items()}
    named |= {name.replace(".", "_", 1): value for name, value in named.items()}
    expected = {k: v for k, v in backbone.state_dict().items() if not k.endswith("num_batches_tracked")}
    missing = [name for name, value in expected.items() if name not in named or named[name].shape != value.shape]
    if not missing:
        backbone.load_state_dict({name: named[name] for name in expected}, strict=False)
    elif "stem.conv.weight" in tensors or any(name.startswith("blocks.0.conv") for name in tensors):
        load_folded_mobilenetv2(backbone, tensors, images)
    else:
        raise WeightsError(
            f"{origin} must hold the backbone's {len(expected)} tensors under timm's names, {len(missing)} are missing or of "
            f"another shape, such as {missing[0]}"
        )
