"""What a run needed: seconds of each phase and peak memory, written beside its logs."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.machine import peak_memory_bytes

RECORD = "record.json"


class RunRecord:
    """Seconds by phase, of this process; a continued run has those since it was continued."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the wall time of a block to a phase; phases may come more than once, not within one another."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def write(self, folder: Path, **facts: Any) -> None:
        """Writes record.json, atomically: seconds, peak memory, threads, and further facts."""
        record = {
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            **peak_memory(),
            "threads": torch.get_num_threads(),
            **facts,
        }
        with atomic_write(folder / RECORD) as path:
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        parts = [f"{name} {value:.0f} s" for name, value in self.seconds.items()]
        peaks = [
            f"{name.replace('_', ' ').removesuffix(' gb')} {value:.1f} GB" for name, value in peak_memory().items()
        ]
        return ", ".join(parts + peaks)


def peak_memory() -> dict[str, float]:
    """Gigabytes (10^9 bytes) that this process needed at most: main memory, where the system tells, and of the GPU."""
    peak = peak_memory_bytes()
    peaks = {} if peak is None else {"peak_memory_gb": round(peak / 1e9, 2)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peaks["peak_gpu_memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return peaks
