"""A quick trial of the engines: which one runs a model fastest here; `auto` follows its result."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.errors import WeightsError
from lite_medsam.model.engine_choice import DEFAULT_ENGINE, LARGEST_DICE_LOSS, Choice, keep_choice
from lite_medsam.model.engines import GRAPH_FILES
from lite_medsam.model.runtime import Backend, open_backend
from lite_medsam.model.spec import ModelSpec, load_spec
from lite_medsam.storage.machine import engine_version, physical_cores

# torch is not among them: it takes seconds to import, which no gain in speed brings back
CANDIDATES = ("onnxruntime", "openvino")
ROUNDS, BUDGET_SECONDS = 15, 4.0
# opening counts as it would in a run of so many images
IMAGES_PER_RUN = 20
# another engine is taken only if it is better by more than what two trials differ by
MINIMUM_GAIN = 1.1


@dataclass(frozen=True)
class Timing:
    """What the trial measured of one candidate, in seconds.

    The lower quartile of the turns: whatever else runs on the machine can only make a turn slower.

    Attributes:
        engine: Name of the engine.
        directory: Where the model lies; the int8 version is a candidate of its own.
        is_int8: Whether it is one.
        open_seconds: To open it, caches filled.
        encode_seconds: One image.
        decode_seconds: One box.
    """

    engine: str
    directory: Path
    is_int8: bool
    open_seconds: float
    encode_seconds: float
    decode_seconds: float

    @property
    def per_image(self) -> float:
        """Seconds per image with one box, opening included, in a run of IMAGES_PER_RUN."""
        return self.encode_seconds + self.decode_seconds + self.open_seconds / IMAGES_PER_RUN


def run_trial(
    weights: str | os.PathLike,
    int8: str | os.PathLike | None = None,
    threads: int | None = None,
    rounds: int = ROUNDS,
) -> tuple[Choice, list[Timing]]:
    """Measures the installed engines in turns and keeps the result, so that `auto` follows it on this machine.

    Args:
        weights: Model directory.
        int8: An int8 version of it, which takes part if it loses no more than half a Dice point.
        threads: CPU threads; None for as many as physical cores.
        rounds: Turns at most; fewer where they take longer than BUDGET_SECONDS.

    Returns:
        What `auto` means from now on, and what was measured.

    Raises:
        WeightsError: If a directory is damaged, or `int8` was not made from this model, or loses too much.
    """
    weights, threads = Path(weights), threads or physical_cores()
    spec = load_spec(weights)
    directories = [weights]
    if int8 is not None:
        check_twin(spec, Path(int8))
        directories.append(Path(int8))
    pairs = [(e, d) for e in CANDIDATES if engine_version(e) for d in directories]
    timings = _measure([_open(engine, directory, threads) for engine, directory in pairs], rounds)
    default = next(t for t in timings if t.engine == DEFAULT_ENGINE and not t.is_int8)
    best = min(timings, key=lambda t: t.per_image)
    if default.per_image / best.per_image < MINIMUM_GAIN:
        best = default
    choice = Choice(best.engine, best.directory if best.is_int8 else None, True)
    keep_choice(spec, threads, choice)
    return choice, timings


def check_twin(spec: ModelSpec, int8: Path) -> None:
    """Raises WeightsError unless a directory holds an int8 version of a model that is accurate enough for `auto`."""
    twin = load_spec(int8)
    if not twin.int8.source or twin.int8.source_sha256 != spec.files.get(GRAPH_FILES[0]):
        raise WeightsError(f"int8 must be made from {spec.name}, got {int8}; run lite-medsam export --int8")
    if twin.int8.dice_change_points < -LARGEST_DICE_LOSS:
        raise WeightsError(
            f"an int8 model must be within {LARGEST_DICE_LOSS} Dice points of the full one to be chosen, got "
            f"{twin.int8.dice_change_points:+.2f}; use it by name if you want it: --weights {int8}"
        )


def encode_ratio(full: Backend, other: Backend, rounds: int = ROUNDS) -> float:
    """Time of one model's encoder over another's: the median over turns.

    Args:
        full: The one that is compared to.
        other: The other, of the same input size.
        rounds: Turns.
    """
    pixels = _pixels(full.spec)
    ratios = []
    for _ in range(rounds + 1):
        ratios.append(_seconds(lambda: full.encode(pixels)) / _seconds(lambda: other.encode(pixels)))
    return float(np.median(ratios[1:]))


def _open(engine: str, directory: Path, threads: int) -> tuple[Backend, Path, float]:
    open_backend(directory, engine, threads)  # fills the caches of compiled graphs
    start = time.perf_counter()
    backend = open_backend(directory, engine, threads)
    return backend, directory, time.perf_counter() - start


def _measure(opened: list[tuple[Backend, Path, float]], rounds: int) -> list[Timing]:
    encodes: list[list[float]] = [[] for _ in opened]
    decodes: list[list[float]] = [[] for _ in opened]
    pixels = _pixels(opened[0][0].spec)
    features = [backend.encode(pixels) for backend, _, _ in opened]
    prompts = _one_box(opened[0][0].spec)
    for (backend, _, _), own in zip(opened, features, strict=True):
        backend.decode(own, *prompts)
    start = time.perf_counter()
    for turn in range(rounds):
        for i in np.roll(np.arange(len(opened)), turn):  # nobody always comes first
            backend = opened[i][0]
            encodes[i].append(_seconds(lambda b=backend: b.encode(pixels)))
            decodes[i].append(_seconds(lambda b=backend, own=features[i]: b.decode(own, *prompts)))
        if time.perf_counter() - start > BUDGET_SECONDS:
            break
    return [
        Timing(b.name, d, bool(b.spec.int8.source), seconds, float(np.percentile(e, 25)), float(np.percentile(m, 25)))
        for (b, d, seconds), e, m in zip(opened, encodes, decodes, strict=True)
    ]


def _pixels(spec: ModelSpec) -> np.ndarray:
    size = spec.preprocessing.image_size
    return np.random.default_rng(0).standard_normal((1, 3, size, size), np.float32)


def _one_box(spec: ModelSpec) -> tuple[np.ndarray, ...]:
    size, mask = spec.preprocessing.image_size, spec.preprocessing.mask_size
    coords = np.array([[[size * 0.2, size * 0.3], [size * 0.7, size * 0.6]]], np.float32)
    return coords, np.array([[2, 3]], np.float32), np.zeros((1, 1, mask, mask), np.float32), np.zeros(1, np.float32)


def _seconds(run: Callable) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
