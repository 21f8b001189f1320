"""One part of the work: a machine of many takes every n-th input and needs to know of no other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, from 1.

    Raises:
        ValueError: If there is no such part.
    """

    number: int
    count: int

    def __post_init__(self):
        if not 1 <= self.number <= self.count:
            raise ValueError(f"a part must be I/N with I from 1 to N, as 3/100, got {self.number}/{self.count}")

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Part 3 of 100 from `3/100`.

        Raises:
            ValueError: If it is no such text.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if found is None:
            raise ValueError(f"a part must be I/N with I from 1 to N, as 3/100, got {text[:40]!r}")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items of this part: every `count`-th, so that neighbours, which are often alike, are spread evenly."""
        return list(items[self.number - 1 :: self.count])
