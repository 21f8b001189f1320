"""Some hundred damaged files for each reader; `make fuzz` reads a million."""

import subprocess
import sys
from random import Random

import pytest
from judge import read_twice
from mutate import damaged
from places import ROOT
from readers import READERS, Reader

from lite_medsam.errors import CaseError

COUNT = 150
NEEDS = {"nifti": "nibabel", "nifti-gz": "nibabel", "dicom": "pydicom", "checkpoint": "torch", "recipe": "torch",
         "finetune-settings": "torch"}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_one_line_or_read(name, tmp_path, pytestconfig):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    elif pytestconfig.getoption("--after-base"):
        pytest.skip("ran in the base environment")
    reader = READERS[name]
    seeds = reader.seeds()
    for data in seeds:  # imports take memory once
        read_twice(reader, data, tmp_path)
    for number in range(COUNT):
        rng = Random(number)
        data = damaged(rng.choice(seeds), rng, seeds)
        outcome = read_twice(reader, data, tmp_path)
        assert outcome.fault is None, f"input {number}: {outcome.fault}"


@pytest.mark.parametrize("name", sorted(set(READERS) - set(NEEDS)))
def test_whole_files_are_read(name, tmp_path):
    reader = READERS[name]
    kinds = [read_twice(reader, data, tmp_path).kind for data in reader.seeds()]
    assert any("Error" not in kind for kind in kinds), kinds


def faulty(content: str) -> Reader:
    def read(path):
        exec(content, {"path": path, "CaseError": CaseError})

    return Reader(read, lambda: [b"x"], "", 1)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("raise KeyError('x')", "KeyError"),
        ("raise CaseError('two\\nlines')", "one printable line"),
        ("raise CaseError('x' * 5000)", "5000 characters"),
        ("raise CaseError('not enough memory')", "without measure"),
        ("import logging; logging.warning('hm')", "console"),
    ],
)
def test_a_fault_is_seen(content, fault, tmp_path):
    assert fault in read_twice(faulty(content), b"x", tmp_path).fault


def test_readings_that_differ_are_seen(tmp_path):
    drawn = iter(range(9))
    reader = Reader(lambda path: next(drawn), lambda: [b"x"], "", 1)
    assert "differ" in read_twice(reader, b"x", tmp_path).fault


def test_a_run_continues_and_counts(tmp_path):
    command = [sys.executable, str(ROOT / "tests/fuzz/run.py"), "--state", str(tmp_path), "--only", "protocol"]
    for total in ("2000", "3000"):
        done = subprocess.run([*command, "--total", total], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    count = int(done.stdout.splitlines()[-1].split()[0])
    shares = sum(reader.share for reader in READERS.values())
    assert count == -(-3000 * READERS["protocol"].share // shares)
