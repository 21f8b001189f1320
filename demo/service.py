"""Running the demo: login, limits on requests, headers that keep the page from contacting anybody else."""

import atexit
import contextlib
import ctypes
import errno
import hmac
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from .app import Settings, build, launch_options
from .samples import sample_cards

FOLDER = "GRADIO_TEMP_DIR"
M_ARENA_MAX = -8  # of malloc.h


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    share: bool = False,
    root_path: str = "",
    auth_file: Path | None = None,
    open_browser: bool = False,
    block: bool = True,
):
    """Starts the service.

    Returns:
        The page, the desk and the local address when it does not block.

    Raises:
        ValueError: If an argument is not what it must be.
        OSError: If the port cannot be listened on.
    """
    check_root_path(root_path)
    check_port(host, port)
    own_folder()
    few_arenas()
    port = port or free_port(host)
    users = read_users(auth_file) if auth_file is not None else None
    page, desk = build(settings, login=users is not None)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            root_path=root_path,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,
            auth=None if users is None else (lambda name, password: _matches(users, name, password)),
            **launch_options(settings),
        )
        if block:
            threading.Thread(target=sample_cards, daemon=True).start()  # the first page need not wait for its pictures
            told(url, page.share_url)
            wait(page)
    finally:
        if block:
            desk.seats.close()
    return page, desk, url


def told(url: str, shared: str | None) -> None:
    """Says where the page is."""
    print(f"The demo is at {url.rstrip('/')}", flush=True)
    if shared:
        print(f"and, for everybody who knows the address, at {shared}", flush=True)
    print("Ctrl-C stops it.", file=sys.stderr, flush=True)


def wait(page) -> None:
    """Until Ctrl-C, or until the server ends."""
    try:
        while page.is_running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print("\nThe demo has stopped.", file=sys.stderr, flush=True)
    finally:
        page.close(verbose=False)


def check_root_path(root_path: str) -> None:
    """Checks a path prefix.

    Raises:
        ValueError: If it is none.
    """
    address = re.fullmatch(r"(https?://[^/\s]+)?(/[^\s?#]*)?", root_path)
    if address is None:
        raise ValueError(
            f"--root-path must begin with / or be a whole address, got {root_path!r}; write /{root_path.strip('/ ')}"
        )


def check_port(host: str, port: int) -> None:
    """Checks that one can listen there; port 0 is always free.

    Raises:
        OSError: If not.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # what is left of an ended server is no other server
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OSError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None
            other = port + 1 if port < 65535 else port - 1
            raise OSError(
                f"port {port} is in use, perhaps by another demo: end that one, or choose another port, "
                f"--port {other} (--port 0 takes a free one)"
            ) from None


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def few_arenas() -> None:
    """Lets glibc keep two heaps instead of eight per core: each of them holds on to the largest request it has served."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def own_folder() -> Path:
    """Gives Gradio a folder for files that only this process uses, and that goes away with it."""
    if os.environ.get(FOLDER) is None:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="lite-medsam-demo-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])


def read_users(path: Path) -> dict[str, str]:
    """Names and passwords from a text file, one name:password a line; # begins a comment line.

    Raises:
        ValueError: If the file is missing, empty, or a line has another form.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--auth-file must be a text file with name:password lines, {path}: {error}") from None
    users = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not colon or not name.strip() or not password:
            raise ValueError(f"--auth-file must have name:password on each line, line {number} of {path} has not")
        users[name.strip()] = password
    if not users:
        raise ValueError(
            f"--auth-file must name one user at least, {path} names none; without the option all are let in"
        )
    return users


def _matches(users: dict[str, str], name: str, password: str) -> bool:
    expected = users.get(name)
    # the comparison takes the same time for a name that does not exist
    return hmac.compare_digest((expected or "").encode(), password.encode()) and expected is not None
