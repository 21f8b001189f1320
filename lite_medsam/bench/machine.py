"""What the measurements were made on: processor, cores, versions."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

from lite_medsam.storage.machine import cpu_title, physical_cores

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "openvino", "torch")


def machine_facts() -> dict[str, Any]:
    """Facts for the record; packages that are not installed are left out."""
    versions = {"python": platform.python_version()}
    for name in ("lite-medsam", *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": cpu_title(),
        "system": f"{platform.system()} {platform.machine()}",
        "physical_cores": physical_cores(),
        "logical_cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None  # not on this system
