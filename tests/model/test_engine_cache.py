"""Optimised graphs that are kept, and where caches lie."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from lite_medsam.model import engines
from lite_medsam.model.engines import OnnxBackend
from lite_medsam.model.runtime import open_backend
from lite_medsam.model.spec import load_spec
from lite_medsam.storage import machine
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

PIXELS = np.random.default_rng(5).standard_normal((1, 3, 256, 256), np.float32)


def answer(backend):
    features = backend.encode(PIXELS)
    coords, labels = np.array([[[20, 30], [150, 200]]], np.float32), np.array([[2, 3]], np.float32)
    previous = np.zeros((1, 1, 256, 256), np.float32)
    return backend.decode(features, coords, labels, previous, np.zeros(1, np.float32))[0]


@pytest.fixture(scope="module")
def expected():
    return answer(OnnxBackend(DEFAULT_WEIGHTS, load_spec(DEFAULT_WEIGHTS), threads=1))


def entries(folder):
    return sorted((folder / "graphs").glob("*.npz"))


def test_kept_graphs_are_used_and_answer_the_same(fresh_cache, expected, monkeypatch):
    np.testing.assert_array_equal(answer(open_backend(DEFAULT_WEIGHTS, threads=1)), expected)
    assert len(entries(fresh_cache)) == 1
    monkeypatch.setattr(OnnxBackend, "_open", lambda *_: pytest.fail("optimised again"))
    np.testing.assert_array_equal(answer(open_backend(DEFAULT_WEIGHTS, threads=1)), expected)


@pytest.mark.parametrize("damage", [b"", b"not a zip", "flip"])
def test_damaged_graphs_are_made_again_with_one_warning(fresh_cache, expected, damage):
    open_backend(DEFAULT_WEIGHTS, threads=1)
    path = entries(fresh_cache)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data) if damage == "flip" else damage)
    with pytest.warns(RuntimeWarning, match="damaged; they are made again") as caught:
        backend = open_backend(DEFAULT_WEIGHTS, threads=1)
    assert len(caught) == 1
    np.testing.assert_array_equal(answer(backend), expected)
    assert len(entries(fresh_cache)) == 1 and entries(fresh_cache)[0].stat().st_size > 1e6


def test_graphs_of_another_machine_or_runtime_are_not_used(fresh_cache, monkeypatch):
    open_backend(DEFAULT_WEIGHTS, threads=1)
    monkeypatch.setattr(engines, "cpu_name", lambda: "another processor")
    open_backend(DEFAULT_WEIGHTS, threads=1)
    assert len(entries(fresh_cache)) == 2


@pytest.mark.filterwarnings("error")
def test_a_cache_that_cannot_be_made_costs_nothing_but_time(fresh_cache, expected):
    fresh_cache.write_text("a file where the folder should be")
    np.testing.assert_array_equal(answer(open_backend(DEFAULT_WEIGHTS, threads=1)), expected)


def test_a_model_without_hashes_is_not_kept(fresh_cache, tmp_path):
    directory = shutil.copytree(DEFAULT_WEIGHTS, tmp_path / "model")
    text = (directory / "spec.json").read_text()
    (directory / "spec.json").write_text(text[: text.index('"files"')] + '"files": {}, "notes": ""}')
    open_backend(directory, threads=1)
    assert not fresh_cache.joinpath("graphs").exists() or not entries(fresh_cache)


def test_threads_reach_the_session():
    for count in (1, 2):
        backend = open_backend(DEFAULT_WEIGHTS, threads=count)
        assert backend._encoder.get_session_options().intra_op_num_threads == count
        assert backend._decoder.get_session_options().intra_op_num_threads == count
    assert open_backend(DEFAULT_WEIGHTS).threads == machine.physical_cores()


def test_the_cache_folder_follows_the_system(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert machine.cache_folder() == Path("/somewhere/lite-medsam")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/ones/are/to/be/ignored")
    assert machine.cache_folder() == Path.home() / ".cache" / "lite-medsam"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert machine.cache_folder() == Path("/local/lite-medsam/cache")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert machine.cache_folder() == Path.home() / "Library" / "Caches" / "lite-medsam"


def test_onnxruntime_leaves_no_usage_record(tmp_path):
    import os
    import subprocess

    code = "from lite_medsam.model.engines import import_onnxruntime; import_onnxruntime()"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    places = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment | places, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
