"""The frozen encoder's features on disk: the embedding in half precision, finer ones in 8 bits."""

from collections.abc import Mapping, Sequence

import numpy as np

HALF_LIMIT = 60_000
STEPS = 255
_FEATURE, _LOW, _STEP = "feature", "low", "step"


def pack_features(features: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays to keep.

    The skips are most of the bytes and only draw borders: each channel is cut into 255 equal steps between its smallest and
    largest value, which is off by half a step at most.

    Args:
        features: Of one view, each (C, h, w) float32; the embedding first.
    """
    # the strides of an encoder's memory format would outlive a copy, and the decoder rounds differently with them
    features = [np.ascontiguousarray(feature) for feature in features]
    arrays = {f"{_FEATURE}0": _half(features[0])}
    for i, feature in enumerate(features[1:], 1):
        low = feature.min((1, 2), keepdims=True)
        step = np.maximum((feature.max((1, 2), keepdims=True) - low) / STEPS, np.finfo(np.float32).tiny)
        arrays[f"{_FEATURE}{i}"] = np.rint((feature - low) / step).astype(np.uint8)
        arrays[f"{_LOW}{i}"], arrays[f"{_STEP}{i}"] = low, step
    return arrays


def unpack_features(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The features of `pack_features`, float32; other arrays are passed over."""
    features = [arrays[f"{_FEATURE}0"].astype(np.float32)]
    while (i := len(features)) and f"{_FEATURE}{i}" in arrays:
        features.append(arrays[f"{_FEATURE}{i}"].astype(np.float32) * arrays[f"{_STEP}{i}"] + arrays[f"{_LOW}{i}"])
    return tuple(features)


def _half(array: np.ndarray) -> np.ndarray:
    """Half precision, which costs the decoder nothing that shows, unless a value does not fit."""
    return array.astype(np.float16) if np.abs(array).max(initial=0) < HALF_LIMIT else array
