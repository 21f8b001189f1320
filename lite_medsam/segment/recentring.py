"""Shows the decoder an object in the middle of the frame, wherever it lies in what was encoded.

A decoder trained on crops expects the object in the middle: from a crop that near objects share it finds one at the side
much worse. The encoder is convolutional, so its features are moved in place of the image, by whole cells of the coarsest
one; what leaves the frame on one side comes in on the other.
"""

from collections.abc import Sequence

import numpy as np

from lite_medsam.model.encoding_cache import Features
from lite_medsam.model.preprocessing import Frame, boxes_to_model


def shifts(boxes: Sequence[tuple], frame: Frame, features: Features, mask_size: int) -> np.ndarray:
    """How far to move each object.

    Args:
        boxes: Around each of N objects, x0 y0 x1 y1 in image pixels.
        frame: The window that was encoded.
        features: What the encoder made of it.
        mask_size: Side of the logits.

    Returns:
        (N, 2) whole model pixels along x and y, of either sign, multiples of every feature's and the logits' pixel.
    """
    cell = frame.size // min(mask_size, *(feature.shape[-1] for feature in features))
    corners = boxes_to_model(np.array(boxes, np.float64), frame)
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    return (np.rint(((frame.size - 1) / 2 - middle) / cell) * cell).astype(np.int64)


def recentre(
    features: Features, coords: np.ndarray, previous: np.ndarray, moves: np.ndarray, size: int
) -> tuple[Features, np.ndarray, np.ndarray]:
    """The decoder's inputs of N prompts, each moved.

    Args:
        features: Of one frame, leading dimension 1.
        coords: (N, P, 2) float32 prompt tokens in model pixels.
        previous: (N, 1, L, L) logits of earlier answers.
        moves: (N, 2) from `shifts`.
        size: Side S of the model frame.

    Returns:
        The same three, features with leading dimension N.
    """
    shown = tuple(np.empty((len(moves), *feature.shape[1:]), feature.dtype) for feature in features)
    before = np.empty_like(previous)
    for i, move in enumerate(moves):
        _roll(previous[i], move, size, before[i])
        for feature, out in zip(features, shown, strict=True):
            _roll(feature[0], move, size, out[i])
    # a token moves with what it points at, also around the edge; -0.5 and S - 0.5 are the frame's own edges
    moved = coords + moves[:, None, :].astype(np.float32)
    outside = (moved < -0.5) | (moved > size - 0.5)
    return shown, np.where(outside, np.mod(moved + 0.5, size) - 0.5, moved).astype(np.float32), before


def restore(logits: np.ndarray, move: np.ndarray, size: int) -> np.ndarray:
    """(L, L) logits of a moved frame where they belong."""
    out = np.empty_like(logits)
    _roll(logits, -move, size, out)
    return out


def _roll(array: np.ndarray, move: np.ndarray, size: int, out: np.ndarray) -> None:
    """`np.roll` along the last two axes into an array that is there: megabytes per object, so each is copied once."""
    height, width = array.shape[-2:]
    x, y = (int(step) * width // size % width for step in move)
    for to_y, from_y in ((slice(y, None), slice(0, height - y)), (slice(0, y), slice(height - y, None))):
        out[..., to_y, x:] = array[..., from_y, : width - x]
        out[..., to_y, :x] = array[..., from_y, width - x :]
