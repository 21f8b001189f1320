"""Runs one command of the package in a process of its own and says how much memory that took at most.

python -m lite_medsam.bench.child segment -i scan.png ...
"""

import runpy
import sys

from lite_medsam.storage.machine import peak_memory_bytes

MARK = "peak_memory_mb"


def main(arguments: list[str]) -> None:
    """Runs the command line; the last line on stdout is the mark and the number."""
    code: str | int = 0
    sys.argv[1:] = arguments
    try:
        runpy.run_module("lite_medsam", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    peak = peak_memory_bytes()
    print(MARK, "unknown" if peak is None else f"{peak / 1e6:.1f}")
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
