"""Lengths that were measured on a slice by hand: rulers and calipers. They are no prompts; a session keeps them."""

from dataclasses import dataclass
from typing import Any

from lite_medsam.errors import PromptError
from lite_medsam.storage.strict_json import Checker

MAX_LENGTHS = 1000
KINDS = ("ruler", "caliper")

Place = tuple[float, float]


@dataclass(frozen=True)
class Length:
    """A line from end to end, or two parallel ones.

    Attributes:
        kind: "ruler" or "caliper".
        slice: Where it lies.
        start: x, y in pixels from the corner of the picture: the middle of the first pixel is 0.5, 0.5.
        end: The same, of the other end.
        across: A place on a caliper's other line; None for a ruler.
    """

    kind: str
    slice: int
    start: Place
    end: Place
    across: Place | None = None

    def document(self) -> dict:
        """As JSON has it."""
        across = {} if self.across is None else {"across": list(self.across)}
        return {"kind": self.kind, "slice": self.slice, "from": list(self.start), "to": list(self.end), **across}


def read_lengths(value: Any, check: Checker, slices: int, image_hw: tuple[int, int]) -> tuple[Length, ...]:
    """Lengths from JSON, as `Length.document` writes them.

    Args:
        value: A list of objects.
        check: Names the document in messages.
        slices: Of the volume, 1 for a picture.
        image_hw: (H, W) of a slice.

    Raises:
        The checker's error: If one is no ruler or caliper, or does not lie in the picture.
    """
    items = check.array(value, "lengths", maximum=MAX_LENGTHS)
    return tuple(_length(item, check, f"lengths[{i}]", slices, image_hw) for i, item in enumerate(items))


def checked_lengths(value: Any, slices: int, image_hw: tuple[int, int]) -> tuple[Length, ...]:
    """The same for what a page sends.

    Raises:
        PromptError: As `read_lengths`.
    """
    return read_lengths(value, Checker("what was measured", PromptError), slices, image_hw)


def _length(item: Any, check: Checker, place: str, slices: int, image_hw: tuple[int, int]) -> Length:
    item = check.mapping(item, place, ("kind", "slice", "from", "to"), ("across",))
    if item["kind"] not in KINDS or (item["kind"] == "caliper") != ("across" in item):
        raise check.fail(place, "be a ruler, or a caliper with its other line", str(item["kind"])[:20])
    ends = [_place(item[key], check, f"{place}.{key}", image_hw) for key in ("from", "to", "across") if key in item]
    return Length(item["kind"], check.integer(item["slice"], f"{place}.slice", 0, slices - 1), *ends)


def _place(value: Any, check: Checker, place: str, image_hw: tuple[int, int]) -> Place:
    x, y = check.array(value, place, 2)
    return check.number(x, place, 0, image_hw[1]), check.number(y, place, 0, image_hw[0])
