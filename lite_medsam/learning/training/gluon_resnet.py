"""Starting a teacher: timm's `resnetv2_50` from Gluon's ImageNet weights of the ResNet-50 v2."""

import re

import torch
from torch import Tensor, nn

from lite_medsam.errors import WeightsError

EPSILON = 1e-5
_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.(bn\d|conv\d|down)\.(\w+)")


def is_gluon_resnet(tensors: dict[str, Tensor]) -> bool:
    """Whether tensors have the names of Gluon's pre-activation ResNet."""
    return "conv0.weight" in tensors and "bn0.running_var" in tensors


@torch.no_grad()
def load_gluon_resnet50v2(backbone: nn.Module, tensors: dict[str, Tensor]) -> int:
    """Fills the stem and stages 1 to 3; stage 4 is not in the file and stays as it is.

    Gluon normalises the input (bn0) and the stem's output (bn1, ReLU), timm does neither. What of that is a scale goes into
    the stem's kernel; the shifts and the ReLU are lost, which training soon makes up for.

    Args:
        backbone: timm features of `resnetv2_50`.
        tensors: By Gluon's order of layers: conv0, bn0, bn1, stages.I.J.{bn1, conv1, ..., down}.

    Returns:
        How many of the backbone's tensors were filled.

    Raises:
        WeightsError: If they do not fit.
    """
    values = {name: value.float() for name, value in tensors.items()}
    state = backbone.state_dict()
    in_scale = values["bn0.weight"] / (values["bn0.running_var"] + EPSILON).sqrt()
    out_scale = values["bn1.weight"] / (values["bn1.running_var"] + EPSILON).sqrt()
    stem = values["conv0.weight"] * in_scale[None, :, None, None] * out_scale[:, None, None, None]
    found = {"stem_conv.weight": stem}
    for name, value in values.items():
        match = _BLOCK.fullmatch(name)
        if match and not name.endswith("num_batches_tracked"):
            stage, block, layer, kind = match.groups()
            layer = "downsample.conv" if layer == "down" else layer.replace("bn", "norm")
            found[f"stages_{stage}.blocks.{block}.{layer}.{kind}"] = value
    wrong = [name for name, value in found.items() if name not in state or state[name].shape != value.shape]
    if wrong:
        raise WeightsError(f"the backbone must be resnetv2_50 for these weights; {wrong[0]} does not fit")
    backbone.load_state_dict(found, strict=False)
    return len(found)
