"""One model of several runs that began at the same weights: the mean of their weights.

Runs from one start lie in one valley of the loss, so the mean of their weights is a model again, often better than each
(model soups, Wortsman 2022; WiSE-FT, Wortsman 2021). It costs nothing when it runs.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.learning.training.loop import load_averaged


def load_blend(checkpoints: Sequence[Path], shares: Sequence[float] = ()) -> PromptedSegmenter:
    """The mean of the averaged weights of several checkpoints, in evaluation mode.

    Args:
        checkpoints: Of runs of one architecture, one or more.
        shares: What each counts, all positive; equal by default.

    Raises:
        WeightsError: If a file is no checkpoint, the models differ, or the shares do not fit.
    """
    shares = list(shares) or [1.0] * len(checkpoints)
    if len(shares) != len(checkpoints) or min(shares) <= 0:
        raise WeightsError(
            f"shares must be one positive number for each of {len(checkpoints)} checkpoints, got {shares}"
        )
    model, *others = map(load_averaged, checkpoints)
    for path, other in zip(checkpoints[1:], others, strict=True):
        if other.spec != model.spec:
            raise WeightsError(
                f"{path} must be of the same model as {checkpoints[0]} to be blended, but their specs differ"
            )
    states = [one.state_dict() for one in (model, *others)]
    weights = torch.tensor(shares, dtype=torch.float64) / sum(shares)
    blend = {}
    for name, value in states[0].items():
        if value.is_floating_point():
            parts = torch.stack([state[name].double() for state in states])
            blend[name] = torch.tensordot(weights, parts, 1).to(value.dtype)
        else:
            blend[name] = value
    model.load_state_dict(blend)
    return model.eval()
