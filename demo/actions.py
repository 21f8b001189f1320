"""The page's requests, one function each: what a user does -> the session -> what the page shows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lite_medsam.errors import MissingExtraError
from lite_medsam.scans.scan import Scan
from lite_medsam.session.interactive import Session

from .candidate_actions import CANDIDATE_OPERATIONS
from .class_actions import CLASS_OPERATIONS
from .cleanup_actions import CLEANUP_OPERATIONS
from .fields import whole_of
from .file_actions import FILE_OPERATIONS
from .models import Models
from .object_actions import OBJECT_OPERATIONS
from .planes import PLANE_OPERATIONS
from .samples import SAMPLE_OPERATIONS
from .seats import Refused, Seat, Seats, Turnstile
from .view import checked_unit, view_of
from .view_actions import VIEW_OPERATIONS
from .volume_actions import VOLUME_OPERATIONS


class Desk:
    """Answers requests.

    Args:
        seats: Who is there.
        models: What can be chosen.
        turnstile: How many work at a time.
        max_upload_bytes: Of all files of one upload together.
        max_pixels: Of a picture, or voxels of a volume.
    """

    def __init__(self, seats: Seats, models: Models, turnstile: Turnstile, max_upload_bytes: int, max_pixels: int):
        self.seats, self.models, self.turnstile = seats, models, turnstile
        self.max_upload_bytes, self.max_pixels = max_upload_bytes, max_pixels
        self.following = Turnstile(1, 8)  # propagations take long: they have a queue of their own

    def answer(self, request: Any) -> dict:
        """One request of a page, never an exception: {"ok": true, "view": ...} or {"ok": false, "error", "code"}."""
        try:
            if not isinstance(request, dict):
                raise Refused("a request must be an object")
            seat = self.seats.find(request.get("token"))
            name = request.get("op")
            operation = OPERATIONS.get(name) if isinstance(name, str) else None
            if operation is None:
                raise Refused(f"there is no operation {str(name)[:40]!r}")
            if name in UNCOUNTED:
                return {"ok": True, **(operation(self, seat, request) or {})}
            with self.turnstile, seat.lock:
                if seat.session is not None:
                    seat.session.seconds = {}  # what is told is of this request alone
                more = operation(self, seat, request) or {}
                if name in WITHOUT_VIEW:
                    return {"ok": True, **more}
                unit = checked_unit(request.get("unit"))
                index = whole_of(request.get("slice", 0), "slice")
                if seat.session is not None:
                    index = min(max(more.pop("slice", index), 0), seat.session.slices - 1)
                return {"ok": True, "view": view_of(seat, index, request.get("have"), unit), **more}
        except Refused as error:
            return {"ok": False, "error": str(error), "code": error.code}
        except MissingExtraError as error:
            return {"ok": False, "error": str(error), "code": "bad"}
        except ValueError as error:
            return {"ok": False, "error": " ".join(str(error).split())[:500], "code": "bad"}
        except MemoryError:
            return {"ok": False, "error": "not enough memory for this; use a smaller file", "code": "bad"}

    def session_of(self, seat: Seat) -> Session:
        """The seat's session.

        Raises:
            Refused: If nothing is open.
        """
        if seat.session is None:
            raise Refused("nothing is open yet; open a file or a sample first")
        return seat.session

    def use(self, seat: Seat, scan: Scan) -> Session:
        """Puts a scan on a seat, in place of what was there."""
        self.seats.room_for(seat, 2 * scan.values.nbytes)
        predictor = self.models.get(seat.model, seat.engine)
        session = Session(predictor, scan, seat.model, seat.engine)
        session.volume()
        values = scan.values
        seat.value_range = (0.0, 255.0) if values.dtype == np.uint8 else (float(values.min()), float(values.max()))
        if seat.job is not None:
            seat.job.stop.set()
        seat.session, seat.job, seat.compared = session, None, None
        seat.opened += 1
        return session


OPERATIONS: dict[str, Callable[[Desk, Seat, dict], dict | None]] = {
    **FILE_OPERATIONS,
    **SAMPLE_OPERATIONS,
    **VIEW_OPERATIONS,
    **OBJECT_OPERATIONS,
    **VOLUME_OPERATIONS,
    **CLEANUP_OPERATIONS,
    **CANDIDATE_OPERATIONS,
    **CLASS_OPERATIONS,
    **PLANE_OPERATIONS,
}
# answered at once, beside whatever works: they touch no picture and no model
UNCOUNTED = {"cards", "upload", "piece", "stop", "progress", "close"}
# computed in turn as all others, and answered without the view: nothing that it shows has changed
WITHOUT_VIEW = {"values", "preview", "planes"}
