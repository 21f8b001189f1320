"""What each field of a Case must be: images, label maps, boxes, spacings, names."""

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.storage.one_line import one_line

MODALITIES = (
    "CT",
    "MR",
    "PET",
    "XRay",
    "US",
    "Mammography",
    "OCT",
    "Endoscopy",
    "Fundus",
    "Dermoscopy",
    "Microscopy",
)
_ALIASES = {m.lower(): m for m in MODALITIES} | {
    "mri": "MR",
    "cxr": "XRay",
    "ultrasound": "US",
    "mammo": "Mammography",
}
_NAME_PATTERN = re.compile(r"(?:[23]D[a-z]*[_\- ])?(?P<modality>X[_\- ]?Ray|[a-z]+)(?=[_\-. \d]|$)", re.IGNORECASE)


def modality_from_name(name: str) -> str | None:
    """Reads the modality off a challenge-style name: 2DBox_XRay_0001, 2D_CT_x, 3D_MR_x, X-Ray_x, OCT_0001.

    Returns:
        One of `MODALITIES`; None when the name does not start with one (after the 2D or 3D part).
    """
    match = _NAME_PATTERN.match(name)
    return _ALIASES.get(re.sub(r"[_\- ]", "", match["modality"]).lower()) if match else None


def dataset_from_name(name: str) -> str:
    """The data set in a file name like 2D_CT_btcv_0001: the part after the modality; "" for other names."""
    parts = name.split("_")
    if len(parts) < 4 or parts[0][:2].upper() not in ("2D", "3D") or modality_from_name(name) is None:
        return ""
    return "" if parts[2].isdigit() else parts[2]


def checked_image(image: np.ndarray, is_volume: bool) -> np.ndarray:
    """The image, contiguous in memory (OpenCV wants that), if it is uint8 of a known shape; else
    CaseError."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise CaseError(f"image must be a uint8 array, got {kind}; convert it with case.to_uint8")
    if is_volume and image.ndim != 3:
        raise CaseError(f"a volume must be (D, H, W), got shape {image.shape}")
    if not is_volume and not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        hint = "convert it with case.to_uint8" if image.ndim == 3 else "give one image or one volume"
        raise CaseError(f"image must be (H, W) or (H, W, 3), got shape {image.shape}; {hint}")
    if image.size == 0:
        raise CaseError(f"image must have pixels, got shape {image.shape}")
    return np.ascontiguousarray(image)


def checked_label(label: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The label map as the smallest unsigned type, if it has the image's shape and holds integers; else
    CaseError."""
    if label is None:
        return None
    label = np.asarray(label)
    if label.shape != shape:
        raise CaseError(f"the label map must have the image's shape {shape}, got {label.shape}")
    return smallest_unsigned(label, "the label map")


def smallest_unsigned(values: np.ndarray, what: str) -> np.ndarray:
    """Integers (or floats and bools that are whole numbers) as the smallest of uint8, uint16, uint32.

    Args:
        values: Any shape.
        what: What an error message calls them.

    Raises:
        CaseError: If a value is negative, fractional, NaN or above the range of uint32, or there are none.
    """
    if values.dtype.kind not in "buif":
        raise CaseError(f"{what} must hold integers, got {values.dtype}")
    if values.size == 0:
        raise CaseError(f"{what} must have pixels, got shape {values.shape}")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise CaseError(f"{what} must hold whole numbers, got {values.dtype} with fractions, NaN or infinity")
    low, high, most = values.min(), values.max(), np.iinfo(np.uint32).max
    if low < 0 or high > most:
        raise CaseError(f"{what} must hold values from 0 to {most}, got {low} to {high}")
    smallest = np.uint8 if high <= 0xFF else np.uint16 if high <= 0xFFFF else np.uint32
    return np.ascontiguousarray(values, smallest)


def checked_boxes(boxes: np.ndarray | None, columns: int) -> np.ndarray | None:
    """The boxes as (N, columns) float32, if they are finite numbers of that shape; else CaseError.

    Whether they lie in the image and are not reversed is left to `prompts.validate`.
    """
    if boxes is None:
        return None
    boxes = np.asarray(boxes)
    if boxes.shape == (0,):
        boxes = boxes.reshape(0, columns)
    order = "x0 y0 x1 y1" if columns == 4 else "x0 y0 z0 x1 y1 z1"
    if boxes.ndim != 2 or boxes.shape[1] != columns:
        hint = f"; wrap a single box: [[{', '.join(order.split())}]]" if boxes.shape == (columns,) else ""
        raise CaseError(f"boxes must be (N, {columns}) as {order}, got shape {boxes.shape}{hint}")
    if boxes.dtype.kind not in "uif":
        raise CaseError(f"boxes must be numbers, got {boxes.dtype}")
    with np.errstate(over="ignore"):
        boxes = boxes.astype(np.float32)
    if not np.isfinite(boxes).all():
        raise CaseError("boxes must be finite numbers, got NaN, infinity or values beyond float32")
    return boxes


def checked_spacing(spacing: Iterable[float] | None, count: int) -> tuple[float, ...] | None:
    """The spacing as a tuple of `count` positive floats; else CaseError."""
    if spacing is None:
        return None
    try:
        values = tuple(float(v) for v in spacing)
    except (TypeError, ValueError, OverflowError):
        shown = one_line(repr(spacing), 200)
        raise CaseError(f"spacing must be {count} positive numbers in mm, got {shown}") from None
    if len(values) != count or not all(math.isfinite(v) and v > 0 for v in values):
        raise CaseError(f"spacing must be {count} positive numbers in mm, got {values}")
    return values


def checked_label_names(names: Mapping[int, str] | None) -> dict[int, str] | None:
    """The names as a plain dict, if they map non-negative integers to texts; else CaseError."""
    if names is None:
        return None
    if not all(isinstance(k, (int, np.integer)) and k >= 0 and isinstance(v, str) for k, v in names.items()):
        raise CaseError("label_names must map label values (integers from 0) to texts")
    return {int(k): v for k, v in names.items()}


def checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str] | None:
    """The metadata as a plain dict, None when there is none, if it maps texts to texts; else CaseError."""
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()
    ):
        raise CaseError("metadata must map texts to texts; write numbers as texts")
    return dict(metadata) or None
