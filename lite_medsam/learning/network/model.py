"""The promptable segmentation network: image encoder plus segment_anything's prompt encoder and mask decoder."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from lite_medsam.learning.network.encoder import ImageEncoder
from lite_medsam.learning.network.trunk_encoder import TrunkEncoder
from lite_medsam.model.prompt_tokens import FIRST_TARGET
from lite_medsam.model.spec import LITEMEDSAM_TRUNK, ModelSpec

AddPerImage = Callable[[Tensor, Tensor], Tensor]

# Meaning of a prompt token's label, as in segment_anything: padding, background click, object click, two box corners.
# Labels from FIRST_TARGET on say what the object is called; their coordinates mean nothing.
PADDING, BACKGROUND, OBJECT, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3


class BatchPromptEncoder(PromptEncoder):
    """segment_anything's prompt encoder for N objects with different prompts in one call, without boolean indexing.

    The original assigns embeddings through boolean masks, which a traced graph cannot follow, and knows either boxes or
    points or a mask for the whole batch. Here every token carries its label and every object says whether it has a
    previous mask.

    Args:
        targets: How many names of objects there are.
        kwargs: As of the original.
    """

    def __init__(self, targets: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.target_embedding = None
        if targets:  # silent at first, so that a model without names can go on from where it was
            self.target_embedding = nn.Embedding(targets, self.embed_dim)
            nn.init.zeros_(self.target_embedding.weight)

    def forward(
        self, coords: Tensor, labels: Tensor, previous: Tensor | None, has_previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens and dense embedding of N prompts.

        Args:
            coords: (N, P, 2) float32 x, y in model pixels.
            labels: (N, P) float32, the constants of this module.
            previous: (N, 1, S, S) float32 logits of an earlier answer, anything where there is none; None for all.
            has_previous: (N,) float32, 1 where `previous` counts.

        Returns:
            (N, P, C) sparse and (N, C, S/8, S/8) dense embeddings.
        """
        encoding = self.pe_layer.forward_with_coords(coords + 0.5, self.input_image_size)  # (N, P, C)
        kind = labels.unsqueeze(-1)
        sparse = torch.where(kind == PADDING, self.not_a_point_embed.weight, encoding)
        for label, embedding in enumerate(self.point_embeddings):
            sparse = torch.where(kind == label, encoding + embedding.weight, sparse)
        if self.target_embedding is not None:
            named = self.target_embedding((labels - FIRST_TARGET).clamp(min=0).long())
            sparse = torch.where(kind >= FIRST_TARGET, named, sparse)

        unmasked = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        if previous is None or has_previous is None:
            return sparse, unmasked.expand(len(coords), -1, *self.image_embedding_size)
        mask = F.interpolate(previous, size=self.mask_input_size, mode="bilinear", align_corners=False)
        masked = self.mask_downscaling(mask)  # (N, C, S/8, S/8)
        return sparse, torch.where(has_previous.reshape(-1, 1, 1, 1) > 0, masked, unmasked)


class SkipMaskDecoder(MaskDecoder):
    """segment_anything's mask decoder with finer features added while it upscales, logits at full model resolution.

    Unlike the original, which repeats the embedding wrongly for several images, it takes B images with N prompts in B
    equal groups: one image with all its prompts, or one crop per prompt, or anything between, in one batch.
    """

    def __init__(
        self, dim: int, skip_dims: tuple[int, int, int], transformer: nn.Module, mask_tokens: int, targets: int = 0
    ):
        super().__init__(
            transformer_dim=dim,
            transformer=transformer,
            num_multimask_outputs=mask_tokens - 1,
            iou_head_hidden_dim=dim,
        )
        skip4, skip2, skip1 = skip_dims
        self.output_upscaling: Any = None  # replaced by the stages below
        self.upscale4 = nn.ConvTranspose2d(dim, skip4, 2, stride=2)
        self.refine4 = nn.Conv2d(skip4, skip4, 3, padding=1)
        self.upscale2 = nn.ConvTranspose2d(skip4, skip2, 2, stride=2)
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, skip2, 3) for _ in range(mask_tokens))
        self.detail_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, skip1, 3) for _ in range(mask_tokens))
        mlp: Any
        for mlp in self.detail_hypernetworks_mlps:  # the detail starts silent
            nn.init.zeros_(mlp.layers[-1].weight)
            nn.init.zeros_(mlp.layers[-1].bias)
        # what a name does to the image features: a scale and a shift per channel (FiLM; Perez et al., 2018)
        self.target_film = None
        if targets:
            self.target_film = nn.Embedding(targets, 2 * dim)
            nn.init.zeros_(self.target_film.weight)

    def upscale(self, x: Tensor, skip4: Tensor, skip2: Tensor, add: AddPerImage) -> Tensor:
        """The pixel map after the transformer, four times finer.

        Args:
            x: (N, C, S/8, S/8).
            skip4: (B, C4, S/4, S/4) of the B images.
            skip2: (B, C2, S/2, S/2).
            add: Adds the features of B images to maps of N prompts; graphs have one of their own.

        Returns:
            (N, C2, S/2, S/2).
        """
        x = F.relu(add(self.upscale4(x), skip4))  # (N, C4, S/4, S/4)
        x = x + F.relu(self.refine4(x))
        return F.relu(add(self.upscale2(x), skip2))

    def forward(
        self,
        features: tuple[Tensor, ...],
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        mask_tokens: int | None = None,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Masks and predicted IoU of N prompts on B images, N a multiple of B.

        Args:
            features: Embedding and skips from the encoder, (B, ...); prompts i * N/B up to (i + 1) * N/B see image i.
            image_pe: (1, C, S/8, S/8) dense positional encoding.
            sparse: (N, P, C) prompt tokens.
            dense: (N, C, S/8, S/8) dense prompt embedding.
            mask_tokens: Draw only the first so many masks; all by default.
            labels: (N, P) kinds of the tokens, for the names among them.

        Returns:
            (N, M, S, S) logits and (N, M) predicted IoU.
        """
        embedding, skip4, skip2, detail = features
        count, drawn = sparse.shape[0], mask_tokens or self.num_mask_tokens
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])  # (1 + M, C)
        tokens = torch.cat([tokens.unsqueeze(0).expand(count, -1, -1), sparse], dim=1)
        source = _add_per_image(dense, embedding)  # (N, C, S/8, S/8)
        if self.target_film is not None and labels is not None:
            scale, shift = film(self.target_film, labels).unsqueeze(-1).unsqueeze(-1).chunk(2, dim=1)
            source = source * (1 + scale) + shift
        tokens, keys = self.transformer(source, image_pe.expand(count, -1, -1, -1), tokens)

        x = keys.transpose(1, 2).unflatten(2, source.shape[2:])
        x = self.upscale(x, skip4, skip2, _add_per_image)  # (N, C2, S/2, S/2)

        answers = [tokens[:, 1 + i] for i in range(drawn)]
        coarse = _weigh(self.output_hypernetworks_mlps, answers, x)
        fine = _weigh(self.detail_hypernetworks_mlps, answers, detail)
        logits = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False) + fine
        return logits, self.iou_prediction_head(tokens[:, 0])[:, :drawn]


class TrunkMaskDecoder(SkipMaskDecoder):
    """LiteMedSAM's mask decoder under its published names, with the finer features added where it upscales."""

    def __init__(self, dim: int, skip_dims: tuple[int, int, int], *args, **kwargs):
        super().__init__(dim, skip_dims, *args, **kwargs)
        del self.upscale4, self.refine4, self.upscale2
        skip4, skip2, _ = skip_dims
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, skip4, 2, stride=2),
            LayerNorm2d(skip4),
            nn.GELU(),
            nn.ConvTranspose2d(skip4, skip2, 2, stride=2),
            nn.GELU(),
        )

    def upscale(self, x: Tensor, skip4: Tensor, skip2: Tensor, add: AddPerImage) -> Tensor:
        to4, norm, activate4, to2, activate2 = self.output_upscaling
        x = activate4(norm(add(to4(x), skip4)))  # (N, C4, S/4, S/4)
        return activate2(add(to2(x), skip2))  # (N, C2, S/2, S/2)


