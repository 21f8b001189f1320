"""Labelme's JSON: shapes drawn as that tool draws them, so that its JSON and its PNG export agree."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.adapters.source import Drop, ItemError
from lite_medsam.errors import CaseError
from lite_medsam.storage.strict_json import read_json

MAX_BYTES = 2**28  # the JSON may carry the picture itself
MAX_SHAPES = 100_000


def read_shapes(path: Path, size_hw: tuple[int, int], values: Mapping[str, int]) -> tuple[np.ndarray, list[Drop]]:
    """Draws the shapes of a Labelme file, in the file's order; a later shape covers an earlier one.

    Polygons are filled with their outline, so that the smallest still has a pixel. Corners are pixel indices.

    Args:
        path: The JSON file.
        size_hw: The image's rows and columns.
        values: Label value by the shape's label in lower case.

    Returns:
        (H, W) int32 label map; and shapes that left no pixel, by label and reason.

    Raises:
        ItemError: "size-mismatch" if the file is about an image of another size, "unexpected-labels" for a label that
            `values` does not know.
        CaseError: If it is no Labelme file.
    """
    from PIL import Image, ImageDraw

    document = read_json(path, CaseError, MAX_BYTES)
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list) or len(shapes) > MAX_SHAPES:
        raise CaseError(f"{path.name}: must be a Labelme file with at most {MAX_SHAPES} shapes")
    size = (document.get("imageHeight"), document.get("imageWidth"))
    if None not in size and size != size_hw:
        raise ItemError(
            "size-mismatch",
            f"{path.name} must be about an image of {size_hw[1]} x {size_hw[0]}, says {size[1]} x {size[0]}",
        )
    canvas = Image.new("I", (size_hw[1], size_hw[0]), 0)
    pen = ImageDraw.Draw(canvas)
    drawn: dict[int, tuple[str, int]] = {}
    lost: dict[tuple[str, str], int] = {}
    for number, shape in enumerate(shapes, 1):
        label, value = _value(shape, path, values)
        reason = _draw(pen, shape, number)
        if reason:
            lost[label, reason] = lost.get((label, reason), 0) + 1
        else:
            drawn[number] = (label, value)
    numbers = np.asarray(canvas)
    seen = set(np.unique(numbers).tolist())
    for number, (label, _) in drawn.items():
        if number not in seen:
            key = (label, "covered by a later shape, or outside the image")
            lost[key] = lost.get(key, 0) + 1
    table = np.zeros(len(shapes) + 1, np.int32)
    for number, (_, value) in drawn.items():
        table[number] = value
    return table[numbers], [Drop(label, count, reason) for (label, reason), count in lost.items()]


def _value(shape: Any, path: Path, values: Mapping[str, int]) -> tuple[str, int]:
    label = shape.get("label") if isinstance(shape, dict) else None
    if not isinstance(label, str):
        raise CaseError(f"{path.name}: every shape must have a label")
    value = values.get(label.strip().lower())
    if value is None:
        raise ItemError("unexpected-labels", f"{path.name}: the label {label[:40]!r} is not one of {', '.join(values)}")
    return label, value


def _draw(pen, shape: dict, number: int) -> str | None:
    """Draws one shape in the colour `number`; returns why not, if not."""
    kind = shape.get("shape_type") or "polygon"
    points: Any = shape.get("points")
    try:
        corners = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError, OverflowError):
        return "its corners are no numbers"
    if not all(math.isfinite(c) and abs(c) < 1e6 for corner in corners for c in corner):
        return "its corners are no numbers"
    if kind == "polygon" and len(corners) >= 3:
        pen.polygon(corners, fill=number, outline=number)
    elif kind == "rectangle" and len(corners) == 2:
        (x0, y0), (x1, y1) = corners
        pen.rectangle([min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)], fill=number, outline=number)
    elif kind == "circle" and len(corners) == 2:
        (x, y), edge = corners
        radius = math.dist((x, y), edge)
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=number, outline=number)
    else:
        return f"a {kind} of {len(corners)} points has no area"
    return None
