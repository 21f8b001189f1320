"""TinyViT as LiteMedSAM and MobileSAM use it, with the parameter names of their checkpoints.

Architecture: Wu et al., TinyViT (ECCV 2022), a convolutional first stage and three stages of window attention, each
followed by a merge that changes width and resolution. The segmentation variants keep a 64 x 64 grid: the last merge has
stride 1, and a neck maps to 256 channels. LiteMedSAM further replaces the stem by two 1 x 1 convolutions without stride,
so its first stage works at full resolution; MobileSAM has the usual stem of stride 4.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling.common import LayerNorm2d
from torch import Tensor, nn


@dataclass(frozen=True)
class TinyVitShape:
    """What distinguishes one TinyViT from another.

    Attributes:
        stem_kernel: Kernel of the two convolutions of the stem, odd.
        stem_stride: Stride of each.
        widths: Channels of the four stages.
        depths: Blocks of each.
        heads: Attention heads of each; the first stage has none.
        windows: Side of the attention windows of each.
        merge_strides: Stride of the merges after the first three stages.
        neck_dim: Channels of the embedding.
    """

    stem_kernel: int = 1
    stem_stride: int = 1
    widths: tuple[int, int, int, int] = (64, 128, 160, 320)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (2, 4, 5, 10)
    windows: tuple[int, int, int, int] = (7, 7, 14, 7)
    merge_strides: tuple[int, int, int] = (2, 2, 1)
    neck_dim: int = 256


LITEMEDSAM = TinyVitShape()
MOBILE_SAM = TinyVitShape(stem_kernel=3, stem_stride=2)


class ConvNorm(nn.Sequential):
    """Convolution `c` without bias and batch normalisation `bn`."""

    c: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(self, in_dim: int, out_dim: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        padding = kernel // 2
        self.add_module("c", nn.Conv2d(in_dim, out_dim, kernel, stride, padding, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(out_dim))


class Stem(nn.Module):
    """Two convolutions from RGB to the first stage's width."""

    def __init__(self, shape: TinyVitShape):
        super().__init__()
        width, kernel, stride = shape.widths[0], shape.stem_kernel, shape.stem_stride
        self.seq = nn.Sequential(
            ConvNorm(3, width // 2, kernel, stride), nn.GELU(), ConvNorm(width // 2, width, kernel, stride)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.seq(pixels)


class ConvBlock(nn.Module):
    """Inverted residual block of the first stage: widen four times, 3 x 3 per channel, narrow."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv1 = ConvNorm(dim, 4 * dim)
        self.conv2 = ConvNorm(4 * dim, 4 * dim, 3, groups=4 * dim)
        self.conv3 = ConvNorm(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Merge(nn.Module):
    """The step between two stages: new width, then the resolution divided by `stride`."""

    def __init__(self, in_dim: int, out_dim: int, stride: int):
        super().__init__()
        self.conv1 = ConvNorm(in_dim, out_dim)
        self.conv2 = ConvNorm(out_dim, out_dim, 3, stride, groups=out_dim)
        self.conv3 = ConvNorm(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class WindowAttention(nn.Module):
    """Attention among the tokens of one window, with a learned bias per head and per absolute offset."""

    offset: Tensor

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        place = torch.arange(window * window)
        rows, columns = place // window, place % window
        offset = (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()
        self.register_buffer("offset", offset, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(W, T, C) tokens of W windows, T = window², to the same shape."""
        # each head's queries, keys and values lie side by side
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(3, dim=-1)
        weights = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5 + self.attention_biases[:, self.offset]
        return self.proj((weights.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Normalised two-layer perceptron, four times as wide inside."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


class AttentionBlock(nn.Module):
    """Window attention, a 3 x 3 convolution per channel that joins the windows, and an MLP."""

    def __init__(self, dim: int, heads: int, window: int):
        super().__init__()
        self.attn = WindowAttention(dim, heads, window)
        self.local_conv = ConvNorm(dim, dim, 3, groups=dim)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        x = x + self._attend(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.local_conv(x)
        return x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _attend(self, x: Tensor) -> Tensor:
        # the grid is a constant of the model, also in a traced graph; only the batch is free
        height, width, dim = (int(n) for n in x.shape[1:])
        side = self.attn.window
        # zeros that are not masked: the published weights were trained with them among the keys
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = -(-height // side), -(-width // side)
        windows = x.reshape(-1, rows, side, columns, side, dim).transpose(2, 3).reshape(-1, side * side, dim)
        windows = self.attn(windows).reshape(-1, rows, columns, side, side, dim)
        x = windows.transpose(2, 3).reshape(-1, rows * side, columns * side, dim)
        return x[:, :height, :width]


class Stage(nn.Module):
    """Blocks of one width, and the merge to the next stage."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class TinyVitEncoder(nn.Module):
    """Pixels to an embedding; LiteMedSAM: (B, 3, 256, 256) to (B, 256, 64, 64), MobileSAM: 1024 to the same grid."""

    def __init__(self, shape: TinyVitShape = LITEMEDSAM):
        super().__init__()
        self.patch_embed = Stem(shape)
        stages = []
        for i, (dim, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
            blocks = [
                ConvBlock(dim) if i == 0 else AttentionBlock(dim, shape.heads[i], shape.windows[i])
                for _ in range(depth)
            ]
            merge = Merge(dim, shape.widths[i + 1], shape.merge_strides[i]) if i < 3 else None
            stages.append(Stage(blocks, merge))
        self.layers = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(shape.widths[-1], shape.neck_dim, 1, bias=False),
            LayerNorm2d(shape.neck_dim),
            nn.Conv2d(shape.neck_dim, shape.neck_dim, 3, padding=1, bias=False),
            LayerNorm2d(shape.neck_dim),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embed(pixels)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)


def fuse_conv_norm(module: nn.Module) -> nn.Module:
    """A copy in which every `ConvNorm` is one convolution with a bias; the module itself where there is none.

    The statistics of evaluation mode are taken; the function stays the same up to rounding.

    Args:
        module: Any module; it is left as it is.
    """
    if not any(isinstance(child, ConvNorm) for child in module.modules()):
        return module
    fused = copy.deepcopy(module).eval()
    for parent in list(fused.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, ConvNorm):
                setattr(parent, name, _fused(child.c, child.bn))
    return fused


@torch.no_grad()
def _fused(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None and norm.running_var is not None  # None without running statistics
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    sizes: dict[str, Any] = {"kernel_size": conv.kernel_size, "stride": conv.stride, "padding": conv.padding}
    fused = nn.Conv2d(conv.in_channels, conv.out_channels, groups=conv.groups, **sizes)
    assert fused.bias is not None
    fused.weight.copy_(conv.weight.double() * gain.reshape(-1, 1, 1, 1))
    fused.bias.copy_(norm.bias.double() - norm.running_mean.double() * gain)
    return fused
