"""Objects of annotations: COCO, Labelme, YOLO segmentation, and polygons like GeoJSON."""

import base64
import binascii
import re
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.images.decoding import decode
from lite_medsam.images.outlines import fill_contours, fill_outlines
from lite_medsam.images.size import MAX_PIXELS
from lite_medsam.prompts.label_objects import MAX_MASK_PIXELS, LabelObject, check_names, with_numbers

Shape = tuple[int, ...]
_SLICE = re.compile(r"_z(\d{1,6})\.[A-Za-z0-9.]+$")


def kind_of_document(document: Any) -> str | None:
    """Which annotations a parsed JSON file holds: "coco", "labelme" or "polygons"; None if none of them."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("annotations"), list) and isinstance(document.get("images"), list):
        return "coco"
    if isinstance(document.get("shapes"), list):
        return "labelme"
    return "polygons" if document.get("type") == "FeatureCollection" else None


def coco_objects(document: dict, shape: Shape | None, stem: str) -> list[LabelObject]:
    """The objects of a COCO document, by `object_id` where annotations have it, else one for each.

    Args:
        document: The parsed file.
        shape: (H, W) or (D, H, W) of what they are for; None: of the picture that the document names.
        stem: The picture's name, for documents of several pictures.

    Raises:
        PromptError: If they are for another shape, or it is open which picture is meant.
    """
    categories = {item["id"]: item.get("name") for item in document.get("categories", ())}
    chosen = _coco_images(document["images"], shape, stem)
    collected = _Collected(shape or next(iter(chosen.values()))[1])
    for annotation in document["annotations"]:
        if annotation["image_id"] not in chosen:
            continue
        z, hw = chosen[annotation["image_id"]]
        collected.check(hw)
        said = annotation["segmentation"]
        mask = _run_lengths(said, hw) if isinstance(said, dict) else _corner_polygons(said, hw)
        name = annotation.get("object_name") or categories.get(annotation.get("category_id"))
        key = annotation.get("object_id")
        collected.add(("new", len(collected.masks)) if key is None else ("object", key), z, mask, name)
    return collected.objects()


def labelme_objects(document: dict, shape: Shape | None) -> list[LabelObject]:
    """The objects of a Labelme file: shapes of one label and `group_id` are one. Points and lines have no area: left out.

    Args:
        document: The parsed file.
        shape: (H, W) of the picture, None: as the file says.
    """
    hw = int(document["imageHeight"]), int(document["imageWidth"])
    collected = _Collected(hw if shape is None else shape)
    collected.check(hw)
    z = _slice_in(str(document.get("imagePath")), shape)
    for item in document["shapes"]:
        mask = _labelme_mask(item, hw)
        if mask is not None:
            group = item.get("group_id")
            key = ("new", len(collected.masks)) if group is None else (item.get("label"), group)
            collected.add(key, z, mask, item.get("label"))
    return collected.objects()


def polygon_objects(document: dict, shape: Shape | None) -> list[LabelObject]:
    """The objects of a FeatureCollection in pixels, by their property `object` where they have it.

    Where the file does not say `first_pixel_centre`, the first pixel reaches from 0 to 1, as in QuPath.
    """
    said = document.get("image_hw")
    size = said if said is not None else shape and shape[-2:]
    if size is None:
        raise PromptError("polygons must say image_hw, or be opened beside their picture")
    hw = int(size[0]), int(size[1])
    collected = _Collected(shape or hw)
    collected.check(hw)
    middle = np.array(document.get("first_pixel_centre", (0.5, 0.5)), float)
    for feature in document["features"]:
        geometry, facts = feature["geometry"], feature.get("properties") or {}
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(geometry["type"])
        if polygons is None:
            continue
        mask = np.zeros(hw, bool)
        for rings in polygons:
            mask |= fill_outlines([np.array(ring, float)[:, :2] - middle for ring in rings], hw)
        key = facts.get("object")
        name = facts.get("name") or (facts.get("classification") or {}).get("name") or facts.get("class")
        z = int(facts.get("z", 0))
        collected.add(("new", len(collected.masks)) if key is None else ("object", key), z, mask, name)
    return collected.objects()


def yolo_objects(text: str, shape: Shape | None, classes: list[str]) -> list[LabelObject]:
    """The objects of YOLO's segmentation lines, one for each line.

    Args:
        text: Lines of `class x y x y ...`, x and y as shares of width and height.
        shape: (H, W) of the picture.
        classes: Names of the class numbers.
    """
    if shape is None or (len(shape) == 3 and shape[0] > 1):
        raise PromptError("YOLO's lines do not say how large the picture is; give them with the picture, or image_hw")
    collected = _Collected(shape)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        kind, *numbers = line.split()
        if len(numbers) < 6 or len(numbers) % 2:
            raise PromptError(f"line {number} must be a class and three x y at least (segmentation, not boxes)")
        corners = np.array(numbers, float).reshape(-1, 2) * (shape[-1], shape[-2]) - 0.5
        if not np.isfinite(corners).all():
            raise PromptError(f"line {number} must hold finite numbers")
        index = int(kind)
        name = classes[index] if 0 <= index < len(classes) else f"class {index}"
        collected.add(number, 0, fill_contours([corners], (shape[-2], shape[-1])), name)
    return collected.objects()


class _Collected:
    """Objects as they are read, in the order of their first mask.

    Args:
        shape: (H, W) or (D, H, W) of what they are for.
    """

    def __init__(self, shape: Shape):
        self.shape = tuple(int(side) for side in shape)
        self.masks: dict[Hashable, dict[int, np.ndarray]] = {}
        self.names: dict[Hashable, str | None] = {}
        self.pixels = 0
        if min(self.shape) < 1 or self.shape[-1] * self.shape[-2] > MAX_PIXELS:
            raise PromptError(f"a picture must have 1 to {MAX_PIXELS} pixels, got {self.shape}")

    def check(self, hw: tuple[int, ...]) -> None:
        """Raises PromptError if the file is for pictures of another size."""
        if tuple(hw) != self.shape[-2:]:
            raise PromptError(f"labels must have the size of what they are for, {self.shape[-2:]}, are for {tuple(hw)}")

    def add(self, key: Hashable, z: int, mask: np.ndarray, name: object) -> None:
        """Adds a mask to an object."""
        depth = self.shape[0] if len(self.shape) == 3 else 1
        if not 0 <= z < depth:
            raise PromptError(f"slices must be 0 to {depth - 1}, got {z}")
        slices = self.masks.setdefault(key, {})
        self.names.setdefault(key, check_names(name))
        if not mask.any():
            return
        if z in slices:
            slices[z] = slices[z] | mask
            return
        self.pixels += mask.size
        if self.pixels > MAX_MASK_PIXELS:
            raise PromptError(f"labels must have at most {MAX_MASK_PIXELS} pixels in all masks")
        slices[z] = mask

    def objects(self) -> list[LabelObject]:
        """What was added.

        Raises:
            PromptError: If there is nothing.
        """
        held = [key for key, slices in self.masks.items() if slices]
        if not held:
            raise PromptError("labels must hold an object, got none for this picture")
        found = [LabelObject(self.masks[key], self.names[key]) for key in held]
        return with_numbers(found, [key[1] if isinstance(key, tuple) and key[0] != "new" else None for key in held])


def _slice_in(file_name: str, shape: Shape | None) -> int:
    """The slice that a picture's file name tells, NAME_z012.png; 0 of pictures."""
    if shape is None or len(shape) == 2 or shape[0] == 1:
        return 0
    match = _SLICE.search(file_name)
    if match is None:
        raise PromptError(
            "annotations of one picture must tell their slice of the volume in imagePath, as NAME_z012.png"
        )
    return int(match[1])


