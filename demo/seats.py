"""Who is there: one seat for each open page, with its session, its limits and its end."""

import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from lite_medsam.session.interactive import Session

from .fields import Refused
from .uploads import Upload

if TYPE_CHECKING:
    from .folder import Item


@dataclass(eq=False)
class Job:
    """A propagation that runs beside the page's other requests."""

    done: int = 0
    total: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    running: bool = True
    message: str = ""
    failed: bool = False


@dataclass(eq=False)
class Seat:
    """One page's place on the server; nobody gets at it without the token, which no two pages share."""

    token: str
    model: str
    engine: str
    page: str | None = None
    session: Session | None = None
    value_range: tuple[float, float] = (0.0, 255.0)  # of what is open, for the sliders of the window
    opened: int = 0  # counts what was opened, so that a picture is never taken for another
    lock: threading.RLock = field(default_factory=threading.RLock)
    used: float = field(default_factory=time.monotonic)
    leaving: bool = False
    job: Job | None = None
    compared: dict | None = None
    offered: object = None  # the candidates that were offered last, see `candidate_actions.Offer`
    given_up: str | None = None  # the search that is not wanted any more, by the name that the page gave it
    upload: Upload | None = None
    seen: float = field(default_factory=time.monotonic)  # when the page last gave a sign of life
    revision: int = 0  # counts what a user would miss if it was lost
    answered: str | None = None  # the request that was answered last, by the name that the page gave it
    item: "Item | None" = None  # which file of the folder is open, where one is
    taking: "Item | None" = None  # which one is being opened
    finished: int = -1  # the revision that was written into the folder last
    _noticed: tuple = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the picture or volume that is open."""
        return 0 if self.session is None else self.session.nbytes

    def notice(self) -> int:
        """Looks whether anything that is kept has changed since the last look.

        Returns:
            The revision, which is another one then.
        """
        session = self.session
        # (parts of a snapshot are never changed, only replaced; they are held here, so that no other can have their place in
        # memory; which object is selected is nothing that anybody would miss)
        now: tuple = ()
        if session is not None:
            parts = [getattr(session.now, part.name) for part in fields(session.now) if part.name != "selected"]
            now = (session, session.window, session.spacing_mm, self.model, *parts)
        if len(now) != len(self._noticed) or any(
            a is not b and a != b for a, b in zip(now, self._noticed, strict=True)
        ):
            self._noticed = now
            self.revision += 1
        return self.revision

    def close(self) -> None:
        """Stops what runs and forgets everything."""
        if self.job is not None:
            self.job.stop.set()
        if self.upload is not None:
            self.upload.discard()
        self.upload = self.compared = self.offered = None
        self.session, self.item, self._noticed = None, None, ()


class Seats:
    """All seats, up to a number and a sum of bytes.

    Args:
        max_seats: Pages at a time; who comes when all are in use is refused, unless one of the pages was closed.
        max_bytes: Of all opened pictures and volumes together.
        idle_seconds: A seat that is not used for so long is given up; `math.inf`: never, while its page is open.
        leave_seconds: The same for one whose page was closed; a page that only lost its connection is back sooner.
        away_seconds: The same for one whose page gives no sign of life.
    """

    def __init__(
        self,
        max_seats: int = 64,
        max_bytes: int = 2**32,
        idle_seconds: float = 1800,
        leave_seconds: float = 120,
        away_seconds: float = 900,
    ):
        self._max_seats, self._max_bytes = max_seats, max_bytes
        self._idle, self._leave, self._away = idle_seconds, leave_seconds, away_seconds
        self._seats: OrderedDict[str, Seat] = OrderedDict()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="seats").start()

    def _watch(self) -> None:
        while not self._ended.wait(min(30, self._leave)):
            self.sweep()

    def __len__(self) -> int:
        return len(self._seats)

    def take(self, model: str, engine: str, page: str | None = None) -> Seat:
        """A new seat.

        Raises:
            Refused: If every seat is in use; says when one becomes free.
        """
        self.sweep()
        gone = None
        with self._lock:
            if len(self._seats) >= self._max_seats:
                # a page that was closed is not waited for when another one stands at the door
                gone = next((seat for seat in self._seats.values() if seat.leaving), None)
                if gone is None:
                    raise Refused(self._full(), "full")
                del self._seats[gone.token]
            seat = Seat(secrets.token_urlsafe(32), model, engine, page)
            self._seats[seat.token] = seat
        if gone is not None:
            gone.close()
        return seat

    def _full(self) -> str:
        idle = max(time.monotonic() - seat.used for seat in self._seats.values())
        places = "its only place is" if self._max_seats == 1 else f"all {self._max_seats} places are"
        if math.isinf(self._idle):
            when = "it has room again when a page of it is closed somewhere"
        else:
            minutes = max(1, math.ceil((self._idle - idle) / 60))
            soon = "a minute" if minutes == 1 else f"{minutes} minutes"
            when = f"one becomes free when somebody leaves, or when nobody has used it for {soon} from now"
        return f"The server is full: {places} in use; {when}."

    def find(self, token: object, in_use: bool = True) -> Seat:
        """The seat of a token.

        Args:
            token: What the page knows its seat by.
            in_use: Whether somebody does something with the page; else it only says that it is there.

        Raises:
            Refused: If there is none, or none any more.
        """
        with self._lock:
            seat = self._seats.get(token) if isinstance(token, str) else None
            if seat is None:
                raise Refused("this session has ended; reload the page to start another", "ended")
            seat.seen, seat.leaving = time.monotonic(), False
            if in_use:
                self._seats.move_to_end(seat.token)
                seat.used = seat.seen
            return seat

    def held(self, seat: Seat) -> set[str]:
        """Files of the folder that are open, or being opened, in other pages."""
        with self._lock:
            return self._held(seat)

    def _held(self, seat: Seat) -> set[str]:
        others = [other for other in self._seats.values() if other is not seat and not other.leaving]
        return {item.id for other in others for item in (other.item, other.taking) if item is not None}

    @contextmanager
    def claim(self, seat: Seat, item: "Item") -> Iterator[None]:
        """Has a file of the folder for a page alone while it is opened; a page that was closed lets go of it.

        Raises:
            Refused: If another page has it.
        """
        with self._lock:
            if item.id in self._held(seat):
                raise Refused(f"{item.name} is open in another page; take another file, or close it there")
            for other in self._seats.values():
                if other is not seat and other.item is not None and other.item.id == item.id:
                    other.item = None  # its work is in the folder; should it come back, it writes there no more
            seat.taking = item
        try:
            yield
        finally:
            seat.taking = None

    def room_for(self, seat: Seat, nbytes: int) -> None:
        """Checks that a seat may hold so many bytes.

        Raises:
            Refused: If all seats together would hold too many.
        """
        self.sweep()
        with self._lock:
            others = sum(other.nbytes for other in self._seats.values() if other is not seat)
        if others + nbytes > self._max_bytes:
            raise Refused("the server has no memory left for this file; try a smaller one, or again later", "busy")

    def left(self, page: str | None) -> None:
        """Notes that a page was closed or lost its connection."""
        with self._lock:
            for seat in self._seats.values():
                if page is not None and seat.page == page:
                    seat.leaving, seat.used = True, time.monotonic()
        self.sweep()

    def release(self, seat: Seat) -> None:
        """Notes that the page of this seat says goodbye."""
        seat.leaving, seat.used = True, time.monotonic()
        self.sweep()

    def sweep(self) -> None:
        """Gives up seats that were not used for too long."""
        now = time.monotonic()
        with self._lock:
            over = [seat for seat in self._seats.values() if self._is_over(seat, now)]
            for seat in over:
                del self._seats[seat.token]
        for seat in over:
            seat.close()

    def _is_over(self, seat: Seat, now: float) -> bool:
        return now - seat.used > (self._leave if seat.leaving else self._idle) or now - seat.seen > self._away

    def close(self) -> None:
        """Gives up all seats."""
        self._ended.set()
        with self._lock:
            seats = list(self._seats.values())
            self._seats.clear()
        for seat in seats:
            seat.close()


class Turnstile:
    """Lets a few requests work at a time and a few more wait; others are told to come again.

    Args:
        working: At a time.
        waiting: More than these are refused.
    """

    def __init__(self, working: int = 2, waiting: int = 40):
        self._places = threading.Semaphore(working)
        self._limit, self._inside = working + waiting, 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            if self._inside >= self._limit:
                raise Refused("the server is busy; try again in a moment", "busy")
            self._inside += 1
        self._places.acquire()

    def __exit__(self, *_):
        self._places.release()
        with self._lock:
            self._inside -= 1
