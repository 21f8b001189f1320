"""The tests of this folder need the train extra; without it they are skipped, visibly."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
for package in ("timm", "segment_anything", "safetensors", "onnx"):
    pytest.importorskip(package, reason="needs the train extra")

torch.set_num_threads(1)