def _coco_images(images: list[dict], shape: Shape | None, stem: str) -> dict[Any, tuple[int, tuple[int, int]]]:
    """Image id -> its slice and (H, W)."""
    sizes = {item["id"]: (int(item["height"]), int(item["width"])) for item in images}
    if shape is not None and len(shape) == 3:
        slices = {item["id"]: _SLICE.search(str(item["file_name"])) for item in images}
        if not all(slices.values()) and (len(images) != 1 or shape[0] > 1):
            raise PromptError("COCO of a volume must name its slices in the file names, as NAME_z012.png")
        return {i: (int(match[1]) if match else 0, sizes[i]) for i, match in slices.items()}
    if len(images) != 1:
        files = [(item["id"], re.split(r"[/\\]", str(item["file_name"]))[-1]) for item in images]
        images_of_name = [i for i, file in files if file.rsplit(".", 1)[0] == stem or file == stem]
        if len(images_of_name) != 1:
            raise PromptError(f"COCO of {len(images)} pictures must name one of them {stem}, got {len(images_of_name)}")
        return {images_of_name[0]: (0, sizes[images_of_name[0]])}
    return {images[0]["id"]: (0, sizes[images[0]["id"]])}


def _run_lengths(said: dict, hw: tuple[int, int]) -> np.ndarray:
    if tuple(said["size"]) != hw:
        raise PromptError(f"run lengths must be of the picture's size {hw}, got {said['size']}")
    counts = _unpacked(said["counts"]) if isinstance(said["counts"], str) else said["counts"]
    lengths = np.array(counts, np.int64).reshape(-1)
    if (lengths < 0).any() or int(lengths.sum()) != hw[0] * hw[1]:
        raise PromptError(f"run lengths must be {hw[0] * hw[1]} pixels in all, got {int(lengths.sum())}")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(flat.reshape(hw[1], hw[0]).T)


