"""Image files: png, jpg, bmp, tif, webp and gif of 1 to 64 bit, grey, RGB, alpha or palette, as pictures."""

import os
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.decoding import decode
from lite_medsam.images.intensity import to_uint8
from lite_medsam.images.silence import quiet
from lite_medsam.images.size import MAX_FILE_BYTES, MAX_PIXELS
from lite_medsam.images.stored import Stored
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

__all__ = ["IMAGE_SUFFIXES", "MAX_FILE_BYTES", "MAX_PIXELS", "load_image", "read_pixels", "read_stored"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")


def load_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture file as the uint8 image that the model takes.

    The file's content decides its format, not its name. 16-bit and float files are stretched by percentiles
    and transparency is laid over black, see `intensity.to_uint8`. Colour comes as RGB. The orientation that
    the file states (EXIF, or the TIFF tag) is applied, so coordinates are those that a picture viewer shows.

    Args:
        path: A png, jpg, bmp, tif, webp or gif file; non-ASCII names are fine on every system.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        CaseError: If the file is missing, damaged, cut off, of another kind, a multi-page TIFF or animation, larger than
            `MAX_PIXELS`, or holds NaN; the message names the file and is a single line.
    """
    pixels = read_pixels(path)
    try:
        return to_uint8(pixels)
    except CaseError as error:
        raise CaseError(f"{shown_path(path)}: {error}") from None


def read_pixels(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads a picture file as a viewer shows it, without mapping its range (`load_image` maps to uint8).

    Args:
        path: As for `load_image`.
        max_pixels: Larger pictures are refused by their header, before they are unpacked.

    Returns:
        (H, W), (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA, of the file's own dtype (below 8 bits: uint8
        up to 255, or bool); palettes are resolved.

    Raises:
        CaseError: As for `load_image`.
    """
    shown = read_stored(path, max_pixels).shown()
    # Pillow's arrays are read-only
    return shown if shown.flags.writeable and shown.flags.c_contiguous else np.array(shown)


def read_stored(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Stored:
    """Reads the numbers that a picture file stores, see `Stored`; masks start here (`masks.read_mask`).

    Raises:
        CaseError: As for `load_image`.
    """
    shown = shown_path(path)
    try:
        data = _read_bytes(Path(path))
        with quiet():
            stored = decode(data, max_pixels)
    except CaseError as error:
        raise CaseError(f"{shown}: {one_line(error, 300)}") from None
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to decode the image; shrink it first") from None
    except Exception as error:  # decoders raise anything on hostile bytes: SyntaxError, struct.error, ...
        raise CaseError(f"{shown}: damaged or cut-off image, {one_line(error)}") from None
    values = stored.values
    if values.size == 0 or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4):
        raise CaseError(f"{shown}: must be a grey or colour image, holds an array of shape {values.shape}")
    return stored


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise CaseError("must be an image file, is a folder")
        if not path.exists():
            raise CaseError("no such file")
        if not path.is_file():
            raise CaseError("must be a regular file")  # a pipe or device would block or never end
        size = path.stat().st_size
        if size == 0:
            raise CaseError("the file is empty (0 bytes)")
        if size > MAX_FILE_BYTES:
            raise CaseError(f"image files must be at most {MAX_FILE_BYTES} bytes, has {size}")
        return path.read_bytes()
    except OSError as error:
        raise CaseError(f"could not be read ({error.strerror or error})") from None
