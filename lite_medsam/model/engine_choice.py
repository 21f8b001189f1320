"""Which engine a trial found fastest for a model on this machine: kept in the user's cache."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.errors import WeightsError
from lite_medsam.model.engines import GRAPH_FILES
from lite_medsam.model.spec import ModelSpec, load_spec
from lite_medsam.storage.machine import cache_folder, engine_version, machine_signature
from lite_medsam.storage.signed_cache import SignedCache

DEFAULT_ENGINE = "onnxruntime"
# the int8 model may lose so many Dice points of the full one, at most, to be taken for it
LARGEST_DICE_LOSS = 0.5


@dataclass(frozen=True)
class Choice:
    """What `auto` means for one model on this machine.

    Attributes:
        engine: Name of the engine.
        directory: The int8 version of the model that is used in its place; None for the model itself.
        measured: Whether a trial said so; else it is the default.
    """

    engine: str = DEFAULT_ENGINE
    directory: Path | None = None
    measured: bool = False


def recall_choice(spec: ModelSpec, threads: int) -> Choice:
    """What a trial on this machine found for a model; the default if there was none, or it does not hold any more.

    Args:
        spec: Of the model.
        threads: CPU threads that it will run with.
    """
    if not _folder().is_dir():  # looking must not make folders, and costs next to nothing
        return Choice()
    try:
        cache = _cache(spec, threads)
        if not cache.has("choice"):
            return Choice()
        arrays = cache.get("choice")
        record = json.loads(arrays["record"].tobytes()) if arrays else None
        choice = _checked(record, spec) if record else None
    except OSError:
        return Choice()
    except (ValueError, KeyError, TypeError):
        choice = None
    if choice is None:
        warnings.warn(
            f"the engine trial kept in {cache_folder()} is damaged or out of date and was ignored; "
            "measure again: lite-medsam info --trial",
            RuntimeWarning,
            stacklevel=3,
        )
        return Choice()
    return choice


def keep_choice(spec: ModelSpec, threads: int, choice: Choice) -> bool:
    """Keeps what a trial found; False, with a warning, if the cache cannot be written.

    Args:
        spec: Of the model.
        threads: CPU threads of the trial.
        choice: What it found.
    """
    record = {
        "engine": choice.engine,
        "directory": None if choice.directory is None else str(choice.directory.resolve()),
    }
    try:
        cache = _cache(spec, threads)
    except OSError as error:
        warnings.warn(f"the trial was not kept ({error}); auto stays ONNX Runtime", RuntimeWarning, stacklevel=2)
        return False
    cache.put("choice", {"record": np.frombuffer(json.dumps(record).encode(), np.uint8)})
    return cache.has("choice")


def _folder() -> Path:
    return cache_folder() / "trials"


def _cache(spec: ModelSpec, threads: int) -> SignedCache:
    hashes = {name: spec.files.get(name, "") for name in GRAPH_FILES}
    return SignedCache(_folder(), {**machine_signature(), **hashes, "threads": str(threads)})


def _checked(record: dict, spec: ModelSpec) -> Choice | None:
    """The choice that a record holds; None where it cannot be followed any more."""
    engine, directory = record["engine"], record["directory"]
    if engine not in ("onnxruntime", "openvino") or engine_version(engine) is None:
        return None
    if directory is None:
        return Choice(engine, None, True)
    try:
        twin = load_spec(directory).int8
    except WeightsError:
        return None
    same = twin.source_sha256 == spec.files.get(GRAPH_FILES[0]) and twin.dice_change_points >= -LARGEST_DICE_LOSS
    return Choice(engine, Path(directory), True) if same else None
