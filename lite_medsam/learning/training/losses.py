"""What training minimises: soft Dice + cross-entropy on the mask, squared error on the predicted IoU."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lite_medsam.learning.lessons.book import Lesson, decode_lessons
from lite_medsam.learning.network.model import PromptedSegmenter

CROSS_ENTROPY_WEIGHT = 4.0
SCORE_WEIGHT = 0.2


MaskLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES = ("dice-ce", "dice-focal", "soft-dice-ce")


def mask_loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Soft Dice (Milletari et al., 2016) plus 4 x cross-entropy, over the pixels that exist.

    Kept beside MONAI's losses, which fine-tuning uses, so that the default recipe keeps its numbers.

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


def make_mask_loss(kind: str, pixel_weight: float = CROSS_ENTROPY_WEIGHT) -> MaskLoss:
    """A mask loss with the signature of `mask_loss`.

    Args:
        kind: "dice-ce" MONAI's Dice loss + cross-entropy, "dice-focal" MONAI's Dice loss + MONAI's focal loss (gamma 2; Lin
            et al., 2017), "soft-dice-ce" the `mask_loss` of this module.
        pixel_weight: Weight of the second term, which is a mean over the pixels that exist.

    Raises:
        ValueError: If there is no such loss.
    """
    if kind not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {kind!r}")
    if kind == "soft-dice-ce":
        return mask_loss
    from monai.losses import DiceLoss, FocalLoss

    dice = DiceLoss(sigmoid=True, reduction="none", smooth_nr=1.0, smooth_dr=1.0)
    focal = FocalLoss(gamma=2.0, reduction="none")

    def loss(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
        # logits far below zero in the padding, where the target is 0: both terms vanish there. MONAI's masked losses set
        # logits to zero instead, which the sigmoid turns into one half
        logits = logits.masked_fill(~valid, -30.0).unsqueeze(1)
        truth = targets.unsqueeze(1)
        if kind == "dice-focal":
            pixels = focal(logits, truth)
        else:
            pixels = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        mean = pixels.sum((1, 2, 3)) / valid.sum((1, 2)).clamp(min=1)
        return dice(logits, truth).flatten() + pixel_weight * mean

    return loss


@torch.no_grad()
def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """(N,) IoU of the thresholded masks, the target of the score head; padding holds neither."""
    predicted, truth = logits > 0, targets > 0.5
    union = (predicted | truth).sum((1, 2))
    return (predicted & truth).sum((1, 2)) / union.clamp(min=1)


def prompt_loss(
    logits: Tensor,
    scores: Tensor,
    targets: Tensor,
    valid: Tensor,
    ambiguous: Tensor,
    mask_loss: MaskLoss = mask_loss,
    score_weight: float = SCORE_WEIGHT,
) -> Tensor:
    """Mean loss of N prompts with M masks each.

    The first mask answers every prompt. The others compete where there are only clicks on the object; the best of them learns
    (Kirillov et al., 2023), so that they come to stand for part and whole.

    Args:
        logits: (N, M, S, S); M may be 1.
        scores: (N, M) predicted IoU.
        targets: (N, S, S).
        valid: (N, S, S) bool.
        ambiguous: (N,) bool, True for prompts of nothing but clicks on the object.
        mask_loss: Loss per prompt of its mask.
        score_weight: Weight of the squared error of the predicted IoU.
    """
    logits = logits.float()
    loss = mask_loss(logits[:, 0], targets, valid).mean()
    loss = loss + score_weight * F.mse_loss(scores[:, 0].float(), mask_iou(logits[:, 0], targets))
    if logits.shape[1] > 1 and ambiguous.any():
        alternatives, truth, exists = logits[ambiguous, 1:], targets[ambiguous], valid[ambiguous]
        losses, ious = [], []
        for i in range(alternatives.shape[1]):
            losses.append(mask_loss(alternatives[:, i], truth, exists))
            ious.append(mask_iou(alternatives[:, i], truth))
        share = ambiguous.float().mean()
        loss = loss + 0.5 * share * torch.stack(losses).min(0).values.mean()
        loss = loss + score_weight * share * F.mse_loss(scores[ambiguous, 1:].float(), torch.stack(ious, 1))
    return loss


def lesson_loss(model: PromptedSegmenter, batch: Lesson, sure: float, mask_loss: MaskLoss = mask_loss) -> Tensor:
    """How far a model's masks are from a teacher's, where the teacher is sure of them.

    The teacher's probabilities are the targets, so its doubt along a border is learned, too. Its scores are not: they are
    about its own masks.

    Args:
        model: Who learns.
        batch: Lessons, on the model's device.
        sure: Smallest score of an answer that counts.
        mask_loss: Loss per mask.
    """
    features = model.encode(batch.pixels.contiguous(memory_format=torch.channels_last))
    logits, _ = decode_lessons(model, features, batch)
    valid = batch.valid.repeat_interleave(logits.shape[1], 0)
    losses = mask_loss(logits.flatten(0, 1), torch.sigmoid(batch.logits.flatten(0, 1)) * valid, valid)
    counts = (batch.scores.flatten() >= sure).float()
    return (losses * counts).sum() / counts.sum().clamp(min=1)
