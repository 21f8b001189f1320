"""Pixel values of any number type to uint8, by one rule for images, volumes, training and use."""

from collections.abc import Iterator

import numpy as np

from lite_medsam.errors import CaseError

STRETCH_PERCENTILES = (0.5, 99.5)


def to_uint8(array: np.ndarray) -> np.ndarray:
    """Maps an image of any number type to uint8.

    * uint8: kept as it is. bool: False -> 0, True -> 255.
    * 16-bit integers, other integers and floats: linear from the 0.5 and 99.5 percentiles (over all pixels
      and channels together, so hues stay) to 0 and 255, clipped and rounded. Where these percentiles are
      equal (a few bright spots on an empty ground) the minimum and maximum take their place. A constant image
      becomes zeros.
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


def stretch_to_uint8(array: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """The value mapping of `to_uint8` for an array of any shape, such as a volume (one mapping for all
    slices).

    Args:
        array: Any shape, any integer, float or bool type.
        counted: (H, W) bool, the pixels that the percentiles are taken over; None for all.

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
    low, high = sample.min(), sample.max()
    if low == high:
        return np.zeros(array.shape, np.uint8)
    if array.dtype.itemsize >= 4 and low >= 0 and 1 < high <= 255 and _is_whole(sample):
        return np.clip(array, 0, 255).astype(np.uint8)
    low, high = _stretch_range(sample)
    flat, mapped = array.reshape(-1), np.empty(array.size, np.uint8)
    table = _linear(_all_values(array.dtype), low, high) if _is_narrow(array.dtype) else None
    for part in _parts(array.size):
        # (a negative value counts from the end of the table, which is where _all_values has it)
        mapped[part] = _linear(flat[part], low, high) if table is None else table[flat[part]]
    return mapped.reshape(array.shape)


def _parts(size: int, step: int = 2**20) -> Iterator[slice]:
    """Piecewise work keeps the wide copies small: a 16-bit colour image would need 100 MB for each."""
    return (slice(start, start + step) for start in range(0, size, step))


def _is_narrow(dtype: np.dtype) -> bool:
    return dtype.kind in "iu" and dtype.itemsize <= 2


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


def _stretch_range(sample: np.ndarray) -> tuple[float, float]:
    """The two percentiles: the smallest values that at least that share of the sample does not exceed."""
    if _is_narrow(sample.dtype):  # counting is ten times faster than sorting
        offset, flat = int(np.iinfo(sample.dtype).min), sample.reshape(-1)
        counts = np.zeros(2 ** (8 * sample.dtype.itemsize), np.int64)
        for part in _parts(sample.size):
            counts += np.bincount(flat[part].astype(np.int64) - offset, minlength=len(counts))
        ranks = np.ceil(np.array(STRETCH_PERCENTILES) / 100 * sample.size)
        low, high = (np.searchsorted(np.cumsum(counts), ranks) + offset).tolist()
    else:
        low, high = np.percentile(sample, STRETCH_PERCENTILES, method="inverted_cdf").tolist()
    if low == high:
        low, high = sample.min(), sample.max()
    return float(low), float(high)


def _is_whole(values: np.ndarray) -> bool:
    return values.dtype.kind in "iu" or bool((values == np.rint(values)).all())


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
