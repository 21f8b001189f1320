"""The classes that objects can have: a list with names, colours and keys, as JSON, CSV or plain text."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lite_medsam.errors import PromptError
from lite_medsam.storage.paths import shown_path

MAX_CLASSES = 100
MAX_NAME = 60
MAX_BYTES = 1_000_000
DEFAULT_COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8dd3c7", "#fb8072", "#bebada",
)  # fmt: skip
"""Okabe and Ito's seven, as objects have them, then three paler ones."""

_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})$")
_LABELME_OWN = ("__ignore__", "_background_")  # lines of Labelme's labels.txt that are no classes


@dataclass(frozen=True)
class ObjectClass:
    """What kind of thing an object is.

    Attributes:
        name: What files call it.
        colour: "#rrggbb".
        key: The letter or digit that assigns it together with Shift, None without one.
    """

    name: str
    colour: str
    key: str | None = None

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255."""
        value = int(self.colour[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


def class_list(entries: Iterable[Any]) -> tuple[ObjectClass, ...]:
    """A list of classes in which every one has a colour, and the first nine without a key have a digit.

    Args:
        entries: Names, or mappings with `name` and optionally `colour` (or `color`) and `key`; `ObjectClass` as well.

    Raises:
        PromptError: If there is none, a name is missing or there twice, or a colour or key is not valid.
    """
    found = [_entry(entry, number) for number, entry in enumerate(entries, start=1)]
    if not 1 <= len(found) <= MAX_CLASSES:
        raise PromptError(f"a class list must have 1 to {MAX_CLASSES} classes, got {len(found)}")
    for kind in ("name", "key"):
        values = [getattr(entry, kind).casefold() for entry in found if getattr(entry, kind)]
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise PromptError(f"each {kind} of a class list must be there once, got {twice!r} twice")
    used = {entry.key for entry in found}
    free = iter([digit for digit in "123456789" if digit not in used])
    coloured = []
    for number, entry in enumerate(found):
        colour = entry.colour or DEFAULT_COLOURS[number % len(DEFAULT_COLOURS)]
        coloured.append(replace(entry, colour=colour, key=entry.key or next(free, None)))
    return tuple(coloured)


def read_class_list(path: str | os.PathLike) -> tuple[ObjectClass, ...]:
    """Reads a class list, see `parse_class_list`.

    Raises:
        PromptError: If it can't be read or is no class list; the message names the file.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PromptError(f"a class list must have at most {MAX_BYTES} bytes")
        return parse_class_list(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PromptError(f"{shown_path(path)}: could not be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise PromptError(f"{shown_path(path)}: a class list must be text in UTF-8") from None
    except PromptError as error:
        raise PromptError(f"{shown_path(path)}: {error}") from None


def parse_class_list(text: str) -> tuple[ObjectClass, ...]:
    """The classes that a text holds.

    Args:
        text: JSON: a list of names or of objects with `name`, `colour` or `color`, `key` (CVAT's raw labels are such a list), the
            same under "classes" or "labels", COCO's `categories`, or a mapping of names to colours. CSV with a header that has
            `name`. Else a name on each line, as Labelme's labels.txt and YOLO's classes.txt have them.

    Raises:
        PromptError: If it is no class list.
    """
    text = text.lstrip("\ufeff")
    if text.lstrip()[:1] in ("[", "{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise PromptError("a class list that begins like JSON must be JSON") from None
        return class_list(_entries(document))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("# ")]
    if lines and "name" in (header := [cell.strip().lower() for cell in re.split(r"[,;\t]", lines[0])]):
        comma = next((sign for sign in ",;\t" if sign in lines[0]), ",")
        rows = csv.reader(lines[1:], delimiter=comma)
        return class_list(dict(zip(header, (cell.strip() for cell in row), strict=False)) for row in rows)
    return class_list(line for line in lines if line not in _LABELME_OWN)


def class_list_json(classes: Sequence[ObjectClass]) -> str:
    """The list as JSON that `parse_class_list` reads; CVAT's raw editor takes the same with its own keys."""
    document: list[dict] = [
        {"name": one.name, "color": one.colour, "key": one.key, "attributes": []} for one in classes
    ]
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def class_list_csv(classes: Sequence[ObjectClass]) -> str:
    """The list as CSV with the columns name, colour, key."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "colour", "key"])
    writer.writerows([one.name, one.colour, one.key or ""] for one in classes)
    return file.getvalue()


def class_list_text(classes: Sequence[ObjectClass]) -> str:
    """The names alone, one on each line, as Labelme (`--labels`) and YOLO take them."""
    return "".join(f"{one.name}\n" for one in classes)


def _entries(document: Any) -> list[Any]:
    if isinstance(document, dict):
        named: Any = next(
            (document[key] for key in ("classes", "labels", "categories", "names") if key in document), None
        )
        if named is None:
            named = [{"name": name, "colour": colour} for name, colour in document.items()]
        document = list(named.values()) if isinstance(named, dict) else named
    if not isinstance(document, list):
        raise PromptError("a class list must be a list of names or of objects with a name")
    return document


def _entry(entry: Any, number: int) -> ObjectClass:
    """One class; its colour is "" where it is not said."""
    if isinstance(entry, ObjectClass):
        return entry
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise PromptError(f"class {number} must be a name or an object with a name")
    name = " ".join(str(entry.get("name") or "").split())
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise PromptError(f"class {number} must have a name of 1 to {MAX_NAME} characters, got {len(name)}")
    colour, key = entry.get("colour") or entry.get("color") or None, entry.get("key") or None
    if isinstance(colour, list) and len(colour) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in colour):
        colour = "#{:02x}{:02x}{:02x}".format(*colour)
    if colour is not None and not (isinstance(colour, str) and _COLOUR.match(colour)):
        raise PromptError(f"the colour of {name} must be like #e69f00, got {str(colour)[:20]!r}")
    if key is not None:
        key = str(key).lower()
        if len(key) != 1 or not key.isalnum():
            raise PromptError(f"the key of {name} must be a letter or a digit, got {key[:20]!r}")
    return ObjectClass(name, f"#{_COLOUR.match(colour)[1].lower()}" if colour else "", key)  # type: ignore[index]
