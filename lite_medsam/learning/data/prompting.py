"""Prompts for training, made in the model frame: what a user would say, and where they would click next."""

import cv2
import numpy as np

from lite_medsam.learning.network.model import BACKGROUND, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, OBJECT, PADDING


def simulate_tokens(
    mask: np.ndarray, jitter: tuple[float, float], mixed: bool, rng: np.random.Generator, stroke_share: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Prompt tokens for one object.

    Args:
        mask: (S, S) float32, share of each pixel covered, not empty.
        jitter: Inward and outward limit of each side's move, as a share of the box.
        mixed: False: a box alone. True: a box (30 %), 1 to 3 clicks (45 %), or a box with clicks (25 %).
        rng: Source of randomness.
        stroke_share: Share of the mixed prompts that are points along a stroke instead.

    Returns:
        (P, 2) float32 coordinates and (P,) float32 labels; P = 2 for boxes alone, else 5 with padding.
    """
    core = mask > min(0.5, 0.5 * mask.max())
    rows, columns = np.flatnonzero(core.any(1)), np.flatnonzero(core.any(0))
    low = np.array([columns[0], rows[0]], np.float32)
    high = np.array([columns[-1], rows[-1]], np.float32)
    extent = high - low + 1
    box = np.stack([low - extent * rng.uniform(*jitter, 2) - 0.5, high + extent * rng.uniform(*jitter, 2) + 0.5])
    box = np.clip(box, -0.5, mask.shape[0] - 0.5).astype(np.float32)
    box_labels = np.array([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], np.float32)
    if not mixed:
        return box, box_labels
    coords = np.zeros((5, 2), np.float32)
    labels = np.full(5, PADDING, np.float32)
    if stroke_share and rng.random() < stroke_share:
        stroke = _stroke(core, len(coords), rng)
        coords[: len(stroke)], labels[: len(stroke)] = stroke, OBJECT
        return coords, labels
    kind = rng.random()
    if kind < 0.55:
        coords[:2], labels[:2] = box, box_labels
    if kind >= 0.30:
        clicks = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
        for i in range(clicks):
            coords[2 + i], labels[2 + i] = _random_click(core, i == 0 or rng.random() < 0.5, rng)
    return coords, labels


def _stroke(core: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `most` points, evenly along a straight stroke between two random pixels of the object, on the object."""
    ys, xs = np.nonzero(core)
    first, last = rng.integers(len(ys), size=2)
    along = np.linspace(0, 1, most)[:, None]
    points = np.array([xs[first], ys[first]]) * (1 - along) + np.array([xs[last], ys[last]]) * along
    nearest = np.rint(points).astype(int)
    return points[core[nearest[:, 1], nearest[:, 0]]].astype(np.float32)


def _random_click(core: np.ndarray, on_object: bool, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A click on the object, at its middle in half of the cases, or on the background close to it."""
    region = core
    if not on_object:
        near = cv2.dilate(core.view(np.uint8), np.ones((25, 25), np.uint8)).view(bool)
        region = near & ~core if (near & ~core).any() else ~core
    if not region.any():
        region, on_object = core, True
    if on_object and rng.random() < 0.5:
        distance = cv2.distanceTransform(np.pad(region, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(distance.argmax(), distance.shape)
    else:
        ys, xs = np.nonzero(region)
        pick = rng.integers(len(ys))
        y, x = ys[pick], xs[pick]
    return np.array([x, y], np.float32), OBJECT if on_object else BACKGROUND


def error_click(
    logits: np.ndarray, targets: np.ndarray, valid: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One click per prompt where the answer is wrong; on the object where nothing is.

    Half of the clicks go to the middle of the largest wrong region, as a user would do; the others anywhere in it.

    Args:
        logits: (N, S, S) float32.
        targets: (N, S, S) float32.
        valid: (N, S, S) bool.
        rng: Source of randomness.

    Returns:
        (N, 1, 2) float32 coordinates and (N, 1) float32 kinds.
    """
    coords = np.zeros((len(logits), 1, 2), np.float32)
    kinds = np.zeros((len(logits), 1), np.float32)
    for i, (logit, target, exists) in enumerate(zip(logits, targets, valid, strict=True)):
        truth = target > min(0.5, 0.5 * target.max())
        wrong = ((logit > 0) != truth) & exists
        region = _largest_component(wrong) if wrong.any() else truth
        distance = cv2.distanceTransform(np.pad(region, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        if rng.random() < 0.5:
            distance = distance * rng.random(distance.shape, np.float32)
        y, x = np.unravel_index(distance.argmax(), distance.shape)
        coords[i, 0] = x, y
        kinds[i, 0] = OBJECT if truth[y, x] else BACKGROUND
    return coords, kinds


def _largest_component(mask: np.ndarray) -> np.ndarray:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
