"""Fields of a request: whatever a page sends, each is what it must be or the request is refused."""

from typing import Any

import numpy as np


class Refused(ValueError):
    """A request that cannot be served: `code` tells the page why."""

    def __init__(self, message: str, code: str = "bad"):
        super().__init__(message)
        self.code = code


def whole_of(value: Any, name: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 10**9:
        raise Refused(f"{name} must be a whole number, got {str(value)[:40]}")
    return value


def number_of(value: Any, name: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise Refused(f"{name} must be a number, got {str(value)[:40]}")
    return float(value)


def text_of(value: Any, name: str, longest: int = 200) -> str:
    """A text of limited length."""
    if not isinstance(value, str) or len(value) > longest:
        raise Refused(f"{name} must be a text of at most {longest} characters")
    return value


def list_of(value: Any, name: str, longest: int) -> list:
    """A list of limited length."""
    if not isinstance(value, list) or len(value) > longest:
        raise Refused(f"{name} must be a list of at most {longest}")
    return value
