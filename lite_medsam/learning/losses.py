"""What training minimises: soft Dice + cross-entropy on the mask, squared error on the predicted IoU."""

import torch
import torch.nn.functional as F
from torch import Tensor

CROSS_ENTROPY_WEIGHT = 4.0
SCORE_WEIGHT = 0.2


def mask_loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice (Milletari et al., 2016) plus 4 x cross-entropy, over the pixels that exist.

    Written out because the padding has to stay outside, which MONAI's DiceCELoss cannot do per sample.

    Args:
        logits: (N, S, S).
        targets: (N, S, S) share of each pixel covered, 0..1.
        valid: (N, S, S) bool, False in the padding.

    Returns:
        (N,) loss per prompt.
    """
    weight = valid.float()
    probability = torch.sigmoid(logits) * weight
    overlap = (probability * targets).sum((1, 2))
    total = probability.sum((1, 2)) + targets.sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weight
    return dice + CROSS_ENTROPY_WEIGHT * entropy.sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)


@torch.no_grad()
def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """(N,) IoU of the thresholded masks, the target of the score head; padding holds neither."""
    predicted, truth = logits > 0, targets > 0.5
    union = (predicted | truth).sum((1, 2))
    return (predicted & truth).sum((1, 2)) / union.clamp(min=1)


def prompt_loss(logits: Tensor, scores: Tensor, targets: Tensor, valid: Tensor, ambiguous: Tensor) -> Tensor:
    """Mean loss of N prompts with M masks each.

    The first mask answers every prompt. The others compete where there are only clicks on the object; the best of them learns
    (Kirillov et al., 2023), so that they come to stand for part and whole.

    Args:
        logits: (N, M, S, S); M may be 1.
        scores: (N, M) predicted IoU.
        targets: (N, S, S).
        valid: (N, S, S) bool.
        ambiguous: (N,) bool, True for prompts of nothing but clicks on the object.
    """
    logits = logits.float()
    loss = mask_loss(logits[:, 0], targets, valid).mean()
    loss = loss + SCORE_WEIGHT * F.mse_loss(scores[:, 0].float(), mask_iou(logits[:, 0], targets))
    if logits.shape[1] > 1 and ambiguous.any():
        alternatives, truth, exists = logits[ambiguous, 1:], targets[ambiguous], valid[ambiguous]
        losses, ious = [], []
        for i in range(alternatives.shape[1]):
            losses.append(mask_loss(alternatives[:, i], truth, exists))
            ious.append(mask_iou(alternatives[:, i], truth))
        share = ambiguous.float().mean()
        loss = loss + 0.5 * share * torch.stack(losses).min(0).values.mean()
        loss = loss + SCORE_WEIGHT * share * F.mse_loss(scores[ambiguous, 1:].float(), torch.stack(ious, 1))
    return loss
