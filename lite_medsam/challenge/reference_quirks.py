"""LiteMedSAM's own pipeline, defects included, to repeat the numbers that were published with it.

What it does otherwise than `Predictor`: boxes are scaled and then cut to whole numbers, which moves and shrinks them by up
to a model pixel; each box is decoded alone, in order; a pixel that several boxes claim goes to the last one; labels are
8-bit and wrap at 256. Volumes are followed slice by slice from the middle, each slice's box made from the mask before. Use
it to compare with published tables, not to segment.

What the difference amounts to, for a converted LiteMedSAM and npz cases with boxes:

    python -m lite_medsam.challenge.reference_quirks litemedsam CASE.npz ...
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lite_medsam.cases.case import load_case
from lite_medsam.errors import PromptError, WeightsError
from lite_medsam.evaluation.metrics import dice
from lite_medsam.model.encoding_cache import EncodingCache, image_key
from lite_medsam.model.preprocessing import Frame, boxes_to_model, to_model
from lite_medsam.model.runtime import Backend, open_backend
from lite_medsam.segment.checks import check_image
from lite_medsam.segment.predictor import Predictor

FAMILY = "litemedsam"
PROPAGATION_MARGIN = 3  # model pixels around the mask of the slice before


@dataclass(frozen=True, eq=False)
class QuirksEffect:
    """What the original's box handling changes on one image.

    Attributes:
        dice: (N,) Dice between the masks of both ways; NaN where both are empty.
        changed: (N,) share of the image's pixels that differ.
        area: (N,) area of the cut box over that of the exact one, in the model frame.
        shift_px: (N, 4) cut corners minus exact edges x0 y0 x1 y1, model pixels.
    """

    dice: np.ndarray
    changed: np.ndarray
    area: np.ndarray
    shift_px: np.ndarray


def segment_with_quirks(
    backend: Backend, image: np.ndarray, boxes: np.ndarray, cache: EncodingCache | None = None
) -> np.ndarray:
    """Masks of boxes as the original inference script makes them.

    Args:
        backend: A converted LiteMedSAM.
        image: (H, W, 3) uint8 RGB; (H, W) is repeated three times, where the original fails.
        boxes: (N, 4) x0 y0 x1 y1 in image pixels.
        cache: Where encodings are kept from call to call; the whole image is encoded as `Predictor` does it.

    Returns:
        (N, H, W) bool.

    Raises:
        WeightsError: If the model is no LiteMedSAM.
        CaseError: If the image has another type or shape.
        PromptError: If the boxes have another shape or are not finite.
    """
    _check_family(backend)
    check_image(image)
    boxes = _checked_boxes(boxes, 4, "x0 y0 x1 y1")
    features, frame = _encode(backend, image, cache)
    corners = truncated_boxes(boxes, image.shape[:2], frame.size)
    masks = [_mask(backend, features, frame, box) for box in corners]
    return np.stack(masks) if masks else np.zeros((0, *image.shape[:2]), bool)


def segment_volume_with_quirks(backend: Backend, volume: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The label map of a volume as the original inference script makes it.

    From the middle slice of a box upwards, then from the one below it downwards, each slice is prompted with the box of
    the mask before, 3 model pixels wider. The mask is shrunk by areas while it holds the object's number, so thin parts
    vanish for object 1 and stay for others. After an empty slice the box of the middle slice starts the object again. The
    last slice counts as inside on both ends. Every slice is encoded anew for every box.

    Args:
        backend: A converted LiteMedSAM.
        volume: (D, H, W) uint8.
        boxes: (N, 6) x0 y0 z0 x1 y1 z1.

    Returns:
        (D, H, W) uint8; later boxes win, object 256 wraps to 0.

    Raises:
        WeightsError: If the model is no LiteMedSAM.
        PromptError: If the boxes have another shape, or one spans a single slice, which the original cannot do.
    """
    _check_family(backend)
    boxes = _checked_boxes(boxes, 6, "x0 y0 z0 x1 y1 z1").astype(np.int64)
    segs = np.zeros(volume.shape, np.uint8)
    for number, (x0, y0, z0, x1, y1, z1) in enumerate(boxes, start=1):
        middle = int((z1 - z0) / 2 + z0)
        if not (0 <= z0 < z1 and middle < len(volume)):
            raise PromptError(
                f"box {number} must span several slices of the {len(volume)} for the original, got z from {z0} to {z1}"
            )
        value = np.uint8(number % 256)
        found = np.zeros(volume.shape, np.uint8)
        upwards = range(middle, min(z1 + 1, len(volume)))
        downwards = range(middle - 1, max(-1, z0 - 1), -1)
        for step, zs in ((1, upwards), (-1, downwards)):
            for z in zs:
                features, frame = _encode(backend, volume[z])
                before = None if z == middle else found[z - step]
                corners = None if before is None or not before.any() else _propagated_box(before, frame)
                if corners is None:
                    corners = truncated_boxes(np.array([(x0, y0, x1, y1)]), volume.shape[1:], frame.size)[0]
                found[z][_mask(backend, features, frame, corners)] = value
        segs[found > 0] = value
    return segs


def _propagated_box(mask: np.ndarray, frame: Frame) -> np.ndarray | None:
    """The box of a mask in the model frame, widened and held inside the square; None if shrinking left nothing."""
    scaled_h, scaled_w = frame.scaled_hw
    small = cv2.resize(mask, (scaled_w, scaled_h), interpolation=cv2.INTER_AREA)
    rows, columns = np.nonzero(small > 0)
    if not len(rows):
        return None
    low = np.maximum(0, (columns.min() - PROPAGATION_MARGIN, rows.min() - PROPAGATION_MARGIN))
    high = np.minimum(frame.size, (columns.max() + PROPAGATION_MARGIN, rows.max() + PROPAGATION_MARGIN))
    return np.array([*low, *high], np.float32)


