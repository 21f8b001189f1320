"""The page's requests, one function each: what a user does -> the session -> what the page shows."""

import base64
import binascii
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lite_medsam.errors import MissingExtraError
from lite_medsam.session.interactive import Session

from .fields import list_of, number_of, text_of, whole_of
from .models import Models
from .opening import open_sample, open_upload, sample_list
from .seats import Job, Refused, Seat, Seats, Turnstile, Upload
from .view import checked_unit, job_of, view_of

MAX_FILES = 2000  # of a DICOM series
OPENED = "Draw a box around an object: drag from one corner to the other."
MAX_PIECE_BYTES = 8 * 2**20


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
                more = operation(self, seat, request) or {}
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

    def use(self, seat: Seat, scan) -> None:
        """Puts a scan on a seat, in place of what was there."""
        self.seats.room_for(seat, 2 * scan.values.nbytes)
        predictor = self.models.get(seat.model, seat.engine)
        session = Session(predictor, scan)
        session.volume()
        values = scan.values
        seat.value_range = (0.0, 255.0) if values.dtype == np.uint8 else (float(values.min()), float(values.max()))
        if seat.job is not None:
            seat.job.stop.set()
        seat.session, seat.job, seat.compared = session, None, None
        seat.opened += 1


def _where(request: dict) -> tuple[int, int | None]:
    target = request.get("object")
    return whole_of(request.get("slice", 0), "slice"), None if target is None else whole_of(target, "object")


# -- opening


def _hello(desk: Desk, seat: Seat, request: dict) -> dict:
    return {
        "about": {
            "samples": sample_list(),
            "models": list(desk.models.directories),
            "engines": desk.models.engines,
            "max_upload_bytes": desk.max_upload_bytes,
            "max_pixels": desk.max_pixels,
            "piece": MAX_PIECE_BYTES // 2,
        }
    }


