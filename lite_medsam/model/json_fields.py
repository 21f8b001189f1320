"""Frozen dataclasses from JSON objects: each field of the type of its default, nothing unknown."""

import dataclasses
from typing import Any

from lite_medsam.errors import WeightsError
from lite_medsam.storage.one_line import one_line


def build_dataclass(cls: type, record: Any, origin: str) -> Any:
    """A dataclass from a JSON object, each value of the type of the field's default.

    Args:
        cls: The dataclass; every field has a default.
        record: The JSON value.
        origin: What to call it in errors.

    Raises:
        WeightsError: If it is no object, or has unknown fields, wrong types or values that the dataclass refuses.
    """
    if not isinstance(record, dict):
        raise WeightsError(f"{origin} must be an object, got {type(record).__name__}")
    default = cls()
    known = {f.name for f in dataclasses.fields(cls)}
    unknown = sorted(set(record) - known)
    if unknown:
        raise WeightsError(
            f"{origin}: unknown field {one_line(repr(unknown[0]), 80)}; known: {', '.join(sorted(known))}"
        )
    values = {}
    for name, value in record.items():
        expected = getattr(default, name)
        place = f"{origin}: {name}"
        if dataclasses.is_dataclass(expected):
            values[name] = build_dataclass(type(expected), value, place)
        else:
            values[name] = _coerce(value, expected, place)
    try:
        return cls(**values)
    except WeightsError:
        raise
    except ValueError as error:  # of a dataclass that is made elsewhere, too
        raise WeightsError(f"{origin}: {error}") from None


def _coerce(value: Any, expected: Any, place: str) -> Any:
    if isinstance(expected, tuple) and isinstance(value, list):
        return tuple(_coerce(v, expected[0], place) for v in value) if expected else tuple(value)
    if isinstance(expected, float) and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise WeightsError(f"{place} must be a number below 1e308, got one of {len(str(value))} digits") from None
    if type(value) is not type(expected):
        raise WeightsError(f"{place} must be {type(expected).__name__}, got {one_line(repr(value), 120)}")
    return value
