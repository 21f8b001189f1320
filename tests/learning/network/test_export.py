import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from tiny import TINY, disc_case, tiny_model

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network import export
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.model.runtime import open_backend
from lite_medsam.model.spec import ModelSpec, load_spec
from lite_medsam.segment.predictor import Predictor


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    difference = export.export_model(tiny_model(), path, dataclasses.replace(TINY, licence="test"))
    assert difference < 1e-3
    return path


def test_the_directory_is_complete_and_hashed(directory):
    assert sorted(p.name for p in directory.iterdir()) == [
        "decoder.onnx", "encoder.onnx", "model.safetensors", "spec.json",
    ]  # fmt: skip
    spec = load_spec(directory)
    assert spec.licence == "test" and set(spec.files) == {"decoder.onnx", "encoder.onnx", "model.safetensors"}


def test_every_engine_gives_the_same_mask(directory):
    case = disc_case(0)
    boxes = [[10, 10, 60, 80], [60, 20, 110, 70]]
    expected = Predictor.open(directory, "torch").segment(case.image, boxes)
    actual = Predictor.open(directory, "onnxruntime", threads=1).segment(case.image, boxes)
    np.testing.assert_allclose(actual.logits, expected.logits, atol=1e-3)
    np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-3)


def test_graphs_hold_half_precision_weights_and_the_spec(directory):
    for name in ("encoder.onnx", "decoder.onnx"):
        graph = onnx.load(directory / name)
        kinds = [t.data_type for t in graph.graph.initializer if len(t.dims) >= 2]
        assert kinds.count(onnx.TensorProto.FLOAT16) > 0.9 * len(kinds)
        record = {p.key: p.value for p in graph.metadata_props}["lite_medsam_spec"]
        assert ModelSpec.from_json(record).name == "tiny"


def test_saving_again_changes_nothing(directory, tmp_path):
    model = load_model(directory)
    export.export_model(model, tmp_path)
    first, second = (open_backend(d, threads=1) for d in (directory, tmp_path))
    pixels = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    for a, b in zip(first.encode(pixels), second.encode(pixels), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_graph_that_differs_is_refused_and_leaves_no_complete_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "parity", lambda *_: 0.5)
    with pytest.raises(WeightsError, match=r"got a difference of 0\.5"):
        export.export_model(tiny_model(), tmp_path)
    assert not (tmp_path / "spec.json").exists()


def test_parity_notices_other_weights(directory):
    model = load_model(directory)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1.0)
    assert export.parity(model, directory, model.spec) > 1e-3


def test_weights_of_another_shape_are_named(directory, tmp_path):
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spec = json.loads((tmp_path / "spec.json").read_text())
    spec["architecture"]["skip_dims"] = [8, 8, 8]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(WeightsError, match=r"of another shape: \['"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="readable safetensors"):
        load_model(tmp_path)
