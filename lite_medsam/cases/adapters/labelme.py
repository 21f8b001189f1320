"""Labelme's JSON: shapes drawn as that tool draws them, so that its JSON and its PNG export agree."""

import base64
import binascii
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.adapters.source import Drop, ItemError
from lite_medsam.errors import CaseError
from lite_medsam.images.size import MAX_PIXELS
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.strict_json import read_json

__all__ = ["Drawing", "draw_shapes", "label_names", "read_shapes"]

MAX_BYTES = 2**28  # the JSON may carry the picture itself
MAX_SHAPES = 100_000
HOLE, IGNORED = "_background_", "__ignore__"  # what Labelme calls background, and pixels of no class
# kinds that are polygons by their corners, in Labelme and in the tools that write its format
_POLYGONS = {"polygon", "rectangle", "rotation", "rotated_rectangle", "oriented_rectangle", "quadrilateral"}
_NO_AREA = {"point", "points", "line", "linestrip"}


@dataclass(frozen=True, eq=False)
class Drawing:
    """Shapes drawn into an image.

    Attributes:
        label: (H, W) int32 label values.
        objects: (H, W) int32, 1, 2, ... for each object: a shape, or the shapes of one label and group.
        names: Label of each object.
        drops: Shapes that left no pixel, by label and reason.
    """

    label: np.ndarray
    objects: np.ndarray
    names: dict[int, str]
    drops: list[Drop]


def read_shapes(path: Path, size_hw: tuple[int, int], values: Mapping[str, int]) -> tuple[np.ndarray, list[Drop]]:
    """The label map of a Labelme file and the shapes that left no pixel, see `draw_shapes`."""
    drawing = draw_shapes(path, size_hw, values)
    return drawing.label, drawing.drops


def label_names(path: Path) -> list[str]:
    """The labels that a Labelme file uses, each once, without holes and ignored regions.

    Raises:
        CaseError: If it is no Labelme file.
    """
    names = [_label(shape, path) for shape in _shapes(path)[0]]
    return [name for name in dict.fromkeys(names) if name.strip().lower() not in (HOLE, IGNORED)]


def draw_shapes(path: Path, size_hw: tuple[int, int], values: Mapping[str, int]) -> Drawing:
    """Draws the shapes of a Labelme file, in the file's order; a later shape covers an earlier one.

    Polygons, rectangles of two and of four corners, rotated rectangles and circles are filled with their outline, so that
    the smallest still has a pixel; corners are pixel indices. A `mask` is laid where its two points say. `_background_`
    makes holes; `__ignore__` does too and is counted. Shapes of one label and `group_id` are one object. Points and lines
    have no area: they are counted, as are kinds that are not known.

    Args:
        path: The JSON file.
        size_hw: The image's rows and columns.
        values: Label value by the shape's label in lower case.

    Raises:
        ItemError: "size-mismatch" if the file is about an image of another size, "unexpected-labels" for a label that
            `values` does not know.
        CaseError: If it is no Labelme file.
    """
    shapes, size = _shapes(path)
    if None not in size and size != size_hw:
        raise ItemError(
            "size-mismatch",
            f"{path.name} must be about an image of {size_hw[1]} x {size_hw[0]}, says {size[1]} x {size[0]}",
        )
    from PIL import Image

    canvas = Image.new("I", (size_hw[1], size_hw[0]), 0)
    drawn: dict[int, tuple[str, int]] = {}
    groups: dict[int, tuple] = {}
    lost: dict[tuple[str, str], int] = {}
    for number, shape in enumerate(shapes, 1):
        label = _label(shape, path)
        value = _value(label, path, values)
        reason = _draw(canvas, shape, number)
        if label.strip().lower() == IGNORED:
            reason = reason or "pixels to be ignored; they became background"
        if reason:
            lost[label, reason] = lost.get((label, reason), 0) + 1
        elif value:
            drawn[number] = (label, value)
            group = shape.get("group_id")
            groups[number] = (label, None if group is None else str(group), number if group is None else 0)
    numbers = np.asarray(canvas)
    seen = set(np.unique(numbers).tolist())
    for number, (label, _) in drawn.items():
        if number not in seen:
            key = (label, "covered by a later shape, or outside the image")
            lost[key] = lost.get(key, 0) + 1
    table, objects = np.zeros(len(shapes) + 1, np.int32), np.zeros(len(shapes) + 1, np.int32)
    order: dict[tuple, int] = {}
    for number, (_, value) in drawn.items():
        table[number] = value
        if number in seen:
            objects[number] = order.setdefault(groups[number], len(order) + 1)
    names = {number: label for (label, *_), number in order.items()}
    drops = [Drop(label, count, reason) for (label, reason), count in lost.items()]
    return Drawing(table[numbers], objects[numbers], names, drops)


