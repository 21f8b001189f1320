"""Where a training run starts from: our own weights, ImageNet backbones, or LiteMedSAM's checkpoint."""

from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.encoder import load_folded_mobilenetv2
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.network.trunk_encoder import resized_windows
from lite_medsam.learning.published.reading import load_published
from lite_medsam.model.spec import LITEMEDSAM_TRUNK

# what the network around LiteMedSAM's trunk has beside it; all of it is silent at first
ADDITIONS = (
    "image_encoder.detail",
    "image_encoder.to_first_stage.",
    "image_encoder.lateral.",
    "image_encoder.skip",
    "mask_decoder.detail_hypernetworks_mlps.",
    "mask_decoder.target_film.",
    "prompt_encoder.target_embedding.",
)


def start_from(path: Path, model: PromptedSegmenter, pixels: Callable[[], Tensor]) -> None:
    """Starts a model from a file.

    A safetensors file may hold a whole model, as model.safetensors of a model directory; the backbone as timm names its
    parameters; or `mobilenetv2_100` with batch normalisation folded in. Any other file must be LiteMedSAM's published
    checkpoint, for the backbone "litemedsam".

    Args:
        path: The file.
        model: The new model.
        pixels: Gives (B, 3, S, S) float32 model input to be trained on, for statistics that are not stored.

    Raises:
        WeightsError: If it is damaged or of another network.
    """
    if path.suffix != ".safetensors":
        start_trunk(model, load_published(path, "litemedsam").state, path.name)
        return
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"{path} must be a readable safetensors file, got: {error}") from None
    if "mask_decoder.iou_token.weight" in tensors:
        start_model(model, tensors, path.name)
    else:
        start_backbone(model.image_encoder.backbone, tensors, pixels(), path.name)


def start_trunk(model: PromptedSegmenter, state: dict[str, Tensor], origin: str) -> None:
    """Starts the network around LiteMedSAM's trunk from LiteMedSAM's weights; it then computes what they do on its grid.

    Args:
        model: The new model; its attention windows may be others than the published ones.
        state: Parameters and buffers by published name.
        origin: What to call the file in errors.

    Raises:
        WeightsError: If the model has another backbone or other widths.
    """
    if model.spec.architecture.backbone != LITEMEDSAM_TRUNK:
        raise WeightsError(
            f"{origin} starts models with the backbone {LITEMEDSAM_TRUNK!r}, but the recipe's is "
            f"{model.spec.architecture.backbone!r}"
        )
    own = model.state_dict()
    tensors = {}
    for published, value in state.items():
        name = published.replace("image_encoder.", "image_encoder.backbone.", 1)
        tensors[name] = value.float()
    tensors = resized_windows(own, tensors)
    new = {name for name in own if name.startswith(ADDITIONS) or name.endswith("num_batches_tracked")}
    expected = {name: own[name].shape for name in set(own) - new}
    wrong = [name for name in expected if name not in tensors or tensors[name].shape != expected[name]]
    if wrong or set(tensors) - set(expected):
        raise WeightsError(
            f"{origin} must fit the recipe's model; {len(wrong)} tensors are missing or of another shape"
            f"{', such as ' + wrong[0] if wrong else ''}, {len(set(tensors) - set(expected))} are unknown"
        )
    model.load_state_dict(tensors, strict=False)


def start_model(model: nn.Module, tensors: dict[str, Tensor], origin: str) -> None:
    """Starts a model from the stored weights of another of the same architecture; the input size may differ.

    Args:
        model: The new model; attention windows of a trunk may be others.
        tensors: Contents of a model.safetensors.
        origin: What to call the file in errors.

    Raises:
        WeightsError: If they are of another architecture.
    """
    expected = {k: v.shape for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    tensors = resized_windows(model.state_dict(), tensors)
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
