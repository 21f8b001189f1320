"""All layers of a B-scan at once: from the top down in their order, none crossing another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.prompts.prompt_object import Box, Prompt, corners_of
from lite_medsam.segment.predictor import Predictor

STATED = (
    "layers are put in order after segmentation: in each A-scan the boundaries, none above the one before, that the layers' "
    "logits fit best; boundaries are smoothed by a median over A-scans"
)


@dataclass(frozen=True, eq=False)
class OrderedLayers:
    """Layers of one B-scan.

    Attributes:
        names: From top to bottom.
        boundaries: (N + 1, W) integers, never falling from one row to the next: layer i is rows boundaries[i] to
            boundaries[i + 1] - 1; equal ones: the layer is not there in this A-scan.
        height: H of the B-scan.
        changed: Share of the pixels of any layer whose layer is another one than that of the highest logit.
    """

    names: tuple[str, ...]
    boundaries: np.ndarray
    height: int
    changed: float

    def label_map(self) -> np.ndarray:
        """(H, W) uint8: layer i has the value i + 1."""
        rows = np.arange(self.height)[:, None]
        labels = np.zeros((self.height, self.boundaries.shape[1]), np.uint8)
        for boundary in self.boundaries[:-1]:
            labels += (rows >= boundary).astype(np.uint8)
        labels[rows >= self.boundaries[-1]] = 0
        return labels

    def record(self) -> dict:
        """What was done to the masks, for the record of a result."""
        return {"post_processing": STATED, "layers": list(self.names), "pixels_changed": round(self.changed, 4)}


def order_layers(logits: np.ndarray, names: Sequence[str], smooth_px: int = 1) -> OrderedLayers:
    """The ordered layers that fit given maps best.

    In each A-scan the boundaries b0 <= b1 <= ... <= bN maximise the sum of logits[i] over rows b(i) to b(i + 1) - 1; what lies
    outside all layers adds nothing. Found exactly, by dynamic programming over the rows. A median over A-scans keeps the order.

    Args:
        logits: (N, H, W) from the top layer to the bottom one, positive inside; masks as 1 and -1 do as well.
        names: One per layer.
        smooth_px: Odd width of the median over A-scans; 1 for none.

    Raises:
        CaseError: If an argument is not as above.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 3 or len(logits) != len(names) or not np.isfinite(logits).all():
        raise CaseError(f"logits must be finite (N, H, W) for {len(names)} layers, got shape {logits.shape}")
    if smooth_px < 1 or smooth_px % 2 == 0:
        raise CaseError(f"smooth_px must be odd and at least 1, got {smooth_px}")
    count, height, width = logits.shape
    sums = np.concatenate([np.zeros((count, 1, width)), np.cumsum(logits, 1)], 1)  # (N, H + 1, W)
    best = np.zeros((height + 1, width))
    came_from = np.empty((count, height + 1, width), np.int64)
    rows = np.arange(height + 1)[:, None]
    for i in range(count):
        start = best - sums[i]
        highest = np.maximum.accumulate(start, 0)
        is_new = np.concatenate([np.ones((1, width), bool), start[1:] > highest[:-1]])
        came_from[i] = np.maximum.accumulate(np.where(is_new, rows, 0), 0)
        best = highest + sums[i]
    boundaries = np.empty((count + 1, width), np.int64)
    boundaries[count] = best.argmax(0)
    for i in reversed(range(count)):
        boundaries[i] = np.take_along_axis(came_from[i], boundaries[i + 1][None], 0)[0]
    if smooth_px > 1:
        from scipy import ndimage

        boundaries = ndimage.median_filter(boundaries, (1, smooth_px), mode="nearest")
    ordered = OrderedLayers(tuple(names), boundaries, height, 0.0)
    plain = np.where(logits.max(0) > 0, logits.argmax(0) + 1, 0)
    labels = ordered.label_map()
    either = (plain > 0) | (labels > 0)
    changed = float((plain != labels)[either].mean()) if either.any() else 0.0
    return OrderedLayers(tuple(names), boundaries, height, changed)


def segment_layers(
    predictor: Predictor, image: np.ndarray, box: Sequence[float], targets: Sequence[str], smooth_px: int = 5
) -> OrderedLayers:
    """All named layers within one box around the retina of a B-scan, each asked for by its name.

    Asked twice: with the one box for all, then each layer with the box that it was found in.

    Args:
        predictor: A model that knows names.
        image: (H, W) uint8.
        box: x0 y0 x1 y1 around the retina, last pixel inside.
        targets: Names that the model knows, from top to bottom.
        smooth_px: See `order_layers`.

    Raises:
        PromptError: If the model does not know a name, or the box does not fit the image.
    """
    first = order_layers(layer_logits(predictor, image, [corners_of(box)] * len(targets), targets), targets, smooth_px)
    boxes = [_box_of(first, i) or corners_of(box) for i in range(len(targets))]
    return order_layers(layer_logits(predictor, image, boxes, targets), targets, smooth_px)


def layer_logits(predictor: Predictor, image: np.ndarray, boxes: Sequence[Box], targets: Sequence[str]) -> np.ndarray:
    """(N, H, W) logits of the targets, each asked for with its box; cut off at 10, where a layer is sure."""
    prompts = [Prompt(box=box, target=target) for box, target in zip(boxes, targets, strict=True)]
    prediction = predictor.segment(image, prompts)
    threshold = predictor.spec.mask_threshold
    return np.stack([np.clip(prediction.image_logits(i) - threshold, -10, 10) for i in range(len(targets))])


def _box_of(layers: OrderedLayers, index: int) -> Box | None:
    """The box of one layer; None where it was not found."""
    top, bottom = layers.boundaries[index], layers.boundaries[index + 1]
    there = np.flatnonzero(bottom > top)
    if not len(there):
        return None
    return corners_of((there[0], top[there].min(), there[-1], bottom[there].max() - 1))


def segment_layers_through(
    predictor: Predictor, volume: np.ndarray, box: Sequence[float], targets: Sequence[str], smooth_px: int = 5
) -> list[OrderedLayers]:
    """The layers of every B-scan of a volume: the box is that of the middle one, and moves up and down with the retina.

    Args:
        predictor: A model that knows names.
        volume: (D, H, W) uint8.
        box: x0 y0 x1 y1 around the retina on the middle B-scan.
        targets: Names from top to bottom.
        smooth_px: See `order_layers`.
    """
    middle, height = len(volume) // 2, volume.shape[1]
    found: dict[int, OrderedLayers] = {}
    for path in (range(middle, len(volume)), range(middle - 1, -1, -1)):
        x0, y0, x1, y1 = corners_of(box)
        top = _middle_row(found[middle]) if middle in found else None
        for z in path:
            found[z] = segment_layers(predictor, volume[z], (x0, y0, x1, y1), targets, smooth_px)
            here = _middle_row(found[z])
            shift = 0.0 if top is None or here is None else float(np.clip(here - top, -y0, height - 1 - y1))
            y0, y1, top = y0 + shift, y1 + shift, top if here is None else here
    return [found[z] for z in range(len(volume))]


def _middle_row(layers: OrderedLayers) -> float | None:
    """Median row of the middle of all layers; None where none was found."""
    there = layers.boundaries[-1] > layers.boundaries[0]
    middle = (layers.boundaries[0] + layers.boundaries[-1]) / 2
    return float(np.median(middle[there])) if there.any() else None
