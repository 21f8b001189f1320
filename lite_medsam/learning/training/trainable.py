"""Which parts of a model learn: the decoder, the last part of the encoder too, or everything."""

import math
from typing import Any

from torch import nn

from lite_medsam.learning.network.checkpoint import Segmenter
from lite_medsam.learning.network.litemedsam_encoder import TinyVitEncoder
from lite_medsam.model.spec import OWN_FAMILY

# share of the backbone's blocks that "encoder-last" trains
LAST_SHARE = 1 / 3
# share of the learning rate for the tables of names: a row learns only when its name is drawn, which is rare
NAMES_RATE = 10.0


def select_parameters(model: Segmenter, part: str) -> None:
    """Sets which parameters get gradients.

    Args:
        model: The model.
        part: "decoder", "encoder-last" or "all".
    """
    model.requires_grad_(part == "all")
    if part == "all":
        return
    model.prompt_encoder.requires_grad_(True)
    model.mask_decoder.requires_grad_(True)
    if part == "encoder-last":
        for module in last_modules(model):
            module.requires_grad_(True)


def last_modules(model: Segmenter) -> list[nn.Module]:
    """The neck, and the last third of the backbone's blocks."""
    encoder = model.image_encoder
    backbone: Any
    stages: list[nn.Module]
    if model.spec.architecture.family == OWN_FAMILY:
        backbone = encoder.backbone
        neck = [child for name, child in encoder.named_children() if name != "backbone"]
        if isinstance(backbone, TinyVitEncoder):  # the trunk brings its own
            neck.append(backbone.neck)
    else:
        backbone = encoder
        neck = [child for name, child in encoder.named_children() if name == "neck"]
    children = [child for child in backbone.children() if not any(child is part for part in neck)]
    stages = [c for c in children if isinstance(c, nn.Sequential | nn.ModuleList) and any(True for _ in c.parameters())]
    if len(stages) == 1:
        stages = list(stages[0].children())
    elif not stages:
        stages = [child for child in children if any(True for _ in child.parameters())]
    return [*neck, *stages[-math.ceil(len(stages) * LAST_SHARE) :]]


def set_modes(model: Segmenter, norm: str) -> None:
    """Training mode where something learns; batch normalisation keeps its statistics unless `norm` is "trained".

    Args:
        model: The model, its parameters selected.
        norm: "frozen" or "trained".
    """
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        learns = any(p.requires_grad for p in (own or module.parameters()))
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            learns = learns and norm == "trained"
        module.training = learns


def checkpoint_activations(model: Segmenter) -> None:
    """Makes the backbone compute activations again on the way back, where it can."""
    backbone: Any = getattr(model.image_encoder, "backbone", model.image_encoder)
    if hasattr(backbone, "set_grad_checkpointing"):
        backbone.set_grad_checkpointing(True)


def parameter_groups(model: Segmenter, rate: float, backbone_rate: float, weight_decay: float) -> list[dict]:
    """Groups for AdamW: backbone, tables of names, or neither; matrices and kernels (which decay) or not.

    Frozen parameters are left out.

    Args:
        model: The model.
        rate: Learning rate of what is not the backbone.
        backbone_rate: Share of it for the backbone.
        weight_decay: Of matrices and kernels.
    """
    own = model.spec.architecture.family == OWN_FAMILY
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        in_backbone = name.startswith("image_encoder.backbone") if own else _in_published_backbone(name)
        is_table = ".target_" in name
        factor = NAMES_RATE if is_table else backbone_rate if in_backbone else 1.0
        decay = weight_decay if parameter.ndim >= 2 and not is_table else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "base_rate": rate * factor, "lr": 0.0, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def _in_published_backbone(name: str) -> bool:
    return name.startswith("image_encoder.") and not name.startswith("image_encoder.neck")
