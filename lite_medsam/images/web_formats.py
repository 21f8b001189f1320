"""WebP and GIF files, as pictures from web pages and slides come, to the numbers that they store."""

import io

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.orientation import exif_orientation, oriented
from lite_medsam.images.size import check_size
from lite_medsam.images.stored import STRAIGHT, Stored


def is_webp(data: bytes) -> bool:
    """Whether a content is a WebP picture."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def is_gif(data: bytes) -> bool:
    """Whether a content is a GIF picture."""
    return data[:6] in (b"GIF87a", b"GIF89a")


def decode_webp(data: bytes, max_pixels: int) -> Stored:
    """The numbers of a WebP picture.

    Raises:
        CaseError: If it is too large, or holds several pictures.
    """
    from PIL import WebPImagePlugin

    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    check_size(*image.size, max_pixels)
    _check_single(getattr(image, "n_frames", 1), "WebP")
    turn = exif_orientation(image)
    values = np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"))
    alpha = STRAIGHT if values.shape[2] == 4 else None
    return Stored(oriented(values, turn), alpha=alpha, is_lossy=b"VP8L" not in data[:64])


def decode_gif(data: bytes, max_pixels: int) -> Stored:
    """The numbers of a GIF picture, with its palette.

    Raises:
        CaseError: If it is too large, or holds several pictures.
    """
    from PIL import GifImagePlugin

    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    check_size(*image.size, max_pixels)
    _check_single(image.n_frames, "GIF")
    image.seek(0)
    image.load()
    if image.mode != "P":  # (Pillow gives a grey palette as grey)
        values = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        return Stored(values)
    palette: np.ndarray = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and transparent < len(palette):
        opacity = np.full(len(palette), 255, np.uint8)
        opacity[transparent] = 0
        palette = np.column_stack([palette, opacity])
    return Stored(np.asarray(image), palette=palette)


def _check_single(frames: int, kind: str) -> None:
    if frames > 1:
        raise CaseError(f"must be one picture, this {kind} holds {frames}; save the one that is meant as PNG")
