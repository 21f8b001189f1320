"""Small relatives of the published models, quick enough for every test run, and segment_anything's own view of them."""

import dataclasses
from functools import partial

import torch
from segment_anything import SamPredictor as OriginalPredictor
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from lite_medsam.learning.network import families
from lite_medsam.learning.network.litemedsam_encoder import TinyVitEncoder, TinyVitShape

TINY_VIT = TinyVitShape(widths=(8, 12, 12, 16), depths=(1, 1, 1, 1), heads=(1, 2, 2, 2), windows=(3, 3, 4, 3))
SAM_SIDE = 128


def tiny_sam_encoder() -> nn.Module:
    return ImageEncoderViT(
        depth=2, embed_dim=32, img_size=SAM_SIDE, mlp_ratio=4, norm_layer=partial(nn.LayerNorm, eps=1e-6), num_heads=2,
        patch_size=16, qkv_bias=True, use_rel_pos=True, global_attn_indexes=[1], window_size=3, out_chans=256,
    )  # fmt: skip


def register(monkeypatch) -> None:
    """Adds the families "sam_tiny", "medsam_tiny" and "litemedsam_tiny" for one test."""
    sam = dataclasses.replace(
        families.FAMILIES["sam_vit_b"], title="tiny SAM", encoder=tiny_sam_encoder,
        preprocessing=dataclasses.replace(families.FAMILIES["sam_vit_b"].preprocessing, image_size=SAM_SIDE),
    )  # fmt: skip
    lite = families.FAMILIES["litemedsam"]
    lite = dataclasses.replace(
        lite, title="tiny LiteMedSAM", encoder=lambda: TinyVitEncoder(TINY_VIT), image_sizes=(32, 64),
        preprocessing=dataclasses.replace(lite.preprocessing, image_size=64),
    )  # fmt: skip
    monkeypatch.setitem(families.FAMILIES, "sam_tiny", sam)
    monkeypatch.setitem(families.FAMILIES, "litemedsam_tiny", lite)


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Random parameters and statistics everywhere, also where initialisation leaves zeros; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(noise.abs() + 0.5)
            elif value.ndim <= 1:
                value.copy_(noise * 0.2 + float(name.endswith("weight")))
            elif "gaussian" in name:
                value.copy_(noise)
            else:
                value.copy_(noise * (2 / max(1, value[0].numel())) ** 0.5)
    return module.eval()


def published_model(family: str, seed: int = 0) -> families.PublishedSegmenter:
    """A model of a family with random weights."""
    return randomise(families.PublishedSegmenter(families.family_spec(family)), seed)


def original_tiny_sam(model: families.PublishedSegmenter) -> OriginalPredictor:
    """segment_anything's own model and predictor with the weights of a "sam_tiny"."""
    grid = SAM_SIDE // 16
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    sam = Sam(
        tiny_sam_encoder(),
        PromptEncoder(256, (grid, grid), (SAM_SIDE, SAM_SIDE), 16),
        MaskDecoder(transformer_dim=256, transformer=transformer, num_multimask_outputs=3),
    ).eval()
    sam.load_state_dict(model.state_dict())
    return OriginalPredictor(sam)
