"""Orientation: the turns and mirrors that EXIF and TIFF state."""

import numpy as np

ORIENTATION_TAG = 274
# orientation (EXIF 2.32 and TIFF 6.0) -> quarter turns counter-clockwise, then whether to mirror left-right
TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}


def exif_orientation(image) -> int:
    """The orientation, 1 to 8, that a Pillow image states; 1 where it states none."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1


def oriented(values: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W) or (H, W, C) values as a picture viewer shows them; unknown orientations change nothing."""
    turns, mirrored = TURNS.get(orientation, (0, False))
    values = np.rot90(values, turns)
    return values[:, ::-1] if mirrored else values
