"""Objects followed through a volume, beside the page's other requests."""

import threading
from typing import TYPE_CHECKING

from .fields import Refused
from .lanes import report_of
from .seats import Job, Seat
from .view import job_of

if TYPE_CHECKING:
    from .actions import Desk


def _propagate(desk: "Desk", seat: Seat, request: dict) -> dict:
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
            stopped = "Stopped; what was finished is kept. " if job.stop.is_set() else ""
            job.message = stopped + report_of(found)
        except Exception as error:  # of a thread: whatever it is, the page must hear of it
            job.message, job.failed = " ".join(str(error).split())[:300] or type(error).__name__, True
        finally:
            job.running = False

    threading.Thread(target=work, daemon=True, name="propagation").start()
    return {}


def _stop(desk: "Desk", seat: Seat, request: dict) -> dict:
    if seat.job is not None:
        seat.job.stop.set()
    return _progress(desk, seat, request)


def _progress(desk: "Desk", seat: Seat, request: dict) -> dict:
    return {"job": job_of(seat)}


VOLUME_OPERATIONS = {
    "propagate": _propagate,
    "stop": _stop,
    "progress": _progress,
}