def _check_family(backend: Backend) -> None:
    if backend.spec.architecture.family != FAMILY:
        raise WeightsError(
            f"--reference-quirks needs a converted LiteMedSAM, got {backend.spec.name}; see lite-medsam convert --help"
        )


def _checked_boxes(boxes: np.ndarray, columns: int, meaning: str) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != columns or not np.isfinite(boxes).all():
        raise PromptError(f"boxes must be (N, {columns}) finite numbers {meaning}, got shape {boxes.shape}")
    return boxes


def _encode(
    backend: Backend, image: np.ndarray, cache: EncodingCache | None = None
) -> tuple[tuple[np.ndarray, ...], Frame]:
    settings = backend.spec.preprocessing
    frame = Frame.for_model(image.shape[:2], settings)
    if cache is None:
        return backend.encode(to_model(image, frame, settings)[None]), frame
    key = image_key(image)
    features = cache.get(backend, key, frame)
    if features is None:
        features = backend.encode(to_model(image, frame, settings)[None])
        cache.put(backend, key, frame, features)
    return features, frame


def _mask(backend: Backend, features: tuple[np.ndarray, ...], frame: Frame, corners: np.ndarray) -> np.ndarray:
    """(H, W) bool mask of one box in the model frame."""
    scaled_h, scaled_w = frame.scaled_hw
    logits = _decode_box(backend, features, corners)[:scaled_h, :scaled_w]
    logits = cv2.resize(np.ascontiguousarray(logits), (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
    # in single precision a sigmoid above one half needs a logit above this, not above 0
    return _sigmoid(logits) > np.float32(0.5)


def truncated_boxes(boxes: np.ndarray, image_hw: tuple[int, int], size: int) -> np.ndarray:
    """Boxes in the model frame, cut to whole numbers towards 0: (N, 4) float32."""
    ratio = size / max(image_hw)
    return np.trunc(np.asarray(boxes, np.float64) * ratio).astype(np.float32)


def compare_with_quirks(backend: Backend, image: np.ndarray, boxes: np.ndarray) -> QuirksEffect:
    """The original's way against `Predictor`'s with the same weights.

    Args:
        backend: A converted LiteMedSAM.
        image: (H, W, 3) or (H, W) uint8 RGB.
        boxes: (N, 4) x0 y0 x1 y1 in image pixels, last pixel inside.
    """
    quirky = segment_with_quirks(backend, image, boxes)
    exact = Predictor(backend, "off").segment(image, boxes).masks()
    settings = backend.spec.preprocessing
    edges = boxes_to_model(boxes, Frame.for_model(image.shape[:2], settings))
    cut = truncated_boxes(boxes, image.shape[:2], settings.image_size)
    return QuirksEffect(
        np.array([dice(a, b) for a, b in zip(exact, quirky, strict=True)]),
        (quirky != exact).mean(axis=(1, 2)),
        _area(cut) / _area(edges),
        cut - edges,
    )


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def label_map_with_quirks(segs: np.ndarray) -> np.ndarray:
    """One 8-bit map for all masks: the last box wins, object 256 wraps to 0 and erases what was there.

    Args:
        segs: (N, H, W) bool from `segment_with_quirks`.
    """
    labels = np.zeros(segs.shape[1:], np.uint8)
    for i, mask in enumerate(segs, start=1):
        labels[mask] = np.uint8(i % 256)
    return labels


def _decode_box(backend: Backend, features: tuple[np.ndarray, ...], corners: np.ndarray) -> np.ndarray:
    side = backend.spec.preprocessing.mask_size
    logits, _ = backend.decode(
        features,
        corners.reshape(1, 2, 2),
        np.array([[2, 3]], np.float32),
        np.zeros((1, 1, side, side), np.float32),
        np.zeros(1, np.float32),
    )
    return logits[0, 0]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits, dtype=np.float32))


def main(arguments: Sequence[str]) -> None:
    """Prints what the quirks change: one line per case and one for all."""
    if len(arguments) < 2:
        sys.exit("usage: python -m lite_medsam.challenge.reference_quirks MODEL_DIR CASE.npz ...")
    backend = open_backend(arguments[0], threads=1)
    effects = []
    for path in map(Path, arguments[1:]):
        case = load_case(path)
        if case.boxes is None:
            sys.exit(f"{path.name} must hold boxes, holds none")
        effects.append(compare_with_quirks(backend, case.image, case.boxes))
        print(_summary(path.stem, effects[-1:]))
    print(_summary("all", effects))


def _summary(name: str, effects: Sequence[QuirksEffect]) -> str:
    scores = np.concatenate([e.dice for e in effects])
    changed = np.concatenate([e.changed for e in effects])
    area = np.concatenate([e.area for e in effects])
    shift = np.abs(np.concatenate([e.shift_px for e in effects]))
    return (
        f"{name}: {len(scores)} boxes, Dice between both ways {np.nanmean(scores):.4f} (lowest {np.nanmin(scores):.4f}), "
        f"pixels changed {changed.mean():.2%}, box area {area.mean():.1%} of the exact one, "
        f"corners moved {shift.mean():.2f} model px (at most {shift.max():.2f})"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
