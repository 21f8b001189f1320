"""Slices with all their grey values, for windows of the screen that the model does not see."""

import base64

import cv2
import numpy as np

from lite_medsam.images.png_writing import png_bytes
from lite_medsam.session.interactive import Session

MAX_CODE = 65535


def data_url(pixels: np.ndarray, compression: int = 3) -> str:
    """An image as the data URL of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(pixels, compression)).decode()


def shown_smaller(pixels: np.ndarray, step: int) -> np.ndarray:
    """Every step x step pixels as their mean."""
    if step == 1:
        return pixels
    height, width = (-(-n // step) for n in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def packed(values: np.ndarray, value_range: tuple[float, float]) -> tuple[np.ndarray, float, float]:
    """Grey values as 16-bit codes in a picture that a browser can read: red is the upper byte, green the lower one.

    Args:
        values: (H, W) numbers; NaN is the lowest.
        value_range: Of all slices. Whole numbers less than 65536 apart keep their value, others are rounded.

    Returns:
        (H, W, 3) uint8, and `low` and `step`: a value is low + step * code.
    """
    low, high = value_range
    whole = values.dtype.kind in "iu" and high - low <= MAX_CODE
    step = 1.0 if whole else max(high - low, 1e-30) / MAX_CODE
    exact = np.nan_to_num((values.astype(np.float64) - low) / step, nan=0.0, posinf=MAX_CODE, neginf=0.0)
    codes = np.clip(np.rint(exact), 0, MAX_CODE).astype(np.uint16)
    picture = np.zeros((*codes.shape, 3), np.uint8)
    picture[..., 0], picture[..., 1] = codes >> 8, codes & 255
    return picture, float(low), float(step)


def values_view(session: Session, index: int, step: int, value_range: tuple[float, float]) -> dict:
    """One grey slice with all its values, and centre and width of the window that the model sees it through.

    Args:
        session: Of a grey scan.
        index: The slice.
        step: Image pixels per shown pixel.
        value_range: Of the whole scan.
    """
    session.check_slice(index)
    values = session.scan.values[index] if session.scan.is_volume else session.scan.values
    shown = values if step == 1 else shown_smaller(values.astype(np.float32), step)
    picture, low, size = packed(shown, value_range)
    return {
        "png": data_url(picture),
        "low": low,
        "step": size,
        "window": list(session.window or seen_through(values, session.pixels(index), value_range)),
    }


def seen_through(values: np.ndarray, pixels: np.ndarray, value_range: tuple[float, float]) -> tuple[float, float]:
    """Centre and width of the line that leads from values to pixels, where both change; else of all values."""
    between = (pixels > 0) & (pixels < 255)
    x, y = values[between].astype(np.float64), pixels[between].astype(np.float64)
    if x.size and np.ptp(x) > 0 and np.ptp(y) > 0:
        slope, offset = np.polyfit(x, y, 1)
        if slope > 0:
            return float((127.5 - offset) / slope), float(255 / slope)
    low, high = value_range
    return (low + high) / 2, max(high - low, 1.0)
