"""Running the demo: login, limits on requests, headers that keep the page from contacting anybody else."""

import atexit
import contextlib
import ctypes
import hmac
import os
import shutil
import socket
import tempfile
from pathlib import Path

from .app import Settings, build, launch_options

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
    """
    own_folder()
    few_arenas()
    port = port or free_port(host)
    users = read_users(auth_file) if auth_file is not None else None
    page, desk = build(settings)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            root_path=root_path,
            inbrowser=open_browser,
            prevent_thread_lock=not block,
            quiet=not block,
            auth=None if users is None else (lambda name, password: _matches(users, name, password)),
            **launch_options(settings),
        )
    finally:
        if block:
            desk.seats.close()
    return page, desk, url


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