def _unpacked(text: str) -> list[int]:
    """COCO's packed run lengths: 5 bits a letter, the lowest first, signed, from the third on less the one two before."""
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _corner_polygons(polygons: Iterable[list[float]], hw: tuple[int, int]) -> np.ndarray:
    """COCO's polygons, where the first pixel reaches from 0 to 1; pixels whose middle is inside one of them."""
    mask = np.zeros(hw, bool)
    for numbers in polygons:
        mask |= fill_outlines([np.array(numbers, float).reshape(-1, 2) - 0.5], hw)
    return mask


def _labelme_mask(item: dict, hw: tuple[int, int]) -> np.ndarray | None:
    """The mask of a shape, as Labelme itself fills it; None for shapes without an area."""
    from PIL import Image, ImageDraw

    kind = item.get("shape_type") or "polygon"
    points = np.array(item["points"], float).reshape(-1, 2)
    if not np.isfinite(points).all() or (np.abs(points) > 2**20).any():
        raise PromptError("points of shapes must be finite numbers")
    corners = [(x, y) for x, y in points.tolist()]
    if kind == "mask":
        (x0, y0), (x1, y1) = points[:2].astype(int)
        if not (0 <= x0 <= x1 < hw[1] and 0 <= y0 <= y1 < hw[0]):
            raise PromptError("mask shapes must lie inside the picture")
        inside = decode(_bytes_of(item["mask"]), hw[0] * hw[1]).values
        mask = np.zeros(hw, bool)
        mask[y0 : y1 + 1, x0 : x1 + 1] = inside[: y1 - y0 + 1, : x1 - x0 + 1] > 0
        return mask
    picture = Image.new("L", (hw[1], hw[0]))
    draw = ImageDraw.Draw(picture)
    if kind == "polygon" and len(corners) > 2:
        draw.polygon(corners, outline=1, fill=1)
    elif kind == "rectangle" and len(corners) in (2, 4):
        draw.rectangle([*points.min(0).tolist(), *points.max(0).tolist()], outline=1, fill=1)
    elif kind == "circle" and len(corners) == 2:
        (x, y), radius = corners[0], float(np.hypot(*(points[1] - points[0])))
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
    else:
        return None
    return np.array(picture) > 0


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise PromptError("masks of shapes must be base64") from None
