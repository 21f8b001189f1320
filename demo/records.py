"""What a session knows as two pieces of bytes, JSON and packed masks, and a session made of them again."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session
from lite_medsam.storage.strict_json import parse_json

DOCUMENT, MASKS = "record.json", "masks.bin"
MAX_DOCUMENT_BYTES, MAX_MASK_BYTES = 2**27, 2**30


@dataclass(frozen=True, eq=False)
class Record:
    """All that is to be kept of a session but the scan, see `Session.to_record`.

    Attributes:
        document: As JSON has it.
        masks: (N,) uint8.
    """

    document: dict[str, Any]
    masks: np.ndarray

    @classmethod
    def of(cls, session: Session, index: int = 0) -> "Record":
        """The record of a session that shows a slice."""
        return cls(*session.to_record(index))

    @classmethod
    def read(cls, document: bytes, masks: bytes) -> "Record":
        """A record from its bytes.

        Raises:
            CaseError: If they are no JSON object, or no packed masks of a size that can be held.
        """
        if len(document) > MAX_DOCUMENT_BYTES:
            raise CaseError(f"{DOCUMENT} must have at most {MAX_DOCUMENT_BYTES} bytes, has {len(document)}")
        found = parse_json(document.decode("utf-8", "replace"), DOCUMENT, CaseError)
        if not isinstance(found, dict):
            raise CaseError(f"{DOCUMENT} must be a JSON object")
        unpacking = zlib.decompressobj()
        try:
            bits = unpacking.decompress(masks, MAX_MASK_BYTES)
        except zlib.error:
            raise CaseError(f"{MASKS} is damaged; take an earlier copy") from None
        if not unpacking.eof:
            raise CaseError(f"{MASKS} must be whole, and unpack to at most {MAX_MASK_BYTES >> 20} MiB")
        return cls(found, np.frombuffer(bits, np.uint8))

    def files(self) -> dict[str, bytes]:
        """The two files, by name."""
        text = json.dumps(self.document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return {DOCUMENT: text.encode(), MASKS: zlib.compress(self.masks.tobytes(), 6)}

    def on_shown_pixels(self) -> "Record":
        """The same for a picture whose pixels have been through the window; steps were made through another one, perhaps."""
        sources = [source | {"window": None} for source in self.document.get("sources", []) if isinstance(source, dict)]
        document = {key: value for key, value in self.document.items() if key != "past"}
        return Record(document | {"window": None, "sources": sources}, self.masks)

    @property
    def asked(self) -> tuple[str, str]:
        """Names of model and engine that the session had."""
        return str(self.document.get("model")), str(self.document.get("engine"))

    def session(self, predictor: Predictor, scan: Scan, model: str, engine: str) -> Session:
        """The session, on the scan that it was about.

        Raises:
            PromptError: If the record is not valid, or of a scan of another shape.
        """
        return Session.from_record(predictor, scan, self.document, self.masks, model, engine)
