"""How many voxels a scan may have: what the memory of this machine allows."""

import contextlib
from pathlib import Path

USUAL_VOXELS = 2**28  # where the system does not say what is free
# a 16-bit volume as read, as shown (8 bit), its labels, and one copy of the 16 bits while it is turned or cleaned
BYTES_PER_VOXEL = 6
_SHARE = 0.8


def voxels_in_memory() -> int:
    """The most voxels that a scan may have by default: as many as fit into the free memory, of a container too.

    Where the system does not tell, 2**28.
    """
    free = free_memory_bytes()
    return USUAL_VOXELS if free is None else max(2**22, int(free * _SHARE) // BYTES_PER_VOXEL)


def free_memory_bytes() -> int | None:
    """Memory that can still be taken: of the machine, or of the container where that has less; None where unknown."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace").splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            folder = Path("/sys/fs/cgroup")
            found.append(max(0, int((folder / limit).read_text()) - int((folder / used).read_text())))
    return min(found) if found else None
