"""Numbers that stand where nothing was measured, found as ground of a picture, so that they squeeze no grey values."""

import numpy as np

from lite_medsam.images.value_counts import distribution

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
    values, counts = distribution(array)
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
    low = limits_beside(array, marks)[0]
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


def limits_beside(sample: np.ndarray, marks: dict[float, bool]) -> tuple[float, float]:
    """The smallest and the largest value beside marks."""
    if not marks:
        return sample.min(), sample.max()
    kept = is_kept(sample, marks)
    low = sample.min(where=kept, initial=sample.max())
    return low, sample.max(where=kept, initial=sample.min())


def is_kept(sample: np.ndarray, marks: dict[float, bool]) -> np.ndarray:
    kept = np.ones(sample.shape, bool)
    for value in marks:
        kept &= sample != value
    return kept
