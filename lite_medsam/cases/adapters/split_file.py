"""Splits as files: written with their hash, refused where they leak or were changed."""

from pathlib import Path

from lite_medsam.cases.adapters.split import PARTS, Split
from lite_medsam.errors import CaseError
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.json_text import json_bytes
from lite_medsam.storage.strict_json import Checker, read_json

__all__ = ["load_split", "save_split"]

MAX_BYTES = 2**28


def save_split(path: Path, split: Split) -> None:
    """Writes a split as JSON, with its hash."""
    document = {"version": 1, **split.content(), "sha256": split.sha256}
    with atomic_write(path) as temporary:
        temporary.write_bytes(json_bytes(document) + b"\n")


def load_split(path: str | Path) -> Split:
    """Reads a split and refuses one that leaks or was changed.

    Raises:
        CaseError: If the file is damaged, its content does not fit its hash, a case is in two parts, or a group or
            the same image is on both sides.
    """
    path = Path(path)
    document = read_json(path, CaseError, MAX_BYTES)
    check = Checker(path, CaseError)
    check.mapping(document, "", ("version", "parts", "sha256"), ("seed", "fractions", "left_out"))
    check.integer(document["version"], "version", 1, 1)
    parts, groups, images = {}, {}, {}
    for part, rows in check.mapping(document["parts"], "parts", (), PARTS).items():
        names = []
        for i, row in enumerate(check.array(rows, f"parts.{part}")):
            place = f"parts.{part}[{i}]"
            check.mapping(row, place, ("name", "group"), ("sha256",))
            name = check.text(row["name"], f"{place}.name", 1000)
            if name in groups:
                raise check.fail(place, "name a case once", name)
            groups[name] = check.text(row["group"], f"{place}.group", 10_000)
            if "sha256" in row:
                images[name] = check.text(row["sha256"], f"{place}.sha256", 64)
            names.append(name)
        parts[part] = tuple(names)
    seed = check.integer(document.get("seed", 0), "seed", 0, 2**63)
    fractions = check.mapping(document.get("fractions", {}), "fractions", (), PARTS)
    left_out = document.get("left_out", {})
    check.mapping(left_out, "left_out", (), left_out)
    split = Split(parts, groups, images, seed, fractions, left_out)
    _refuse_leaks(split, check)
    if split.sha256 != document["sha256"]:
        raise CaseError(f"{check.source}: was changed after it was written (its SHA-256 does not fit); make it again")
    return split


def _refuse_leaks(split: Split, check: Checker) -> None:
    for what, keys in (("a group", split.groups), ("an image", split.images)):
        home: dict[str, tuple[str, str]] = {}
        for part, names in split.parts.items():
            for name in names:
                if name not in keys:
                    continue
                other, first = home.setdefault(keys[name], (part, name))
                if other != part:
                    raise CaseError(
                        f"{check.source}: {what} must not be on both sides, {first} ({other}) and {name} "
                        f"({part}) share {keys[name][:40]}"
                    )
