"""The model to compare with is of the published shape, is made once, and its multiply-adds are those that torch counts."""

import os
import time

import numpy as np
import pytest
import tiny_models
import torch
from torch.utils.flop_counter import FlopCounterMode

from lite_medsam.bench import contenders
from lite_medsam.bench.operators import gmac, profile
from lite_medsam.learning.network.checkpoint import load_model
from lite_medsam.learning.network.families import expected_shapes
from lite_medsam.learning.published import random_reference
from lite_medsam.learning.published.random_reference import export_reference
from lite_medsam.model.runtime import open_backend


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small relative of LiteMedSAM as a model directory."""
    directory = tmp_path_factory.mktemp("reference") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        tiny_models.register(patch)
        assert export_reference(directory, "litemedsam_tiny") < 1e-3
        model = load_model(directory)
    return directory, model


def test_the_multiply_adds_are_those_that_torch_counts(tiny):
    directory, model = tiny
    pixels = torch.randn(1, 3, 64, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encode(pixels)
    counted = gmac(profile(directory / "encoder.onnx", {"pixels": pixels.numpy()}, 1, runs=1, optimise=False))
    assert counted == pytest.approx(counter.get_total_flops() / 2e9, rel=0.02)


def test_it_opens_in_both_engines_and_both_agree(tiny, monkeypatch):
    directory, _ = tiny
    tiny_models.register(monkeypatch)
    pixels = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    first, second = (open_backend(directory, engine, 1).encode(pixels)[0] for engine in ("onnxruntime", "torch"))
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_it_is_made_once_and_again_when_damaged(monkeypatch, tmp_path):
    calls = []

    def export(directory):
        calls.append(directory)
        tiny_models.register(monkeypatch)
        return export_reference(directory, "litemedsam_tiny")

    monkeypatch.setattr(random_reference, "export_reference", export)
    for name, age in (("litemedsam-000000000000", 31), ("litemedsam-111111111111", 29)):  # days; of other versions
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age * 86400,) * 2)
    made = contenders.reference(tmp_path).directory
    assert contenders.reference(tmp_path).directory == made and len(calls) == 1
    assert not (tmp_path / "litemedsam-000000000000").exists() and (tmp_path / "CACHEDIR.TAG").exists()
    (made / "decoder.onnx").write_bytes(b"damaged")
    contenders.reference(tmp_path)
    assert len(calls) == 2 and open_backend(made, "onnxruntime", 1).spec.name == "litemedsam_tiny-random"
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {made.name, "litemedsam-111111111111"}


def test_the_published_shape_has_the_parameters_that_the_notes_name():
    weights = {name: shape for name, shape in expected_shapes("litemedsam").items() if "running_" not in name}
    encoder = sum(int(np.prod(shape)) for name, shape in weights.items() if name.startswith("image_encoder."))
    assert encoder == pytest.approx(5.727e6, rel=0.01)
