"""JSON from strangers: a size limit, no NaN, no repeated keys, and errors that say the place."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lite_medsam.storage.paths import shown_path

_NOTHING = object()


def read_json(path: str | os.PathLike, error: type[ValueError], max_bytes: int) -> Any:
    """Reads a JSON file strictly.

    Args:
        path: The file, UTF-8 (a byte order mark is fine).
        error: The error class to raise.
        max_bytes: Larger files are refused unread.

    Raises:
        error: If the file is missing, too large or no strict JSON; the message names it and the line.
    """
    shown, path = shown_path(path), Path(path)
    try:
        if not path.is_file():
            raise error(f"{shown}: {'must be a JSON file, is a folder' if path.is_dir() else 'no such file'}")
        if path.stat().st_size > max_bytes:
            raise error(f"{shown}: must be at most {max_bytes} bytes, has {path.stat().st_size}")
        text = path.read_bytes().decode("utf-8-sig")
    except error:
        raise
    except UnicodeDecodeError:
        raise error(f"{shown}: must be JSON in UTF-8, holds other bytes") from None
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        raise error(f"{shown}: could not be read ({getattr(e, 'strerror', None) or e})") from None
    return parse_json(text, shown, error)


def parse_json(text: str, shown: str, error: type[ValueError]) -> Any:
    """Parses JSON strictly.

    Args:
        text: The JSON.
        shown: What messages call it.
        error: The error class to raise.

    Raises:
        error: If it is no strict JSON; the message names the line.
    """

    def refuse_constant(text: str):
        raise error(f"{shown}: numbers must be finite, got {text}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise error(f"{shown}: the key {_brief(key)} comes twice in one object")
            found[key] = value
        return found

    try:
        return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique)
    except error:
        raise
    except json.JSONDecodeError as e:
        raise error(f"{shown}: must be JSON, line {e.lineno} column {e.colno}: {e.msg}") from None
    except RecursionError:
        raise error(f"{shown}: the JSON is nested too deeply") from None
    except ValueError as e:  # an integer of thousands of digits
        raise error(f"{shown}: could not be read ({e})") from None


class Checker:
    """Checks parts of a parsed JSON document; every message starts with the file and the place in it."""

    def __init__(self, source: str | os.PathLike, error: type[ValueError]):
        self.source, self.error = shown_path(source), error

    def fail(self, place: str, must: str, got: Any = _NOTHING) -> ValueError:
        """The error to raise: `<file>: <place> must <must>, got <value>`."""
        came = "" if got is _NOTHING else f", got {_brief(got)}"
        return self.error(f"{self.source}: {place} must {must}{came}")

    def mapping(
        self, value: Any, place: str, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, Any]:
        """A JSON object with all of the required keys and no unknown ones; the document's place is ""."""
        if not isinstance(value, dict):
            raise self.fail(place or "the file", "be an object {...}", value)
        known = [*required, *optional]
        for key in value:
            if key not in known:
                where = _brief(f"{place}.{key}" if place else key)
                raise self.error(f"{self.source}: unknown key {where}; known keys are {', '.join(known)}")
        for key in required:
            if key not in value:
                raise self.fail(place or "the file", f"have the key {key}")
        return value

    def array(self, value: Any, place: str, length: int | None = None, maximum: int | None = None) -> list:
        """A JSON array, of a fixed length or of at most `maximum` items."""
        must = "be an array [...]" if length is None else f"be an array of {length} values"
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise self.fail(place, must, value)
        if maximum is not None and len(value) > maximum:
            raise self.fail(place, f"have at most {maximum} items", len(value))
        return value

    def number(self, value: Any, place: str, low: float, high: float) -> float:
        """A number from low to high."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(place, "be a number", value)
        if not low <= value <= high:
            raise self.fail(place, f"lie in {low:g}..{high:g}", value)
        return float(value)

    def integer(self, value: Any, place: str, low: int, high: int) -> int:
        """A whole number from low to high; 1.0 counts as 1, as in JSON Schema."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
            raise self.fail(place, "be a whole number", value)
        if not low <= value <= high:
            raise self.fail(place, f"lie in {low}..{high}", value)
        return int(value)

    def text(self, value: Any, place: str, max_length: int) -> str:
        """A text of 1 to max_length characters."""
        if not isinstance(value, str) or not 1 <= len(value) <= max_length:
            raise self.fail(place, f"be a text of 1 to {max_length} characters", value)
        return value


def _brief(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return f"{'an array' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = json.dumps(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."
