"""Codes for names of objects: SNOMED CT where it is known, see `prompts/snomed.json`."""

from functools import lru_cache
from typing import NamedTuple

from lite_medsam.errors import PromptError
from lite_medsam.storage.bundled import PROMPTS_DIR
from lite_medsam.storage.strict_json import read_json


class CodedName(NamedTuple):
    """What a name means in SNOMED CT; each a code's value and its meaning.

    Attributes:
        category: What kind of thing it is: an anatomical structure, a tissue, something abnormal, an object.
        type: The thing.
        region: Where it lies, of what is found in many places; None where that is said already.
    """

    category: tuple[str, str]
    type: tuple[str, str]
    region: tuple[str, str] | None


def coded_name(name: str | None) -> CodedName | None:
    """The codes of a name, whatever its case; None where none is known."""
    return None if name is None else _table().get(name.strip().lower())


@lru_cache(maxsize=1)
def _table() -> dict[str, CodedName]:
    def code(row: dict) -> tuple[str, str]:
        return row["value"], row["meaning"]

    rows = read_json(PROMPTS_DIR / "snomed.json", PromptError, 1 << 20)["codes"]
    return {
        row["name"]: CodedName(
            code(row["category"]), code(row["type"]), code(row["region"]) if "region" in row else None
        )
        for row in rows
    }
