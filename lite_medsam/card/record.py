"""Finding lines in the record of a card's measurements."""

from typing import Any

from lite_medsam.evaluation.scores import MEAN


def line_of(record: dict[str, Any], run: str, by: str = "modality", name: str = MEAN) -> dict[str, Any]:
    """One line of one table of a run; where there is none, a line without scores.

    Args:
        record: From `summarise_card`.
        run: "box", "baseline ellipse", ...
        by: The table: "modality", "dataset", "size", "family", "target".
        name: The line.
    """
    found = record["runs"][run].get(by, ())
    return next((line for line in found if line["name"] == name), {"name": name, "dice": None, "surface_dice": None})
