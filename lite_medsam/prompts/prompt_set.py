"""Prompts of users in files, with their masks."""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.masks import MaskError, object_of, stored_mask
from lite_medsam.prompts.diameter_lines import prompt_of_line
from lite_medsam.prompts.label_files import label_kind, read_label_objects
from lite_medsam.prompts.label_objects import picture_prompts
from lite_medsam.prompts.prompt_object import MAX_NAME, MAX_NUMBER, Prompt, as_prompts, corners_of, validate
from lite_medsam.prompts.protocol import (
    PROMPTS_DIR,
    Protocol,
    box_from_mask,
    load_protocol,
    next_click,
    rng_for,
    simulate_box,
    simulate_stroke,
)
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.strict_json import Checker, read_json

__all__ = [
    "PROMPTS_DIR",
    "Prompt",
    "Protocol",
    "as_prompts",
    "box_from_mask",
    "load_prompts",
    "load_protocol",
    "mask_file",
    "next_click",
    "prompt_files",
    "prompt_from_json",
    "prompt_json",
    "prompts_from_document",
    "rng_for",
    "save_prompts",
    "simulate_box",
    "simulate_stroke",
    "validate",
]

MAX_PROMPT_FILE_BYTES = 50_000_000
MAX_OBJECTS = 100_000
MAX_POINTS = 10_000  # per object
MAX_MASKS = 1_000  # each is as large as the image
MAX_COORDINATE = 1e9


def load_prompts(path: str | os.PathLike, image_hw: tuple[int, int] | None = None) -> list[Prompt]:
    """Reads a prompt set; the format is prompts/prompt-set.schema.json. Label files are read as well: each object's mask
    becomes a final mask under its name, see `label_files.read_label_objects`.

    Masks are image files, named relative to the prompt file and within its folder, read by `images.masks`: numbers above 0
    are inside, JPEG and softened edges are cut at half, alpha and palette indices count; grey floats are logits, above 0 is
    inside.

    Args:
        path: The file.
        image_hw: (H, W) of the picture, for label files that do not say it, and to check the others.

    Raises:
        PromptError: If the file or a mask is missing or not valid; the message names the file and the place
            in it.
    """
    if label_kind(path) is not None:
        return picture_prompts(read_label_objects(path, image_hw))
    document = read_json(path, PromptError, MAX_PROMPT_FILE_BYTES)
    return prompts_from_document(Checker(path, PromptError), document, Path(path).parent)


def prompts_from_document(check: Checker, document: Any, folder: Path) -> list[Prompt]:
    """The prompts of a parsed prompt set.

    Args:
        check: Names the document in messages.
        document: What `read_json` gives.
        folder: Where its masks lie.

    Raises:
        PromptError: If it is not valid, or a mask is missing.
    """
    document = check.mapping(document, "", ("version", "objects"), ("description", "coordinates"))
    if document["version"] != 1 or isinstance(document["version"], bool):
        raise check.fail("version", "be 1", document["version"])
    if document.get("coordinates", "voxel") not in ("voxel", "display"):
        raise check.fail("coordinates", "be voxel or display", document["coordinates"])
    if "description" in document:
        check.text(document["description"], "description", 2000)
    objects = check.array(document["objects"], "objects", maximum=MAX_OBJECTS)
    if sum(isinstance(item, dict) and "mask" in item for item in objects) > MAX_MASKS:
        raise check.fail("objects", f"have at most {MAX_MASKS} masks")
    prompts = [prompt_from_json(check, item, f"objects[{i}]", folder) for i, item in enumerate(objects)]
    check_numbers(check, (prompt.number for prompt in prompts))
    return prompts


def save_prompts(path: str | os.PathLike, prompts: Iterable[Prompt]) -> None:
    """Writes a prompt set that `load_prompts` reads back, exactly.

    Previous masks become files beside it, `<stem>_mask<index>.png`; logits `.tif`, in single precision.

    Raises:
        PromptError: If a prompt says nothing or a number is not finite; nothing is written then.
        OSError: If a file can't be written.
    """
    path = Path(path)
    *masks, (_, document) = prompt_files(prompts, path.stem).items()
    for name, content in [*masks, (path.name, document)]:  # the masks first: the set never names one that is missing
        with atomic_write(path.parent / name) as temporary:
            temporary.write_bytes(content)


def prompt_files(prompts: Iterable[Prompt], stem: str = "prompts", coordinates: str | None = None) -> dict[str, bytes]:
    """The files of a prompt set by name, the masks first, `<stem>.json` last; the same prompts give the same bytes.

    Args:
        prompts: One per object.
        stem: First part of the names.
        coordinates: What the numbers count, "display" or "voxel" (see `volume_coordinates`); None: the file does not say.

    Raises:
        PromptError: If a prompt says nothing or a number is not finite.
    """
    prompts = list(prompts)
    items = [prompt_json(prompt, f"objects[{i}]", f"{stem}_mask{i}") for i, prompt in enumerate(prompts)]
    pairs = zip(prompts, items, strict=True)
    files = {item["mask"]: mask_file(prompt.mask) for prompt, item in pairs if prompt.mask is not None}
    said = {} if coordinates is None else {"coordinates": coordinates}
    text = json.dumps({"version": 1, **said, "objects": items}, indent=1, ensure_ascii=False)
    return {**files, f"{stem}.json": (text + "\n").encode()}


