"""What a picture file stores, before anything is made of it: its numbers, and how they are meant to be shown.

A picture is shown by its display hints (palette, WhiteIsZero, transparency); a mask is read without them. Both start
from the same `Stored`, so that no decoder decides which of the two a file is.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["PREMULTIPLIED", "STRAIGHT", "Stored"]

STRAIGHT, PREMULTIPLIED = "straight", "premultiplied"


@dataclass(frozen=True, eq=False)
class Stored:
    """The numbers of a picture file, turned as the file says, and what it says about showing them.

    Attributes:
        values: (H, W) or (H, W, C) of the file's own number type. C is 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha).
            Fewer than 8 bits a sample are not scaled: a 2-bit picture holds 0 to 3. One bit is bool.
        bits: Per sample.
        alpha: `STRAIGHT` or `PREMULTIPLIED` where the last channel is transparency, else None.
        palette: (N, 3) or (N, 4) uint8 colours of the values, which are then indices; else None.
        white_is_zero: Whether the smallest number is shown white (TIFF).
        transparent: The one grey value or RGB colour that is shown transparent (PNG), or None.
        is_lossy: Whether the numbers are only near those that were saved (JPEG).
    """

    values: np.ndarray
    bits: int = 8
    alpha: str | None = None
    palette: np.ndarray | None = None
    white_is_zero: bool = False
    transparent: tuple[int, ...] | None = None
    is_lossy: bool = False

    def shown(self) -> np.ndarray:
        """The picture as a viewer shows it, without any mapping of its range.

        Palettes are resolved, WhiteIsZero is inverted, fewer than 8 bits are spread over 0 to 255, one bit is bool.

        Returns:
            (H, W), (H, W, 2) grey and alpha, (H, W, 3) RGB or (H, W, 4) RGBA; alpha is never premultiplied (colour that
            is already multiplied is the picture over black, which is how alpha is laid).
        """
        values = self.values
        if self.palette is not None:
            return self._resolved()
        if self.alpha == PREMULTIPLIED:
            values = values[..., 0] if values.shape[2] == 2 else values[..., :3]
        if self.white_is_zero:
            values = self._inverted(values)
        if 1 < self.bits < 8:
            top = 2**self.bits - 1
            values = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)[values]
        if self.transparent is None:
            return values
        return self._with_alpha(values)

    def _resolved(self) -> np.ndarray:
        assert self.palette is not None
        table = np.zeros((256, self.palette.shape[1]), np.uint8)
        table[: len(self.palette)] = self.palette[:256]
        if self.values.max(initial=0) < 256:
            return table[self.values]
        table = np.zeros((int(self.values.max()) + 1, self.palette.shape[1]), np.uint8)
        table[: len(self.palette)] = self.palette[: len(table)]
        return table[self.values]

    def _inverted(self, values: np.ndarray) -> np.ndarray:
        if values.dtype.kind == "u":
            return (2**self.bits - 1 - values).astype(values.dtype)
        return ~values if values.dtype.kind in "bi" else -values

    def _with_alpha(self, values: np.ndarray) -> np.ndarray:
        stored = self.values if self.values.ndim == 3 else self.values[..., None]
        clear = (stored == np.array(self.transparent)).all(axis=2)
        values = values.astype(np.uint8) * np.uint8(255) if values.dtype == bool else values
        opaque = np.iinfo(values.dtype).max
        return np.dstack([values, np.where(clear, 0, opaque).astype(values.dtype)])
