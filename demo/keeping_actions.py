"""What a page asks so that nothing is lost: the record of its work, and to have it back."""

import base64
from typing import TYPE_CHECKING

from .fields import Refused, whole_of
from .records import DOCUMENT, MASKS, Record
from .seats import Seat

if TYPE_CHECKING:
    from .actions import Desk


def _record(desk: "Desk", seat: Seat, request: dict) -> dict:
    """All that was said and found, for `restore`; beside the other requests, so that it delays none."""
    with seat.lock:
        revision, opened = seat.notice(), seat.opened
        record = Record.of(desk.session_of(seat), whole_of(request.get("slice", 0), "slice"))
    files = record.files()
    return {
        "revision": revision,
        "opened": opened,
        "record": {"document": files[DOCUMENT].decode(), "masks": base64.b64encode(files[MASKS]).decode()},
    }


def _restore(desk: "Desk", seat: Seat, request: dict) -> dict:
    """Gives what is open the work of a record that was uploaded as two files."""
    upload, seat.upload = seat.upload, None
    try:
        if upload is None or not upload.complete or len(upload.names) != 2:
            raise Refused("what was kept did not arrive whole; try again")
        record = Record.read(*(upload.path(number).read_bytes() for number in (0, 1)))
    finally:
        if upload is not None:
            upload.discard()
    scan, item = desk.session_of(seat).scan, seat.item
    session = desk.use(seat, scan, record)
    seat.item = item
    return {"message": f"Your work is back: {counted(len(session.now.objects))}."}


def counted(objects: int) -> str:
    """A number of objects in words."""
    return "1 object" if objects == 1 else f"{objects} objects"


KEEPING_OPERATIONS = {"record": _record, "restore": _restore}
