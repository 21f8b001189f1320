"""Who teaches: any model directory, or a published checkpoint of MedSAM, SAM, MobileSAM or LiteMedSAM."""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lite_medsam.errors import WeightsError
from lite_medsam.learning.network.checkpoint import WEIGHTS_FILE, Segmenter, load_model
from lite_medsam.learning.published.reading import load_published, published_model
from lite_medsam.model.published import find_weights
from lite_medsam.model.runtime import DECODER_FILE, ENCODER_FILE, Backend, open_backend
from lite_medsam.model.spec import ModelSpec, load_spec, sha256_of
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.bundled import WEIGHTS_DIR

# files of a model directory that decide what it answers; weights of large graphs lie beside them
_DECISIVE = (WEIGHTS_FILE, ENCODER_FILE, DECODER_FILE, ENCODER_FILE + ".data", DECODER_FILE + ".data")


@dataclass(frozen=True, eq=False)
class Teacher:
    """A model that is asked, and what tells it from every other.

    Attributes:
        predictor: The model behind the package's geometry; its zoom is off, the views decide what it sees.
        sha256: Of its weights and everything else that its answers depend on.
    """

    predictor: Predictor
    sha256: str

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self.predictor.spec

    @classmethod
    def of(cls, backend: Backend, weights_sha256: str) -> "Teacher":
        """A teacher from a loaded model.

        Args:
            backend: The model.
            weights_sha256: Hash of its weights.
        """
        spec = backend.spec
        facts = {
            "weights": weights_sha256,
            "engine": backend.name,
            "architecture": dataclasses.asdict(spec.architecture),
            "preprocessing": dataclasses.asdict(spec.preprocessing),
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cls(Predictor(backend, zoom="off"), digest)


def open_teacher(
    source: str | os.PathLike,
    family: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Teacher:
    """Opens a teacher.

    Args:
        source: A model directory; the name of one that comes with the package or was got (`lite-medsam weights get`); or a
            checkpoint file that `lite-medsam convert` knows.
        family: For a checkpoint file: see `load_published`.
        engine: For a model directory: "onnxruntime", "openvino", "torch"; "auto" is ONNX Runtime on the CPU where the
            graphs are there, else torch.
        threads: CPU threads of ONNX Runtime and OpenVINO.
        device: Of torch, such as "cpu" or "cuda".

    Raises:
        WeightsError: If there is no such model, or its files are damaged, or it does not know boxes.
    """
    path = find_weights(source)
    if not path.exists() and (WEIGHTS_DIR / path.name / "spec.json").is_file() and path.name == str(source):
        path = WEIGHTS_DIR / path.name
    if path.is_file():
        published = load_published(path, family)
        teacher = Teacher.of(_TorchTeacher(published_model(published), device), sha256_of(path))
    elif (path / "spec.json").is_file():
        teacher = _open_directory(path, engine, threads, device)
    else:
        known = sorted(p.parent.name for p in WEIGHTS_DIR.glob("*/spec.json"))
        raise WeightsError(
            f"--teacher must be a model directory, a checkpoint file or one of {', '.join(known)}, got {source}; "
            "published models: lite-medsam weights list"
        )
    if "box" not in teacher.spec.prompts:
        raise WeightsError(f"the teacher must be trained on boxes, but {teacher.spec.name} was not; take another one")
    return teacher


def _open_directory(path: Path, engine: str, threads: int | None, device: str) -> Teacher:
    if engine == "auto":
        has_graphs = (path / ENCODER_FILE).is_file() and (path / DECODER_FILE).is_file()
        engine = "onnxruntime" if has_graphs and device == "cpu" else "torch"
    load_spec(path)
    backend = _TorchTeacher(load_model(path), device) if engine == "torch" else open_backend(path, engine, threads)
    hashes = {name: sha256_of(path / name) for name in _DECISIVE if (path / name).is_file()}
    return Teacher.of(backend, hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest())


class _TorchTeacher:
    """A model in torch behind `lite_medsam.model.runtime.Backend`, on any device."""

    name = "torch"

    def __init__(self, model: Segmenter, device: str):
        self.model, self.spec, self.device = model.eval().to(device), model.spec, device

    @torch.inference_mode()
    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        # copied, because numpy's memory is aligned by chance, and convolutions round differently with it
        return tuple(f.cpu().numpy() for f in self.model.encode(torch.tensor(pixels).to(self.device)))

    @torch.inference_mode()
    def decode(self, features, coords, labels, previous, has_previous):
        at, kinds, before, given = (torch.tensor(a).to(self.device) for a in (coords, labels, previous, has_previous))
        on_device = tuple(torch.tensor(f).to(self.device) for f in features)
        logits, scores = self.model.decode(on_device, at, kinds, before, given)
        return logits.cpu().numpy(), scores.cpu().numpy()
