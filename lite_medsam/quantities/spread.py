"""How much the numbers depend on the prompt: the same scan segmented from jittered prompts, mean and spread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.quantities.measure import Measured, MeasureOptions, measure_scan, with_label
from lite_medsam.quantities.quantity import Quantity
from lite_medsam.quantities.reading import LabelledScan
from lite_medsam.segment.predictor import Predictor

Objects = Sequence[Prompt | VolumeObject]


@dataclass(frozen=True)
class Spread:
    """A number over the jittered prompts.

    Attributes:
        quantity: As the unmoved prompts give it.
        values: One for each set of jittered prompts; NaN where it could not be measured.
    """

    quantity: Quantity
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the sets in which it could be measured."""
        return float(np.mean(self._finite)) if self._finite else float("nan")

    @property
    def sd(self) -> float:
        """Standard deviation of the sample (n - 1); NaN of fewer than two."""
        return float(np.std(self._finite, ddof=1)) if len(self._finite) > 1 else float("nan")

    @property
    def _finite(self) -> list[float]:
        return [value for value in self.values if np.isfinite(value)]

    def to_json(self) -> dict:
        """As a record holds it; NaN is None."""
        numbers = {"mean": self.mean, "sd": self.sd, "low": min(self._finite, default=np.nan),
                   "high": max(self._finite, default=np.nan)}  # fmt: skip
        shown = {key: float(value) if np.isfinite(value) else None for key, value in numbers.items()}
        return self.quantity.row() | shown | {"prompts": len(self.values), "measured": len(self._finite)}


def segment_objects(predictor: Predictor, image: np.ndarray, objects: Objects) -> tuple[np.ndarray, dict[int, str]]:
    """Labels of prompted objects, and what they are called: their name, else their target.

    Args:
        predictor: The model.
        image: (H, W), (H, W, 3) or (D, H, W) uint8.
        objects: Prompts of a picture, or objects of a volume.

    Returns:
        A label map, object i as i + 1, and names of the values.

    Raises:
        PromptError: If an object says neither a name nor a target, or a prompt does not fit.
    """
    from lite_medsam.volumes.propagation import propagate

    names = {}
    for i, item in enumerate(objects, start=1):
        prompts = list(item.prompts.values()) if isinstance(item, VolumeObject) else [item]
        name = item.name or item.target or next((p.name or p.target for p in prompts if p.name or p.target), None)
        if name is None:
            raise PromptError(f"object {i} must have a name that says what it is, such as IRF, to be measured")
        names[i] = name
    if objects and isinstance(objects[0], VolumeObject):
        return propagate(predictor, image, [o for o in objects if isinstance(o, VolumeObject)]).label_map(), names
    return predictor.segment(image, [o for o in objects if isinstance(o, Prompt)]).label_map(), names


def prompt_spread(
    predictor: Predictor,
    measured: Measured,
    objects: Objects,
    options: MeasureOptions,
    count: int,
    *,
    jitter: float = 0.05,
    seed: int = 0,
    on_done: Callable[[int], object] | None = None,
) -> list[Spread]:
    """Segments and measures again from `count` sets of moved prompts; the fovea stays where it was.

    Every edge of a box moves by up to `jitter` of the box's side, each click by as much of the smaller side of the picture / 10,
    uniformly.

    Args:
        predictor: The model.
        measured: What the prompts as they are gave.
        objects: These prompts.
        options: How to measure.
        count: Sets of prompts, at least 2.
        jitter: Largest move as a share.
        seed: Of the moves.
        on_done: Called with how many sets are done.

    Returns:
        One for each number that is not of a single B-scan.
    """
    if count < 2:
        raise PromptError(f"the spread needs 2 sets of jittered prompts at least, got {count}")
    rng = np.random.default_rng(seed)
    if predictor.cache is None:  # views that do not move with the box are encoded once for all sets
        predictor = Predictor(predictor.backend, predictor.zoom, EncodingCache(), predictor.refine)
    labelled = measured.labelled
    image = labelled.scan.to_uint8()
    if measured.grid is not None:
        options = replace(options, fovea=measured.grid.fovea_zx)
    values: dict[tuple, list[float]] = {q.key: [] for q in measured.quantities if q.b_scan is None}
    for done in range(1, count + 1):
        moved = jittered(objects, labelled.scan.label_shape[-2:], rng, jitter)
        again = _measured(predictor, image, labelled, moved, options)
        for key, numbers in values.items():
            numbers.append(again.get(key, float("nan")))
        if on_done is not None:
            on_done(done)
    return [Spread(q, tuple(values[q.key])) for q in measured.quantities if q.key in values]


def jittered(objects: Objects, image_hw: tuple[int, ...], rng: np.random.Generator, jitter: float) -> list:
    """The objects with their boxes and clicks moved, as `prompt_spread` says; all boxes of one object move alike."""
    return [_moved(item, image_hw, rng.uniform(-jitter, jitter, 4), rng, jitter) for item in objects]


def _measured(predictor, image, labelled: LabelledScan, objects, options) -> dict[tuple, float]:
    label, names = segment_objects(predictor, image, objects)
    return {q.key: float(q.value) for q in measure_scan(with_label(labelled, label, names), options).quantities}


def _moved(item, image_hw, shares: np.ndarray, rng: np.random.Generator, jitter: float):
    if isinstance(item, VolumeObject):
        prompts = {z: _moved(prompt, image_hw, shares, rng, jitter) for z, prompt in item.prompts.items()}
        return replace(
            item, prompts=prompts, bounds=None if item.bounds is None else _box(item.bounds, shares, image_hw)
        )
    points = item.points
    if len(points):
        largest = jitter * min(image_hw) / 10
        points = np.clip(points + rng.uniform(-largest, largest, points.shape), 0, np.array(image_hw[::-1]) - 1)
    return replace(item, box=None if item.box is None else _box(item.box, shares, image_hw), points=points)


def _box(box, shares: np.ndarray, image_hw) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    sides = np.array([x1 - x0 + 1, y1 - y0 + 1] * 2)
    height, width = image_hw
    moved = np.array(box, np.float64) + shares * sides
    moved = np.clip(moved, 0, [width - 1, height - 1, width - 1, height - 1])
    left, right = sorted((float(moved[0]), float(moved[2])))
    top, bottom = sorted((float(moved[1]), float(moved[3])))
    return left, top, right, bottom
