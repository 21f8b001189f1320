"""A model small enough to train in a test."""

import numpy as np
import torch

from lite_medsam.cases.case import Case
from lite_medsam.learning.network.model import PromptedSegmenter
from lite_medsam.model.spec import Architecture, ModelSpec, Preprocessing

TINY = ModelSpec(
    name="tiny",
    architecture=Architecture(
        backbone="mobilenetv3_small_050",
        embedding_dim=32,
        skip_dims=(8, 8, 4),
        transformer_mlp_dim=32,
        transformer_heads=4,
    ),
    preprocessing=Preprocessing(image_size=64),
)


def tiny_model(seed: int = 0) -> PromptedSegmenter:
    torch.manual_seed(seed)
    model = PromptedSegmenter(TINY)
    for module in model.modules():  # statistics that are not trivial, as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    for mlp in model.mask_decoder.detail_hypernetworks_mlps:
        torch.nn.init.normal_(mlp.layers[-1].weight, std=0.2)
    return model.eval()


def disc_case(seed: int, modality: str = "CT") -> Case:
    """Two bright discs on a dark ground, labels 1 and 3."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (90, 120), np.uint8)
    label = np.zeros(image.shape, np.uint8)
    y, x = np.mgrid[:90, :120]
    for value, centre_x in ((1, 30), (3, 85)):
        cy, cx = 45 + rng.integers(-15, 15), centre_x + rng.integers(-10, 10)
        disc = np.hypot(y - cy, x - cx) < rng.integers(8, 18)
        label[disc], image[disc] = value, image[disc] + 150
    return Case(
        image=image, label=label, boxes=None, spacing_mm=None, name=f"2D_{modality}_discs_{seed}", modality=modality
    )