def prompt_json(prompt: Prompt, place: str, mask_stem: str) -> dict:
    """The item of a prompt file for one prompt.

    Args:
        prompt: The prompt.
        place: What an error message calls it.
        mask_stem: Name of its mask's file, without the ending.

    Raises:
        PromptError: If the prompt says nothing or a number is not finite.
    """
    item: dict = {} if prompt.name is None else {"name": prompt.name}
    if prompt.box is not None:
        item["box"] = list(prompt.box)
    if len(prompt.points):
        pairs = zip(prompt.points.tolist(), prompt.point_labels.tolist(), strict=True)
        item["points"] = [[x, y, label] for (x, y), label in pairs]
    if prompt.mask is not None:
        item["mask"] = mask_stem + (".png" if prompt.mask.dtype == bool else ".tif")
    if prompt.final:
        item["final"] = True
    if prompt.target is not None:
        item["target"] = prompt.target
    if prompt.number is not None:
        item["number"] = prompt.number
    if not item.keys() - {"name", "target", "number"}:
        raise PromptError(f"{place} must have a box, points or a mask, got nothing")
    numbers = np.concatenate([np.array(prompt.box or (), np.float64), prompt.points.ravel()])
    if not (np.abs(numbers) <= MAX_COORDINATE).all():  # also refuses NaN
        raise PromptError(f"{place} must have coordinates up to {MAX_COORDINATE:g}, got others")
    return item


def prompt_from_json(check: Checker, item, place: str, folder: Path) -> Prompt:
    """One prompt of a parsed file, without keys that are not a prompt's; its mask is read from `folder`.

    Raises:
        PromptError: If it is not valid; the message says the place.
    """
    item = check.mapping(item, place, (), ("name", "target", "number", "box", "points", "line", "mask", "final"))
    if not item.keys() & {"box", "points", "line", "mask"}:
        raise check.fail(place, "have a box, points, a line or a mask")

    def coordinate(value, where: str) -> float:
        return check.number(value, where, -MAX_COORDINATE, MAX_COORDINATE)

    final = item.get("final", False)
    if not isinstance(final, bool) or (final and "mask" not in item):
        raise check.fail(f"{place}.final", "be true or false, and true only beside a mask", final)
    box = mask = None
    if "box" in item:
        values = check.array(item["box"], f"{place}.box", 4)
        box = corners_of(coordinate(v, f"{place}.box[{i}]") for i, v in enumerate(values))
    points, labels = [], []
    for k, row in enumerate(check.array(item.get("points", []), f"{place}.points", maximum=MAX_POINTS)):
        where = f"{place}.points[{k}]"
        x, y, label = check.array(row, where, 3)
        points.append((coordinate(x, f"{where}[0]"), coordinate(y, f"{where}[1]")))
        labels.append(check.integer(label, f"{where}[2]", 0, 1))
    if "line" in item:
        if "box" in item:
            raise check.fail(place, "have a box or a line, not both")
        ends = check.array(item["line"], f"{place}.line", 2)
        ends = [[coordinate(v, f"{place}.line") for v in check.array(end, f"{place}.line", 2)] for end in ends]
        if ends[0] == ends[1]:
            raise check.fail(f"{place}.line", "have two different ends")
        box, more = prompt_of_line(np.array(ends))
        points += [(x, y) for x, y in more.tolist()]
        labels += [1] * len(more)
    if "mask" in item:
        mask = _read_mask(check, check.text(item["mask"], f"{place}.mask", 1000), f"{place}.mask", folder)
    name, target = (check.text(item[k], f"{place}.{k}", MAX_NAME) if k in item else None for k in ("name", "target"))
    xy = np.array(points).reshape(-1, 2)
    number = number_from_json(check, item, place)
    return Prompt(box, xy, np.array(labels, int), mask=mask, name=name, final=final, target=target, number=number)


def number_from_json(check: Checker, item: dict, place: str) -> int | None:
    """The number of an object of a prompt file, None where it has none."""
    return check.integer(item["number"], f"{place}.number", 1, MAX_NUMBER) if "number" in item else None


def check_numbers(check: Checker, numbers: Iterable[int | None]) -> None:
    """Raises the checker's error if two objects have one number."""
    given = [number for number in numbers if number is not None]
    if len(set(given)) != len(given):
        raise check.fail("objects", "have a number of its own each")


def _read_mask(check: Checker, name: str, place: str, folder: Path) -> np.ndarray:
    relative, windows = PurePosixPath(name), PureWindowsPath(name)
    leads_out = windows.drive or windows.root or "\\" in name or "\0" in name or ".." in relative.parts
    try:
        # resolved as well: a link in the folder must not lead out of it
        inside = not leads_out and (folder / relative).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, letters that no file system has
        inside = False
    if not inside:
        raise check.fail(place, "be a relative path within the prompt file's folder, with / and no ..", name)
    try:
        stored = stored_mask(folder / relative)
        if not stored.is_colour and stored.values.dtype.kind == "f":  # logits, as an earlier answer left them
            return stored.values.astype(np.float32, copy=False)
        return object_of(stored)
    except MaskError as error:
        if error.kind == "nan":
            raise PromptError(f"{check.source}: {place} must hold finite logits, got NaN or infinity") from None
        raise PromptError(f"{check.source}: {place}: {error}") from None
    except CaseError as error:
        raise PromptError(f"{check.source}: {place}: {error}") from None


def mask_file(mask: np.ndarray) -> bytes:
    """A previous mask as PNG, logits as TIFF of single precision."""
    file = io.BytesIO()
    if mask.dtype == bool:
        from PIL import Image

        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(file, format="PNG")
    else:
        import tifffile

        tifffile.imwrite(file, mask.astype(np.float32, copy=False), metadata=None, software="lite-medsam")
    return file.getvalue()
