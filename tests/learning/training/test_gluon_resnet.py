"""Gluon's ResNet-50 v2 as a start: the names of layers, and the first stage against the formula."""

import pytest
import timm
import torch
import torch.nn.functional as F

from lite_medsam.errors import WeightsError
from lite_medsam.learning.training.gluon_resnet import is_gluon_resnet, load_gluon_resnet50v2


def gluon_tensors() -> dict[str, torch.Tensor]:
    """Random weights under Gluon's names, for stem and stages 1 to 3."""
    torch.manual_seed(0)
    found = {}

    def norm(name, width):
        found.update({f"{name}.weight": torch.rand(width) + 0.5, f"{name}.bias": torch.randn(width) * 0.1})
        found.update({f"{name}.running_mean": torch.randn(width) * 0.1, f"{name}.running_var": torch.rand(width) + 0.5})

    norm("bn0", 3)
    norm("bn1", 64)
    found["conv0.weight"] = torch.randn(64, 3, 7, 7) * 0.1
    width = 64
    for stage, (blocks, out) in enumerate([(3, 256), (4, 512), (6, 1024)]):
        for block in range(blocks):
            place, inner = f"stages.{stage}.{block}", out // 4
            for i, channels in ((1, width), (2, inner), (3, inner)):
                norm(f"{place}.bn{i}", channels)
            shapes = [(inner, width, 1, 1), (inner, inner, 3, 3), (out, inner, 1, 1)]
            for i, shape in enumerate(shapes, 1):
                found[f"{place}.conv{i}.weight"] = torch.randn(shape) * 0.05
            if block == 0:
                found[f"{place}.down.weight"] = torch.randn(out, width, 1, 1) * 0.05
            width = out
    return found


def batch_norm(x, tensors, name):
    return F.batch_norm(
        x, *(tensors[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")), eps=1e-5
    )


def test_the_first_block_computes_what_gluon_computes():
    tensors = gluon_tensors()
    assert is_gluon_resnet(tensors)
    for name in ("bn0", "bn1"):  # shifts are what the start loses: without them it is exact up to the stem's ReLU
        tensors[f"{name}.running_mean"].zero_()
        tensors[f"{name}.bias"].zero_()
    backbone = timm.create_model("resnetv2_50", features_only=True, pretrained=False).eval()
    filled = load_gluon_resnet50v2(backbone, tensors)
    assert filled == sum(not name.startswith(("bn0", "bn1")) for name in tensors)
    pixels = torch.randn(1, 3, 64, 64)
    stem = F.conv2d(batch_norm(pixels, tensors, "bn0"), tensors["conv0.weight"], stride=2, padding=3)
    x = F.max_pool2d(batch_norm(stem, tensors, "bn1"), 3, 2, 1)
    for block in range(3):
        place = f"stages.0.{block}"
        y = F.relu(batch_norm(x, tensors, f"{place}.bn1"))
        short = F.conv2d(y, tensors[f"{place}.down.weight"]) if block == 0 else x
        y = F.conv2d(y, tensors[f"{place}.conv1.weight"])
        y = F.conv2d(F.relu(batch_norm(y, tensors, f"{place}.bn2")), tensors[f"{place}.conv2.weight"], padding=1)
        y = F.conv2d(F.relu(batch_norm(y, tensors, f"{place}.bn3")), tensors[f"{place}.conv3.weight"])
        x = short + y
    with torch.no_grad():
        torch.testing.assert_close(backbone(pixels)[1], x, rtol=1e-3, atol=1e-3)


def test_another_backbone_is_refused():
    backbone = timm.create_model("mobilenetv2_100", features_only=True, pretrained=False)
    with pytest.raises(WeightsError, match="resnetv2_50"):
        load_gluon_resnet50v2(backbone, gluon_tensors())
