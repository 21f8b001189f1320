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
from .fields import Refused, whole_of
from .file_actions import FILE_OPERATIONS
from .folder import Folder
from .keeping_actions import KEEPING_OPERATIONS
from .models import Models
from .object_actions import OBJECT_OPERATIONS
from .planes import PLANE_OPERATIONS
from .queue_actions import QUEUE_OPERATIONS
from .records import Record
from .samples import SAMPLE_OPERATIONS
from .seats import Seat, Seats, Turnstile
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
        folder: What is worked through file by file; None: nothing.
    """

    def __init__(
        self,
        seats: Seats,
        models: Models,
        turnstile: Turnstile,
        max_upload_bytes: int,
        max_pixels: int,
        folder: Folder | None = None,
    ):
        self.seats, self.models, self.turnstile = seats, models, turnstile
        self.max_upload_bytes, self.max_pixels, self.folder = max_upload_bytes, max_pixels, folder
        self.following = Turnstile(1, 8)  # propagations take long: they have a queue of their own

    def answer(self, request: Any) -> dict:
        """One request of a page, never an exception: {"ok": true, "view": ...} or {"ok": false, "error", "code"}."""
        try:
            if not isinstance(request, dict):
                raise Refused("a request must be an object")
            name = request.get("op")
            if name == "arrive":  # a page whose seat is gone, with a server that was started anew for example
                return {"ok": True, "token": self.seats.take(self.models.default, self.models.engine).token}
            seat = self.seats.find(request.get("token"), in_use=name != "here")
            operation = OPERATIONS.get(name) if isinstance(name, str) else None
            if operation is None:
                raise Refused(f"there is no operation {str(name)[:40]!r}")
            if name in UNCOUNTED:
                return {"ok": True, **(operation(self, seat, request) or {})}
            with self.turnstile, seat.lock:
                if seat.session is not None:
                    seat.session.seconds = {}  # what is told is of this request alone
                if name in WITHOUT_VIEW:
                    return {"ok": True, **(operation(self, seat, request) or {})}
                mark = request.get("id")
                # sent again because its answer was lost on the way: what it asks for has been done
                is_again = isinstance(mark, str) and mark == seat.answered and name not in REPEATABLE
                more = {} if is_again else operation(self, seat, request) or {}
                # (a list to choose from comes again: nothing has been done yet)
                seat.answered = mark if isinstance(mark, str) and len(mark) < 80 and "choose" not in more else None
                unit = checked_unit(request.get("unit"))
                index = whole_of(request.get("slice", 0), "slice")
                if seat.session is not None:
                    index = min(max(more.pop("slice", index), 0), seat.session.slices - 1)
                more |= self.keep(seat)
                return {"ok": True, "view": view_of(seat, index, request.get("have"), unit), **more}
        except Refused as error:
            return {"ok": False, "error": str(error), "code": error.code}
        except MissingExtraError as error:
            return {"ok": False, "error": str(error), "code": "bad"}
        except ValueError as error:
            return {"ok": False, "error": " ".join(str(error).split())[:500], "code": "bad"}
        except MemoryError:
            return {"ok": False, "error": "not enough memory for this; use a smaller file", "code": "bad"}
        except OSError as error:  # without the path, which is ours
            return {
                "ok": False,
                "error": f"the server cannot do this: {error.strerror or 'its disk failed'}",
                "code": "bad",
            }

    def keep(self, seat: Seat) -> dict:
        """Notices what has changed; work on a file of the folder that is worked through is kept beside it at once.

        Returns:
            The revision, and a warning where it could not be kept.
        """
        before, revision, item = seat.revision, seat.notice(), seat.item
        told: dict[str, Any] = {"revision": revision}
        if revision != before and item is not None and seat.session is not None and self.folder is not None:
            try:
                self.folder.keep(item, seat.session)
            except OSError as error:
                told["warning"] = f"this could not be kept in the folder: {error.strerror or error}; make room there"
        return told

    def session_of(self, seat: Seat) -> Session:
        """The seat's session.

        Raises:
            Refused: If nothing is open.
        """
        if seat.session is None:
            raise Refused("nothing is open yet; open a file or a sample first")
        return seat.session

    def use(self, seat: Seat, scan: Scan, record: Record | None = None) -> Session:
        """Puts a scan on a seat, in place of what was there.

        Args:
            seat: Whose.
            scan: What was opened.
            record: Work on it that is taken up again, with its model where that is known here.

        Raises:
            ValueError: If the record is of another scan or damaged; the seat keeps what it had.
        """
        self.seats.room_for(seat, 2 * scan.values.nbytes)
        model, engine = seat.model, seat.engine
        if record is not None and record.asked[0] in self.models.directories and record.asked[1] in self.models.engines:
            model, engine = record.asked
        predictor = self.models.get(model, engine)
        make = Session if record is None else record.session
        session = make(predictor, scan, model, engine)
        seat.model, seat.engine = model, engine
        session.volume()
        values = scan.values
        seat.value_range = (0.0, 255.0) if values.dtype == np.uint8 else (float(values.min()), float(values.max()))
        if seat.job is not None:
            seat.job.stop.set()
        seat.session, seat.job, seat.compared, seat.item = session, None, None, None
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
    **KEEPING_OPERATIONS,
    **QUEUE_OPERATIONS,
}
# answered at once, beside whatever works: they touch no picture and no model
UNCOUNTED = {"cards", "upload", "piece", "discard", "stop", "give_up", "progress", "close", "here", "record"}
# computed in turn as all others, and answered without the view: nothing that it shows has changed
WITHOUT_VIEW = {"values", "preview", "planes"}
# asked a second time, these give the same again and change nothing
REPEATABLE = {"hello", "look", "save", "queue", "candidates", "saveclasses"}
