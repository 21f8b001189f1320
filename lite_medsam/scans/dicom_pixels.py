"""The pixels of a DICOM data set as numbers: unpacked, padding apart, turned and rescaled."""

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom_fields import PixelFormat, rescale
from lite_medsam.storage.one_line import one_line

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def pixel_values(dataset, form: PixelFormat) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of all frames, and where they are padding.

    Returns:
        (frames, H, W) raw numbers such as HU, or (frames, H, W, 3) RGB; and bool of the same shape, None without padding.

    Raises:
        CaseError: If there are no pixels, or they can't be unpacked.
    """
    if not any(keyword in dataset for keyword in _PIXELS):
        raise CaseError("must have pixels, the pixel data are missing")
    stored = _decoded(dataset)
    kind = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        stored = apply_color_lut(stored, dataset)
    wanted = (form.frames, form.rows, form.columns, *((3,) if form.is_colour else ()))
    if stored.size != np.prod(wanted, dtype=np.int64):
        raise CaseError(f"damaged: the pixels are {stored.shape}, the header says {wanted}")
    stored = stored.reshape(wanted)
    if form.is_colour:
        return (stored if stored.dtype == np.uint8 else (stored >> 8).astype(np.uint8)), None
    padding = _padding(stored, dataset, form)
    if kind == "MONOCHROME1" and stored.dtype.kind in "ui":  # small values are bright: turned, so that large ones are
        top = -1 if form.is_signed else 2**form.bits - 1
        stored = (top - stored.astype(np.int64)).astype(np.int32)
    return _rescaled(stored, dataset, form), padding


def without_padding(values: np.ndarray, padding: np.ndarray | None) -> tuple[np.ndarray, int, str | None]:
    """Sets padding to the smallest other value.

    Returns:
        The values, how many are padding, and a note of it.
    """
    count = 0 if padding is None else int(np.count_nonzero(padding))
    if padding is None or not count or count == values.size:
        return values, 0, None
    low = values.min(where=~padding, initial=values.max())
    values[padding] = low
    share = 100 * count / values.size
    return (
        values,
        count,
        f"padding (PixelPaddingValue, {share:.2g} % of all) is no grey value and counts as the smallest",
    )


def _padding(stored: np.ndarray, dataset, form: PixelFormat) -> np.ndarray | None:
    """Where stored values lie in PixelPaddingValue to PixelPaddingRangeLimit, DICOM PS3.3 C.7.5.1.1.2; None where nowhere."""
    kinds = ("FloatPixelPadding", "DoubleFloatPixelPadding") if stored.dtype.kind == "f" else ("PixelPadding",)
    for kind in kinds:
        value = _stored_number(dataset.get(f"{kind}Value"), stored.dtype, form)
        if value is None:
            continue
        limit = _stored_number(dataset.get(f"{kind}RangeLimit"), stored.dtype, form)
        low, high = (value, value) if limit is None else sorted((value, limit))
        found = stored == stored.dtype.type(low) if low == high else (stored >= low) & (stored <= high)
        return found if found.any() else None
    return None


def _stored_number(value, dtype: np.dtype, form: PixelFormat) -> float | int | None:
    """A tag that has the type of the pixels; None where it is missing, no number, or none that a pixel can hold."""
    if isinstance(value, bytes):  # an ambiguous value representation that was not resolved
        if len(value) != 2:
            return None
        value = int.from_bytes(value, "little", signed=form.is_signed)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if dtype.kind == "f":
        return number if np.isfinite(number) else None
    number = int(number)
    if form.is_signed and 2**15 <= number < 2**16:  # written as US where SS was meant
        number -= 2**16
    elif not form.is_signed and -(2**15) <= number < 0:  # and the other way round
        number += 2**16
    limits = np.iinfo(dtype)
    return number if limits.min <= number <= limits.max else None


def _rescaled(stored: np.ndarray, dataset, form: PixelFormat) -> np.ndarray:
    if dataset.get("ModalityLUTSequence"):
        from pydicom.pixels import apply_modality_lut

        return np.asarray(apply_modality_lut(stored, dataset), np.float32)
    scales = [rescale(dataset, frame) for frame in range(form.frames)]
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    if all(slope == 1 and intercept == int(intercept) for slope, intercept in scales):
        offset = np.array([int(intercept) for _, intercept in scales])
        low = int(stored.min()) + int(offset.min())
        high = int(stored.max()) + int(offset.max())
        dtype = np.int16 if -(2**15) <= low and high < 2**15 else np.int32
        if abs(low) < 2**31 and abs(high) < 2**31:
            # (both may wrap around on the way: the sum is right, and takes no wider copy)
            sums: np.ndarray = stored.astype(dtype)
            return sums + offset.astype(dtype)[:, None, None]
    slope, intercept = np.array(scales, np.float32).T[:, :, None, None]
    return stored.astype(np.float32) * slope + intercept


def _decoded(dataset) -> np.ndarray:
    syntax = dataset.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in dataset.file_meta else None
    try:
        return np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError, ImportError) as error:
        name = getattr(syntax, "name", str(syntax))
        if syntax is not None and getattr(syntax, "is_compressed", False):
            hint = 'pip install "lite-medsam[medical]", or save it uncompressed'
            raise CaseError(
                f"pixels packed as {name} can't be unpacked here; {hint} ({one_line(error, 120)})"
            ) from None
        raise CaseError(f"damaged pixels, {one_line(error, 120)}") from None
