"""The laptop image encoder: a timm backbone, a feature pyramid to one embedding, and finer skip features."""

from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lite_medsam.model.spec import Architecture

SKIP_STRIDES = (4, 2, 1)
PYRAMID_STRIDES = (8, 16, 32)


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation (folded into the convolution on export) and an optional ReLU."""

    def __init__(self, in_dim: int, out_dim: int, kernel: int, activate: bool):
        layers = [nn.Conv2d(in_dim, out_dim, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out_dim)]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if activate else []))


class ImageEncoder(nn.Module):
    """Pixels to (embedding, skip at stride 4, at stride 2, at stride 1).

    The embedding lies on the grid of stride 8 and sees all coarser levels; the skips let the decoder draw borders finer
    than that grid at the cost of a few thousand operations per pixel.
    """

    backbone: Any  # of timm, which gives it `feature_info`

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.backbone = timm.create_model(architecture.backbone, pretrained=False, features_only=True)
        channels = dict(zip(self.backbone.feature_info.reduction(), self.backbone.feature_info.channels(), strict=True))
        missing = {2, 4, *PYRAMID_STRIDES} - set(channels)
        if missing:
            raise ValueError(
                f"backbone must have features at strides 2, 4, 8, 16, 32; {architecture.backbone} lacks "
                f"{sorted(missing)}; choose another timm model"
            )
        dim = architecture.embedding_dim
        skip4, skip2, skip1 = architecture.skip_dims
        self.laterals = nn.ModuleList(ConvNorm(channels[s], dim, 1, activate=False) for s in PYRAMID_STRIDES)
        self.smooth = ConvNorm(dim, dim, 3, activate=True)
        self.project = nn.Conv2d(dim, dim, 1)
        self.skip4 = ConvNorm(channels[4], skip4, 1, activate=False)
        self.skip2 = ConvNorm(channels[2], skip2, 1, activate=False)
        self.detail_coarse = ConvNorm(channels[2], skip1, 1, activate=False)
        self.detail_fine = ConvNorm(3, skip1, 3, activate=True)
        self.detail = ConvNorm(skip1, skip1, 3, activate=True)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of a batch of images.

        Args:
            pixels: (B, 3, S, S) float32, S a multiple of 32.

        Returns:
            (B, C, S/8, S/8) embedding and (B, C4, S/4, S/4), (B, C2, S/2, S/2), (B, C1, S, S) skips.
        """
        levels = dict(zip(self.backbone.feature_info.reduction(), self.backbone(pixels), strict=True))
        coarse_to_fine = zip(reversed(self.laterals), reversed(PYRAMID_STRIDES), strict=True)
        pyramid = None
        for lateral, stride in coarse_to_fine:
            level = lateral(levels[stride])
            pyramid = level if pyramid is None else level + _double(pyramid)
        embedding = self.project(self.smooth(pyramid))  # (B, C, S/8, S/8)
        detail = self.detail_fine(pixels) + _double(self.detail_coarse(levels[2]))
        return embedding, self.skip4(levels[4]), self.skip2(levels[2]), self.detail(detail)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _depth(name: str) -> tuple:
    """Sort key of a parameter name by its place in the network: stem, blocks by number, head."""
    parts = name.split(".")
    return ("stem", "blocks", "head").index(parts[0]), [int(part) for part in parts if part.isdigit()]


@torch.no_grad()
def load_folded_mobilenetv2(backbone: nn.Module, tensors: dict[str, Tensor], images: Tensor) -> None:
    """Starts timm's `mobilenetv2_100` from ImageNet convolutions that have batch normalisation folded in.

    The folded bias goes into the normalisation layer, one batch of real images runs with identity statistics, and each
    layer's mean and variance are set from what it saw with weight and bias adapted so that the function is the same.
    The network then computes what the folded one does and can be trained in the usual mode.

    Args:
        backbone: timm features of mobilenetv2_100.
        tensors: Weight and bias by name, `stem.*`, `blocks.N.*`, `head.*` (the head is not part of a feature network).
        images: (B, 3, S, S) float32 model input to estimate the statistics from.
    """
    names = sorted((k for k in tensors if k.endswith(".weight")), key=_depth)
    weights = [tensors[name] for name in names]
    biases = [tensors[name.removesuffix("weight") + "bias"] for name in names]
    convs = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    if not len(convs) == len(norms) <= len(weights) == len(biases):
        raise ValueError(f"tensors must hold {len(convs)} convolutions with biases, got {len(weights)}/{len(biases)}")
    for conv, norm, weight, bias in zip(convs, norms, weights, biases, strict=False):
        if conv.weight.shape != weight.shape:
            raise ValueError(f"convolution must be {tuple(conv.weight.shape)}, got {tuple(weight.shape)}")
        conv.weight.copy_(weight.float())
        norm.weight.fill_(1)
        norm.bias.copy_(bias.float())
        assert norm.running_mean is not None and norm.running_var is not None  # None without running statistics
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)

    def adopt_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        seen = inputs[0]
        mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3))
        assert norm.running_mean is not None and norm.running_var is not None  # None without running statistics
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)

    hooks = [norm.register_forward_pre_hook(adopt_statistics) for norm in norms]
    was_training = backbone.training
    backbone.eval()(images)
    backbone.train(was_training)
    for hook in hooks:
        hook.remove()
