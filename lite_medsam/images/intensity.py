"""Pixel values of any number type to uint8, by one rule for images, volumes, training and use."""

from collections.abc import Iterator

import numpy as np

from lite_medsam.errors import CaseError

STRETCH_PERCENTILES = (0.5, 99.5)
_SENTINEL_SIZE = 999  # smaller numbers are grey values
_FAR = 4.0  # a ground this many times further off than all grey values are apart is none of them
# what programs write where nothing was measured: near ones count as well
_NO_DATA = frozenset(
    np.float32(sign * number)
    for number in (999, 9999, 99999, 999999, 2**15, 2**31, 1e5, 1e6, 1e9, 1e10, 1e20, 1e30, np.finfo(np.float32).max)
    for sign in (-1, 1)
)
_FEW = 256  # values that say too little of what is usual
_SAMPLE = 2**20  # values of a wide type that are looked at


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
    low, high = _limits(sample, marks)
    if low == high:
        mapped = np.zeros(array.shape, np.uint8)
    elif array.dtype.itemsize >= 4 and low >= 0 and 1 < high <= 255 and _is_whole(sample, marks):
        mapped = np.clip(array, 0, 255).astype(np.uint8)
    else:
        mapped = _mapped(array, *_stretch_range(sample, marks, padded))
    for value, is_ground in marks.items():
        mapped[array == value] = 0 if is_ground else 255
    return mapped


def no_data_values(array: np.ndarray) -> dict[float, bool]:
    """Numbers that mark where nothing was measured: -32768, -9999, 1e6 and their like as ground of a picture.

    Such a number is the smallest or the largest of all, is held by more than 0.5 % of the values (fewer are cut off by the
    percentiles anyway), is 999 or more from 0, and lies further from the 0.5 (99.5) percentile of the other values than four
    times their spread between these percentiles; once for numbers that are well known as marks. A ground of 0, or of a grey
    value near the others, is never one.

    Args:
        array: Any shape, any number type; none is found among less than 256 values. Of more than a million values of a wide
            type, some are looked at.

    Returns:
        The numbers, and whether each is ground, to be shown dark. The others are saturated, to be shown bright: numbers above
        all grey values that are no known mark, or the largest of the type.
    """
    if array.dtype.kind not in "iuf" or array.dtype.itemsize == 1 or array.size < _FEW:
        return {}
    enough = STRETCH_PERCENTILES[0] / 100 * array.size
    ends = [array.min(), array.max()]
    far = [abs(float(v)) >= _SENTINEL_SIZE and np.count_nonzero(array == v) > enough for v in ends]
    if ends[0] == ends[1] or not any(far):
        return {}
    values, counts = _distribution(array)
    if len(values) - sum(far) < 2 or any(
        is_far and values[k] != ends[k] for k, is_far in zip((0, -1), far, strict=True)
    ):
        return {}
    ends = [k for k, is_far in zip((0, -1), far, strict=True) if is_far]
    inner = slice(1 if 0 in ends else 0, len(values) - 1 if -1 in ends else len(values))
    rest = np.cumsum(counts[inner])
    ranks = np.searchsorted(rest, np.ceil(np.array(STRETCH_PERCENTILES) / 100 * rest[-1]))
    low, high = (float(v) for v in values[inner][ranks])
    top = None if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    marks = {}
    for k in ends:
        value = float(values[k])
        gap = low - value if k == 0 else value - high
        is_known = (
            value in _NO_DATA or value == float(np.finfo(np.float32).min) or value == float(np.finfo(np.float32).max)
        )
        if high > low and gap >= (high - low) * (1.0 if is_known else _FAR):
            marks[value] = k == 0 or (is_known and value != top)
    return marks


