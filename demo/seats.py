"""Who is there: one seat for each open page, with its session, its limits and its end."""

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from lite_medsam.session.interactive import Session


class Refused(ValueError):
    """A request that cannot be served: `code` tells the page why."""

    def __init__(self, message: str, code: str = "bad"):
        super().__init__(message)
        self.code = code


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
    upload: "Upload | None" = None

    @property
    def nbytes(self) -> int:
        """Bytes of the picture or volume that is open."""
        return 0 if self.session is None else self.session.nbytes

    def close(self) -> None:
        """Stops what runs and forgets everything."""
        if self.job is not None:
            self.job.stop.set()
        if self.upload is not None:
            self.upload.discard()
        self.upload = self.compared = self.offered = None
        self.session = None


# files that name the ones beside them, or say in their name what they hold
_NAMING = (".xml", ".oct", ".mhd", ".img")


class Upload:
    """Files on their way in, in a private folder that goes away with them."""

    def __init__(self, names: list[str], sizes: list[int]):
        self.names, self.sizes = names, sizes
        self.folder = Path(tempfile.mkdtemp(prefix="lite-medsam-demo-"))  # readable by this user alone
        self.received = [0] * len(names)

    @property
    def source(self) -> Path:
        """What is to be read: the one file, the file of several that names the others, or the folder of them."""
        main = [k for k, name in enumerate(self.names) if name.lower().endswith(_NAMING)]
        if len(self.names) == 1 or len(main) == 1:
            return self.path(main[0] if main else 0)
        return self.folder

    def path(self, number: int) -> Path:
        """Where a file is written; its own name is used only where the content of an OCT exam needs it, else its ending."""
        if any(name.lower().endswith(_NAMING) for name in self.names):
            plain = [re.sub(r"[^\w.+ -]", "_", re.split(r"[\\/]", name)[-1])[-120:] for name in self.names]
            if plain[number].strip(". ") and plain[number] not in plain[:number]:
                return self.folder / plain[number]
        suffixes = "".join(Path(self.names[number]).suffixes[-2:]).lower()
        keep = suffixes if suffixes.replace(".", "").isalnum() and len(suffixes) <= 12 else ""
        return self.folder / f"{number:05d}{keep}"

    def append(self, number: int, data: bytes) -> None:
        """Adds a piece to a file.

        Raises:
            Refused: If the file grows beyond what was announced.
        """
        if not 0 <= number < len(self.names) or self.received[number] + len(data) > self.sizes[number]:
            raise Refused("an upload must have the size that was announced, got more; choose the file again")
        with open(self.path(number), "ab") as file:
            file.write(data)
        self.received[number] += len(data)

    @property
    def complete(self) -> bool:
        """Whether every byte that was announced has come."""
        return self.received == self.sizes

    def discard(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Seats:
    """All seats, up to a number and a sum of bytes.

    Args:
        max_seats: Pages at a time; the one that was idle longest goes when another comes and it is idle for a minute.
        max_bytes: Of all opened pictures and volumes together.
        idle_seconds: A seat that is not used for so long is given up.
        leave_seconds: The same for one whose page was closed; a page that only lost its connection is back sooner.
    """

    def __init__(
        self, max_seats: int = 64, max_bytes: int = 2**32, idle_seconds: float = 1800, leave_seconds: float = 120
    ):
        self._max_seats, self._max_bytes = max_seats, max_bytes
        self._idle, self._leave = idle_seconds, leave_seconds
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
            Refused: If every seat is in use.
        """
        self.sweep()
        with self._lock:
            if len(self._seats) >= self._max_seats:
                token, oldest = next(iter(self._seats.items()))
                if time.monotonic() - oldest.used < min(60, self._idle):
                    raise Refused("the server is full; try again in a minute", "busy")
                del self._seats[token]
            else:
                oldest = None
            seat = Seat(secrets.token_urlsafe(32), model, engine, page)
            self._seats[seat.token] = seat
        if oldest is not None:
            oldest.close()
        return seat

    def find(self, token: object) -> Seat:
        """The seat of a token.

        Raises:
            Refused: If there is none, or none any more.
        """
        with self._lock:
            seat = self._seats.get(token) if isinstance(token, str) else None
            if seat is None:
                raise Refused("this session has ended; reload the page to start another", "ended")
            self._seats.move_to_end(seat.token)
            seat.used, seat.leaving = time.monotonic(), False
            return seat

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

    def sweep(self) -> None:
        """Gives up seats that were not used for too long."""
        now = time.monotonic()
        with self._lock:
            over = [s for s in self._seats.values() if now - s.used > (self._leave if s.leaving else self._idle)]
            for seat in over:
                del self._seats[seat.token]
        for seat in over:
            seat.close()

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
