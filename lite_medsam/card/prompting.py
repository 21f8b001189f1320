"""Tables of how the answer depends on the prompt: moved boxes, clicks, clicks until it is good enough."""

from typing import Any

from lite_medsam.card.markdown import number, percent, table, with_interval


def prompting(record: dict[str, Any]) -> list[str]:
    """The parts of the page that say what a worse box and what more clicks do.

    Args:
        record: From `summarise_card`.
    """
    return [_moved(record), _clicks(record)]


def _subset(record: dict) -> str:
    settings = record["settings"]
    if settings["curves_every"] == 1:
        return f"All {settings['curve_images']} images."
    return (
        f"Every {settings['curves_every']}. case: {settings['curve_images']} of {settings['images']} images, so the figures "
        "differ a little from those above."
    )


def _moved(record: dict) -> str:
    lines = [line for line in record["moved"] if line["dice"] is not None]
    if not lines:
        return ""
    modalities = list(lines[0]["by_modality"])
    names = {"box, curves": "each side 0 to 5 % outwards (`box`)"}
    rows = [
        [names.get(line["name"], line["name"]), with_interval(line, "dice"),
         *(number(line["by_modality"].get(name)) for name in modalities)]
        for line in lines
    ]  # fmt: skip
    text = (
        "Dice against the box. *moved*: every side of the exact box moved by this share of the box's width or height, "
        "outwards if positive; *within*: each side by a draw of its own between so far inwards and so far outwards. "
    )
    return text + _subset(record) + "\n\n" + table(["box", "mean over modalities", *modalities], rows)


def _clicks(record: dict) -> str:
    parts = []
    for name, start in (("clicks", "clicks alone"), ("box+clicks", "a box, then clicks")):
        found = record["clicks"][name]
        if not found:
            continue
        lines = [
            {"dice": dice, "dice_low": low, "dice_high": high}
            for dice, (low, high) in zip(found["dice"], found["intervals"], strict=True)
        ]
        rows = [["mean over modalities", *(with_interval(line, "dice") for line in lines)]]
        rows += [[modality, *map(number, values)] for modality, values in found["by_modality"].items()]
        header = [start, *(f"{k} clicks" if k != 1 else "1 click" for k in found["clicks"])]
        parts.append(table(header, rows) + f"\n\nSurface Dice after five clicks: {number(found['surface_dice'])}.")
    if not parts:
        return ""
    text = "Dice after so many clicks, each in the middle of the largest error so far, with the mask so far given back."
    return "\n\n".join([text, *parts, _noc(record["clicks"]["clicks"])])


def _noc(found: dict) -> str:
    """The table of NoC."""
    noc = found.get("noc", {})
    if not noc:
        return ""
    rows = []
    for measure, name in (("iou", "IoU"), ("dice", "Dice")):
        for goal in ("80%", "90%"):
            value, never = noc[f"noc_{measure}_{goal}"], noc[f"never_{measure}_{goal}"]
            rows.append([f"NoC@{goal[:-1]}, {name}", number(value, 1), percent(never)])
    return (
        "Number of clicks (NoC) until a mask is good enough for the first time, at most 20; objects that never get there count "
        "as 20 and are told beside it. Means over objects, then images, then modalities. In the literature on interactive "
        "segmentation NoC is by IoU.\n\n" + table(["", "clicks", "never in 20"], rows)
    )
