"""Pixel values of any number type to uint8, by one rule for images, volumes, training and use."""

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.no_data import STRETCH_PERCENTILES, is_kept, limits_beside, no_data_values
from lite_medsam.images.value_counts import is_narrow, pieces, value_counts


def to_uint8(array: np.ndarray) -> np.ndarray:
    """Maps an image of any number type to uint8.

    * uint8: kept as it is. bool: False -> 0, True -> 255.
    * 16-bit integers, other integers and floats: linear from the 0.5 and 99.5 percentiles (over all pixels
      and channels together, so hues stay) to 0 and 255, clipped and rounded. Where these percentiles are
      equal (a few bright spots on an empty ground) the minimum and maximum take their place. A constant image
      becomes zeros.
    * A ground of one far number (see `no_data_values`) has no part in that; it becomes 0, or 255 where it is the type's
      largest number or not known as a mark.
    * 8-bit values in a wide type, as arithmetic leaves them (32 or 64 bits, whole numbers from 0 to 255, at
      least one above 1, not constant): kept as they are.
    * (H, W, 4) and (H, W, 2), the last channel being alpha: mapped as above over the pixels that are not
      fully transparent, then multiplied by alpha, that is laid over black. Alpha counts up to 1, 255 or
      65535: what its type says, else the first of these that its largest value does not exceed. An alpha that
      is zero everywhere is ignored.

    Args:
        array: (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4), any integer, float or bool type.

    Returns:
        (H, W) or (H, W, 3) uint8; a uint8 input without alpha is not copied.

    Raises:
        CaseError: If the shape or type is another one, the array is empty, or a value is NaN or infinite.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise CaseError(f"an image must be (H, W), (H, W, 3) or (H, W, 4), got shape {array.shape}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2 or array.shape[2] == 3:
        return stretch_to_uint8(array)
    _check_values(array)
    colour, alpha = array[..., :-1], array[..., -1]
    if colour.shape[2] == 1:
        colour = colour[..., 0]
    opacity = (alpha / _alpha_scale(alpha)).astype(np.float32)
    visible = alpha > 0
    if not visible.any():
        return stretch_to_uint8(colour)
    mapped = stretch_to_uint8(colour, visible)
    return np.rint(mapped * (opacity if mapped.ndim == 2 else opacity[..., None])).astype(np.uint8)


def stretch_to_uint8(array: np.ndarray, counted: np.ndarray | None = None, padded: int = 0) -> np.ndarray:
    """The value mapping of `to_uint8` for an array of any shape, such as a volume (one mapping for all
    slices).

    Args:
        array: Any shape, any integer, float or bool type.
        counted: (H, W) bool, the pixels that the percentiles are taken over; None for all.
        padded: So many values are the smallest one because nothing was measured there; they have no part in the percentiles.

    Returns:
        uint8 of the same shape.

    Raises:
        CaseError: If the type is no number type, the array is empty, or a value is NaN or infinite.
    """
    _check_values(array)
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    sample = array if counted is None else array[counted]
    marks = no_data_values(sample)
    low, high = limits_beside(sample, marks)
    if low == high:
        mapped = np.zeros(array.shape, np.uint8)
    elif array.dtype.itemsize >= 4 and low >= 0 and 1 < high <= 255 and _is_whole(sample, marks):
        mapped = np.clip(array, 0, 255).astype(np.uint8)
    else:
        mapped = _mapped(array, *_stretch_range(sample, marks, padded))
    for value, is_ground in marks.items():
        mapped[array == value] = 0 if is_ground else 255
    return mapped


def _mapped(array: np.ndarray, low: float, high: float) -> np.ndarray:
    mapped, done = np.empty(array.size, np.uint8), 0
    table = _linear(_all_values(array.dtype), low, high) if is_narrow(array.dtype) else None
    for piece in pieces(array):
        # (a negative value counts from the end of the table, which is where _all_values has it)
        mapped[done : done + piece.size] = _linear(piece, low, high) if table is None else table[piece]
        done += piece.size
    return mapped.reshape(array.shape)


def _all_values(dtype: np.dtype) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.concatenate([np.arange(limits.max + 1), np.arange(limits.min, 0)])


def _linear(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = values.astype(np.float64)  # float32 could not tell 32-bit values with a large offset apart
    if max(abs(low), abs(high)) > 1e300:  # high - low would overflow
        scaled, low, high = scaled / 4, low / 4, high / 4
    np.clip(scaled, low, high, out=scaled)
    scaled -= low
    scaled /= high - low
    scaled *= 255
    return np.rint(scaled, out=scaled).astype(np.uint8)


def _stretch_range(sample: np.ndarray, marks: dict[float, bool], padded: int) -> tuple[float, float]:
    """The two percentiles: the smallest values that at least that share of the sample does not exceed."""
    shares = np.array(STRETCH_PERCENTILES) / 100
    if is_narrow(sample.dtype):  # counting is ten times faster than sorting
        counts, offset = value_counts(sample)
        for value in marks:
            counts[int(value) - offset] = 0
        if padded:
            lowest = int(np.flatnonzero(counts)[0])
            counts[lowest] -= min(padded, counts[lowest])
        low, high = (np.searchsorted(np.cumsum(counts), np.ceil(shares * counts.sum())) + offset).tolist()
    else:
        kept = sample[is_kept(sample, marks)] if marks else sample
        if padded:
            padded = min(padded, kept.size - 1)
            ranks = padded + np.ceil(shares * (kept.size - padded)).astype(np.int64) - 1
            low, high = np.partition(kept, ranks, axis=None)[ranks].tolist()
        else:
            low, high = np.percentile(kept, STRETCH_PERCENTILES, method="inverted_cdf").tolist()
    if low == high:
        low, high = limits_beside(sample, marks)
    return float(low), float(high)


def _is_whole(values: np.ndarray, marks: dict[float, bool]) -> bool:
    if values.dtype.kind in "iu":
        return True
    rounded = values == np.rint(values)
    return bool((rounded | ~is_kept(values, marks)).all() if marks else rounded.all())


def _alpha_scale(alpha: np.ndarray) -> float:
    by_type = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}.get(alpha.dtype.name)
    if by_type:
        return by_type
    low, high = alpha.min(), alpha.max()
    for scale in (1.0, 255.0, 65535.0):
        if low >= 0 and high <= scale:
            return scale
    raise CaseError(f"an alpha channel must lie in 0..1, 0..255 or 0..65535, got {low} to {high}")


def _check_values(array: np.ndarray) -> None:
    if array.dtype.kind not in "buif":
        raise CaseError(f"an image must be of an integer, float or bool type, got {array.dtype}")
    if array.size == 0:
        raise CaseError(f"an image must have pixels, got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = array.size - np.count_nonzero(np.isfinite(array))
        raise CaseError(f"an image must not hold NaN or infinite values, got {bad} of {array.size}; replace them first")
