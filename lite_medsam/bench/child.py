"""Runs one command of the package in a process of its own and says how much memory that took at most.

python -m lite_medsam.bench.child segment -i scan.png ...
"""

import runpy
import sys
from pathlib import Path

MARK = "peak_memory_mb"


def peak_memory_mb() -> float | None:
    """The most memory that this process had at a time; None where the system does not say.

    On Linux not `ru_maxrss`: that starts with what the parent held when it made this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return None  # Windows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main(arguments: list[str]) -> None:
    """Runs the command line; the last line on stdout is the mark and the number."""
    code = 0
    sys.argv[1:] = arguments
    try:
        runpy.run_module("lite_medsam", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    peak = peak_memory_mb()
    print(MARK, "unknown" if peak is None else f"{peak:.1f}")
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
