"""Which values an array holds and how often, some at a time, so that wide copies stay small."""

from collections.abc import Iterator

import numpy as np

_SAMPLE = 2**20  # values of a wide type that are looked at


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


def is_narrow(dtype: np.dtype) -> bool:
    return dtype.kind in "iu" and dtype.itemsize <= 2


def value_counts(sample: np.ndarray) -> tuple[np.ndarray, int]:
    """How often each value of a narrow type occurs, and the smallest value of the type."""
    offset = int(np.iinfo(sample.dtype).min)
    counts = np.zeros(2 ** (8 * sample.dtype.itemsize), np.int64)
    for piece in pieces(sample):
        counts += np.bincount(piece.astype(np.int64) - offset, minlength=len(counts))
    return counts, offset


def distribution(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values that occur, sorted, and how often."""
    if is_narrow(array.dtype):
        counts, offset = value_counts(array)
        held = np.flatnonzero(counts)
        return held + offset, counts[held]
    flat = array.reshape(-1)
    step = max(1, flat.size // _SAMPLE) | 1  # odd, so that no column of a picture is left out
    return np.unique(flat[::step], return_counts=True)
