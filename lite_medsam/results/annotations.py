"""Annotations for labelling tools: Labelme, YOLO segmentation and polygons, beside COCO."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lite_medsam.images.outlines import border_contours, edge_outlines
from lite_medsam.images.png_writing import png_bytes
from lite_medsam.results.coco import coco_document

KINDS = ("coco", "labelme", "yolo", "polygons")
ENDINGS = ("_coco.json", "_labelme.json", "_yolo.txt", "_yolo_classes.txt", "_polygons.json")


@dataclass(frozen=True, eq=False)
class Annotated:
    """One picture with the objects that annotations tell of.

    Attributes:
        file_name: What annotations call the picture.
        shape: (H, W).
        objects: (index of the object, (H, W) bool mask) of each object, to be gone through more than once; empty masks are
            left out of files.
        z: The slice of a volume, None of a picture.
    """

    file_name: str
    shape: tuple[int, int]
    objects: Iterable[tuple[int, np.ndarray]]
    z: int | None = None


@dataclass(frozen=True)
class Names:
    """What the objects of a result are called, each list with one item per object.

    Attributes:
        names: Of the objects themselves.
        targets: What they are, in the words of a model.
        scores: The model's estimate of each mask's IoU.
        numbers: Their label values; None: 1, 2, 3 and so on.
        labels: The class that was given to each, None where it follows from target and name.
        listed: The class list, whose order class numbers follow; classes beyond it come after it.
    """

    names: Sequence[str | None]
    targets: Sequence[str | None] = ()
    scores: Sequence[float | None] | None = None
    numbers: Sequence[int] | None = None
    labels: Sequence[str | None] = ()
    listed: Sequence[str] = ()

    def number(self, index: int) -> int:
        """The label value of an object."""
        return index + 1 if self.numbers is None else self.numbers[index]

    @property
    def classes(self) -> list[str]:
        """What kind of thing each object is: what it was said to be, else see `class_of`."""
        count = len(self.names)
        targets, labels = ([*given, *[None] * (count - len(given))] for given in (self.targets, self.labels))
        rows = zip(self.names, targets, labels, strict=True)
        return [label or class_of(name, target) for name, target, label in rows]

    @property
    def class_names(self) -> list[str]:
        """Every class once, in the order of class numbers: the class list, then others by their first object."""
        return list(dict.fromkeys([*self.listed, *self.classes]))

    def label(self, index: int) -> str:
        """What a tool shows that has one word for an object: the class that it was given, else its name."""
        given = self.labels[index] if index < len(self.labels) else None
        return given or self.names[index] or "object"

    def described(self, index: int) -> str:
        """What that word does not say: the name of an object that was given a class, else its class."""
        given = index < len(self.labels) and self.labels[index]
        return (self.names[index] or "") if given else self.classes[index]


def class_of(name: str | None, target: str | None = None) -> str:
    """The class of an object: its target, else its name without a number at the end ("cyst 2", "cyst_2" and "cyst #2" are
    cysts), else "object"."""
    if target:
        return target
    kept = re.sub(r"[\s_#]+\d+$", "", name or "").strip()
    return kept or name or "object"


def pictures_of(name: str, shape: tuple[int, ...], masks: Iterable[np.ndarray]) -> list[Annotated]:
    """The picture with all masks, or of a volume each slice that holds an object, called `<name>_z012.png`.

    Args:
        name: First part of the file names.
        shape: (H, W) or (D, H, W).
        masks: One of that shape for each object.
    """
    masks = list(masks)
    if len(shape) == 2:
        return [Annotated(f"{name}.png", (shape[0], shape[1]), list(enumerate(masks)))]
    held = np.zeros(shape[0], bool)
    for mask in masks:
        held |= mask.any(axis=(1, 2))
    return [
        Annotated(f"{name}_z{z:03d}.png", (shape[1], shape[2]), [(i, mask[z]) for i, mask in enumerate(masks)], z)
        for z in np.flatnonzero(held).tolist()
    ]


class LabelObjects:
    """The objects of a label map, one mask at a time.

    Args:
        labels: (H, W) integers; object i has the value i + 1.
    """

    def __init__(self, labels: np.ndarray):
        self.labels = labels

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for value in np.unique(self.labels).tolist():
            if value:
                yield value - 1, self.labels == value


def pictures_of_labels(name: str, labels: np.ndarray) -> list[Annotated]:
    """The same as `pictures_of` from a label map: it takes no memory for masks of whole volumes.

    Args:
        name: First part of the file names.
        labels: (H, W) or (D, H, W) integers; object i has the value i + 1.
    """
    if labels.ndim == 2:
        return [Annotated(f"{name}.png", (labels.shape[0], labels.shape[1]), LabelObjects(labels))]
    held = np.flatnonzero(labels.any(axis=(1, 2))).tolist()
    shape = labels.shape[1], labels.shape[2]
    return [Annotated(f"{name}_z{z:03d}.png", shape, LabelObjects(labels[z]), z) for z in held]


def annotation_files(
    kinds: Iterable[str], name: str, pictures: Sequence[Annotated], named: Names
) -> tuple[dict[str, bytes], list[str]]:
    """Annotations by the ending of their file's name, and what they do not say.

    Args:
        kinds: Some of `KINDS`; others are passed over.
        name: First part of the file names.
        pictures: As `pictures_of` makes them.
        named: The objects.
    """
    files: dict[str, bytes] = {}
    notes: list[str] = []
    if "coco" in kinds:
        files["_coco.json"] = _compact(coco_of(pictures, named))
    if "polygons" in kinds:
        files["_polygons.json"] = _compact(polygons_document(pictures, named))
    if "labelme" in kinds:
        for picture in pictures:
            text = json.dumps(labelme_document(picture, named), indent=1, ensure_ascii=False)
            files[f"{_slice_of(picture)}_labelme.json"] = (text + "\n").encode("utf-8", "backslashreplace")
    if "yolo" in kinds:
        lost = [0, 0]
        for picture in pictures:
            text, parts, holes = yolo_text(picture, named)
            files[f"{_slice_of(picture)}_yolo.txt"] = text.encode()
            lost = [lost[0] + parts, lost[1] + holes]
        names = "".join(f"{name}\n" for name in named.class_names)
        files["_yolo_classes.txt"] = names.encode("utf-8", "backslashreplace")
        notes += _lost(*lost)
    return files, notes


def coco_of(pictures: Sequence[Annotated], named: Names) -> dict:
    """The COCO document of pictures, see `coco_document`."""
    images = [(picture.file_name, picture.shape, picture.objects) for picture in pictures]
    return coco_document(images, named.names, named.scores, named.classes, named.numbers, named.listed)


def labelme_document(picture: Annotated, named: Names) -> dict:
    """Labelme's file of one picture.

    `label` is the class that the object was given, else its name; `description` the other one. An object without holes is a
    polygon for each of its parts, with the object's number as `group_id`; one with holes is a shape of type "mask", which
    says them. Corners are middles of border pixels, the first pixel's being (0, 0): Labelme's own `shape_to_mask` gives
    exactly the mask back.
    """
    shapes: list[dict] = []
    for index, mask in _held(picture):
        shared = {
            "label": named.label(index),
            "group_id": named.number(index),
            "description": named.described(index),
            "flags": {},
        }
        parts = border_contours(mask)
        if any(part.holes for part in parts):
            shapes.append({**shared, **_mask_shape(mask)})
        else:
            for part in parts:
                ring = part.outer.tolist()
                # (Labelme wants three corners; a part of one or two pixels repeats them)
                corners = (ring * 3)[:3] if len(ring) < 3 else ring
                points = [[float(x), float(y)] for x, y in corners]
                shapes.append({**shared, "points": points, "shape_type": "polygon", "mask": None})
    height, width = picture.shape
    size = {"imagePath": picture.file_name, "imageData": None, "imageHeight": int(height), "imageWidth": int(width)}
    return {"version": "5.4.1", "flags": {}, "shapes": shapes, **size}


def yolo_text(picture: Annotated, named: Names) -> tuple[str, int, int]:
    """YOLO's lines of one picture: `class x y x y ...`, a line for each part of an object.

    Corners are middles of border pixels, as (x + 0.5) / W and (y + 0.5) / H: YOLO's own `fillPoly` gives the part back.

    Returns:
        The text, how many objects lie in several lines, and how many holes were left out.
    """
    classes = named.class_names
    height, width = picture.shape
    lines, several, holes = [], 0, 0
    for index, mask in _held(picture):
        parts = border_contours(mask)
        several += len(parts) > 1
        holes += sum(len(part.holes) for part in parts)
        for part in parts:
            ring = part.outer if len(part.outer) > 2 else np.resize(part.outer, (3, 2))
            numbers = ((ring + 0.5) / (width, height)).ravel().tolist()
            lines.append(" ".join([str(classes.index(named.classes[index])), *(f"{n:.8g}" for n in numbers)]))
    return "".join(f"{line}\n" for line in lines), several, holes


def polygons_document(pictures: Sequence[Annotated], named: Names) -> dict:
    """The objects as a GeoJSON-like FeatureCollection of MultiPolygons in pixels.

    Rings run along the edges of pixels, the first pixel reaching from -0.5 to 0.5; the first ring of a polygon is around
    it, further ones are holes. A pixel whose middle is inside belongs to the object, so masks come back exactly.
    """
    features: list[dict[str, Any]] = []
    for picture in pictures:
        for index, mask in _held(picture):
            polygons = [[_closed(ring) for ring in (part.outer, *part.holes)] for part in edge_outlines(mask)]
            score = None if named.scores is None else named.scores[index]
            properties: dict[str, Any] = {
                "name": named.names[index],
                "class": named.classes[index],
                "object": named.number(index),
            }
            properties |= {} if picture.z is None else {"z": picture.z}
            if score is not None and np.isfinite(score):
                properties["score"] = round(float(score), 4)
            geometry = {"type": "MultiPolygon", "coordinates": polygons}
            features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    height, width = pictures[0].shape if pictures else (0, 0)
    facts = {"units": "pixels", "first_pixel_centre": [0, 0], "image_hw": [int(height), int(width)]}
    return {"type": "FeatureCollection", **facts, "features": features}


def _held(picture: Annotated) -> Iterator[tuple[int, np.ndarray]]:
    for index, mask in picture.objects:
        if mask.any():
            yield index, np.asarray(mask, bool)


def _mask_shape(mask: np.ndarray) -> dict:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x0, y0, x1, y1 = (int(v) for v in (columns[0], rows[0], columns[-1], rows[-1]))
    picture = base64.b64encode(png_bytes(mask[y0 : y1 + 1, x0 : x1 + 1].astype(np.uint8), 4)).decode()
    points = [[float(x0), float(y0)], [float(x1), float(y1)]]
    return {"points": points, "shape_type": "mask", "mask": picture}


def _closed(ring: np.ndarray) -> list[list[float]]:
    return [*ring.tolist(), ring[0].tolist()]


def _slice_of(picture: Annotated) -> str:
    return "" if picture.z is None else f"_z{picture.z:03d}"


def _lost(several: int, holes: int) -> list[str]:
    texts = ["YOLO has no names of single objects and no scores: they are not in it"]
    if several:
        texts.append(f"YOLO has no groups: parts of {several} objects are lines of their own")
    if holes:
        texts.append(f"YOLO has no holes: {holes} are filled in it")
    return texts


def _compact(document: dict) -> bytes:
    return (json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
