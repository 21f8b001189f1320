"""What a client may send and hold, and how a request is refused."""

from dataclasses import dataclass

JSON_BYTES = 64 * 1024  # of a request without an array


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes:
        max_sessions: Clients at a time.
        idle_timeout_seconds: A client that did nothing for so long loses its place, whether it still shows that it lives or not.
        liveness_timeout_seconds: The same for one of which nothing at all was heard.
        max_upload_mb: Of one request.
        max_voxels: Of a volume.
        max_memory_mb: Of all volumes, masks and histories together.
        follow_seconds: After so long an object is not followed further; what was found until then is the answer. The client
            package waits 60 seconds.
        waiting: Requests of one client that may wait for the one that is worked on.
    """

    max_sessions: int = 3
    idle_timeout_seconds: float = 600.0
    liveness_timeout_seconds: float = 60.0
    max_upload_mb: int = 512
    max_voxels: int = 120_000_000
    max_memory_mb: int = 4096
    follow_seconds: float = 40.0
    waiting: int = 8

    @property
    def upload_bytes(self) -> int:
        """The most bytes of a request."""
        return self.max_upload_mb * 2**20

    @property
    def memory_bytes(self) -> int:
        """The most bytes of all volumes and masks, and of one array while it is read."""
        return self.max_memory_mb * 2**20


class Refused(Exception):
    """A request that is not served.

    Args:
        status: The HTTP status.
        message: Why, for the user of the client.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}