def without_ground(array: np.ndarray) -> tuple[np.ndarray, int, str | None]:
    """Replaces the ground of `no_data_values` by the smallest other value.

    Returns:
        The values, how many were replaced (for `stretch_to_uint8`), and a note of it; without ground the array itself, 0, None.
    """
    marks = no_data_values(array)
    ground = [value for value, is_ground in marks.items() if is_ground]
    if not ground:
        return array, 0, None
    cleaned, count = array.copy(order="K"), 0
    low = _limits(array, marks)[0]
    for value in ground:
        there = array == value
        count += int(np.count_nonzero(there))
        cleaned[there] = low
    named = " and ".join(f"{value:g}" for value in ground)
    return (
        cleaned,
        count,
        f"{named} at {_percent(count / array.size)} of all values is no grey value and counts as the smallest",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _distribution(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, sorted, and how often."""
    if _is_narrow(array.dtype):
        counts, offset = _counts(array)
        held = np.flatnonzero(counts)
        return held + offset, counts[held]
    flat = array.reshape(-1)
    step = max(1, flat.size // _SAMPLE) | 1  # odd, so that no column of a picture is left out
    return np.unique(flat[::step], return_counts=True)


def _limits(sample: np.ndarray, marks: dict[float, bool]) -> tuple[float, float]:
    """The smallest and the largest value beside marks."""
    if not marks:
        return sample.min(), sample.max()
    kept = _is_kept(sample, marks)
    low = sample.min(where=kept, initial=sample.max())
    return low, sample.max(where=kept, initial=sample.min())


def _is_kept(sample: np.ndarray, marks: dict[float, bool]) -> np.ndarray:
    kept = np.ones(sample.shape, bool)
    for value in marks:
        kept &= sample != value
    return kept


def _mapped(array: np.ndarray, low: float, high: float) -> np.ndarray:
    mapped, done = np.empty(array.size, np.uint8), 0
    table = _linear(_all_values(array.dtype), low, high) if _is_narrow(array.dtype) else None
    for piece in pieces(array):
        # (a negative value counts from the end of the table, which is where _all_values has it)
        mapped[done : done + piece.size] = _linear(piece, low, high) if table is None else table[piece]
        done += piece.size
    return mapped.reshape(array.shape)


def pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """The values in C order, some at a time as (N,) arrays: wide copies stay small, and turned volumes are not copied whole."""
    if array.ndim > 2 and not array.flags.c_contiguous:
        for part in array:
            yield from pieces(part)
    else:
        flat = np.ascontiguousarray(array).reshape(-1)
        yield from (flat[part] for part in _parts(flat.size))


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


def _stretch_range(sample: np.ndarray, marks: dict[float, bool], padded: int) -> tuple[float, float]:
    """The two percentiles: the smallest values that at least that share of the sample does not exceed."""
    shares = np.array(STRETCH_PERCENTILES) / 100
    if _is_narrow(sample.dtype):  # counting is ten times faster than sorting
        counts, offset = _counts(sample)
        for value in marks:
            counts[int(value) - offset] = 0
        if padded:
            lowest = int(np.flatnonzero(counts)[0])
            counts[lowest] -= min(padded, counts[lowest])
        low, high = (np.searchsorted(np.cumsum(counts), np.ceil(shares * counts.sum())) + offset).tolist()
    else:
        kept = sample[_is_kept(sample, marks)] if marks else sample
        if padded:
            padded = min(padded, kept.size - 1)
            ranks = padded + np.ceil(shares * (kept.size - padded)).astype(np.int64) - 1
            low, high = np.partition(kept, ranks, axis=None)[ranks].tolist()
        else:
            low, high = np.percentile(kept, STRETCH_PERCENTILES, method="inverted_cdf").tolist()
    if low == high:
        low, high = _limits(sample, marks)
    return float(low), float(high)


def _counts(sample: np.ndarray) -> tuple[np.ndarray, int]:
    """How often each value of a narrow type occurs, and the smallest value of the type."""
    offset = int(np.iinfo(sample.dtype).min)
    counts = np.zeros(2 ** (8 * sample.dtype.itemsize), np.int64)
    for piece in pieces(sample):
        counts += np.bincount(piece.astype(np.int64) - offset, minlength=len(counts))
    return counts, offset


def _is_whole(values: np.ndarray, marks: dict[float, bool]) -> bool:
    if values.dtype.kind in "iu":
        return True
    rounded = values == np.rint(values)
    return bool((rounded | ~_is_kept(values, marks)).all() if marks else rounded.all())


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