def _sample(desk: Desk, seat: Seat, request: dict) -> dict:
    desk.use(seat, open_sample(text_of(request.get("name"), "name")))
    return {"slice": seat.session.slices // 2, "message": OPENED}


def _upload(desk: Desk, seat: Seat, request: dict) -> dict:
    files = list_of(request.get("files"), "files", MAX_FILES)
    names = [text_of(item.get("name"), "file name", 300) for item in files if isinstance(item, dict)]
    sizes = [whole_of(item.get("size"), "file size") for item in files if isinstance(item, dict)]
    if not names or min(sizes) < 0 or sum(sizes) > desk.max_upload_bytes:
        limit = desk.max_upload_bytes // 2**20
        raise Refused(f"an upload must have at most {limit} MB, got {sum(sizes) / 2**20:.0f} MB; choose a smaller file")
    with seat.lock:
        if seat.upload is not None:
            seat.upload.discard()
        seat.upload = Upload(names, sizes)
    return {}


def _piece(desk: Desk, seat: Seat, request: dict) -> dict:
    data = request.get("data")
    if not isinstance(data, str) or len(data) > 2 * MAX_PIECE_BYTES:
        raise Refused("a piece of a file must be base64 of a few MB")
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        raise Refused("a piece of a file must be base64") from None
    with seat.lock:
        if seat.upload is None:
            raise Refused("the upload was given up; choose the file again")
        seat.upload.append(whole_of(request.get("file"), "file"), raw)
    return {}


def _open(desk: Desk, seat: Seat, request: dict) -> dict:
    upload, seat.upload = seat.upload, None
    if upload is None or not upload.complete:
        if upload is not None:
            upload.discard()
        raise Refused("the file did not arrive whole; choose it again")
    try:
        desk.use(seat, open_upload(upload, desk.max_pixels))
    finally:
        upload.discard()
    notes = "; ".join(seat.session.scan.notes)
    return {"slice": seat.session.slices // 2, "message": f"{OPENED} Note: {notes}." if notes else OPENED}


def _close(desk: Desk, seat: Seat, request: dict) -> dict:
    desk.seats.left(seat.page)
    return {}


def _look(desk: Desk, seat: Seat, request: dict) -> dict:
    return {}


def _window(desk: Desk, seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    if request.get("centre") is None:
        session.set_window(None)
    else:
        session.set_window((number_of(request["centre"], "centre"), number_of(request.get("width"), "width")))
    seat.compared = None
    return {}


def _spacing(desk: Desk, seat: Seat, request: dict) -> dict:
    from lite_medsam.cases.fields import checked_spacing

    session = desk.session_of(seat)
    values = request.get("mm")
    if values is None:
        session.spacing_mm = session.scan.spacing_mm
    else:
        count = 3 if session.scan.is_volume else 2
        session.spacing_mm = checked_spacing([number_of(v, "spacing") for v in list_of(values, "mm", 3)], count)
    return {}


def _model(desk: Desk, seat: Seat, request: dict) -> dict:
    model, engine = text_of(request.get("model"), "model"), text_of(request.get("engine"), "engine")
    predictor = desk.models.get(model, engine)
    if seat.session is not None:
        seat.session.set_predictor(predictor)
    seat.model, seat.engine, seat.compared = model, engine, None
    objects = () if seat.session is None else seat.session.now.objects
    targets = (item.target for item in objects if item.target not in (None, *predictor.spec.targets))
    lost = ", ".join(dict.fromkeys(targets))
    return {"message": f"This model does not know {lost}: it is asked without, the objects keep it."} if lost else {}


# -- objects and prompts


def _object_operation(call: Callable, message: str = "") -> Callable:
    def operation(desk: Desk, seat: Seat, request: dict) -> dict:
        session = desk.session_of(seat)
        session.seconds = {}
        seat.compared = None
        return {"message": message} | (call(session, request, *_where(request)) or {})

    return operation


def _do_add(session, request, index, target):
    name = request.get("name")
    session.add_object(None if name is None else text_of(name, "name"))


def _do_target(session, request, index, target):
    name = request.get("target")
    session.set_target(None if name in (None, "") else text_of(name, "target"), target)


def _do_box(session, request, index, target):
    box = [number_of(v, "box") for v in list_of(request.get("box"), "box", 4)]
    if request.get("new") is True:
        session.draw_new(box, index)
    else:
        session.draw_box(box, index, target)


def _do_click(session, request, index, target):
    x, y = number_of(request.get("x"), "x"), number_of(request.get("y"), "y")
    session.click(x, y, request.get("positive") is not False, index, target)


def _do_scribble(session, request, index, target):
    session.scribble(request.get("stroke"), request.get("positive") is not False, index, target)


def _do_paint(session, request, index, target):
    radius = number_of(request.get("radius"), "radius")
    session.paint(request.get("stroke"), radius, request.get("add") is not False, index, target)


def _do_split(session, request, index, target):
    count = session.split(index, target)
    return {"message": "nothing to split: this mask is one piece" if count == 1 else f"split into {count} objects"}


def _do_merge(session, request, index, target):
    session.merge([whole_of(v, "object") for v in list_of(request.get("objects"), "objects", 100)])


# -- volumes


def _propagate(desk: Desk, seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    if seat.job is not None and seat.job.running:
        raise Refused("an object is being followed already; stop it first")
    session.followable()
    job = seat.job = Job(total=session.slices)

    def on_slice(done: int, total: int) -> None:
        job.done, job.total = done, total

    def work() -> None:
        try:
            with desk.following:
                found = session.propagate(on_slice, job.stop.is_set)
            with seat.lock:
                if seat.session is session:
                    session.adopt(found)
            job.message = "stopped; what was finished is kept" if job.stop.is_set() else ""
        except Exception as error:  # of a thread: whatever it is, the page must hear of it
            job.message = " ".join(str(error).split())[:300] or type(error).__name__
        finally:
            job.running = False

    threading.Thread(target=work, daemon=True, name="propagation").start()
    return {}


def _stop(desk: Desk, seat: Seat, request: dict) -> dict:
    if seat.job is not None:
        seat.job.stop.set()
    return _progress(desk, seat, request)


def _progress(desk: Desk, seat: Seat, request: dict) -> dict:
    return {"job": job_of(seat)}


# -- comparing and taking home


def _compare(desk: Desk, seat: Seat, request: dict) -> dict:
    from .comparing import compare

    session = desk.session_of(seat)
    model, engine = text_of(request.get("model"), "model"), text_of(request.get("engine"), "engine")
    index, _ = _where(request)
    seat.compared = compare(session, desk.models.get(model, engine), model, engine, index)
    return {"message": "Left this model, right the other one."}


def _end_compare(desk: Desk, seat: Seat, request: dict) -> dict:
    seat.compared = None
    return {}


def _save(desk: Desk, seat: Seat, request: dict) -> dict:
    from .saving import save

    session = desk.session_of(seat)
    index, look = whole_of(request.get("slice", 0), "slice"), request.get("look")
    what, unit = text_of(request.get("what", "zip"), "what"), checked_unit(request.get("unit"))
    name, data = save(session, index, what, unit, look if isinstance(look, dict) else None)
    return {"file": {"name": name, "data": base64.b64encode(data).decode()}}


OPERATIONS: dict[str, Callable[[Desk, Seat, dict], dict | None]] = {
    "hello": _hello,
    "look": _look,
    "sample": _sample,
    "upload": _upload,
    "piece": _piece,
    "open": _open,
    "close": _close,
    "window": _window,
    "spacing": _spacing,
    "model": _model,
    "add": _object_operation(_do_add, "A new object: draw its box, or click on it."),
    "select": _object_operation(lambda s, r, z, o: s.select(o)),
    "rename": _object_operation(lambda s, r, z, o: s.rename(o, text_of(r.get("name"), "name"))),
    "target": _object_operation(_do_target, "Noted: the masks of this object follow."),
    "remove": _object_operation(lambda s, r, z, o: s.remove(o), "The object is removed."),
    "clear": _object_operation(lambda s, r, z, o: s.clear(z, o, r.get("everywhere") is True), "The object is cleared."),
    "box": _object_operation(_do_box),
    "click": _object_operation(_do_click),
    "scribble": _object_operation(_do_scribble),
    "paint": _object_operation(_do_paint, "Painted; the model was not asked."),
    "unclick": _object_operation(lambda s, r, z, o: s.remove_point(whole_of(r.get("number"), "number"), z, o)),
    "choose": _object_operation(
        lambda s, r, z, o: s.choose(whole_of(r.get("number"), "number"), z, o), "Another mask is taken."
    ),
    "split": _object_operation(_do_split),
    "merge": _object_operation(_do_merge, "The two objects are one now."),
    "undo": _object_operation(lambda s, r, z, o: s.undo(), "One step back."),
    "redo": _object_operation(lambda s, r, z, o: s.redo(), "One step forward."),
    "propagate": _propagate,
    "stop": _stop,
    "progress": _progress,
    "compare": _compare,
    "endcompare": _end_compare,
    "save": _save,
}
# answered at once, beside whatever works: they touch no picture and no model
UNCOUNTED = {"upload", "piece", "stop", "progress", "close"}
