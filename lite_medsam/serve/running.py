"""The service on a port."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.published import find_weights
from lite_medsam.model.runtime import open_backend
from lite_medsam.serve.app import build
from lite_medsam.serve.guard import LOCAL, Guard
from lite_medsam.serve.lease import Leases
from lite_medsam.serve.limits import Limits
from lite_medsam.serve.models import SharedModel
from lite_medsam.serve.workspace import Workspace
from lite_medsam.storage.machine import usable_cpus

_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Settings:
    """How the service is run.

    Attributes:
        weights: Model directory or name; None for the bundled one.
        engine: What runs it.
        threads: CPU threads; None for the physical cores, in a container its share.
        zoom: See `Predictor`.
        refine: See `Predictor`.
        key: What clients must know; None lets all in.
        origins: Pages that may ask from a browser.
        is_open: Whether a service without a key may be reached from other machines.
        limits: Of clients and their requests.
    """

    weights: Path | str | None = None
    engine: str = "auto"
    threads: int | None = None
    zoom: str = "auto"
    refine: str = "off"
    key: str | None = None
    origins: tuple[str, ...] = ()
    is_open: bool = False
    limits: Limits = field(default_factory=Limits)


def serve(settings: Settings, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Runs the service until it is interrupted.

    Args:
        settings: How.
        host: Address to listen on.
        port: 0 takes a free one.
        on_ready: Called with the address once clients may come.

    Raises:
        ValueError: If others could reach it and nothing keeps them out.
        OSError: If the port is taken.
    """
    with listening(host, port) as sock:
        server = new_server(settings, host)
        on_ready(address_of(sock, host))
        server.run(sockets=[sock])


def new_server(settings: Settings, host: str) -> uvicorn.Server:
    """A server that is not running yet.

    Raises:
        ValueError: If others could reach it and nothing keeps them out.
    """
    is_local = host in LOCAL
    if not (is_local or settings.key or settings.is_open):
        raise ValueError(
            f"--host {host} lets other machines in, which needs a key; give one with --api-key-file, or --open where all may use it"
        )
    import blosc2

    blosc2.set_nthreads(usable_cpus())  # it would count the cores of the host, not of the container
    backend = open_backend(find_weights(settings.weights), settings.engine, settings.threads)
    model = SharedModel(backend, settings.zoom, EncodingCache(_CACHE_BYTES), settings.refine)
    leases = Leases(lambda: Workspace(model, settings.limits.follow_seconds), settings.limits)
    app = Guard(build(model, leases, settings.origins), settings.key, LOCAL if is_local else None, settings.origins)
    config = uvicorn.Config(
        app, log_level=logging.WARNING, access_log=False, server_header=False, proxy_headers=False, ws="none",
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    return uvicorn.Server(config)


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens.

    Raises:
        OSError: If the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            raise OSError(f"--host {host} --port {port} cannot be listened on ({error.strerror or error})") from None
        yield sock


def address_of(sock: socket.socket, host: str) -> str:
    """What a client on this machine calls the service."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{sock.getsockname()[1]}"
