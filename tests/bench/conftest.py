"""A bench whose models are fakes with known answers."""

import pytest
from fake_contender import FakeContender

from lite_medsam.bench import files, graphs
from lite_medsam.bench.contenders import OURS, REFERENCE
from lite_medsam.bench.context import BenchSettings, Context


@pytest.fixture
def context(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SIZES", (128,))
    monkeypatch.setattr(files, "MANY", 9)
    monkeypatch.setattr(graphs, "SIDE", 128)
    monkeypatch.setattr(graphs, "BOX_COUNTS", (1, 3, 9))
    monkeypatch.setattr(graphs, "QUICK_REFERENCE_BOXES", 3)
    settings = BenchSettings(engines=("onnxruntime",), repeats=2, quick=True)
    ours, theirs = FakeContender(OURS, tmp_path), FakeContender(REFERENCE, tmp_path)
    return Context(settings, ours, theirs, 1, tmp_path)
