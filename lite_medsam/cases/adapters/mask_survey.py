"""What one mask tells about the meaning of its values: which is the ground, which colours are mixtures."""

import numpy as np
from scipy import ndimage

__all__ = ["inside_out", "is_black_inside", "mixed_colours"]

MAX_LEVELS = 6  # of nested regions
_NEAR = 6.0  # distance of a mixed colour from the line between two others


def inside_out(grey: np.ndarray) -> tuple[int, ...] | None:
    """The values of a mask from the outside in, if 0 is innermost; None if 0 may be the ground.

    The ground is the largest value and fills the border; 0 does not touch it, is surrounded by other values rather than by
    the ground, and reaches no further than they do. Values below 16 are label numbers, of which 0 is the background.

    Args:
        grey: (H, W) numbers, not all 0.
    """
    values = np.unique(grey)
    if not 3 <= len(values) <= MAX_LEVELS or values[0] != 0 or values[1] < 16:
        return None
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ground = values[np.argmax([np.count_nonzero(edge == value) for value in values])]
    if ground != values[-1] or np.count_nonzero(edge == ground) < 0.95 * edge.size or (edge == 0).any():
        return None
    inner, ring = grey == 0, (grey > 0) & (grey != ground)
    around = ndimage.binary_dilation(inner, np.ones((3, 3))) & ~inner
    if 2 * np.count_nonzero(grey[around] == ground) > np.count_nonzero(around):
        return None
    for axis in (0, 1):  # the ring reaches as far as what lies in it: unlike lesions within a field of view
        inside, outside = (np.flatnonzero(part.any(axis=axis))[[0, -1]] for part in (inner, ring))
        if inside[0] < outside[0] or inside[1] > outside[1]:
            return None
    return tuple(int(value) for value in values[::-1])


def is_black_inside(mask: np.ndarray) -> bool:
    """Whether a bool mask fills the whole border and leaves a part inside free, as an inverted one does."""
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool(edge.all() and not mask.all())


def mixed_colours(rgb: np.ndarray) -> set[tuple[int, int, int]]:
    """Colours of a picture that cover no area and lie between two that do, as softened edges have them.

    Args:
        rgb: (H, W, 3) uint8.
    """
    wide = rgb.astype(np.uint32)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    flat = ndimage.minimum_filter(packed, 3) == ndimage.maximum_filter(packed, 3)
    real = np.unique(packed[flat])
    others = np.setdiff1d(np.unique(packed), real)
    if not len(others) or not 2 <= len(real) <= 64:
        return set()
    colours, mixed = _unpacked(real), set()
    for colour in _unpacked(others):
        for i, first in enumerate(colours):
            ways = colours[i + 1 :] - first
            if len(ways) and (_distance(colour - first, ways) < _NEAR).any():
                red, green, blue = map(int, colour)
                mixed.add((red, green, blue))
                break
    return mixed


def _unpacked(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1).astype(float)


def _distance(point: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """Of a point from the lines between 0 and each way, within them."""
    share = np.clip(ways @ point / np.maximum((ways**2).sum(axis=1), 1), 0, 1)
    return np.linalg.norm(point - share[:, None] * ways, axis=1)
