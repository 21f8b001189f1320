"""The mask decoder as it is exported: the same function, arranged so that a CPU does less."""

import math
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lite_medsam.learning.network.model import PADDING, PromptedSegmenter, film
from lite_medsam.model.prompt_tokens import FIRST_TARGET

# attention weights and differences of scores below these count for nothing next to the largest; without the bounds they
# become denormal numbers, which many CPUs multiply a hundred times slower than others
SMALLEST_WEIGHT, LOWEST_SCORE = 1e-20, -40.0


class GraphDecoder(nn.Module):
    """`PromptedSegmenter.decode` over the same parameters; equal up to the rounding of float32.

    What differs:

    - T tokens attend to K pixels, T much smaller than K. The projections of the pixels to keys, values and queries are
      applied to the tokens instead: (Wq t + b) . (Wk p) = (Wk' (Wq t + b)) . p. What is the same for all pixels, as the
      bias of the keys, leaves a softmax over pixels as it is. No pixel map is projected or split into heads.
    - Prompts of one image without previous masks share the first layer's pixel map: it is made once per image.
    - Previous masks are only looked at in a call that has one.
    - Reshapes name dimensions by position, so that a runtime need not compute shapes.

    Args:
        model: The network; its parameters are used, not copied.
    """

    def __init__(self, model: PromptedSegmenter):
        super().__init__()
        self.model = model

    def forward(self, features: tuple[Tensor, ...], *prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Masks and predicted IoU, see `lite_medsam.model.runtime.Backend.decode`.

        Args:
            features: From the encoder.
            prompts: coords, labels, previous, has_previous, and () int64: draw only the first so many masks.
        """
        embedding, skip4, skip2, detail = features
        coords, labels, previous, has_previous, answers = prompts
        decoder, encoder = self.model.mask_decoder, self.model.prompt_encoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).unsqueeze(0)  # (1, 1 + M, C)
        tokens = torch.cat([own.expand(coords.shape[0], -1, -1), embed_tokens(encoder, coords, labels)], dim=1)
        source = self._source(embedding, previous, has_previous)  # (G, K, C), G images or prompts
        if decoder.target_film is not None:
            source = _name_source(source, film(decoder.target_film, labels))
        place = encoder.get_dense_pe().flatten(2).transpose(1, 2)  # (1, K, C)
        tokens, keys = two_way(decoder.transformer, source, place, tokens)

        side = embedding.shape[2]
        x = _reshape(keys.transpose(1, 2), 0, 0, side, -1)  # (N, C, S/8, S/8)
        x = decoder.upscale(x, skip4, skip2, _add_per_image)
        coarse = _weigh(decoder.output_hypernetworks_mlps, tokens, x, answers)
        fine = _weigh(decoder.detail_hypernetworks_mlps, tokens, detail, answers)
        logits = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False) + fine
        return logits, decoder.iou_prediction_head(tokens[:, 0])[:, :answers]

    def _source(self, embedding: Tensor, previous: Tensor, has_previous: Tensor) -> Tensor:
        """(G, K, C): embedding plus dense prompt, per image if there is no previous mask at all, else per prompt."""
        encoder = self.model.prompt_encoder
        conv1, norm1, _, conv2, norm2, _, project = encoder.mask_downscaling
        shrink = previous.shape[-1] // encoder.mask_input_size[0]
        weights = [conv1.weight, conv1.bias, norm1.weight, norm1.bias]
        weights += [conv2.weight, conv2.bias, norm2.weight, norm2.bias, project.weight, project.bias]
        pixels = embedding.flatten(2).transpose(1, 2)
        return _choose_source(pixels, previous, has_previous, encoder.no_mask_embed.weight, weights, int(shrink))


def _branch(
    pixels: Tensor, previous: Tensor, has_previous: Tensor, unmasked: Tensor, w: list[Tensor], shrink: int
) -> Tensor:
    if bool((has_previous > 0).any()):
        # halving by bilinear interpolation is the mean of two by two
        x = F.avg_pool2d(previous, shrink) if shrink > 1 else previous
        x = F.conv2d(x, w[0], w[1], stride=2)
        x = x - x.mean(1, keepdim=True)
        x = x / torch.sqrt((x * x).mean(1, keepdim=True) + 1e-6)
        x = F.gelu(x * w[2].reshape(1, -1, 1, 1) + w[3].reshape(1, -1, 1, 1))
        x = F.conv2d(x, w[4], w[5], stride=2)
        x = x - x.mean(1, keepdim=True)
        x = x / torch.sqrt((x * x).mean(1, keepdim=True) + 1e-6)
        x = F.gelu(x * w[6].reshape(1, -1, 1, 1) + w[7].reshape(1, -1, 1, 1))
        x = F.conv2d(x, w[8], w[9]).flatten(2).transpose(1, 2)  # (N, K, C)
        dense = torch.where(has_previous.reshape(-1, 1, 1) > 0, x, unmasked.unsqueeze(0))
        grouped = dense.reshape(pixels.shape[0], -1, pixels.shape[1], pixels.shape[2]) + pixels.unsqueeze(1)
        source = grouped.flatten(0, 1)
    else:
        source = pixels + unmasked
    return source


def _named(source: Tensor, change: Tensor) -> Tensor:
    # (G, K, C) to (N, K, C) if any of the N prompts has a name, else as it is
    if bool((change != 0).any()):
        scale, shift = change.reshape(source.shape[0], -1, 1, 2 * source.shape[2]).chunk(2, dim=3)
        named = (source.unsqueeze(1) * (1 + scale) + shift).flatten(0, 1)
    else:
        named = source
    return named


with warnings.catch_warnings():
    # a trace would follow one of the two ways for ever; the graph gets both from a script, whatever torch advises
    warnings.simplefilter("ignore")
    _choose_source = torch.jit.script(_branch)
    _name_source = torch.jit.script(_named)


def embed_tokens(encoder: Any, coords: Tensor, labels: Tensor) -> Tensor:
    """`BatchPromptEncoder`'s sparse embedding, (N, P, C), with one look-up instead of a choice per label."""
    side = encoder.input_image_size[0]
    angles = (2 * ((coords + 0.5) / side) - 1) @ encoder.pe_layer.positional_encoding_gaussian_matrix * (2 * math.pi)
    encoding = torch.cat([angles.sin(), angles.cos()], dim=-1)
    table = torch.cat([encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)])
    no_place = labels == PADDING
    if encoder.target_embedding is not None:
        table = torch.cat([table, encoder.target_embedding.weight])
        no_place = no_place | (labels >= FIRST_TARGET)
    return encoding.masked_fill(no_place.unsqueeze(-1), 0.0) + table[(labels + 1).long()]


