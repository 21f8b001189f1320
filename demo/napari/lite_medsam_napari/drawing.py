"""What is drawn in napari as prompts of the protocol."""

import itertools

import numpy as np


def box_of(corners: np.ndarray, shape: tuple[int, int, int]) -> list[list[int]]:
    """The voxels under a rectangle, first and the one behind the last of each axis.

    Args:
        corners: (4, 3) in voxels of the volume; equal along the axis across which the slice is shown.
        shape: Of the volume.

    Raises:
        ValueError: If the rectangle lies on no single slice, or outside.
    """
    corners = np.asarray(corners, float)
    if corners.ndim != 2 or corners.shape[1] != 3:
        raise ValueError("draw the rectangle on a volume, with one slice shown")
    low, high = np.rint(corners.min(0)).astype(int), np.rint(corners.max(0)).astype(int) + 1
    if not (np.ptp(np.rint(corners), axis=0) == 0).any():
        raise ValueError("a rectangle must lie on one slice")
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if (low >= high).any():
        raise ValueError("a rectangle must lie in the volume")
    return [[int(a), int(b)] for a, b in zip(low, high, strict=True)]


def line_of(path: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, list[list[int]]]:
    """The voxels that a path passes, as a mask of the box around it, and that box.

    Args:
        path: (K, 3) in voxels of the volume.
        shape: Of the volume.

    Raises:
        ValueError: If the path lies outside.
    """
    path = np.asarray(path, float).reshape(-1, 3)
    pieces = [path[:1]]
    for start, end in itertools.pairwise(path):
        steps = int(np.ceil(np.abs(end - start).max())) + 1
        pieces.append(start + np.linspace(0, 1, steps)[:, None] * (end - start))
    voxels = np.rint(np.concatenate(pieces)).astype(int)
    voxels = voxels[((voxels >= 0) & (voxels < shape)).all(1)]
    if not len(voxels):
        raise ValueError("a path must lie in the volume")
    low, high = voxels.min(0), voxels.max(0) + 1
    mask = np.zeros(high - low, np.uint8)
    mask[tuple((voxels - low).T)] = 1
    return mask, [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
