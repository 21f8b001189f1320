"""What a container allows this process: CPU time and memory by the control groups of Linux."""

import math
from collections.abc import Iterator
from pathlib import Path

# version 1 says "no limit" as a number near 2**63
_NO_LIMIT_BYTES = 1 << 60


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPUs that the control groups of this process grant, such as 1.5; None without a limit.

    The groups are nested, and each may have a limit: the smallest counts. Version 2 has `cpu.max`, version 1
    `cpu.cfs_quota_us` and `cpu.cfs_period_us`.

    Args:
        root: Where /proc and /sys are; another one in tests.
    """
    quotas = []
    for folder in _groups("cpu", root):
        allowed, _, period = _text(folder / "cpu.max").partition(" ")
        quotas.append(_share(allowed, period or "100000"))
        quotas.append(_share(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")))
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """Most main memory that the control groups of this process grant, None without a limit; nested as for `cpu_quota`."""
    limits = []
    for folder in _groups("memory", root):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            text = _text(folder / name)
            if text.isdigit() and 0 < int(text) < _NO_LIMIT_BYTES:
                limits.append(int(text))
    return min(limits, default=None)


def _share(allowed: str, period: str) -> float | None:
    try:
        share = float(allowed) / float(period)
    except (ValueError, ZeroDivisionError):
        return None  # "max", or no such file
    return share if math.isfinite(share) and share > 0 else None  # version 1 writes -1 for no limit


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's groups that may limit a resource, of both versions, from the inmost up."""
    mounts = list(_mounts(root))
    usual = root / "sys/fs/cgroup"
    yield from (usual, usual / controller, usual / "cpu,cpuacct")  # where the system does not say what is mounted
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        for mounted, point, kind, options in mounts:
            if kind == ("cgroup" if names else "cgroup2") and (not names or controller in options.split(",")):
                yield from _upwards(root / point.lstrip("/"), _below(path, mounted))


def _mounts(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """(root of the mount in its hierarchy, mount point, type, options) of every control group hierarchy."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            yield fields[3], fields[4], kind[0], kind[2]


def _below(path: str, mounted: str) -> list[str]:
    """The steps from a mount's folder to a group; none where a container shows its own group as the top.

    A container without a name space of its own names its group as the host does, but mounts that group alone.
    """
    steps, hidden = ([part for part in text.split("/") if part] for text in (path, mounted))
    if ".." in steps:
        return []
    return steps[len(hidden) :] if steps[: len(hidden)] == hidden else []


def _upwards(top: Path, steps: list[str]) -> Iterator[Path]:
    for depth in range(len(steps), -1, -1):
        yield top.joinpath(*steps[:depth])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
