"""What the measurements were made on: processor, cores, versions."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

from lite_medsam.storage.limits import cpu_quota
from lite_medsam.storage.machine import cpu_title, memory_bytes, physical_cores

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
        "cpu_quota": cpu_quota(),
        "memory_gb": _memory_gb(),
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def _memory_gb() -> float | None:
    size = memory_bytes()
    return None if size is None else round(size / 1e9, 1)
