"""What a box alone is worth: masks made without any learning, the floor that a model must clear."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from lite_medsam.errors import PromptError

_GRABCUT_SIDE_PX = 256  # longest side of the crop that GrabCut works on; its time grows with the area
_GRABCUT_ITERATIONS = 5
_GRABCUT_MARGIN = 0.5  # of the box's longer side, on every side: where GrabCut learns the background
# of the box: with less GrabCut has collapsed, as it often does on grey images with a similar background
_GRABCUT_LEAST = 0.05


def filled_box(image_hw: tuple[int, int], box: Sequence[float]) -> np.ndarray:
    """The box itself as a mask.

    Args:
        image_hw: Height and width of the image.
        box: x0 y0 x1 y1 in pixel indices, last pixel inside, fractions allowed: a pixel belongs to the box if
            its centre lies in [x0 - 0.5, x1 + 0.5] x [y0 - 0.5, y1 + 0.5].

    Returns:
        (H, W) bool, never empty.

    Raises:
        PromptError: If the box is not four finite numbers in order, or lies outside the image.
    """
    mask = np.zeros(image_hw, dtype=bool)
    rows, columns = _pixels(image_hw, box)
    mask[rows, columns] = True
    return mask


def inscribed_ellipse(image_hw: tuple[int, int], box: Sequence[float]) -> np.ndarray:
    """The axis-parallel ellipse that touches the four sides of the box.

    Args:
        image_hw: Height and width of the image.
        box: x0 y0 x1 y1 in pixel indices, last pixel inside; clipped at the image, where the ellipse is cut
            off.

    Returns:
        (H, W) bool: pixels whose centre lies in the ellipse. The filled box where the ellipse holds no pixel
        of the image, as for a corner of a box that barely reaches into it.

    Raises:
        PromptError: If the box is not four finite numbers in order, or lies outside the image.
    """
    rows, columns = _pixels(image_hw, box)
    x0, y0, x1, y1 = (float(value) for value in box)
    y = (np.arange(rows.start, rows.stop) - (y0 + y1) / 2) / ((y1 - y0 + 1) / 2)
    x = (np.arange(columns.start, columns.stop) - (x0 + x1) / 2) / ((x1 - x0 + 1) / 2)
    inside = y[:, None] ** 2 + x[None, :] ** 2 <= 1
    if not inside.any():
        return filled_box(image_hw, box)
    mask = np.zeros(image_hw, dtype=bool)
    mask[rows, columns] = inside
    return mask


def grabcut(image: np.ndarray, box: Sequence[float], seed: int = 0) -> np.ndarray:
    """GrabCut (Rother, Kolmogorov, Blake 2004) started from the box, on a crop around it.

    The crop is the box with half its longer side added around it, shrunk so that its longer side is at most
    256 px. OpenCV's generator is set to `seed` first: the same input gives the same mask.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        box: x0 y0 x1 y1 in pixel indices, last pixel inside; clipped at the image.
        seed: Of OpenCV's random numbers, which are one per thread.

    Returns:
        (H, W) bool, inside the box; the filled box where GrabCut finds less than 5 % of it (a collapse), has
        no background to learn from (the box fills the image) or too few pixels for its five Gaussians.

    Raises:
        ValueError: If the image is not as above.
        PromptError: If the box is not four finite numbers in order, or lies outside the image.
    """
    _check_image(image)
    image_hw = image.shape[:2]
    rows, columns = _pixels(image_hw, box)
    margin = max(8, round(_GRABCUT_MARGIN * max(rows.stop - rows.start, columns.stop - columns.start)))
    top, left = max(0, rows.start - margin), max(0, columns.start - margin)
    crop = image[top : rows.stop + margin, left : columns.stop + margin]
    inner_rows = slice(rows.start - top, rows.stop - top)
    inner_columns = slice(columns.start - left, columns.stop - left)

    found = _grabcut_in_crop(crop, inner_rows, inner_columns, seed)
    if found.mean() < _GRABCUT_LEAST:
        return filled_box(image_hw, box)
    mask = np.zeros(image_hw, dtype=bool)
    mask[rows, columns] = found
    return mask


def best_threshold(image: np.ndarray, box: Sequence[float], truth: np.ndarray) -> np.ndarray:
    """The grey-level threshold in the box that fits the truth best: an oracle, since it chooses by the truth.

    It tells how much of an object is told by brightness alone: no choice of threshold and of polarity (brighter or darker
    than it) in this box has a higher Dice. Colours are reduced to grey (Rec. 601).

    Args:
        image: (H, W) or (H, W, 3) uint8, RGB.
        box: x0 y0 x1 y1 in pixel indices, last pixel inside; clipped at the image.
        truth: (H, W) bool; pixels outside the box count as missed.

    Returns:
        (H, W) bool, inside the box, never empty; among equals the larger mask, the brighter polarity.

    Raises:
        ValueError: If the image is not as above or the truth has another shape.
        PromptError: If the box is not four finite numbers in order, or lies outside the image.
    """
    _check_image(image)
    if truth.shape != image.shape[:2] or truth.dtype != bool:
        raise ValueError(f"truth must be (H, W) bool of the image's shape, got {truth.dtype} {truth.shape}")
    grey = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    window = _pixels(image.shape[:2], box)
    levels, inside = grey[window], truth[window]
    every = np.bincount(levels.ravel(), minlength=256)
    hits = np.bincount(levels[inside], minlength=256)
    # index t: pixels >= t, then pixels <= t
    brighter = [np.cumsum(counts[::-1])[::-1] for counts in (hits, every)]
    darker = [np.cumsum(counts) for counts in (hits, every)]
    overlap, size = (np.concatenate(pair) for pair in zip(brighter, darker, strict=True))
    score = np.where(size > 0, 2 * overlap / (size + np.count_nonzero(truth)), -1.0)
    best = max(range(512), key=lambda index: (score[index], size[index], -index))
    mask = np.zeros(image.shape[:2], bool)
    mask[window] = levels >= best if best < 256 else levels <= best - 256
    return mask


@dataclass(frozen=True, eq=False)
class BaselinePrediction:
    """Masks of a baseline, (N, H, W) bool; it predicts no IoU."""

    stack: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        return np.full(len(self.stack), np.nan, np.float32)

    def __len__(self) -> int:
        return len(self.stack)

    def mask(self, index: int) -> np.ndarray:
        return self.stack[index]


class BaselineSegmenter:
    """Segments from boxes without a model: what any model must beat.

    Args:
        kind: "box" (the filled box), "ellipse" (the inscribed ellipse) or "grabcut".

    Raises:
        ValueError: If `kind` is none of these.
    """

    KINDS = ("box", "ellipse", "grabcut")

    def __init__(self, kind: str):
        if kind not in self.KINDS:
            raise ValueError(f"baseline must be one of {', '.join(self.KINDS)}, got {kind!r}")
        self.kind = kind

    def segment(self, image: np.ndarray, prompts: Sequence[Any]) -> BaselinePrediction:
        """Makes one mask per prompt from its box; points and previous masks are not looked at.

        Args:
            image: (H, W) or (H, W, 3) uint8.
            prompts: Each a `Prompt` with a box.

        Raises:
            PromptError: If a prompt has no box.
        """
        stack = np.zeros((len(prompts), *image.shape[:2]), bool)
        for index, prompt in enumerate(prompts):
            if prompt.box is None:
                raise PromptError(f"the {self.kind} baseline needs a box for every object, got none; prompt with boxes")
            if self.kind == "box":
                stack[index] = filled_box(image.shape[:2], prompt.box)
            elif self.kind == "ellipse":
                stack[index] = inscribed_ellipse(image.shape[:2], prompt.box)
            else:
                stack[index] = grabcut(image, prompt.box)
        return BaselinePrediction(stack)


class ThresholdOracle:
    """Segments with `best_threshold`: it is shown the truth, so it is no method, only a bound on what brightness tells.

    Args:
        truths: (H, W) bool by prompt name.
    """

    def __init__(self, truths: Mapping[str, np.ndarray]):
        self._truths = truths

    def segment(self, image: np.ndarray, prompts: Sequence[Any]) -> BaselinePrediction:
        """Makes one mask per prompt from its box and the truth of its name.

        Raises:
            PromptError: If a prompt has no box, or a name without a truth.
        """
        stack = np.zeros((len(prompts), *image.shape[:2]), bool)
        for index, prompt in enumerate(prompts):
            if prompt.box is None or prompt.name not in self._truths:
                raise PromptError(f"the threshold oracle needs a box and a known name, got {prompt.box}, {prompt.name}")
            stack[index] = best_threshold(image, prompt.box, self._truths[prompt.name])
        return BaselinePrediction(stack)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        got = f"{image.dtype} {image.shape}"
        raise ValueError(f"image must be uint8 (H, W) or (H, W, 3), got {got}; convert it with to_uint8")


def _grabcut_in_crop(crop: np.ndarray, rows: slice, columns: slice, seed: int) -> np.ndarray:
    """GrabCut's object inside crop[rows, columns], same shape as that, bool; all False if it found none."""
    scale = min(1.0, _GRABCUT_SIDE_PX / max(crop.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in crop.shape[:2])
    small = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else crop
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)  # channel order is free: the colour model is the same
    top, bottom = _scaled(rows, height / crop.shape[0])
    left, right = _scaled(columns, width / crop.shape[1])
    classes = np.zeros((height, width), dtype=np.uint8)
    rectangle = (left, top, right - left, bottom - top)
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(
            np.ascontiguousarray(small),
            classes,
            rectangle,
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            _GRABCUT_ITERATIONS,
            cv2.GC_INIT_WITH_RECT,
        )
    except cv2.error:  # no background, or fewer pixels than Gaussians
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    found: np.ndarray = np.isin(classes, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    if scale < 1:
        found = cv2.resize(found, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return found[rows, columns] >= 0.5


def _scaled(pixels: slice, factor: float) -> tuple[int, int]:
    """First pixel and end of a range of pixels after resizing by `factor`, at least one pixel."""
    first = int(pixels.start * factor)
    return first, max(first + 1, round(pixels.stop * factor))


def _pixels(image_hw: tuple[int, int], box: Sequence[float]) -> tuple[slice, slice]:
    """The rows and columns of the image whose pixel centres lie in the box."""
    corners = np.asarray(box, dtype=np.float64)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        raise PromptError(f"box must be four finite numbers x0 y0 x1 y1, got {box}")
    x0, y0, x1, y1 = corners
    if x1 < x0 or y1 < y0:
        raise PromptError(f"box must be x0 y0 x1 y1 with x0 <= x1 and y0 <= y1, got {box}; swap the corners")
    height, width = image_hw
    rows = slice(max(0, int(np.ceil(y0 - 0.5))), min(height, int(np.floor(y1 + 0.5)) + 1))
    columns = slice(max(0, int(np.ceil(x0 - 0.5))), min(width, int(np.floor(x1 + 0.5)) + 1))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise PromptError(f"box must overlap the image of {width} x {height} pixels, got {box}")
    return rows, columns
