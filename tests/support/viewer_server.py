"""A service for viewers in this process, on a free port of this machine, gone at the end."""

import contextlib
import threading
import time

import numpy as np

from lite_medsam.serve.limits import Limits
from lite_medsam.serve.running import Settings, address_of, listening, new_server


@contextlib.contextmanager
def running(host: str = "127.0.0.1", key: str | None = None, origins: tuple[str, ...] = (), **limits):
    """Yields the address."""
    settings = Settings(threads=1, key=key, origins=origins, limits=Limits(**limits))
    with listening(host, 0) as sock:
        server = new_server(settings, host)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield address_of(sock, host)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks that are not both empty."""
    return float(2 * np.logical_and(a, b).sum() / (a.astype(bool).sum() + b.astype(bool).sum()))
