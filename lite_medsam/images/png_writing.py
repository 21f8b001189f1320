"""PNG files of images and label maps, written."""

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
