"""Prompts as the decoder's inputs: coordinates in the model frame, token labels, previous masks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.model.preprocessing import Frame, boxes_to_model, mask_to_model, points_to_model
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.vocabulary import check_target

# a yes-no mask as logits, for refining a mask that comes without them; training showed the same value
MASK_LOGIT = 6.0
# prompts with clicks are padded to as many tokens as in training; without the padding a single click loses a Dice point
POINT_TOKENS = 5
# kind of the token that says that an object is called by the first of the model's targets; the others follow
FIRST_TARGET = 4


def prompt_kinds(prompt: Prompt) -> set[str]:
    """What a prompt asks of a model, in the words of `ModelSpec.prompts`; a final one asks nothing."""
    if prompt.final:
        return set()
    has_box, has_points = prompt.box is not None, len(prompt.points) > 0
    kinds = {"box+points"} if has_box and has_points else {"box"} if has_box else {"points"} if has_points else set()
    return kinds | ({"mask"} if prompt.mask is not None else set())


def token_count(prompt: Prompt) -> int:
    """Tokens that a prompt is given to the decoder with: two for a box alone, else padded to POINT_TOKENS at least.

    A target is one more.
    """
    used = 2 * (prompt.box is not None) + len(prompt.points)
    box_alone = prompt.box is not None and not len(prompt.points) and prompt.mask is None
    return (used if box_alone else max(used, POINT_TOKENS)) + (prompt.target is not None)


def share_a_call(prompt: Prompt) -> tuple[int, bool]:
    """What prompts of one call of the decoder must have in common, so that none gets a token because of the others."""
    return token_count(prompt), prompt.target is not None


def decoder_inputs(
    prompts: Sequence[Prompt],
    frames: Sequence[Frame],
    size: int,
    mask_size: int | None = None,
    targets: Sequence[str] = (),
) -> tuple[np.ndarray, ...]:
    """Prompts in image coordinates as the decoder's inputs.

    Args:
        prompts: N prompts that fit the image.
        frames: The model frame of each.
        size: Side S of the model frame.
        mask_size: Side M of previous masks; S by default.
        targets: Names that the model knows, `ModelSpec.targets`.

    Returns:
        coords (N, P, 2), labels (N, P), previous (N, 1, M, M), has_previous (N,), float32; P is the largest
        `token_count`, shorter prompts are padded. A target is the last token, at (0, 0), with the label FIRST_TARGET plus
        its place among the names.

    Raises:
        PromptError: If a target is none of the names.
    """
    mask_size = mask_size or size
    count = len(prompts)
    tokens = max(token_count(prompt) for prompt in prompts)
    coords = np.zeros((count, tokens, 2), np.float32)
    labels = np.full((count, tokens), -1, np.float32)
    previous = np.zeros((count, 1, mask_size, mask_size), np.float32)
    has_previous = np.zeros(count, np.float32)
    for i, (prompt, frame) in enumerate(zip(prompts, frames, strict=True)):
        used = 0
        if prompt.box is not None:
            # a previous, wider box may reach over a crop's edge: the model has only seen boxes inside its frame
            corners: np.ndarray = boxes_to_model(np.asarray(prompt.box), frame).reshape(2, 2)
            if frame.geometry == "edges":
                corners = np.clip(corners, -0.5, size - 0.5)
            coords[i, :2], labels[i, :2] = corners, (2, 3)
            used = 2
        points = points_to_model(prompt.points, frame)
        # a background click outside a crop says nothing about it
        inside = ((points >= -0.5) & (points <= size - 0.5)).all(1) | (prompt.point_labels == 1)
        end = used + np.count_nonzero(inside)
        coords[i, used:end], labels[i, used:end] = points[inside], prompt.point_labels[inside]
        if prompt.target is not None:
            check_target(prompt.target, targets, "the model")
            labels[i, -1] = FIRST_TARGET + targets.index(prompt.target)
        if prompt.mask is not None:
            previous[i, 0], has_previous[i] = _previous(prompt.mask, replace(frame, size=mask_size)), 1
    return coords, labels, previous, has_previous


def _previous(mask: np.ndarray, frame: Frame) -> np.ndarray:
    if mask.dtype == bool:
        return (mask_to_model(mask, frame) * 2 - 1) * MASK_LOGIT
    return np.clip(mask_to_model(mask, frame, outside=-MASK_LOGIT), -2 * MASK_LOGIT, 2 * MASK_LOGIT)
