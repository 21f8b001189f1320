"""Whole processes on consoles that lack letters, are closed, or are not read."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from places import ROOT

NAMES = ("a.png", "b扫描é😀.png", "c.png")
BAD = "bad扫.png"
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8))[1].tobytes()
    for name in NAMES:
        (tmp_path / "in" / name).write_bytes(data)
    if sys.platform == "linux":
        (tmp_path / "in" / os.fsdecode(b"l\xfc.png")).write_bytes(data)
    return tmp_path


def segment(folder, *more, shell="", env=None):
    words = [sys.executable, "-m", "lite_medsam", "segment", "-i", "in", "--box", "5,5,50,40", "-o", "out", *more]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *words] if shell else words
    return subprocess.run(command, capture_output=True, cwd=folder, env=env)


def finished(folder):
    return {path.name for path in (folder / "out").iterdir() if path.suffix == ".json"}


CONSOLES = {name: {"PYTHONIOENCODING": name} for name in ("cp1252", "cp936", "ascii")} | {"C": C_LOCALE}


@pytest.mark.parametrize("env", CONSOLES.values(), ids=CONSOLES)
def test_names_that_the_console_lacks(folder, env):
    count = len(list((folder / "in").iterdir()))
    result = segment(folder, env=env)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(b".png: 1 object") == count == len(finished(folder))
    (folder / "in" / BAD).write_bytes(b"no picture")
    result = segment(folder, "--json", env=env)
    assert result.returncode == 2 and b"1 of %d inputs failed" % (count + 1) in result.stderr
    encoding = env.get("PYTHONIOENCODING", "ascii")
    records = json.loads(result.stdout.decode(encoding))
    assert {record["input"].rpartition("/")[2] for record in records} >= {*NAMES, BAD} and all(
        r.get("skipped") or r.get("error") for r in records
    )
    assert {json.loads((folder / "out" / name).read_text("utf-8"))["input"] for name in finished(folder)} >= set(NAMES)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("shell", [">&-", "2>&-", "<&- >&- 2>&-", "| head -c 1", "| true"])
def test_no_console_at_all(folder, shell):
    result = segment(folder, shell=shell)
    assert result.returncode == 0 and b"Traceback" not in result.stderr
    assert len(finished(folder)) == len(list((folder / "in").iterdir()))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full disk at hand")
def test_an_output_that_cannot_be_written_is_told(folder):
    result = segment(folder, shell="> /dev/full")
    assert result.returncode == 1 and b"the output could not be written" in result.stderr
    assert len(finished(folder)) == len(list((folder / "in").iterdir()))
