"""The encoder around LiteMedSAM's trunk: TinyViT on averaged pixels, and a small convolutional path over all of them.

The trunk sees the view at a quarter of its resolution, the pixels averaged 4 x 4 into its stem, so that it costs a sixteenth
of what it costs LiteMedSAM. What is lost by that comes back over convolutions at full resolution, which feed the trunk's
first stage and are handed to the decoder as finer features. All that LiteMedSAM does not have begins at zero.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lite_medsam.learning.network.litemedsam_encoder import TinyVitEncoder, TinyVitShape
from lite_medsam.model.spec import Architecture

PIXELS_PER_TOKEN = 4  # pixels of the view per token of the first stage, along a side


def trunk_shape(architecture: Architecture) -> TinyVitShape:
    """LiteMedSAM's TinyViT with the attention windows of a spec."""
    return TinyVitShape(windows=architecture.windows, neck_dim=architecture.embedding_dim)


class TrunkEncoder(nn.Module):
    """Pixels to (embedding, skip at stride 4, at stride 2, at stride 1), as `ImageEncoder`.

    `backbone` is LiteMedSAM's image encoder under its published names.
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        shape = trunk_shape(architecture)
        self.backbone = TinyVitEncoder(shape)
        skip4, skip2, skip1 = architecture.skip_dims
        self.detail = nn.Conv2d(3, skip1, 3, padding=1)
        self.detail2 = nn.Conv2d(skip1, 2 * skip1, 3, stride=2, padding=1)
        self.detail4 = nn.Conv2d(2 * skip1, 4 * skip1, 3, stride=2, padding=1)
        self.to_first_stage = _silent(4 * skip1, shape.widths[0])
        self.lateral = _silent(shape.widths[1], architecture.embedding_dim)
        self.skip4 = _silent(4 * skip1, skip4)
        self.skip2 = _silent(2 * skip1, skip2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of a batch of images.

        Args:
            pixels: (B, 3, S, S) float32, S a multiple of 32.

        Returns:
            (B, C, S/8, S/8) embedding and (B, C4, S/4, S/4), (B, C2, S/2, S/2), (B, C1, S, S) skips.
        """
        detail = F.relu(self.detail(pixels))  # (B, C1, S, S)
        detail2 = F.relu(self.detail2(detail))  # (B, 2 C1, S/2, S/2)
        detail4 = F.relu(self.detail4(detail2))  # (B, 4 C1, S/4, S/4)

        stages: Any = self.backbone.layers
        first, second, third, fourth = stages
        x = self.backbone.patch_embed(F.avg_pool2d(pixels, PIXELS_PER_TOKEN))  # (B, 64, S/4, S/4)
        x = first(x + self.to_first_stage(detail4))  # (B, 128, S/8, S/8)
        for block in second.blocks:
            x = block(x)
        lateral = self.lateral(x)
        x = fourth(third(second.downsample(x)))  # (B, 320, S/16, S/16)
        embedding = F.interpolate(self.backbone.neck(x), scale_factor=2, mode="bilinear", align_corners=False)
        return embedding + lateral, self.skip4(detail4), self.skip2(detail2), detail


def _silent(in_dim: int, out_dim: int) -> nn.Conv2d:
    """A 1 x 1 convolution that adds nothing until it has learned something."""
    conv = nn.Conv2d(in_dim, out_dim, 1)
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def resized_windows(own: dict[str, Tensor], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the attention biases of windows as large as those of another.

    Args:
        own: Parameters by name, of a model with the windows that are wanted.
        tensors: Parameters by the same names.
    """
    return {
        name: resize_window(value, round(own[name].shape[1] ** 0.5))
        if name.endswith(".attention_biases") and name in own and value.ndim == 2
        else value
        for name, value in tensors.items()
    }


@torch.no_grad()
def resize_window(biases: Tensor, window: int) -> Tensor:
    """Attention biases of a window for another: the same at the same offset, the farthest for those beyond.

    Args:
        biases: (H, w * w), by absolute row and column offset.
        window: Side of the other window.

    Returns:
        (H, window * window).
    """
    side = int(biases.shape[1] ** 0.5)
    reach = torch.arange(window).clamp(max=side - 1)
    return biases.unflatten(1, (side, side))[:, reach][:, :, reach].flatten(1)