def film(table: nn.Embedding, labels: Tensor) -> Tensor:
    """Scale - 1 and shift of each prompt's name: (N, P) labels to (N, 2 C), 0 for prompts without a name."""
    rows = torch.cat([torch.zeros_like(table.weight[:1]), table.weight])
    return rows[(labels - FIRST_TARGET + 1).clamp(min=0).amax(1).long()]


def _add_per_image(x: Tensor, feature: Tensor) -> Tensor:
    """x (N, ...) plus the feature (B, ...) of each prompt's image, prompts in B equal groups."""
    grouped = x.unflatten(0, (feature.shape[0], -1)) + feature.unsqueeze(1)
    return grouped.flatten(0, 1)


def _weigh(mlps: nn.ModuleList, answers: list[Tensor], x: Tensor) -> Tensor:
    """Each mask token's weighted sum of the channels of its image: M x (N, C), (B, K, H, W) -> (N, M, H, W)."""
    weights = torch.stack([mlp(answer) for mlp, answer in zip(mlps, answers, strict=False)], dim=1)  # (N, M, K)
    grouped = weights.unflatten(0, (x.shape[0], -1)).flatten(1, 2)  # (B, N/B * M, K)
    masks = (grouped @ x.flatten(2)).unflatten(1, (-1, len(answers)))  # (B, N/B, M, H * W)
    return masks.flatten(0, 1).unflatten(2, x.shape[2:])


class PromptedSegmenter(nn.Module):
    """Encoder, prompt encoder and mask decoder as one module; `encode` and `decode` are the two exported graphs."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        a, size = spec.architecture, spec.preprocessing.image_size
        if size % 32:
            raise ValueError(f"image_size must be a multiple of 32, got {size}; 256 and 512 are usual")
        grid = (size // 8, size // 8)
        self.spec = spec
        trunk = a.backbone == LITEMEDSAM_TRUNK
        self.image_encoder = TrunkEncoder(a) if trunk else ImageEncoder(a)
        self.prompt_encoder = BatchPromptEncoder(
            targets=len(spec.targets),
            embed_dim=a.embedding_dim,
            image_embedding_size=grid,
            input_image_size=(size, size),
            mask_in_chans=16,
        )
        transformer = TwoWayTransformer(
            depth=a.transformer_depth,
            embedding_dim=a.embedding_dim,
            mlp_dim=a.transformer_mlp_dim,
            num_heads=a.transformer_heads,
        )
        decoder = TrunkMaskDecoder if trunk else SkipMaskDecoder
        self.mask_decoder = decoder(a.embedding_dim, a.skip_dims, transformer, a.mask_tokens, len(spec.targets))

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) float32 to the tuple of features, each with leading dimension B."""
        return self.image_encoder(pixels)

    def decode(
        self,
        features: tuple[Tensor, ...],
        coords: Tensor,
        labels: Tensor,
        previous: Tensor | None = None,
        has_previous: Tensor | None = None,
        mask_tokens: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """N prompts to (N, M, S, S) logits and (N, M) predicted IoU; see the two parts for the shapes."""
        sparse, dense = self.prompt_encoder(coords, labels, previous, has_previous)
        return self.mask_decoder(features, self.prompt_encoder.get_dense_pe(), sparse, dense, mask_tokens, labels)
