"""What was said on other planes than that of the slices, as prompt files in voxels of the file."""

import json
from dataclasses import replace

import numpy as np

from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.prompts.volume_coordinates import AXES
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.prompts.volume_prompt_set import volume_prompt_files
from lite_medsam.scans.geometry import Geometry
from lite_medsam.session.answer import Answer, xy_and_labels
from lite_medsam.session.state import Snapshot
from lite_medsam.volumes.planes import Plane


def plane_prompt_files(snapshot: Snapshot, planes: tuple[Plane, Plane, Plane], geometry: Geometry) -> dict[str, bytes]:
    """`prompts_NAME.json` for each plane that something was said on, with its masks; the slices lie across an axis of the file.

    Box and clicks stand beside the mask that they led to, which is final: following from it gives that plane's part of the
    object once more.

    Args:
        snapshot: The objects.
        planes: By axis of the array.
        geometry: Of the volume.
    """
    files: dict[str, bytes] = {}
    for plane in planes[1:]:
        objects = []
        for item in snapshot.objects:
            said = {index: answer for (axis, index), answer in item.planes.items() if axis == plane.axis}
            if said:
                prompts = dict(_voxel_prompt(answer, index, plane, geometry) for index, answer in said.items())
                named = {z: replace(prompt, name=item.name) for z, prompt in sorted(prompts.items())}
                objects.append(VolumeObject(named, item.name, target=item.target))
        if objects:
            stem = f"prompts_{plane.name.replace(' ', '-')}"
            made = volume_prompt_files(objects, stem)
            document = json.loads(made[f"{stem}.json"])
            head = {"version": 1, "volume": True, "coordinates": "voxel", "axis": AXES[geometry.axes[plane.axis]]}
            text = json.dumps({**head, "objects": document["objects"]}, indent=1, ensure_ascii=False)
            files |= {**made, f"{stem}.json": (text + "\n").encode()}
    return files


def _voxel_prompt(answer: Answer, index: int, plane: Plane, geometry: Geometry) -> tuple[int, Prompt]:
    """The index along the file's axis, and the prompt along the two others, in their order in the file."""
    across = geometry.axes[plane.axis]
    others = [axis for axis in range(3) if axis != across]
    voxel = geometry.to_voxel(_displayed(np.zeros((1, 2)), index, plane, geometry))[0, across]
    box = None
    if answer.box is not None:
        corners = geometry.to_voxel(_displayed(np.reshape(answer.box, (2, 2)), index, plane, geometry))[:, others]
        first, last = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        box = (*first, *last)
    xy, labels = xy_and_labels(answer.points)
    points = geometry.to_voxel(_displayed(xy, index, plane, geometry))[:, others]
    thin = geometry.uncut(plane.unturned(answer.region.full()[None]))
    mask = np.ascontiguousarray(np.squeeze(thin, axis=across).T)  # rows along the later axis, as in pictures
    return int(voxel), Prompt(box, points, labels, mask, final=True)


def _displayed(xy: np.ndarray, index: int, plane: Plane, geometry: Geometry) -> np.ndarray:
    """Places of a plane's picture as x, y, z of the array."""
    found = np.empty((len(xy), 3))
    for axis, values, flipped in (
        (plane.axis, np.full(len(xy), float(index)), False),
        (plane.columns, xy[:, 0], plane.mirrored),
        (plane.rows, xy[:, 1], plane.upside_down),
    ):
        found[:, 2 - axis] = geometry.shape[axis] - 1 - values if flipped else values
    return found
