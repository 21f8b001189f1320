"""Boxes, points and slices of records of medical files, in voxels of the file and as displayed."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_coordinates import AXES, Frame
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.scans.geometry import Geometry
from lite_medsam.volumes.prediction import SliceMask


def frame_facts(frame: Frame, geometry: Geometry) -> dict:
    """What the record of a NIfTI or DICOM file says of coordinates: what prompts counted, and how the display lies in the file."""
    columns = zip("xyz", geometry.axes[::-1], geometry.flipped[::-1], strict=True)
    return {
        "coordinates": {
            "prompts": frame.coordinates,
            "prompts_axis": None if frame.axis is None else AXES[frame.axis],
            "file_shape_ijk": list((*geometry.file_shape, 1)[:3]),
            "display": {name: {"file_axis": AXES[axis], "flipped": bool(flip)} for name, axis, flip in columns},
            "plane": geometry.plane,
            "segs": "display",
            "label": "voxel",
        }
    }


def picture_object(item: dict, geometry: Geometry) -> dict:
    """An object of a picture's record with its numbers in both frames.

    Voxel numbers of a picture count along the two axes of the file that lie in it, in the order of the file.

    Args:
        item: As `outputs.describe` makes it, in display coordinates.
        geometry: Of the file.
    """
    asked = item["prompt"]
    flat = np.zeros((len(asked["points"]), 3))
    flat[:, :2] = [point[:2] for point in asked["points"]] or np.zeros((0, 2))
    points = geometry.to_voxel(flat)[:, geometry.plane_axes].tolist()
    theirs = {
        "box": _plane_box(asked["box"], geometry),
        "points": [[*point, kind[2]] for point, kind in zip(points, asked["points"], strict=True)],
    }
    kept = {key: value for key, value in item.items() if key not in ("box", "prompt")}
    boxes = {"box_voxel": _whole(_plane_box(item["box"], geometry)), "box_display": item["box"]}
    return {**kept, **boxes, "prompt": {"voxel": theirs, "display": asked}}


def volume_object(item: dict, found: Mapping[int, SliceMask], asked: VolumeObject, geometry: Geometry) -> dict:
    """An object of a volume's record with its numbers in both frames.

    Voxel boxes and points are i, j, k; voxel slices count along the axis of the file that the slices lie across.

    Args:
        item: In display coordinates.
        found: Slice -> mask.
        asked: What was asked, in display coordinates.
        geometry: Of the file, cut as the volume is.
    """
    kept = {key: value for key, value in item.items() if key not in ("slices", "prompt")}
    kept["ended"] = {side: _ended(end, geometry) for side, end in item["ended"].items()}
    ours, theirs = _box_of(found), None
    if ours is not None:
        theirs = _whole(geometry.box_to_voxel(np.array(ours)).tolist())
    axis = geometry.axes[0]
    ends = None if item["slices"] is None else sorted(geometry.slice_to_display(z) for z in item["slices"])
    both = {
        "slices_voxel": None if ends is None else {"axis": AXES[axis], "first": ends[0], "last": ends[1]},
        "slices_display": item["slices"],
        "box_voxel": theirs,
        "box_display": ours,
    }
    return {**kept, **both, "prompt": {"voxel": _asked_voxel(asked, geometry), "display": item["prompt"]}}


def _ended(end: dict, geometry: Geometry) -> dict:
    """Where an object ended, `slice` as displayed."""
    z = end["slice"]
    return {**end, "slice_voxel": None if z is None else geometry.slice_to_display(z)}


def _asked_voxel(asked: VolumeObject, geometry: Geometry) -> dict:
    depth, height, width = geometry.shape
    box = None
    if asked.bounds is not None or asked.z_range is not None:
        first, last = asked.z_range or (0, depth - 1)
        x0, y0, x1, y1 = asked.bounds or (0, 0, width - 1, height - 1)
        box = geometry.box_to_voxel(np.array([x0, y0, first, x1, y1, last])).tolist()
    slices = [_slice_voxel(prompt, z, geometry) for z, prompt in sorted(asked.prompts.items())]
    return {"box": box, "slices": slices}


def _slice_voxel(prompt: Prompt, z: int, geometry: Geometry) -> dict:
    flat = np.column_stack([prompt.points, np.full(len(prompt.points), z)])
    pairs = zip(geometry.to_voxel(flat).tolist(), prompt.point_labels.tolist(), strict=True)
    box = None
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        box = geometry.box_to_voxel(np.array([x0, y0, z, x1, y1, z])).tolist()
    return {
        AXES[geometry.axes[0]]: geometry.slice_to_display(z),
        "box": box,
        "points": [[*ijk, kind] for ijk, kind in pairs],
    }


def _plane_box(box: list[float] | None, geometry: Geometry) -> list[float] | None:
    if box is None:
        return None
    x0, y0, x1, y1 = box
    u, v = geometry.plane_axes
    return geometry.box_to_voxel(np.array([x0, y0, 0, x1, y1, 0]))[[u, v, u + 3, v + 3]].tolist()


def _box_of(found: Mapping[int, SliceMask]) -> list[int] | None:
    """x0 y0 z0 x1 y1 z1 of what was found on all slices."""
    held = {z: mask.box for z, mask in found.items() if mask.box is not None}
    if not held:
        return None
    boxes = np.array(list(held.values()))
    (x0, y0), (x1, y1) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
    return [x0, y0, min(held), x1, y1, max(held)]


def _whole(numbers: list[float] | None) -> list[int] | None:
    return None if numbers is None else [int(n) for n in numbers]