def two_way(transformer: Any, source: Tensor, place: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """segment_anything's two-way transformer.

    Args:
        transformer: Its parameters.
        source: (G, K, C) pixel map, G a divisor of N: prompts come in G equal groups.
        place: (1, K, C) positional encoding of the pixels.
        tokens: (N, T, C).

    Returns:
        (N, T, C) tokens and (N, K, C) pixels.
    """
    queries, keys = tokens, source
    for i, layer in enumerate(transformer.layers):
        shared = i == 0
        if layer.skip_first_layer_pe:
            queries = layer.norm1(_among_tokens(layer.self_attn, queries, queries))
        else:
            queries = layer.norm1(queries + _among_tokens(layer.self_attn, queries + tokens, queries))
        placed = keys + place
        found = _tokens_to_pixels(layer.cross_attn_token_to_image, queries + tokens, placed, keys, shared)
        queries = layer.norm2(queries + found)
        queries = layer.norm3(queries + layer.mlp(queries))
        change = _pixels_to_tokens(layer.cross_attn_image_to_token, placed, queries + tokens, queries, shared)
        keys = layer.norm4(_add_per_image(change, keys) if shared else keys + change)
    found = _tokens_to_pixels(transformer.final_attn_token_to_image, queries + tokens, keys + place, keys, False)
    return transformer.norm_final_attn(queries + found), keys


def _among_tokens(attention: Any, placed: Tensor, values: Tensor) -> Tensor:
    q, k, v = (
        _heads(attention, x) for x in (attention.q_proj(placed), attention.k_proj(placed), attention.v_proj(values))
    )
    weights = (_scaled(q) @ k.transpose(2, 3)).softmax(-1)
    return attention.out_proj(_reshape((weights @ v).transpose(1, 2), 0, 0, -1))


def _tokens_to_pixels(attention: Any, queries: Tensor, keys: Tensor, values: Tensor, shared: bool) -> Tensor:
    """(N, T, C) queries over (G, K, C) keys and values -> (N, T, C)."""
    heads = attention.num_heads
    per_head = attention.k_proj.weight.unflatten(0, (heads, -1))  # (h, d, C)
    asked = _scaled(_heads(attention, attention.q_proj(queries))) @ per_head  # (N, h, T, C)
    asked = asked.reshape(keys.shape[0], -1, keys.shape[2]) if shared else _reshape(asked, 0, -1, keys.shape[2])
    weights = (asked @ keys.transpose(1, 2)).softmax(-1).clamp(min=SMALLEST_WEIGHT)
    found = weights @ values  # (G, N/G * h * T, C)
    shape = (heads, -1, keys.shape[2])
    found = found.reshape(queries.shape[0], *shape) if shared else _reshape(found, 0, *shape)
    found = found @ attention.v_proj.weight.unflatten(0, (heads, -1)).transpose(1, 2)  # (N, h, T, d)
    return attention.out_proj(_reshape(found.transpose(1, 2), 0, 0, -1) + attention.v_proj.bias)


def _pixels_to_tokens(attention: Any, pixels: Tensor, keys: Tensor, values: Tensor, shared: bool) -> Tensor:
    """(G, K, C) pixels over (N, T, C) keys and values -> (N, K, C)."""
    heads, dim = attention.num_heads, pixels.shape[2]
    k = _scaled(_heads(attention, attention.k_proj(keys)))  # (N, h, T, d)
    asked = k @ attention.q_proj.weight.unflatten(0, (heads, -1))  # (N, h, T, C)
    bias = k @ attention.q_proj.bias.reshape(1, heads, -1, 1)  # (N, h, T, 1)
    asked = asked.reshape(pixels.shape[0], -1, dim) if shared else _reshape(asked, 0, -1, dim)
    scores = asked @ pixels.transpose(1, 2)  # (G, N/G * h * T, K)
    shape = (heads, -1, pixels.shape[1])
    scores = scores.reshape(keys.shape[0], *shape) if shared else _reshape(scores, 0, *shape)
    # softmax over the tokens of each head, the pixels side by side
    scores = scores + bias
    weights = (scores - scores.amax(2, keepdim=True)).clamp(min=LOWEST_SCORE).exp()
    weights = _reshape(weights / weights.sum(2, keepdim=True), 0, -1, pixels.shape[1])  # (N, h * T, K)
    out = attention.out_proj.weight.t().unflatten(0, (heads, -1))  # (h, d, C)
    # the weights of each head sum to 1, so each head brings its share of the bias
    answers = _heads(attention, attention.v_proj(values)) @ out + attention.out_proj.bias / heads
    return weights.transpose(1, 2) @ _reshape(answers, 0, -1, dim)


def _heads(attention: Any, x: Tensor) -> Tensor:
    """(N, T, h * d) -> (N, h, T, d)."""
    return _reshape(x, 0, 0, attention.num_heads, -1).transpose(1, 2)


def _scaled(x: Tensor) -> Tensor:
    return x * (1 / math.sqrt(x.shape[-1]))


def _add_per_image(x: Tensor, feature: Tensor) -> Tensor:
    """x (N, ...) plus the feature (B, ...) of each prompt's image, prompts in B equal groups."""
    grouped = x.reshape(feature.shape[0], -1, *x.shape[1:]) + feature.unsqueeze(1)
    return _reshape(grouped, -1, *x.shape[1:])


def _weigh(mlps: nn.ModuleList, tokens: Tensor, x: Tensor, answers: Tensor) -> Tensor:
    """The first mask tokens' weighted sums of the channels of their images: (N, T, C), (B, K, H, W) -> (N, M, H, W)."""
    weights = torch.stack([mlp(tokens[:, 1 + i]) for i, mlp in enumerate(mlps)], dim=1)[:, :answers]  # (N, M, K)
    grouped = weights.reshape(x.shape[0], -1, x.shape[1])  # (B, N/B * M, K)
    masks = grouped @ x.flatten(2)
    return masks.reshape(tokens.shape[0], -1, x.shape[2], x.shape[3])


class _Reshape(torch.autograd.Function):
    """ONNX's Reshape: 0 keeps the dimension at its place, one -1 is what is left over."""

    @staticmethod
    def forward(ctx, x: Tensor, *shape: int) -> Tensor:
        return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])

    @staticmethod
    def symbolic(g, x, *shape: int):
        return g.op("Reshape", x, g.op("Constant", value_t=torch.tensor(shape, dtype=torch.int64)))


def _reshape(x: Tensor, *shape: int) -> Tensor:
    return _Reshape.apply(x, *(int(size) for size in shape))
