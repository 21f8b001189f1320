"""PNG files of images and label maps, written."""

import io

import numpy as np


def png_bytes(pixels: np.ndarray, compression: int = 1) -> bytes:
    """An image as the content of a PNG file.

    Args:
        pixels: (H, W) or (H, W, 3) RGB, uint8 or uint16.
        compression: 0 to 9; the lowest that packs is several times faster and little larger for label maps.

    Raises:
        OSError: If it cannot be encoded.
    """
    import cv2

    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, compression])
    if not done:
        raise OSError("the PNG could not be encoded")
    return data.tobytes()


def palette_png_bytes(indices: np.ndarray, palette: np.ndarray, compression: int = 1) -> bytes:
    """A picture of palette indices as the content of a PNG file: the numbers that it stores are the indices.

    Args:
        indices: (H, W) uint8.
        palette: (256, 3) uint8 RGB.
        compression: As for `png_bytes`.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(indices, np.uint8))
    picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    file = io.BytesIO()
    # (bits stay 8: readers of packed indices are rarer)
    picture.save(file, format="PNG", compress_level=compression, bits=8)
    return file.getvalue()
