"""Whose image each case is, as a user's table says it."""

import os
from collections.abc import Collection

from lite_medsam.errors import CaseError
from lite_medsam.images.reading import IMAGE_SUFFIXES
from lite_medsam.storage.names import name_key
from lite_medsam.storage.tables import Table, file_names, read_table

ENDINGS = (".nii.gz", ".npz", ".nii", ".dcm", *IMAGE_SUFFIXES)


def read_groups(path: str | os.PathLike, names: Collection[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Group by case name from a CSV with the columns `file` and `group`.

    `file` is the name or path of a case, of Windows or POSIX, with or without its ending.

    Args:
        path: The table, see `storage.tables.read_table`.
        names: Of the cases that are there.

    Returns:
        The groups, and notes: rows that fit no case, cases that no row names.

    Raises:
        CaseError: If it is no such table, two rows give a case to different groups, or no row fits any case.
    """
    table = read_table(path, ("file", "group"))
    groups, unfit, empty = _fitted(table, names)
    if not groups:
        first = f"; its first row says {table.rows[0]['file']!r}" if table.rows else "; it has no rows"
        raise CaseError(
            f"{table.path}: no row names any of the {len(names)} cases, such as {min(names, default='-')!r}{first}"
        )
    notes = []
    if unfit:
        notes.append(f"{table.path}: {len(unfit)} of {len(table.rows)} rows name no case here, such as {unfit[0]!r}")
    if empty:
        notes.append(f"{table.path}: {len(empty)} rows have an empty group, such as that of {empty[0]!r}")
    missing = sorted(set(names) - set(groups))
    if missing:
        notes.append(
            f"{table.path}: {len(missing)} of {len(set(names))} cases are in no row, such as {missing[0]!r}; "
            "each keeps the group that it says itself, or is one of its own"
        )
    return groups, tuple(notes)


def _fitted(table: Table, names: Collection[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Groups by case name; cells of rows that fit no case, and of those without a group."""
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(name_key(name), []).append(name)
    groups: dict[str, str] = {}
    said: dict[str, int] = {}
    unfit, empty = [], []
    for row, line in zip(table.rows, table.lines, strict=True):
        fits = [name for given in file_names(row["file"], ENDINGS) for name in _of(given, names, by_key)]
        if not fits:
            unfit.append(row["file"])
        elif not row["group"]:
            empty.append(row["file"])
        else:
            name = fits[0]
            if groups.get(name, row["group"]) != row["group"]:
                raise CaseError(
                    f"{table.path}: lines {said[name]} and {line} put {name} into {groups[name]!r} and {row['group']!r}; "
                    "give cases names that differ"
                )
            groups[name], said[name] = row["group"], line
    return groups, unfit, empty


def _of(given: str, names: Collection[str], by_key: dict[str, list[str]]) -> list[str]:
    """The case of exactly this name, else the only one whose name differs in case or Unicode's form."""
    if given in names:
        return [given]
    same = by_key.get(name_key(given), [])
    return same if len(set(same)) == 1 else []
