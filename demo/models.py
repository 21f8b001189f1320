"""Which models and engines a user can choose, opened when they are first used."""

import contextlib
import importlib.util
import re
import threading
from collections import OrderedDict
from pathlib import Path

from lite_medsam.errors import WeightsError
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.published import cached_models, find_weights
from lite_medsam.model.runtime import open_backend
from lite_medsam.model.spec import load_spec
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.timed_backend import TimedBackend
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

ENGINE_MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "torch": "torch"}
MAX_OPEN = 4


class Models:
    """Model directories by name.

    Args:
        weights: Model directories, folders of them, or names of published models. The bundled model comes first whatever is
            given, and the published models on this machine (`lite-medsam weights get`) come last.
        engine: What a new page starts with; "auto" is ONNX Runtime.
        threads: CPU threads of each; None for the physical cores.
        zoom: See `Predictor`.
        refine: See `Predictor`.
        cache_bytes: Of encodings, of all users and models together; they are found by the pixels alone.
    """

    def __init__(
        self,
        weights=(),
        engine: str = "auto",
        threads: int | None = None,
        zoom: str = "auto",
        cache_bytes: int = 2**28,
        refine: str = "off",
    ):
        self._threads, self._zoom, self._refine = threads, zoom, refine
        self.directories: dict[str, Path] = {}
        for directory in (DEFAULT_WEIGHTS, *map(find_weights, weights)):
            for found in _model_directories(directory):
                self._add(found)
        self.default = list(self.directories)[1 if weights and len(self.directories) > 1 else 0]
        for directory in cached_models().values():
            with contextlib.suppress(WeightsError):  # a damaged one is `weights get`'s to mend, and nobody asked for it
                self._add(directory)
        self.engines = [name for name, module in ENGINE_MODULES.items() if importlib.util.find_spec(module)]
        self.engine = "onnxruntime" if engine == "auto" else engine
        self._open: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._cache = EncodingCache(cache_bytes)
        self._lock = threading.Lock()

    def get(self, name: str, engine: str) -> Predictor:
        """An opened model.

        Raises:
            WeightsError: If there is no such model, or it does not open.
            ValueError: If there is no such engine.
            MissingExtraError: If the engine is not installed.
        """
        if name not in self.directories:
            raise WeightsError(f"a model must be one of {', '.join(self.directories)}, got {str(name)[:60]!r}")
        with self._lock:
            if (name, engine) not in self._open:
                backend = TimedBackend(open_backend(self.directories[name], engine, self._threads))
                self._open[name, engine] = Predictor(backend, self._zoom, self._cache, self._refine)
                while len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end((name, engine))
            return self._open[name, engine]

    def card(self, name: str) -> str:
        """The model card, Markdown without pictures and links (to files that the page does not get)."""
        path = self.directories[name] / "README.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else f"# {name}\n\nThis model has no card."
        text = "\n".join(line for line in text.splitlines() if not line.startswith("!["))
        return re.sub(r"\[([^\]]+)\]\((?!https?://)[^)]+\)", r"\1", text)

    def facts(self, name: str) -> dict[str, str | list[str]]:
        """Name, licence and the like of a model, for a table."""
        spec = load_spec(self.directories[name])
        return {
            "name": spec.name,
            "licence": spec.licence,
            "prompts": ", ".join(spec.prompts),
            "targets": list(spec.targets),
            "input": f"{spec.preprocessing.image_size} x {spec.preprocessing.image_size}",
            "trained on": ", ".join(spec.training_data) or "unknown",
            "notes": spec.notes,
        }

    def _add(self, directory: Path) -> None:
        if directory in self.directories.values():
            return
        name = load_spec(directory).name
        if name in self.directories:
            name = f"{name} ({directory.parent.name if directory.name == 'model' else directory.name})"
        base, number = name, 2
        while name in self.directories:
            name, number = f"{base} {number}", number + 1
        self.directories[name] = directory


def _model_directories(directory: Path) -> list[Path]:
    if (directory / "spec.json").is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob("*/spec.json")) if directory.is_dir() else []
    found += sorted(path.parent for path in directory.glob("*/model/spec.json")) if directory.is_dir() else []
    if not found:
        raise WeightsError(
            f"--weights must be a model directory or a folder of them, got {directory}: no spec.json in it"
        )
    return found
