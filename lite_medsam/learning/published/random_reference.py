"""The published LiteMedSAM architecture with random weights: what `bench` measures against."""

import os

import torch

from lite_medsam.learning.network.export import export_model
from lite_medsam.learning.network.families import PublishedSegmenter, family_spec

FAMILY = "litemedsam"


def export_reference(directory: str | os.PathLike, family: str = FAMILY) -> float:
    """Writes a model of a published family's exact shape; its masks mean nothing, its speed is that of the original.

    The export folds normalisation into convolutions, which the original never does, so the comparison flatters it.

    Args:
        directory: Where to write.
        family: Key of `families.FAMILIES`.

    Returns:
        Largest difference between torch and the graphs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PublishedSegmenter(family_spec(family, f"{family}-random"))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics that cannot be folded away as ones and zeros
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.fill_(0.01)
            module.running_var.fill_(1.1)
    with torch.no_grad():  # half precision loses nothing then, so the files are half as large
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    return export_model(model, directory)
