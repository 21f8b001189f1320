"""ReLayNet's shape: tall kernels, and unpooling to where the pooled values came from.

After Roy et al. 2017 (doi 10.1364/BOE.8.003627): three encoder blocks (7 x 3 convolution, batch normalisation, ReLU, 2 x 2 max
pooling that remembers positions), a block between, three decoder blocks (unpooling to those positions, the encoder's output
beside it, 7 x 3 convolution, batch normalisation, ReLU). Not its own: fewer channels by default, a box channel in front, one
logit at the end instead of ten classes, and no weighting of pixels between layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 7, 3
BLOCKS = 3


class ReLayNet(nn.Module):
    """A ReLayNet-style network.

    Args:
        channels: Of the input.
        width: Channels of every block; 64 in the paper.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.down = nn.ModuleList([_block(channels if i == 0 else width, width) for i in range(BLOCKS)])
        self.middle = _block(width, width)
        self.up = nn.ModuleList([_block(2 * width, width) for _ in range(BLOCKS)])
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, C, S, S) to (N, 1, S, S) logits; S a multiple of 8."""
        kept, x = [], inputs
        for block in self.down:
            full = block(x)
            x, places = pool(full)
            kept.append((full, places))
        x = self.middle(x)
        for block, (full, places) in zip(self.up, reversed(kept), strict=True):
            x = block(torch.cat([full, unpool(x, places)], 1))
        return self.head(x)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2 x 2 max pooling; (N, C, H, W) to the maxima and their places 0..3 in row order, both (N, C, H/2, W/2)."""
    return F.pixel_unshuffle(x, 2).unflatten(1, (x.shape[1], 4)).max(2)


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """The maxima back where they were, zeros elsewhere; as `nn.MaxUnpool2d`, in operators that ONNX has."""
    numbers = torch.arange(4, device=x.device).view(1, 1, 4, 1, 1)
    spread = x.unsqueeze(2) * (places.unsqueeze(2) == numbers).to(x.dtype)
    return F.pixel_shuffle(spread.flatten(1, 2), 2)


def _block(inside: int, outside: int) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, KERNEL, padding=(KERNEL[0] // 2, KERNEL[1] // 2), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))
