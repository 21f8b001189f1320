"""What the record of a volume says of its objects."""

import math
from collections.abc import Sequence

import numpy as np

from lite_medsam.jobs.coordinates import volume_object
from lite_medsam.jobs.outputs import number_of, prompt_record
from lite_medsam.prompts.volume_objects import VolumeObject, is_finished, target_of_object
from lite_medsam.scans.geometry import Geometry
from lite_medsam.volumes.prediction import VolumePrediction


def describe_objects(
    asked: Sequence[VolumeObject],
    prediction: VolumePrediction,
    labels: np.ndarray,
    spacing_mm: tuple[float, ...] | None,
    geometry: Geometry | None,
) -> list[dict]:
    """Size, extent and score of each object as it was drawn, and why it ends.

    Args:
        asked: The objects.
        prediction: What was found of them.
        labels: (D, H, W), object i has the value i + 1 where it was drawn.
        spacing_mm: Pixel size in array order, None where it is not known.
        geometry: Of a medical file; None: coordinates are as displayed alone.
    """
    objects = []
    for i, item in enumerate(asked):
        finished = {z for z, prompt in item.prompts.items() if is_finished(prompt)}
        counts = {z: int(np.count_nonzero(labels[z][m.window] == i + 1)) for z, m in prediction.found[i].items()}
        held = sorted(z for z, count in counts.items() if count)
        voxels = sum(counts.values())
        # the model was not asked about what the user drew
        scores = {z: _score(prediction.scores[i, z]) for z in {*held, *item.prompts} - finished}
        known = [score for z in held if (score := scores.get(z)) is not None]
        slices = [
            {"z": int(z), "score": scores.get(z), **prompt_record(prompt), "mask": prompt.mask is not None}
            for z, prompt in sorted(item.prompts.items())
        ]
        described = {
            "id": number_of(asked, i),
            "name": prediction.names[i],
            "target": target_of_object(item),
            "score": round(sum(known) / len(known), 4) if known else None,
            "voxels": voxels,
            **_sizes(voxels, max(counts.values(), default=0), spacing_mm),
            "slices": [held[0], held[-1]] if held else None,
            "ended": {side: end._asdict() for side, end in zip(("first", "last"), prediction.ends[i], strict=True)},
            "prompt": {"z_range": item.z_range, "bounds": item.bounds, "slices": slices},
        }
        if geometry is not None:
            drawn = {z: prediction.found[i][z] for z in held}
            described = volume_object(described, drawn, item, geometry)
        objects.append(described)
    return objects


def _sizes(voxels: int, largest_px: int, spacing_mm: tuple[float, ...] | None) -> dict:
    """Volume and largest area; without a slice distance the area alone, without a pixel size nothing."""
    if spacing_mm is None:
        return {}
    volume = {"volume_mm3": round(voxels * math.prod(spacing_mm), 4)} if len(spacing_mm) == 3 else {}
    return volume | {"largest_area_mm2": round(largest_px * math.prod(spacing_mm[-2:]), 4)}


def _score(value: np.floating) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
