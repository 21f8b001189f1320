"""One mask that holds several touching objects, divided into them by a watershed of the depth inside it"""

import numpy as np

MIN_SHARE = 0.02  # parts smaller than this share of the mask are left with their neighbour or dropped
SEED_DEPTH = 0.6  # a seed is where the depth exceeds this share of the deepest point of its part


def split_instances(mask: np.ndarray, maximum: int = 50) -> list[np.ndarray]:
    """The objects in a mask: its connected parts, and within each the basins around separate deep places.

    A part is divided at its necks: where the distance to the edge has several maxima that stay apart above
    `SEED_DEPTH` of the deepest, pixels go to the basin that they are flooded from (Meyer's watershed in OpenCV).

    Args:
        mask: (H, W) bool.
        maximum: At most this many objects, the largest ones.

    Returns:
        (H, W) bool masks that do not overlap, the largest first; one or none where nothing can be divided.
    """
    import cv2

    mask = np.asarray(mask).astype(bool)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    smallest = max(1, MIN_SHARE * np.count_nonzero(mask))
    found = []
    for part in range(1, count):
        x, y, width, height, area = stats[part].tolist()
        if area < smallest:
            continue
        window = slice(y, y + height), slice(x, x + width)
        for piece in _basins(parts[window] == part, smallest):
            whole = np.zeros_like(mask)
            whole[window] = piece
            found.append(whole)
    found.sort(key=lambda piece: -np.count_nonzero(piece))
    return found[:maximum]


def _basins(part: np.ndarray, smallest: float) -> list[np.ndarray]:
    import cv2

    padded = np.pad(part.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    seeds_mask = (depth > SEED_DEPTH * depth.max()).astype(np.uint8)
    count, seeds = cv2.connectedComponents(seeds_mask, connectivity=8)
    if count <= 2:
        return [part]
    markers = np.where(padded > 0, seeds, count).astype(np.int32)  # the outside is a basin of its own
    relief = np.rint(255 * (1 - depth / depth.max())).astype(np.uint8)
    cv2.watershed(np.repeat(relief[:, :, None], 3, axis=2), markers)
    inner = padded > 0
    # OpenCV marks the lines between basins with -1: those pixels go to the nearest basin
    labels = np.where(inner & (markers > 0) & (markers < count), markers, 0)
    if not labels.any():
        return [part]
    free = (labels == 0).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros(nearest.max() + 1, np.int32)
    lookup[nearest[free == 0]] = labels[free == 0]
    labels = np.where(inner, lookup[nearest], 0)[1:-1, 1:-1]
    pieces = [labels == value for value in range(1, count)]
    pieces = [piece for piece in pieces if np.count_nonzero(piece) >= smallest]
    return pieces if len(pieces) > 1 else [part]
