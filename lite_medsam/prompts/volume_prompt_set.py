"""Prompt files for volumes: what was said about each object on which slice."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.from_labels import volume_object_of
from lite_medsam.prompts.label_files import label_kind, read_label_objects
from lite_medsam.prompts.prompt_object import MAX_NAME, corners_of
from lite_medsam.prompts.prompt_set import (
    MAX_COORDINATE,
    MAX_MASKS,
    MAX_OBJECTS,
    MAX_PROMPT_FILE_BYTES,
    Prompt,
    check_numbers,
    mask_file,
    number_from_json,
    prompt_from_json,
    prompt_json,
)
from lite_medsam.prompts.spatial_objects import MM, SpatialObject, spatial_from_json
from lite_medsam.prompts.volume_coordinates import AXES, Frame, frame_of, slice_axis, volume_to_display
from lite_medsam.prompts.volume_objects import VolumeObject, as_box, seeds_from_boxes
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import DicomSource
from lite_medsam.storage.strict_json import Checker, read_json

MAX_SLICE = 10**6


def volume_prompt_files(objects: Iterable[VolumeObject], stem: str = "prompts") -> dict[str, bytes]:
    """The files of a volume's prompts by name, the masks first, `<stem>.json` last.

    The document is `{"version": 1, "volume": true, "coordinates": "display", "objects": [{"name", "target", "number", "z_range",
    "bounds", "slices": [{"z", "box", "points", "mask", "final"}]}]}`; what an object does not have is left out.

    Args:
        objects: In display coordinates: slices, rows and columns as `load_volume` gives them.
        stem: First part of the names.

    Raises:
        PromptError: If a prompt says nothing or a number is not finite.
    """
    files: dict[str, bytes] = {}
    items = []
    for i, volume_object in enumerate(objects):
        item: dict = {} if volume_object.name is None else {"name": volume_object.name}
        if volume_object.target is not None:
            item["target"] = volume_object.target
        if volume_object.number is not None:
            item["number"] = volume_object.number
        if volume_object.z_range is not None:
            item["z_range"] = [int(z) for z in volume_object.z_range]
        if volume_object.bounds is not None:
            item["bounds"] = [float(v) for v in volume_object.bounds]
        item["slices"] = []
        for z, prompt in sorted(volume_object.prompts.items()):
            entry = prompt_json(prompt, f"objects[{i}], slice {z}", f"{stem}_object{i}_z{int(z):03d}")
            if prompt.mask is not None:
                files[entry["mask"]] = mask_file(prompt.mask)
            item["slices"].append({"z": int(z), **entry})
        items.append(item)
    text = json.dumps(
        {"version": 1, "volume": True, "coordinates": "display", "objects": items}, indent=1, ensure_ascii=False
    )
    return {**files, f"{stem}.json": (text + "\n").encode()}


def load_volume_prompts(
    path: str | os.PathLike, geometry: Geometry | None = None, source: DicomSource | None = None
) -> list[VolumeObject]:
    """Reads the prompts of a volume, as `volume_prompt_files` writes them, in display coordinates; label files as well.

    Args:
        path: The file.
        geometry: Of the volume; needed for files whose coordinates are voxels of the medical file. A file that does not name
            its coordinates has display coordinates here.
        source: The DICOM images of the volume, `scan.dicom`, for segmentations that refer to them.

    Raises:
        PromptError: If the file or a mask is missing or not valid, or its coordinates can't be brought into the slices of
            this geometry; the message names the file and the place in it.
    """
    if label_kind(path) is not None:
        if geometry is None:
            raise PromptError(f"{path}: is a label file, which needs the geometry of the scan; pass scan.geometry")
        items = read_label_objects(path, geometry.shape, geometry, source=source)
        return [volume_object_of(item, geometry.shape[1:]) for item in items]
    objects, frame = read_volume_prompts(path, "display")
    is_spatial = any(isinstance(item, SpatialObject) for item in objects)
    if frame.coordinates != "display" or is_spatial:
        if geometry is None:
            raise PromptError(
                f"{path}: has {frame.coordinates} coordinates, which need the geometry of the scan; pass scan.geometry"
            )
        if slice_axis(objects, frame, geometry) != geometry.axes[0]:
            axis = AXES[slice_axis(objects, frame, geometry)]
            raise PromptError(f"{path}: its slices lie along {axis} of the file; pass a scan cut so, see Scan.across")
        return volume_to_display(objects, frame, geometry)
    return [item for item in objects if isinstance(item, VolumeObject)]


def read_volume_prompts(path: str | os.PathLike, default: str) -> tuple[list[VolumeObject | SpatialObject], Frame]:
    """Reads the prompts of a volume as they were said, with the frame of their numbers.

    Beside what `volume_prompt_files` writes, an object may have `"box": [x0, y0, z0, x1, y1, z1]` in place of slices, or
    `"points": [[x, y, z, label]]` and `"line": [[x, y, z], [x, y, z]]`.

    Args:
        path: The file.
        default: One of `COORDINATES`, for files that do not name theirs.

    Raises:
        PromptError: If the file or a mask is missing or not valid; the message names the file and the place in it.
    """
    document = read_json(path, PromptError, MAX_PROMPT_FILE_BYTES)
    return volume_prompts_from_document(Checker(path, PromptError), document, Path(path).parent, default)


def volume_prompts_from_document(
    check: Checker, document: Any, folder: Path, default: str
) -> tuple[list[VolumeObject | SpatialObject], Frame]:
    """The prompts of a parsed document, as `read_volume_prompts` gives them.

    Args:
        check: Names the document in messages.
        document: What `read_json` gives.
        folder: Where its masks lie.
        default: One of `COORDINATES`.

    Raises:
        PromptError: If it is not valid, or a mask is missing.
    """
    known = ("description", "coordinates", "axis")
    document = check.mapping(document, "", ("version", "volume", "objects"), known)
    if document["version"] != 1 or isinstance(document["version"], bool):
        raise check.fail("version", "be 1", document["version"])
    if document["volume"] is not True:
        raise check.fail("volume", "be true", document["volume"])
    frame = frame_of(check, document, default)
    items = check.array(document["objects"], "objects", maximum=MAX_OBJECTS)
    slices = [entry for item in items if isinstance(item, dict) for entry in _list(item.get("slices"))]
    if sum(isinstance(entry, dict) and "mask" in entry for entry in slices) > MAX_MASKS:
        raise check.fail("objects", f"have at most {MAX_MASKS} masks")
    objects = [_any_object(check, item, f"objects[{i}]", folder, frame) for i, item in enumerate(items)]
    check_numbers(check, (item.number for item in objects if isinstance(item, VolumeObject)))
    return objects, frame


def _any_object(check: Checker, item, place: str, folder: Path, frame: Frame) -> VolumeObject | SpatialObject:
    """An object on slices or in space. Boxes are in space where their numbers are not those of slices along k."""
    keys = item.keys() if isinstance(item, dict) else set()
    if keys & {"points", "line"} or ("box" in keys and (frame.coordinates in MM or frame.axis is not None)):
        return spatial_from_json(check, item, place)
    if frame.coordinates in MM:
        raise check.fail(
            place, f"have a box, points or a line in {frame.coordinates} coordinates; slices are for voxels"
        )
    return _object(check, item, place, folder)


def _object(check: Checker, item, place: str, folder: Path) -> VolumeObject:
    item = check.mapping(item, place, (), ("slices", "box", "name", "target", "number", "z_range", "bounds"))
    name, target = (check.text(item[k], f"{place}.{k}", MAX_NAME) if k in item else None for k in ("name", "target"))
    if "box" in item:
        if item.keys() & {"slices", "z_range", "bounds"}:
            raise check.fail(place, "have a 3D box or slices with their z_range and bounds, not both")
        box = [
            _coordinate(check, v, f"{place}.box[{k}]")
            for k, v in enumerate(check.array(item["box"], f"{place}.box", 6))
        ]
        try:
            found = seeds_from_boxes(np.array([box]), [name])[0]
            return replace(found, target=target, number=number_from_json(check, item, place))
        except PromptError:
            raise check.fail(f"{place}.box", "be x0, y0, z0, x1, y1, z1, each first edge up to the last", box) from None
    if "slices" not in item:
        raise check.fail(place, "have the key slices, or a box of six numbers")
    prompts = _prompts(check, item["slices"], place, folder)
    z_range = bounds = None
    if "z_range" in item:
        ends = check.array(item["z_range"], f"{place}.z_range", 2)
        first, last = (check.integer(z, f"{place}.z_range[{k}]", -MAX_SLICE, MAX_SLICE) for k, z in enumerate(ends))
        z_range = first, last
    if "bounds" in item:
        sides = check.array(item["bounds"], f"{place}.bounds", 4)
        bounds = corners_of(_coordinate(check, v, f"{place}.bounds[{k}]") for k, v in enumerate(sides))
    found = VolumeObject(prompts, name, z_range, bounds, target, number_from_json(check, item, place))
    if min(prompts) < 0 and as_box(found) is None:  # (the middle of a 3D box over the first slice may lie before it)
        raise check.fail(f"{place}.slices: z", f"lie in 0..{MAX_SLICE}", min(prompts))
    return found


def _prompts(check: Checker, slices, place: str, folder: Path) -> dict[int, Prompt]:
    prompts: dict[int, Prompt] = {}
    for k, entry in enumerate(check.array(slices, f"{place}.slices", maximum=MAX_OBJECTS)):
        where = f"{place}.slices[{k}]"
        entry = dict(check.mapping(entry, where, ("z",), ("name", "target", "box", "points", "line", "mask", "final")))
        z = check.integer(entry.pop("z"), f"{where}.z", -MAX_SLICE, MAX_SLICE)
        if z in prompts:
            raise check.fail(f"{where}.z", "be a slice that comes once", z)
        prompts[z] = prompt_from_json(check, entry, where, folder)
    if not prompts:
        raise check.fail(f"{place}.slices", "have one slice at least")
    return prompts


def _coordinate(check: Checker, value, place: str) -> float:
    return check.number(value, place, -MAX_COORDINATE, MAX_COORDINATE)


def _list(value) -> list:
    return value if isinstance(value, list) else []
