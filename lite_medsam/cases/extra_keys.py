"""Our own extra keys in a case's npz: texts, names of labels, metadata; what others write is ignored."""

import json

import numpy as np


def text_of(array: np.ndarray | None) -> str | None:
    """The text that an array holds, None where it holds something else."""
    # a foreign archive may hold something else under our extra keys: ignored, it is not part of the contract
    if array is None or array.dtype.kind != "U" or array.size != 1:
        return None
    return str(array.item()) or None


def label_names_of(ids: np.ndarray | None, names: np.ndarray | None) -> dict[int, str] | None:
    """Names by label value, None where the arrays are not that."""
    if ids is None or names is None or ids.shape != names.shape:
        return None
    if ids.dtype.kind not in "iu" or names.dtype.kind != "U":
        return None
    return dict(zip(ids.ravel().tolist(), names.ravel().tolist(), strict=True))


def metadata_of(array: np.ndarray | None) -> dict[str, str] | None:
    """Texts by name from JSON, None where it is not that."""
    text = text_of(array)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if is_ours else None