def _shapes(path: Path) -> tuple[list, tuple]:
    document = read_json(path, CaseError, MAX_BYTES)
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list) or len(shapes) > MAX_SHAPES:
        raise CaseError(f"{path.name}: must be a Labelme file with at most {MAX_SHAPES} shapes")
    size = (document.get("imageHeight"), document.get("imageWidth"))
    if not all(side is None or (isinstance(side, int | float) and 0 <= side < 1e9) for side in size):
        raise CaseError(f"{path.name}: imageHeight and imageWidth must be numbers of pixels, got {one_line(size, 80)}")
    return shapes, size


def _label(shape: Any, path: Path) -> str:
    label = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(label, str):
        raise CaseError(f"{path.name}: every shape must have a label")
    return one_line(label, 200) if label.strip() else ""  # half a letter could be written nowhere


def _value(label: str, path: Path, values: Mapping[str, int]) -> int:
    key = label.strip().lower()
    if key in (HOLE, IGNORED):
        return 0
    if key not in values:
        known = one_line(", ".join(values))
        raise ItemError("unexpected-labels", f"{path.name}: the label {label[:40]!r} is not one of {known}")
    return values[key]


def _draw(canvas, shape: dict, number: int) -> str | None:
    """Draws one shape in the colour `number`; returns why not, if not."""
    kind = str(shape.get("shape_type") or "polygon")
    try:
        corners = [(float(x), float(y)) for x, y in shape["points"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        return "its corners are no numbers"
    if not all(math.isfinite(c) and abs(c) < 1e6 for corner in corners for c in corner):
        return "its corners are no numbers"
    if kind == "mask":
        return _paste(canvas, shape.get("mask"), corners, number)
    if kind in _NO_AREA:
        return f"a {kind} of {len(corners)} points has no area"
    if kind not in _POLYGONS | {"circle"}:
        return f"its kind {one_line(kind, 40)!r} is not known"
    from PIL import ImageDraw

    pen = ImageDraw.Draw(canvas)
    if kind == "circle" and len(corners) == 2:
        (x, y), edge = corners
        radius = math.dist((x, y), edge)
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=number, outline=number)
    elif kind == "rectangle" and len(corners) == 2:
        (x0, y0), (x1, y1) = corners
        pen.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], fill=number, outline=number)
    elif kind in _POLYGONS and len(corners) >= 3:
        pen.polygon(corners, fill=number, outline=number)
    else:
        return f"a {kind} of {len(corners)} points has no area"
    return None


def _paste(canvas, text: Any, corners: list[tuple[float, float]], number: int) -> str | None:
    """A mask of Labelme 5.3 and later: a PNG in base64, whose box the two points say, the last pixel inside."""
    from PIL import Image, PngImagePlugin

    if not isinstance(text, str) or len(corners) != 2:
        return "a mask without its picture or its two points"
    try:
        image = PngImagePlugin.PngImageFile(io.BytesIO(base64.b64decode(text, validate=True)))
        if image.size[0] * image.size[1] > MAX_PIXELS:
            return "a mask that is too large"
        inside = np.asarray(image)
    except (binascii.Error, ValueError, OSError, SyntaxError):
        return "a mask that is no PNG in base64"
    inside = inside.max(axis=2) > 0 if inside.ndim == 3 else inside > 0
    if not inside.any():
        return "a mask without a pixel"
    x0, y0 = (math.floor(min(values) + 0.5) for values in zip(*corners, strict=True))
    canvas.paste(number, (x0, y0), Image.fromarray(inside))  # what lies outside is cut
    return None
