"""What machine this is, and where a user's caches lie: what measured results and optimised graphs depend on."""

import functools
import importlib.metadata
import itertools
import os
import platform
import sys
from pathlib import Path

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


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        cores = set()
        for cpu in allowed:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            cores.add(siblings.read_text().strip() if siblings.is_file() else cpu)
        return max(1, len(cores))
    return os.cpu_count() or 1


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
