"""segment_anything's mask decoder as the published models have it, for prompts of any kinds in one call."""

import math
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from torch import Tensor

DIM = 256


class PublishedMaskDecoder(MaskDecoder):
    """segment_anything's mask decoder for B images with N prompts, where prompts may have fewer tokens than others.

    Tokens that are not valid are left out of every attention, so an object's mask does not depend on what else is in the
    batch: it is what segment_anything computes for that prompt alone.
    """

    def __init__(self):
        super().__init__(
            transformer_dim=DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=DIM, mlp_dim=2048, num_heads=8),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )

    def forward(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, valid: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks and predicted IoU of N prompts on B images, N a multiple of B, in B equal groups.

        Args:
            embedding: (B, C, G, G).
            image_pe: (1, C, G, G) dense positional encoding.
            sparse: (N, P, C) prompt tokens.
            valid: (N, P) bool, which of them count.
            dense: (N, C, G, G) dense prompt embedding.

        Returns:
            (N, 4, 4 G, 4 G) logits, the single answer first, then three alternatives; (N, 4) predicted IoU.
        """
        count, side = sparse.shape[0], embedding.shape[2:]
        answers = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (5, C)
        tokens = torch.cat([answers.unsqueeze(0).expand(count, -1, -1), sparse], dim=1)
        always = torch.ones_like(tokens[:, : len(answers), 0], dtype=torch.bool)
        # -1e9 rather than -inf: exp() makes it an exact 0 all the same, and no engine can turn it into NaN
        bias = torch.where(torch.cat([always, valid], dim=1), 0.0, -1e9)[:, None, None]  # (N, 1, 1, 5 + P)

        source = (dense.unflatten(0, (embedding.shape[0], -1)) + embedding.unsqueeze(1)).flatten(0, 1)
        pe = image_pe.flatten(2).transpose(1, 2)  # (1, G * G, C)
        tokens, keys = _two_way(self.transformer, source.flatten(2).transpose(1, 2), pe, tokens, bias)

        upscaled = self.output_upscaling(keys.transpose(1, 2).unflatten(2, side))  # (N, C / 8, 4 G, 4 G)
        weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        logits = (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return logits, self.iou_prediction_head(tokens[:, 0])


def _two_way(
    transformer: TwoWayTransformer, keys: Tensor, key_pe: Tensor, tokens: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """segment_anything's two-way transformer with a bias on what attends to tokens; (N, G * G, C), (N, T, C)."""
    queries = tokens
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            queries = _attend(layer.self_attn, queries, queries, queries, bias)
        else:
            placed = queries + tokens
            queries = queries + _attend(layer.self_attn, placed, placed, queries, bias)
        queries = layer.norm1(queries)
        queries = queries + _attend(layer.cross_attn_token_to_image, queries + tokens, keys + key_pe, keys)
        queries = layer.norm2(queries)
        queries = layer.norm3(queries + layer.mlp(queries))
        keys = keys + _attend(layer.cross_attn_image_to_token, keys + key_pe, queries + tokens, queries, bias)
        keys = layer.norm4(keys)
    final = _attend(transformer.final_attn_token_to_image, queries + tokens, keys + key_pe, keys)
    return transformer.norm_final_attn(queries + final), keys


def _attend(attention: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """One attention layer of segment_anything, `bias` (N, 1, 1, keys) added to its scores."""
    projected = (attention.q_proj(q), attention.k_proj(k), attention.v_proj(v))
    q, k, v = (x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for x in projected)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    return attention.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
