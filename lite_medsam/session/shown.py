"""What is shown of a scan: its pixels as the model sees them, through a window of grey values."""

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.scans.scan import Scan


class ShownScan:
    """A picture or volume as 8-bit pixels.

    Attributes:
        scan: What was opened.
        window: Centre and width of the grey values that are shown; None: all.
        spacing_mm: What a user says of it, else the scan's own.
        version: Changes whenever the pixels do.
    """

    def __init__(self, scan: Scan):
        self.scan, self.version = scan, 0
        self.window: tuple[float, float] | None = scan.default_window
        self.spacing_mm = scan.spacing_mm
        self._pixels: np.ndarray | None = None

    @property
    def slices(self) -> int:
        """Slices of a volume, 1 for a picture."""
        return self.scan.values.shape[0] if self.scan.is_volume else 1

    @property
    def image_hw(self) -> tuple[int, int]:
        """(H, W) of a slice."""
        height, width = self.scan.label_shape[-2:]
        return height, width

    @property
    def nbytes(self) -> int:
        """Bytes of the scan, and of its pixels where they were asked for."""
        return self.scan.values.nbytes + (0 if self._pixels is None else self._pixels.nbytes)

    def volume(self) -> np.ndarray:
        """The whole picture or volume as the model sees it, uint8."""
        if self._pixels is None:
            self._pixels = self.scan.to_uint8(*(self.window or (None, None)))
        return self._pixels

    def pixels(self, index: int = 0) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8 of one slice.

        Raises:
            PromptError: If there is no such slice.
        """
        self.check_slice(index)
        return self.volume()[index] if self.scan.is_volume else self.volume()

    def check_slice(self, index: int) -> None:
        """Raises PromptError unless there is such a slice."""
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < self.slices:
            raise PromptError(f"a slice must be a whole number from 0 to {self.slices - 1}, got {index!r}")
