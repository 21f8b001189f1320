"""Who is there: a lease for each client, its limits and its end."""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable

from lite_medsam.serve.limits import Limits, Refused
from lite_medsam.serve.workspace import Workspace

GONE = "this session has ended or was never there; connect again"


class Lease:
    """One client's place; nobody gets at it without the token.

    Args:
        token: What the client sends with every request.
        workspace: Its state.
        now: When it came.
        heartbeats: Whether the client shows that it lives; one that cannot is judged by its idle time alone.
    """

    def __init__(self, token: str, workspace: Workspace, now: float, heartbeats: bool = True):
        self.token, self.workspace, self.heartbeats = token, workspace, heartbeats
        self.active_at = self.seen_at = now
        self.inside = 0  # requests that are worked on or wait
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def turn(self, waiting: int) -> AsyncIterator[Workspace]:
        """The workspace for one request at a time, in the order in which they came.

        Raises:
            Refused: If too many wait.
        """
        if self.inside > waiting:
            raise Refused(429, "too many requests of this session wait; send one after the other")
        self.inside += 1
        try:
            async with self._turn:
                yield self.workspace
        finally:
            self.inside -= 1


class Leases:
    """All leases, up to a number.

    Args:
        new_workspace: Makes the state of a new client.
        limits: How many, and for how long.
        clock: Seconds that only grow; another one in tests.
    """

    def __init__(
        self, new_workspace: Callable[[], Workspace], limits: Limits, clock: Callable[[], float] = time.monotonic
    ):
        self._new, self.limits, self._clock = new_workspace, limits, clock
        self._leases: dict[str, Lease] = {}
        self._named: dict[Hashable, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._leases)

    def claim(self, heartbeats: bool = True) -> Lease:
        """A new lease.

        Raises:
            Refused: If every place is taken.
        """
        self.sweep()
        with self._lock:
            if len(self._leases) >= self.limits.max_sessions:
                most = self.limits.max_sessions
                message = f"all {most} places of this server are taken; try again when another user has left"
                raise Refused(503, message, {"Retry-After": "10"})
            lease = Lease(secrets.token_urlsafe(32), self._new(), self._clock(), heartbeats)
            self._leases[lease.token] = lease
            return lease

    def named(self, name: Hashable, make: bool) -> Lease | None:
        """The lease of a client that sends no token and is known by something else.

        Args:
            name: What it is known by.
            make: Whether it gets a lease where it has none.

        Raises:
            Refused: If every place is taken.
        """
        lease = self._leases.get(self._named.get(name, ""))
        if lease is None and make:
            lease = self.claim(heartbeats=False)
            self._named = {key: token for key, token in self._named.items() if token in self._leases}
            self._named[name] = lease.token
        return lease

    def find(self, token: str | None) -> Lease:
        """The lease of a token, which is seen to live by that.

        Raises:
            Refused: If there is none, or none any more.
        """
        lease = self.peek(token)
        lease.seen_at = self._clock()
        return lease

    def peek(self, token: str | None) -> Lease:
        """The lease of a token; looking does not prolong it.

        Raises:
            Refused: If there is none, or none any more.
        """
        self.sweep()
        lease = self._leases.get(token or "")
        if lease is None:
            raise Refused(410, GONE)
        return lease

    def used(self, lease: Lease) -> None:
        """Notes that the user of a client did something."""
        lease.active_at = lease.seen_at = self._clock()

    def remaining_seconds(self, lease: Lease) -> float:
        """How long a client may go on doing nothing."""
        return max(0.0, self.limits.idle_timeout_seconds - (self._clock() - lease.active_at))

    def release(self, token: str | None) -> None:
        """Gives a lease back; nothing happens where there is none."""
        with self._lock:
            lease = self._leases.pop(token or "", None)
        if lease is not None:
            lease.workspace.close()

    def room_for(self, workspace: Workspace, nbytes: int) -> None:
        """Checks that a client may hold so many bytes.

        Raises:
            Refused: If all together would hold too many.
        """
        with self._lock:
            others = sum(each.workspace.nbytes for each in self._leases.values() if each.workspace is not workspace)
        if others + nbytes > self.limits.memory_bytes:
            raise Refused(413, "the server has no memory left for this volume; crop it, or come back later")

    def sweep(self) -> None:
        """Takes back the leases of clients that did nothing, or showed no life, for too long."""
        now, limits = self._clock(), self.limits
        with self._lock:
            over = [
                lease
                for lease in self._leases.values()
                if not lease.inside
                and (
                    now - lease.active_at > limits.idle_timeout_seconds
                    or (lease.heartbeats and now - lease.seen_at > limits.liveness_timeout_seconds)
                )
            ]
        for lease in over:
            self.release(lease.token)

    def close(self) -> None:
        """Takes all leases back."""
        for token in list(self._leases):
            self.release(token)
