"""How well volumes are followed from one box: mean 3D Dice per object, by modality and way of asking.

What is said of each object: its box on the middle one of its slices ("slice box"), the same and its first and last slice
("slice box + range"), one 3D box ("3D box"), or a box on each of its slices ("box per slice"), which leaves nothing to be followed.
Each side of a box is drawn 0 to 5 % of its length too far outwards. With it: milliseconds for a slice of an object, reading of the
slices included, and the most memory that the process took.

    python -m lite_medsam.evaluation.volume_study phantoms
    python -m lite_medsam.evaluation.volume_study CASE.npz ...
"""

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case, load_case
from lite_medsam.evaluation.metrics import dice
from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt, load_protocol, rng_for, simulate_box
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.machine import peak_memory_bytes
from lite_medsam.volumes.propagation import PropagationLimits, VolumeObject, propagate

WAYS = ("slice box", "slice box + range", "3D box", "box per slice")
_MINIMUM_VOXELS = 30
_PHANTOMS = (("ct", 3, (12, 256, 256)), ("mr", 3, (12, 256, 256)), ("oct-cme", 3, (13, 248, 384)))


def simulated_objects(case: Case, way: str, seed: int = 0) -> tuple[list[int], list[VolumeObject]]:
    """What a user says of each object of a labelled volume; objects under 30 voxels are left out.

    Args:
        case: A volume with labels.
        way: One of `WAYS`.
        seed: Of the boxes' jitter.

    Returns:
        Label values and objects, in one order.
    """
    protocol, values, objects = load_protocol("box"), [], []
    for value in np.unique(case.truth)[1:].tolist():
        mask = case.label == value
        slices = np.flatnonzero(mask.any(axis=(1, 2)))
        if np.count_nonzero(mask) < _MINIMUM_VOXELS:
            continue
        first, last = int(slices[0]), int(slices[-1])
        middle = int(slices[np.abs(slices - (first + last) / 2).argmin()])
        rng = rng_for(protocol, f"{case.name}-{seed}", value)
        box = simulate_box(mask.any(axis=0) if way == "3D box" else mask[middle], protocol, rng)
        z_range = None if way == "slice box" else (first, last)
        bounds = box if way == "3D box" else None
        prompts = {middle: Prompt(box=box)}
        if way == "box per slice":
            prompts = {z: Prompt(box=simulate_box(mask[z], protocol, rng)) for z in slices.tolist()}
        objects.append(VolumeObject(prompts, None, z_range, bounds))
        values.append(value)
    return values, objects


@dataclass
class Found:
    """What volumes of one modality came to, asked in one way.

    Attributes:
        dice: 3D Dice of each object.
        seconds: All together.
        slices: Slices of objects that were answered, all together.
    """

    dice: list[float] = field(default_factory=list)
    seconds: float = 0.0
    slices: int = 0


def study(
    predictor: Predictor, cases: Iterable[Case], limits: PropagationLimits | None = None
) -> dict[tuple[str, str], Found]:
    """What volumes came to, by (modality, way).

    Args:
        predictor: The model.
        cases: Volumes with labels.
        limits: How to follow.
    """
    found: dict[tuple[str, str], Found] = {}
    for case in cases:
        for way in WAYS:
            values, objects = simulated_objects(case, way)
            of = found.setdefault((case.modality or "unknown", way), Found())
            started = time.perf_counter()
            prediction = propagate(predictor, case.image, objects, limits=limits)
            of.seconds += time.perf_counter() - started
            of.slices += int(np.count_nonzero(np.isfinite(prediction.scores)))
            of.dice += [dice(case.truth == value, prediction.mask(i)) for i, value in enumerate(values)]
    return found


def main(arguments: Sequence[str]) -> None:
    """Prints the table."""
    if not arguments:
        sys.exit("usage: python -m lite_medsam.evaluation.volume_study phantoms | CASE.npz ...")
    cases: Iterable[Case]
    if list(arguments) == ["phantoms"]:
        cases = (make_phantom_volume(*kind) for kind in _PHANTOMS)
    else:
        cases = map(load_case, map(Path, arguments))
    found = study(Predictor.open(), (case for case in cases if case.is_volume and case.label is not None))
    print(f"{'modality':12s}{'objects':>8s}" + "".join(f"{way:>20s}" for way in WAYS) + f"{'ms':>8s}")
    for modality in sorted({name for name, _ in found}):
        ways = [found[modality, way] for way in WAYS]
        milliseconds = 1000 * sum(way.seconds for way in ways) / max(1, sum(way.slices for way in ways))
        scores = "".join(f"{np.mean(way.dice):20.3f}" for way in ways)
        print(f"{modality:12s}{len(ways[0].dice):8d}{scores}{milliseconds:8.0f}")
    peak = peak_memory_bytes()
    if peak is not None:
        print(f"most memory: {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main(sys.argv[1:])
