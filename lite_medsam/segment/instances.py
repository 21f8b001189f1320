"""One mask that holds several touching objects, divided at the necks between its deep places."""

import numpy as np

MIN_SHARE = 0.02  # parts smaller than this share of the mask are left out
PROMINENCE = 0.2  # a separate object is this much deeper than the neck that joins it, as a share of its own depth
MIN_DEPTH_PX = 2.0  # and at least this deep, so that a ragged edge does not count
LEVELS = 40


def split_instances(mask: np.ndarray, maximum: int = 50) -> list[np.ndarray]:
    """The objects in a mask: its connected parts, each divided at its necks.

    The depth of a pixel is its distance to the edge. Where the depth has several peaks that stand out by `PROMINENCE`, the
    part falls into cores when everything shallower than the neck between them is left out; pixels go to the nearest core.

    Args:
        mask: (H, W) bool.
        maximum: At most this many objects, the largest ones.

    Returns:
        (H, W) bool masks that do not overlap, the largest first; one or none where nothing can be divided.
    """
    from scipy import ndimage

    mask = np.asarray(mask).astype(bool)
    parts, _ = ndimage.label(mask, np.ones((3, 3), bool))
    smallest = max(1.0, MIN_SHARE * np.count_nonzero(mask))
    found = []
    for part, window in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[window] == part
        if np.count_nonzero(inside) < smallest:
            continue
        for piece in _divided(inside, smallest):
            whole = np.zeros_like(mask)
            whole[window] = piece
            found.append(whole)
    found.sort(key=np.count_nonzero, reverse=True)
    return found[:maximum]


def _divided(inside: np.ndarray, smallest: float) -> list[np.ndarray]:
    """The instances of one connected part, (h, w) bool each; the part itself where there is one."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    cores = _cores(depth, inside, 0)
    if len(cores) < 2:
        return [inside]
    numbers = np.zeros(inside.shape, np.int32)
    for number, core in enumerate(cores, start=1):
        numbers[core] = number
    rows, columns = ndimage.distance_transform_edt(numbers == 0, return_distances=False, return_indices=True)
    nearest = numbers[rows, columns]
    pieces = [(nearest == number) & inside for number in range(1, len(cores) + 1)]
    pieces = [piece for piece in pieces if np.count_nonzero(piece) >= smallest]
    return pieces if len(pieces) > 1 else [inside]


def _cores(depth: np.ndarray, region: np.ndarray, level: int) -> list[np.ndarray]:
    """The separate deep places in a region: the water is raised until it falls apart, and again in each part."""
    from scipy import ndimage

    deepest, left = depth.max(), region
    for step in range(level + 1, LEVELS):
        height = deepest * step / LEVELS
        places, count = ndimage.label(left & (depth > height), np.ones((3, 3), bool))
        if not count:
            break
        tops = np.atleast_1d(ndimage.maximum(depth, places, range(1, count + 1)))
        standing = [i + 1 for i, top in enumerate(tops) if top - height >= PROMINENCE * top and top >= MIN_DEPTH_PX]
        if len(standing) > 1:
            return [core for i in standing for core in _cores(depth, places == i, step)]
        if not standing:
            break
        left = places == standing[0]
    return [region]
