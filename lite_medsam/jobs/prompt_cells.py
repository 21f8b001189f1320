"""Prompts as a cell of a manifest says them: a box, boxes, or the JSON of a prompt file."""

import re
from typing import Any

from lite_medsam.errors import PromptError
from lite_medsam.storage.strict_json import Checker, parse_json

_NUMBERS = re.compile(r"[-+0-9.eE\s]+(?:[,;][-+0-9.eE\s]+)+")


def is_cell(text: str) -> bool:
    """Whether a cell holds the prompts themselves: numbers or JSON, not the name of a file."""
    return text.startswith(("{", "[")) or _NUMBERS.fullmatch(text) is not None


def cell_document(text: str, check: Checker) -> Any:
    """The document, as a prompt file holds it, of a cell.

    Args:
        text: `x0,y0,x1,y1`, several parted by semicolons, the same as a JSON array of boxes, or the JSON of a prompt file.
            Boxes of six numbers are those of a volume, x0, y0, z0, x1, y1, z1.
        check: Names the cell in messages.

    Raises:
        PromptError: If it is none of these.
    """
    if text.startswith("{"):
        return parse_json(text, check.source, PromptError)
    if not text.startswith("["):
        text = f"[{','.join(f'[{box}]' for box in text.split(';'))}]"
    boxes = parse_json(text, check.source, PromptError)
    if boxes and not any(isinstance(box, list) for box in boxes):
        boxes = [boxes]  # a single box
    lengths = {len(box) if isinstance(box, list) else 0 for box in boxes}
    if lengths not in ({4}, {6}):
        raise PromptError(
            f"{check.source}: must be boxes x0,y0,x1,y1 (of volumes x0,y0,z0,x1,y1,z1) parted by semicolons, or the JSON of a "
            f"prompt file, got {text[:60]}"
        )
    document = {"version": 1, "objects": [{"box": box} for box in boxes]}
    return document | {"volume": True} if lengths == {6} else document
