"""Arrays of MATLAB files up to version 7; no code in them is run, and what is larger than allowed is not read."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.silence import quiet
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_KINDS = ("double", "single", "logical", "cell", "char", "sparse", "struct", *_INTEGERS)


def mat_shapes(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """The sizes of a file's arrays by their names, without reading them.

    Raises:
        CaseError: If it is damaged, or of version 7.3.
    """
    from scipy import io

    return {name: tuple(shape) for name, shape, kind in _guarded(io.whosmat, path) if kind in _KINDS}


def mat_arrays(path: str | os.PathLike, names: Sequence[str], max_values: int = 2**30) -> Mapping[str, np.ndarray]:
    """Some arrays of a file, those that it has.

    Raises:
        CaseError: If it is damaged, of version 7.3, or one of them has more than `max_values` values.
    """
    from scipy import io

    shapes = mat_shapes(path)
    for name in names:
        if math.prod(shapes.get(name, ())) > max_values:
            raise CaseError(f"{shown_path(path)}: {name} must have at most {max_values} values, has {shapes[name]}")
    found = _guarded(io.loadmat, path, variable_names=[name for name in names if name in shapes])
    return {name: found[name] for name in names if name in found}


def _guarded(function, path: str | os.PathLike, **options):
    try:
        with quiet():
            return function(str(Path(path)), **options)
    except NotImplementedError:
        raise CaseError(f"{shown_path(path)}: MATLAB files of version 7.3 are not read; save it with -v7") from None
    except MemoryError:
        raise CaseError(f"{shown_path(path)}: not enough memory to load it") from None
    except Exception as error:  # scipy raises of many kinds on damaged files
        raise CaseError(f"{shown_path(path)}: damaged MATLAB file, or none ({one_line(error, 100)})") from None
