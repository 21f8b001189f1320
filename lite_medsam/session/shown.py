"""What is open in a session: a scan, and its pixels as the model sees them through a window of grey values."""

import hashlib
from dataclasses import replace
from functools import cached_property

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.answer import ModelInput, Source
from lite_medsam.session.history import History
from lite_medsam.session.state import Snapshot

Window = tuple[float, float]


def scan_facts(scan: Scan) -> dict:
    """What tells whether a record is of a scan: name, shape, and a digest of the values as they lie in memory."""
    values = np.ascontiguousarray(scan.values)
    digest = hashlib.blake2b(str(values.dtype).encode(), digest_size=16)
    digest.update(values.reshape(-1).view(np.uint8).data)
    return {"name": scan.name, "shape": list(scan.label_shape), "values": digest.hexdigest()}


class ShownScan(History):
    """A picture or volume as 8-bit pixels, and the model that is asked about them; both are part of what undo brings back.

    Attributes:
        scan: What was opened.
        spacing_mm: What a user says of it, else the scan's own.
    """

    def __init__(self, predictor: Predictor, scan: Scan, model: str = "", engine: str = ""):
        super().__init__(Snapshot(given=ModelInput(predictor, scan.default_window, model, engine)))
        self.scan = scan
        self.spacing_mm = scan.spacing_mm
        self._pixels: tuple[Window | None, np.ndarray] | None = None
        self._versions: dict[Window | None, int] = {scan.default_window: 0}

    @property
    def given(self) -> ModelInput:
        """What the model is asked with."""
        assert self.now.given is not None  # from the first snapshot on
        return self.now.given

    @property
    def predictor(self) -> Predictor:
        """The model."""
        return self.given.predictor

    @property
    def window(self) -> Window | None:
        """Centre and width of the grey values that the model sees; None: all."""
        return self.given.window

    @property
    def source(self) -> Source:
        """What masks are made from now."""
        return self.given.source

    @property
    def version(self) -> int:
        """A number for each window: the same one again where the pixels are the same again."""
        return self._versions.setdefault(self.window, len(self._versions))

    def set_window(self, window: Window | None) -> None:
        """Sets centre and width of the grey values that the model sees, None for the scan's own. A step; several in a row are one.

        Masks stay as they are, see `Session.renew`.

        Raises:
            CaseError: If the width is not positive.
        """
        window = window or self.scan.default_window
        if window == self.window:
            return
        pixels = self.scan.to_uint8(*(window or (None, None)))
        self._give(replace(self.given, window=window))
        self._pixels = window, pixels

    def set_predictor(self, predictor: Predictor, model: str = "", engine: str = "") -> None:
        """Takes another model, a step. Masks stay as they are, see `Session.renew`.

        Objects keep their targets; a model that does not know one is asked without it.

        Args:
            predictor: The model.
            model: What it is called where it was chosen.
            engine: What the engine is called there.
        """
        if predictor is not self.predictor:
            self._give(replace(self.given, predictor=predictor, model=model, engine=engine))

    def _give(self, given: ModelInput) -> None:
        before = self.before
        if before is not None and before.objects == self.now.objects and before.given is not None:
            same_model = before.given.predictor is given.predictor is self.given.predictor
            if same_model and before.given.window != self.window:  # a window that is being searched for
                self.amend(replace(self.now, given=given))
                return
        self.commit(replace(self.now, given=given))

    @property
    def slices(self) -> int:
        """Slices of a volume, 1 for a picture."""
        return self.scan.values.shape[0] if self.scan.is_volume else 1

    @property
    def image_hw(self) -> tuple[int, int]:
        """(H, W) of a slice."""
        height, width = self.scan.label_shape[-2:]
        return height, width

    @cached_property
    def facts(self) -> dict:
        """What tells records of this scan from others."""
        return scan_facts(self.scan)

    @property
    def nbytes(self) -> int:
        """Bytes of the scan, and of its pixels where they were asked for."""
        return self.scan.values.nbytes + (0 if self._pixels is None else self._pixels[1].nbytes)

    def volume(self) -> np.ndarray:
        """The whole picture or volume as the model sees it, uint8."""
        if self._pixels is None or self._pixels[0] != self.window:
            self._pixels = self.window, self.scan.to_uint8(*(self.window or (None, None)))
        return self._pixels[1]

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
