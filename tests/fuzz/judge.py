"""Reads one damaged file twice and judges what came of it."""

import contextlib
import ctypes
import dataclasses
import hashlib
import logging
import re
import resource
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from readers import Reader

from lite_medsam.errors import CaseError, PromptError, WeightsError

EXPECTED = (CaseError, PromptError, WeightsError)
MAX_MESSAGE = 1500
MEMORY_MB = 300
_M_PERTURB = -6  # of glibc's mallopt: what fresh memory is filled with


class Outcome(NamedTuple):
    """What came of an input.

    Attributes:
        kind: The result's type, or the error's message without numbers and names: equal for alike inputs.
        fault: What is wrong with the reader; None where nothing is.
    """

    kind: str
    fault: str | None


def read_twice(reader: Reader, data: bytes, folder: Path) -> Outcome:
    """Reads the bytes twice, the second time in memory that was filled with other bytes.

    A fault is: an error that is none of the project's, a message of several lines or with unprintable characters, more than
    `MEMORY_MB` of memory, or two readings that differ. The caller watches the time, and crashes.
    """
    path = folder / f"input{reader.suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    before = _start_peak()
    first = _read(reader, path, 0)
    if first.fault:
        return first
    taken = _peak_mb() - before
    if taken > MEMORY_MB:
        return Outcome(first.kind, f"takes {taken:.0f} MB")
    second = _read(reader, path, 0xAA)
    # an error may name any of several things that are wrong, as those of safetensors do: its class counts
    same = first == second if "#" in first.kind else first.kind.split(":")[0] == second.kind.split(":")[0]
    if not same or second.fault:
        shown = f"{first.kind[:200]} / {second.kind[:200]}"
        return Outcome(first.kind, f"two readings of the same bytes differ: {shown}")
    return Outcome(re.sub(r"#[0-9a-f]{40}", "", first.kind), None)


def _read(reader: Reader, path: Path, fill: int) -> Outcome:
    _fill_fresh_memory(fill)
    try:
        with warnings.catch_warnings(), _Log() as log:
            warnings.simplefilter("ignore")
            result = reader.read(path)
    except ImportError:  # nothing of the file: an extra is missing, or the reader has moved
        raise
    except EXPECTED as error:
        if log.lines:
            return Outcome("log", f"prints to the console beside its error: {log.lines[0][:200]}")
        return _judge_message(error)
    except Exception as error:
        return Outcome(type(error).__name__, f"{type(error).__name__}: {str(error)[:300]}")
    if log.lines:
        return Outcome("log", f"prints to the console: {log.lines[0][:200]}")
    digest = hashlib.sha1(usedforsecurity=False)
    shape = _add(digest, result)
    return Outcome(f"{shape} #{digest.hexdigest()}", None)


class _Log(logging.Handler):
    """What the packages that decode tell their logs: without a handler Python prints it."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self):
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self)


def _judge_message(error: Exception) -> Outcome:
    text = str(error)
    kind = f"{type(error).__name__}: {re.sub(r'[0-9]+|0x[0-9a-f]+', '0', text)[:300]}"
    if "\n" in text or not text.isprintable():
        return Outcome(kind, f"the message is not one printable line: {text[:300]!r}")
    if "not enough memory" in text or "MemoryError" in text:
        return Outcome(kind, f"asks for memory without measure: {text[:300]}")
    if not text or len(text) > MAX_MESSAGE:
        return Outcome(kind, f"the message has {len(text)} characters: {text[:300]}")
    return Outcome(kind, None)


def _add(digest, value: Any) -> str:
    """Adds a value to a hash; says what kind of value it is."""
    if isinstance(value, np.ndarray):
        digest.update(repr((value.shape, value.dtype.str)).encode())
        digest.update(np.ascontiguousarray(value).tobytes())
        return f"{value.ndim}d {value.dtype}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return f"{type(value).__name__}({', '.join(_add(digest, field) for field in fields)})"
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        digest.update(f"{len(value)}(".encode())
        kinds = [_add(digest, item) for item in value]
        return f"[{', '.join(dict.fromkeys(kinds))}]"
    if hasattr(value, "numpy"):
        return _add(digest, value.detach().numpy())
    digest.update(repr(value).encode("utf-8", "backslashreplace"))
    return type(value).__name__


def limit_memory(more_mb: int) -> None:
    """Lets the process grow by so much address space: a reader that believes a wild size then fails at once."""
    text = Path("/proc/self/statm").read_text() if Path("/proc/self/statm").exists() else ""
    if text:
        now = int(text.split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more_mb * 2**20, resource.RLIM_INFINITY))


def _fill_fresh_memory(value: int) -> None:
    # another C library has no such switch: then two readings are compared without it
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_PERTURB, value)


def _start_peak() -> float:
    """Lets the process's peak of memory start anew (Linux), and gives it in MB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_mb()


def _peak_mb() -> float:
    try:
        text = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+)", text)[1]) / 1024
    except (OSError, TypeError):  # no Linux: the peak since the process began
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
