"""Prompt files for volumes: what was said about each object on which slice."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import MAX_NAME
from lite_medsam.prompts.prompt_set import (
    MAX_COORDINATE,
    MAX_MASKS,
    MAX_OBJECTS,
    MAX_PROMPT_FILE_BYTES,
    mask_file,
    prompt_from_json,
    prompt_json,
)
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.storage.strict_json import Checker, read_json

MAX_SLICE = 10**6


def volume_prompt_files(objects: Iterable[VolumeObject], stem: str = "prompts") -> dict[str, bytes]:
    """The files of a volume's prompts by name, the masks first, `<stem>.json` last.

    The document is `{"version": 1, "volume": true, "objects": [{"name", "target", "z_range", "bounds", "slices": [{"z",
    "box", "points", "mask"}]}]}`; what an object does not have is left out.

    Raises:
        PromptError: If a prompt says nothing or a number is not finite.
    """
    files: dict[str, bytes] = {}
    items = []
    for i, volume_object in enumerate(objects):
        item: dict = {} if volume_object.name is None else {"name": volume_object.name}
        if volume_object.target is not None:
            item["target"] = volume_object.target
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
    text = json.dumps({"version": 1, "volume": True, "objects": items}, indent=1, ensure_ascii=False)
    return {**files, f"{stem}.json": (text + "\n").encode()}


def load_volume_prompts(path: str | os.PathLike) -> list[VolumeObject]:
    """Reads the prompts of a volume, as `volume_prompt_files` writes them.

    Raises:
        PromptError: If the file or a mask is missing or not valid; the message names the file and the place in it.
    """
    check = Checker(path, PromptError)
    document = read_json(path, PromptError, MAX_PROMPT_FILE_BYTES)
    document = check.mapping(document, "", ("version", "volume", "objects"), ("description",))
    if document["version"] != 1 or isinstance(document["version"], bool):
        raise check.fail("version", "be 1", document["version"])
    if document["volume"] is not True:
        raise check.fail("volume", "be true", document["volume"])
    objects = check.array(document["objects"], "objects", maximum=MAX_OBJECTS)
    slices = [entry for item in objects if isinstance(item, dict) for entry in _list(item.get("slices"))]
    if sum(isinstance(entry, dict) and "mask" in entry for entry in slices) > MAX_MASKS:
        raise check.fail("objects", f"have at most {MAX_MASKS} masks")
    return [_object(check, item, f"objects[{i}]", Path(path).parent) for i, item in enumerate(objects)]


def _object(check: Checker, item, place: str, folder: Path) -> VolumeObject:
    item = check.mapping(item, place, ("slices",), ("name", "target", "z_range", "bounds"))
    prompts = {}
    for k, entry in enumerate(check.array(item["slices"], f"{place}.slices", maximum=MAX_OBJECTS)):
        where = f"{place}.slices[{k}]"
        entry = dict(check.mapping(entry, where, ("z",), ("name", "target", "box", "points", "mask")))
        z = check.integer(entry.pop("z"), f"{where}.z", 0, MAX_SLICE)
        if z in prompts:
            raise check.fail(f"{where}.z", "be a slice that comes once", z)
        prompts[z] = prompt_from_json(check, entry, where, folder)
    if not prompts:
        raise check.fail(f"{place}.slices", "have one slice at least")
    z_range = bounds = None
    if "z_range" in item:
        ends = check.array(item["z_range"], f"{place}.z_range", 2)
        z_range = tuple(check.integer(z, f"{place}.z_range[{k}]", -MAX_SLICE, MAX_SLICE) for k, z in enumerate(ends))
    if "bounds" in item:
        sides = check.array(item["bounds"], f"{place}.bounds", 4)
        limit = MAX_COORDINATE
        bounds = tuple(check.number(v, f"{place}.bounds[{k}]", -limit, limit) for k, v in enumerate(sides))
    name, target = (check.text(item[k], f"{place}.{k}", MAX_NAME) if k in item else None for k in ("name", "target"))
    return VolumeObject(prompts, name, z_range, bounds, target)


def _list(value) -> list:
    return value if isinstance(value, list) else []
