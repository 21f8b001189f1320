"""Temporary files of workers that were killed while they wrote: found by their names and removed."""

import os
from collections.abc import Iterable
from pathlib import Path

from lite_medsam.jobs.naming import OUTPUT_ENDINGS

# what `storage.files.atomic_write` puts between a result's name and its ending: a hyphen and eight letters of mkstemp
_RANDOM = 8
_MIDDLES = {Path(f"x{ending}").stem[1:] for ending in OUTPUT_ENDINGS}


def remove_leftovers(targets: Iterable[Path]) -> None:
    """Removes what killed writers of these results left; nobody may be writing them any more.

    Args:
        targets: Paths of results without ending, as `Job.target`.
    """
    names: dict[Path, set[str]] = {}
    for target in targets:
        names.setdefault(target.parent, set()).add(target.name)
    for folder, ours in names.items():
        try:
            hidden = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".")]
        except OSError:
            continue  # nothing was written there
        for name in hidden:
            stem = Path(name).stem[1:-_RANDOM]
            if any(stem.endswith(f"{middle}-") and stem[: -len(middle) - 1] in ours for middle in _MIDDLES):
                (folder / name).unlink(missing_ok=True)
