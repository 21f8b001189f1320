"""What paths and names tell: the part of a split, the patient, a case's name."""

import re
from collections.abc import Iterable
from pathlib import Path

from lite_medsam.errors import CaseError
from lite_medsam.storage.names import name_key, writable_name
from lite_medsam.storage.paths import shown_path

__all__ = ["as_text", "captured", "case_names", "group_of", "natural", "published_split", "relative"]

# what data sets call their parts; any word of a folder's name counts ("b. Testing Set", "2021-training-data")
_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "imagests": "test",
}  # fmt: skip


_NAME_BYTES = 200  # file systems take 255; suffixes and slices need some
_NO_TEXT = re.compile(r"[\ud800-\udfff]+")


def published_split(path: Path, root: Path) -> str | None:
    """The data set's own part that a file lies in, by the words of the folders between it and the root."""
    if not path.is_relative_to(root):
        return None
    for folder in reversed(path.relative_to(root).parts[:-1]):
        parts = {_PARTS[word] for word in re.split(r"[^a-z]+", folder.lower()) if word in _PARTS}
        if len(parts) == 1:
            return parts.pop()
    return None


def group_of(pattern: str | None, path: Path, root: Path) -> str | None:
    """The patient in a path below the root (slashes, no suffix), by the user's pattern; None without a match.

    Raises:
        CaseError: If the pattern is no regular expression.
    """
    if pattern is None:
        return None
    below = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return captured(pattern, below.with_suffix("").as_posix(), "group")


def captured(pattern: str, text: str, name: str) -> str | None:
    """What a pattern captures: the group called `name`, else its first group, else the whole match.

    Raises:
        CaseError: If the pattern is no regular expression.
    """
    try:
        match = re.search(pattern, text)
    except re.error as error:
        raise CaseError(f"the pattern {pattern!r} must be a regular expression, but {error}") from None
    if match is None:
        return None
    if name in match.groupdict():
        return match[name] or None
    return (match[1] if match.re.groups else match[0]) or None


def case_names(stems: Iterable[str], dataset: str, modality: str | None) -> list[str]:
    """Names for cases, as the challenge builds them: 2D_<modality>_<data set>_<stem>.

    Names are unique on file systems that ignore case too, and hold no character that Windows refuses.

    Args:
        stems: What tells the cases apart, slashes allowed.
        dataset: Name of the data set; underscores become hyphens, since they part a name.
        modality: One of `case.MODALITIES`; None gives "unknown".
    """
    prefix = f"2D_{modality or 'unknown'}_{_clean(dataset).replace('_', '-')}_"
    names: list[str] = []
    used: set[str] = set()
    for stem in stems:
        name = base = writable_name(prefix + _clean(stem.replace("/", "_")), _NAME_BYTES)
        number = 2
        while name_key(name) in used:
            name = f"{base}-{number}"
            number += 1
        used.add(name_key(name))
        names.append(name)
    return names


def _clean(text: str) -> str:
    text = re.sub(r'[<>:"|?*\\/\x00-\x1f]+', "-", as_text(text)).strip(" .")
    return text or "x"


def as_text(name: str) -> str:
    """A file's name with `-` in place of bytes that are no text, with which it could stand in no list of names."""
    return _NO_TEXT.sub("-", name)


def natural(text: str) -> list:
    """A sorting key by which a2 comes before a10."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts if part]


def relative(path: Path, root: Path) -> str:
    """A path below the root with slashes, as reports show it."""
    return shown_path(path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name)
