"""What machine this is, and where a user's caches lie: what measured results and optimised graphs depend on."""

import functools
import importlib.metadata
import itertools
import math
import os
import platform
import sys
import warnings
from collections.abc import Collection
from pathlib import Path

from lite_medsam.storage.limits import cpu_quota, memory_limit_bytes

ENGINE_PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}


def cache_folder() -> Path:
    """The folder of this user's caches of lite-medsam, as the system wants it; it may be deleted at any time."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "lite-medsam" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lite-medsam"
    given = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG base directory specification: a relative path is to be ignored
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "lite-medsam"


def physical_cores(root: Path = Path("/")) -> int:
    """Threads that this process can keep busy: its cores, hyper-threads counted once where the system says so.

    In a container at most its share of CPU time, rounded up: a host of 64 cores that grants 2 counts as 2.

    Args:
        root: Where /proc and /sys are; another one in tests.
    """
    cores = set()
    for cpu in _allowed_cpus():
        siblings = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        cores.add(siblings.read_text().strip() if siblings.is_file() else cpu)
    return int(max(1, min(len(cores), _whole_quota(root))))


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use, hyper-threads counted each; more threads than these only wait for each other."""
    return int(max(1, min(len(_allowed_cpus()), _whole_quota(root))))


def may_spin(threads: int, root: Path = Path("/")) -> bool:
    """Whether threads may wait in a loop for their next piece of work: only where each has a CPU for itself.

    Where there are more threads than CPUs, or a share of CPU time that is counted, waiting takes the time of the others.
    """
    quota = cpu_quota(root)
    return 1 < threads <= len(_allowed_cpus()) and (quota is None or threads <= quota)


def check_threads(threads: int | None) -> None:
    """Warns of more threads than CPUs: they make everything slower, many times slower where there are many."""
    cpus = usable_cpus()
    if threads is not None and threads > cpus:
        warnings.warn(
            f"{threads} threads were asked for, but this process may use {cpus} CPU{'s' * (cpus != 1)}: "
            f"more threads than CPUs are slower; ask for at most {cpus}",
            RuntimeWarning,
            stacklevel=3,
        )


def memory_bytes(root: Path = Path("/")) -> int | None:
    """Main memory that this process may have: the machine's, or less in a container; None where the system does not say."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        installed = None  # Windows
    known = [size for size in (installed, memory_limit_bytes(root)) if size]
    return min(known, default=None)


def _allowed_cpus() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)  # what a cpuset leaves, too
    return range(os.cpu_count() or 1)


def _whole_quota(root: Path) -> float:
    quota = cpu_quota(root)
    return math.inf if quota is None else max(1, math.ceil(quota))


def peak_memory_bytes() -> int | None:
    """The most main memory that this process held at a time; None where the system does not say.

    On Linux not `ru_maxrss`: that starts with what the parent held when it made this process.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass  # another system
    try:
        import resource
    except ImportError:
        return None  # Windows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def cpu_title() -> str:
    """The processor's name for people."""
    return _cpu_fields().get("model name") or platform.processor() or platform.machine()


@functools.cache
def cpu_name() -> str:
    """The processor's model with what it can do, as far as the system tells; the same text on the same machine."""
    fields = _cpu_fields()
    if not fields:
        return f"{platform.machine()} {platform.processor()}".strip()
    chosen = ("vendor_id", "cpu family", "model", "stepping", "model name", "flags", "Features", "CPU part")
    return " ".join([platform.machine(), *(fields[name] for name in chosen if name in fields)])


@functools.cache
def _cpu_fields() -> dict[str, str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = itertools.takewhile(str.strip, file)  # those of the first processor
            pairs = (line.split(":", 1) for line in lines if ":" in line)
            return {name.strip(): value.strip() for name, value in pairs}
    except OSError:
        return {}


def engine_version(engine: str) -> str | None:
    """The version of an installed engine, None if it is not installed; the engine is not imported."""
    try:
        return importlib.metadata.version(ENGINE_PACKAGES[engine])
    except importlib.metadata.PackageNotFoundError:
        return None


def machine_signature() -> dict[str, str]:
    """What a measurement or a graph made for this machine depends on besides the model, for `SignedCache`."""
    versions = {name: engine_version(name) or "-" for name in ENGINE_PACKAGES}
    return {"system": f"{platform.system()} {platform.machine()}", "cpu": cpu_name(), **versions}
