"""Prompts in the voxels of a file, brought into the slices that are shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.spatial_objects import MM, SpatialObject
from lite_medsam.prompts.volume_objects import VolumeObject, as_box, seeds_from_boxes, target_of_object
from lite_medsam.scans.geometry import Geometry
from lite_medsam.storage.strict_json import Checker

# "voxel": i, j, k of the file's own array, as ITK-SNAP, nibabel and SimpleITK show them;
# "display": x, y, z of the slices as this program and its demo show them;
# "lps_mm", "ras_mm": millimetres of the patient, to the left, back and head, or to the right, front and head
COORDINATES = ("voxel", "display", *MM)
AXES = "ijk"


@dataclass(frozen=True)
class Frame:
    """What the numbers of prompts count.

    Attributes:
        coordinates: One of `COORDINATES`.
        axis: For "voxel" the axis of the file that the slices of prompts count along; boxes and points in a slice have the
            other two, in the order of the file. None: the third (k) for volumes, for pictures that across them.
    """

    coordinates: str = "voxel"
    axis: int | None = None


def frame_of(check: Checker, document: dict, default: str) -> Frame:
    """The frame that a prompt file names, or the default where it names none.

    Raises:
        PromptError: If it names another one.
    """
    coordinates = document.get("coordinates", default)
    if coordinates not in COORDINATES:
        raise check.fail("coordinates", f"be one of {', '.join(COORDINATES)}", coordinates)
    axis = document.get("axis")
    if axis is None and "axis" not in document:
        return Frame(coordinates)
    if not isinstance(axis, str) or axis not in tuple(AXES):
        raise check.fail("axis", "be the axis of the file that slices count along: i, j or k", axis)
    if coordinates == "display":
        raise check.fail("axis", "be left out beside display coordinates, whose slices are those that are shown", axis)
    return Frame(coordinates, AXES.index(axis))


def slice_axis(objects: Sequence[VolumeObject | SpatialObject], frame: Frame, geometry: Geometry) -> int:
    """The axis of the file that a volume must be cut along, so that every object lies in its slices.

    3D boxes lie in any slices; prompts on slices in voxel coordinates lie across one axis.
    """
    anywhere = all(isinstance(item, SpatialObject) or as_box(item) is not None for item in objects)
    if frame.coordinates == "display" or (frame.axis is None and anywhere):
        return geometry.axes[0]
    return 2 if frame.axis is None else frame.axis


def volume_to_display(
    objects: Sequence[VolumeObject | SpatialObject], frame: Frame, geometry: Geometry
) -> list[VolumeObject]:
    """Objects of a volume in display coordinates.

    Args:
        objects: As they were said.
        frame: What their numbers count.
        geometry: Of the volume, cut along `slice_axis`.
    """
    axis = 2 if frame.axis is None else frame.axis
    placed = []
    for i, item in enumerate(objects):
        if isinstance(item, SpatialObject):
            try:
                placed.append(item.placed(frame.coordinates, geometry))
            except PromptError as error:
                raise PromptError(f"object {i + 1}: {error}") from None
        elif frame.coordinates in MM:
            raise PromptError(f"object {i + 1}: in mm there are boxes, points and lines of x y z, no slices")
        else:
            placed.append(item if frame.coordinates == "display" else _object_to_display(item, axis, geometry))
    return placed


def picture_to_display(prompts: Sequence[Prompt], frame: Frame, geometry: Geometry) -> list[Prompt]:
    """Prompts of the only slice of a file in display coordinates.

    Voxel coordinates of a picture count along the two axes of the file that lie in it, in the order of the file.
    """
    if frame.coordinates == "display" or geometry.is_file_order:
        return list(prompts)
    return [prompt_to_display(prompt, geometry) for prompt in prompts]


def prompt_to_display(prompt: Prompt, geometry: Geometry) -> Prompt:
    """A prompt on a slice, from the two file axes of the slice to columns and rows of the display."""
    box = mask = None
    if prompt.box is not None:
        corners = np.zeros(6)
        corners[[*geometry.plane_axes, *(a + 3 for a in geometry.plane_axes)]] = prompt.box
        box = tuple(geometry.box_to_display(corners)[[0, 1, 3, 4]].tolist())
    points = np.zeros((len(prompt.points), 3))
    points[:, geometry.plane_axes] = prompt.points
    if prompt.mask is not None:
        mask = np.ascontiguousarray(geometry.picture_to_display(prompt.mask))
    return replace(prompt, box=box, points=geometry.to_display(points)[:, :2], mask=mask)


def _object_to_display(item: VolumeObject, axis: int, geometry: Geometry) -> VolumeObject:
    box = as_box(item)
    if axis != geometry.axes[0]:
        if box is None:
            raise PromptError(f"prompts on slices along {AXES[axis]} must be given to a volume that is cut along it")
        u, v = (a for a in range(3) if a != axis)
        corners = np.zeros(6)
        corners[[u, v, axis, u + 3, v + 3, axis + 3]] = box
        seeds = seeds_from_boxes(geometry.box_to_display(corners)[None], [item.name])
        return replace(seeds[0], target=target_of_object(item), number=item.number)
    prompts = {
        geometry.slice_to_display(z): prompt_to_display(prompt, geometry) for z, prompt in sorted(item.prompts.items())
    }
    z_range = item.z_range
    if z_range is not None:
        first, last = (geometry.slice_to_display(z) for z in z_range)
        z_range = (last, first) if geometry.flipped[0] else (first, last)
    bounds = None if item.bounds is None else prompt_to_display(Prompt(box=item.bounds), geometry).box
    return replace(item, prompts=prompts, z_range=z_range, bounds=bounds)
