"""Downloads that resume, are checked, and never leave half a file."""

import contextlib
import http.client
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.spec import sha256_of

BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0
ATTEMPTS_PER_URL = 4
# sent because some hosts refuse urllib's own
USER_AGENT = "lite-medsam"

Progress = Callable[[int, int | None], None]


def download(
    urls: Sequence[str],
    path: str | os.PathLike,
    sha256: str = "",
    size_bytes: int = 0,
    progress: Progress | None = None,
    timeout: float = TIMEOUT_SECONDS,
    wait_seconds: float = 1.0,
) -> Path:
    """Downloads a file from the first mirror that delivers it.

    What has arrived is kept beside the target as NAME.part, so that a later call goes on from there if the hash is known.
    The target appears only when it is whole and its hash is right.

    Args:
        urls: http(s) addresses of the same file, tried in order.
        path: The target; a file that is there already is checked and kept.
        sha256: Its hash; empty when unknown.
        size_bytes: Its size; 0 when unknown.
        progress: Called with the bytes so far and the total, None when unknown.
        timeout: Longest silence of a server, seconds.
        wait_seconds: Pause before the first further attempt; doubled each time.

    Raises:
        WeightsError: If no mirror has the file as it should be, or another file of that name is there.
        OSError: If it can't be written; what has arrived is kept.
    """
    path = Path(path)
    if path.exists():
        check_file(path, sha256, size_bytes)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    problems = []
    for url in urls:
        if not sha256:
            part.unlink(missing_ok=True)  # without a hash nobody can tell whether it is the beginning of the same file
        try:
            _fetch(url, part, size_bytes, progress, timeout, wait_seconds)
            check_file(part, sha256, size_bytes)
        except WeightsError as error:
            problems.append(f"{urllib.parse.urlsplit(url).netloc}: {error}")
            continue
        os.replace(part, path)
        return path
    raise WeightsError(f"{path.name} could not be downloaded; " + "; ".join(problems))


def check_file(path: str | os.PathLike, sha256: str, size_bytes: int = 0) -> None:
    """Compares a file with what is known of it; a partial download that is wrong is removed.

    Raises:
        WeightsError: If size or hash differ.
    """
    path = Path(path)
    size = path.stat().st_size
    problem = None
    if size_bytes and size != size_bytes:
        problem = f"{path.name} must have {size_bytes} bytes, got {size}"
    elif sha256:
        got = sha256_of(path)
        if got != sha256:
            problem = f"{path.name} must have the SHA-256 {sha256}, got {got}"
    if problem is None:
        return
    if path.suffix == ".part":
        path.unlink()
        raise WeightsError(f"{problem}; the download was thrown away")
    raise WeightsError(f"{problem}; move it away and download it again")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_url(newurl)
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise WeightsError(f"a redirect must stay on https, got one to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Interrupted(Exception):
    """The connection broke; what arrived is kept and another attempt makes sense."""


def _fetch(
    url: str, part: Path, size_bytes: int, progress: Progress | None, timeout: float, wait_seconds: float
) -> None:
    """Brings the rest of a file, with several attempts."""
    _check_url(url)
    reason = ""
    for attempt in range(ATTEMPTS_PER_URL):
        if attempt:
            time.sleep(wait_seconds * 2 ** (attempt - 1))
        try:
            return _fetch_once(url, part, size_bytes, progress, timeout)
        except _Interrupted as error:
            reason = str(error)
    raise WeightsError(f"the connection broke {ATTEMPTS_PER_URL} times ({reason}); run it again to go on")


def _fetch_once(url: str, part: Path, size_bytes: int, progress: Progress | None, timeout: float) -> None:
    have = part.stat().st_size if part.exists() else 0
    if size_bytes and have > size_bytes:
        part.unlink()
        have = 0
    if size_bytes and have == size_bytes:
        return
    try:
        with contextlib.closing(_open(url, have, timeout)) as response:
            start = _resume_point(response, have)
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else size_bytes or None
            _check_answer(response, total, start, size_bytes, part)
            _write(response, part, start, total, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing after what is there: it is whole, or of another file
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise _Interrupted("the partial file did not fit") from None
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Interrupted(f"HTTP {error.code}") from None
        raise WeightsError(f"the server answered HTTP {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Interrupted(str(error.reason)) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _Interrupted(str(error) or type(error).__name__) from None


def _open(url: str, have: int, timeout: float):
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = urllib.request.build_opener(_Redirects)
    return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)


def _resume_point(response, have: int) -> int:
    """Where the answer begins: at what was asked for, or at 0 if the server sends everything."""
    if response.status != 206:
        return 0
    given = response.headers.get("Content-Range", "")  # bytes 100-199/200
    first = given.removeprefix("bytes ").split("-")[0]
    if first != str(have):
        raise WeightsError(f"the server must send from byte {have} on, got {given or 'no Content-Range'}")
    return have


def _check_answer(response, total: int | None, start: int, size_bytes: int, part: Path) -> None:
    if response.headers.get_content_type() == "text/html":
        raise WeightsError("the server must send a file, got a web page; open the source page in a browser")
    if size_bytes and total != size_bytes:
        raise WeightsError(f"the file must have {size_bytes} bytes, the server has {total}")
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise OSError(f"{part.parent} needs {(total - start) / 1e6:.0f} MB, but only {free / 1e6:.0f} MB are free")


def _write(response, part: Path, start: int, total: int | None, progress: Progress | None) -> None:
    done = start
    with open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        while block := response.read(BLOCK_BYTES):
            done += len(block)
            if total is not None and done > total:
                raise WeightsError(f"the file must have {total} bytes, but the server sends more")
            file.write(block)
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"{done} of {total} bytes arrived")


def _check_url(url: str) -> None:
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise WeightsError(f"an address must begin with https:// or http://, got {scheme or url!r}")
