import shutil

import numpy as np
import pytest

from lite_medsam.errors import MissingExtraError, WeightsError
from lite_medsam.model.runtime import open_backend, physical_cores
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def backend():
    return open_backend(DEFAULT_WEIGHTS, threads=1)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(DEFAULT_WEIGHTS, tmp_path / "model")


def prompts(count, size, tokens=2):
    rng = np.random.default_rng(count)
    coords = np.sort(rng.uniform(0, size - 1, (count, tokens, 2)), axis=1).astype(np.float32)
    labels = np.tile(np.array([2, 3], np.float32), (count, 1))
    return coords, labels, np.zeros((count, 1, size, size), np.float32), np.zeros(count, np.float32)


def test_shapes(backend):
    size = backend.spec.preprocessing.image_size
    features = backend.encode(np.zeros((2, 3, size, size), np.float32))
    assert all(len(feature) == 2 and feature.dtype == np.float32 for feature in features)
    logits, scores = backend.decode(features, *prompts(6, size))
    tokens = backend.spec.architecture.mask_tokens
    assert logits.shape == (6, tokens, size, size) and scores.shape == (6, tokens)
    assert np.isfinite(logits).all()


def test_a_batch_of_prompts_equals_one_by_one(backend):
    size = backend.spec.preprocessing.image_size
    rng = np.random.default_rng(0)
    features = backend.encode(rng.standard_normal((2, 3, size, size), np.float32))
    inputs = prompts(4, size)
    together, _ = backend.decode(features, *inputs)
    for i in range(4):
        mine = tuple(feature[i // 2 : i // 2 + 1] for feature in features)
        alone, _ = backend.decode(mine, *(part[i : i + 1] for part in inputs))
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-3)


def test_threads_do_not_change_the_answer(backend):
    size = backend.spec.preprocessing.image_size
    pixels = np.random.default_rng(1).standard_normal((1, 3, size, size), np.float32)
    other = open_backend(DEFAULT_WEIGHTS, threads=2)
    for a, b in zip(backend.encode(pixels), other.encode(pixels), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_openvino_computes_the_same(backend):
    pytest.importorskip("openvino")
    other = open_backend(DEFAULT_WEIGHTS, "openvino", threads=1)
    size = backend.spec.preprocessing.image_size
    features = backend.encode(np.random.default_rng(2).standard_normal((1, 3, size, size), np.float32))
    inputs = prompts(3, size)
    for a, b in zip(backend.decode(features, *inputs), other.decode(features, *inputs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-2)


def test_a_missing_engine_names_its_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r'pip install "lite-medsam\[openvino\]"'):
        open_backend(DEFAULT_WEIGHTS, "openvino")


def test_wrong_arguments():
    with pytest.raises(ValueError, match="engine must be"):
        open_backend(DEFAULT_WEIGHTS, "cuda")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        open_backend(DEFAULT_WEIGHTS, threads=0)


def test_a_changed_graph_is_refused(copy):
    path = copy / "decoder.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        open_backend(copy)


def test_a_missing_graph_is_named(copy):
    (copy / "encoder.onnx").unlink()
    with pytest.raises(WeightsError, match=r"must hold encoder\.onnx"):
        open_backend(copy)


def test_a_graph_that_is_none_is_refused_in_one_line(copy):
    (copy / "encoder.onnx").write_bytes(b"no graph")
    spec = (copy / "spec.json").read_text()
    start = spec.index('"encoder.onnx": "') + len('"encoder.onnx": "')
    import hashlib

    digest = hashlib.sha256(b"no graph").hexdigest()
    (copy / "spec.json").write_text(spec[:start] + digest + spec[start + 64 :])
    with pytest.raises(WeightsError, match="readable ONNX graph") as caught:
        open_backend(copy)
    assert "\n" not in str(caught.value)


def test_physical_cores():
    assert physical_cores() >= 1
