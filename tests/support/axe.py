"""axe-core, which finds faults of accessibility in a page: from npm, kept in the cache beside the environments."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

VERSION = "4.10.3"
HOME = Path.home() / ".cache" / "lite-medsam" / f"axe-core-{VERSION}"
SCRIPT = HOME / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")


def axe_script() -> str:
    """The script; skips the test where it is neither here nor to be had."""
    if not SCRIPT.is_file() and shutil.which("npm"):
        command = [
            "npm",
            "install",
            "--prefix",
            str(HOME),
            "--no-save",
            "--no-audit",
            "--no-fund",
            f"axe-core@{VERSION}",
        ]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=40, check=False)
    if not SCRIPT.is_file():
        pytest.skip(f"axe-core is not here: npm install --prefix {HOME} axe-core@{VERSION}")
    return SCRIPT.read_text(encoding="utf-8")


def grave_faults(page, within: str = "body") -> list[str]:
    """What axe-core calls serious or critical, one line each: rule, and the first places."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(axe_script())
    found = page.evaluate("(within) => axe.run(within, { resultTypes: ['violations'] })", within)
    return [
        f"{fault['id']}: "
        + "; ".join(node["html"][:160] + " " + str(node["any"][:1])[:160] for node in fault["nodes"][:4])
        for fault in found["violations"]
        if fault["impact"] in GRAVE
    ]
