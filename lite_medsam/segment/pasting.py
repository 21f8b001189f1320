"""Where in its frame a mask lies, so that only that part of the logits is kept and enlarged."""

import math

import numpy as np

from lite_medsam.model.preprocessing import Frame, logits_to_window

# a part of the window larger than this share is cheaper to cut out of the whole: OpenCV's resize is faster than numpy's
_WHOLE_SHARE = 0.2


def support(logits: np.ndarray, threshold: float) -> tuple[int, int, int, int] | None:
    """The smallest rectangle around all values above a threshold.

    Args:
        logits: (h, w).
        threshold: A value at it is not above it.

    Returns:
        First row, first column, last row, last column; None if there is no such value.
    """
    above = logits > threshold
    rows = np.flatnonzero(above.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(above[rows[0] : rows[-1] + 1].any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])


def mask_place(logits: np.ndarray, frame: Frame, threshold: float) -> tuple[slice, slice]:
    """Rows and columns of the image outside which a mask is empty; both empty for an empty mask.

    Args:
        logits: (M, M) float32 of the frame.
        frame: The model frame.
        threshold: Of the mask.
    """
    scaled_h, scaled_w = _scaled_hw(logits, frame)
    found = support(logits[:scaled_h, :scaled_w], threshold)
    if found is None:
        return slice(0, 0), slice(0, 0)
    rows, columns = (found[0], found[2]), (found[1], found[3])
    if _is_coarser(logits, frame):
        rows, columns = (_reach(*span, logits.shape[0], frame.size) for span in (rows, columns))
        scaled_h, scaled_w = frame.scaled_hw
        rows, columns = (rows[0], rows[1] - 1), (columns[0], columns[1] - 1)
    rows, columns = _reach(*rows, scaled_h, frame.height), _reach(*columns, scaled_w, frame.width)
    return slice(frame.y0 + rows[0], frame.y0 + rows[1]), slice(frame.x0 + columns[0], frame.x0 + columns[1])


def mask_part(logits: np.ndarray, frame: Frame, threshold: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """The logits at image resolution, of the part of a frame's window outside which none is above the threshold.

    Interpolation between model pixels never exceeds them, so pixels whose neighbours are all at or below the threshold
    need not be computed. Values are those of `logits_to_window` within float32 rounding.

    Args:
        logits: (M, M) float32 of the frame.
        frame: The model frame.
        threshold: Of the mask.

    Returns:
        `mask_place`, and the (h, w) float32 logits there.
    """
    place = mask_place(logits, frame, threshold)
    rows = place[0].start - frame.y0, place[0].stop - frame.y0
    columns = place[1].start - frame.x0, place[1].stop - frame.x0
    area = (rows[1] - rows[0]) * (columns[1] - columns[0])
    if not area:
        return place, np.zeros((0, 0), np.float32)
    if _is_coarser(logits, frame) or area > _WHOLE_SHARE * frame.height * frame.width:
        return place, logits_to_window(logits, frame)[slice(*rows), slice(*columns)]
    scaled_h, scaled_w = _scaled_hw(logits, frame)
    values = _interpolate(logits[:scaled_h], frame.height, rows)
    return place, _interpolate(values[:, :scaled_w].T, frame.width, columns).T


def _is_coarser(logits: np.ndarray, frame: Frame) -> bool:
    """Whether logits are brought to the frame's scale before the image's, so that no single scale leads to them."""
    return frame.fit != "stretch" and logits.shape[0] != frame.size


def _scaled_hw(logits: np.ndarray, frame: Frame) -> tuple[int, int]:
    """Rows and columns of the logits that show the image."""
    if frame.fit == "stretch":
        return logits.shape
    ratio = logits.shape[0] / frame.size
    return tuple(math.ceil(n * ratio) for n in frame.scaled_hw)


def _reach(first: int, last: int, source: int, target: int) -> tuple[int, int]:
    """First and end of the target pixels whose interpolation touches source pixels first..last."""
    scale = target / source
    start, end = (first - 0.5) * scale - 0.5, (last + 1.5) * scale - 0.5
    return max(0, int(np.floor(start))), min(target, int(np.ceil(end)) + 1)


def _interpolate(values: np.ndarray, target: int, span: tuple[int, int]) -> np.ndarray:
    """Rows span[0]..span[1] - 1 of `values` resized to `target` rows, linearly between pixel centres as OpenCV does."""
    places = (np.arange(*span) + 0.5) * (len(values) / target) - 0.5
    lower = np.floor(places).astype(np.intp)
    weight = (places - lower).astype(np.float32)[:, None]
    below = np.clip(lower, 0, len(values) - 1)
    above = np.clip(lower + 1, 0, len(values) - 1)
    return values[below] * (1 - weight) + values[above] * weight
