"""How large a picture may be."""

from lite_medsam.errors import CaseError

MAX_PIXELS = 2**28  # 16,384 x 16,384
MAX_FILE_BYTES = 2**31


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses a picture by what its header says, before it is unpacked.

    Raises:
        CaseError: If it has no pixels, or more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise CaseError(f"the image must have pixels, its header says {width} x {height}")
    if width * height > max_pixels:
        raise CaseError(f"images must have at most {max_pixels:,} pixels, got {width} x {height}; crop or shrink it")
