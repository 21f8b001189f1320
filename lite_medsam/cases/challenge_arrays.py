"""What the arrays of a challenge npz mean: picture or volume, spacing in array order, optional ones that cannot be used."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import stretch_to_uint8, to_uint8


def image_of(imgs: np.ndarray, name: str, flag: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """(H, W), (H, W, 3) or (D, H, W) uint8, and whether it is a volume, see `case.load_case`."""
    if 0 in imgs.shape:
        raise CaseError(f"imgs must have pixels, got shape {imgs.shape}")
    if imgs.ndim == 4:
        raise CaseError(f"imgs must be a grey volume (D, H, W), got shape {imgs.shape}; save one channel of it")
    if imgs.ndim not in (2, 3):
        raise CaseError(f"imgs must be (H, W), (H, W, 3) or (D, H, W), got shape {imgs.shape}")
    if imgs.dtype.kind not in "buif":
        raise CaseError(f"imgs must be of an integer, float or bool type, got {imgs.dtype}")
    if imgs.ndim == 2:
        return to_uint8(imgs), False
    channels, prefix = imgs.shape[2], name[:2].upper()
    if flag is not None and flag.dtype == bool and flag.size == 1:
        is_volume = bool(flag.item())
    else:
        is_volume = prefix == "3D" or (prefix != "2D" and channels > 4)
    if not is_volume and channels not in (1, 3, 4):
        hint = "" if prefix == "2D" else "; start a volume's file name with 3D"
        raise CaseError(f"imgs of a 2D case must be (H, W), (H, W, 3) or (H, W, 4), got shape {imgs.shape}{hint}")
    return (stretch_to_uint8(imgs), True) if is_volume else (to_uint8(imgs), False)


def spacing_of(spacing: np.ndarray | None, dims: int) -> tuple[float, ...] | None:
    """Millimetres in array order of x, y, z as the challenge writes them."""
    if spacing is None:
        return None
    if spacing.dtype.kind not in "uif" or spacing.ndim != 1 or spacing.size not in (dims, 3):
        raise CaseError(
            f"spacing must be {dims} numbers x, y{', z' * (dims == 3)} in mm, "
            f"got shape {spacing.shape} of {spacing.dtype}"
        )
    return tuple(float(v) for v in spacing[:dims][::-1])  # x, y, z on disk -> array order


def usable(key: str, unread: dict[str, str], read: Callable[[], Any]) -> Any:
    """What an optional array holds; None, and a word on why, where it is not what it must be."""
    try:
        return read()
    except CaseError as error:
        unread[key] = str(error)
        return None
