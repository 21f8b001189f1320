"""The networks: MONAI's U-Net, and the ReLayNet-style one of this package."""

from torch import nn

from lite_medsam.evaluation.specialist import NETWORKS
from lite_medsam.learning.specialists.relaynet import ReLayNet

CHANNELS = 4  # R, G, B, box
WIDTHS = {"unet": 16, "relaynet": 16}
"""Channels of the first stage where none are asked for: what a CPU trains in minutes."""


def make_network(kind: str, width: int = 0) -> nn.Module:
    """A network with fresh weights, (N, 4, S, S) to (N, 1, S, S) logits.

    Args:
        kind: "unet": MONAI's `BasicUNet` with batch normalisation, five stages of width x 1, 1, 2, 4, 8 as it has by default;
            "relaynet": see `ReLayNet`.
        width: Channels of the first stage; 0 for WIDTHS.

    Raises:
        ValueError: If there is no such network.
    """
    if kind not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {kind!r}")
    width = width or WIDTHS[kind]
    if kind == "relaynet":
        return ReLayNet(CHANNELS, width)
    from monai.networks.nets import BasicUNet

    features = (width, width, 2 * width, 4 * width, 8 * width, width)
    return BasicUNet(spatial_dims=2, in_channels=CHANNELS, out_channels=1, features=features, norm="batch")
