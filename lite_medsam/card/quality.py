"""Tables of how good a model is: by modality, target, size, data set, with and without a name."""

from typing import Any

from lite_medsam.card.markdown import number, table, with_interval
from lite_medsam.card.measure import BASELINES, ORACLE
from lite_medsam.card.record import line_of
from lite_medsam.card.refining import refining
from lite_medsam.evaluation.scores import MEAN

_HEADER = ("groups", "objects", "Dice", "surface Dice", "challenge NSD")
_OTHERS = (*BASELINES, f"{ORACLE} (oracle)")


def quality(record: dict[str, Any]) -> list[str]:
    """The parts of the page that say how good the model is with a box.

    Args:
        record: From `summarise_card`.
    """
    return [
        _by_modality(record),
        _explain(record),
        _apart(record),
        _by_size(record),
        refining(record),
        _by_dataset(record),
        _named(record),
    ]


def _scored(line: dict) -> list[Any]:
    """The cells under `_HEADER`."""
    return [
        line["groups"], line["objects"], with_interval(line, "dice"), with_interval(line, "surface_dice"),
        number(line["challenge_nsd"]),
    ]  # fmt: skip


def _against(record: dict, by: str, name: str) -> list[str]:
    """Dice of the baselines on the same objects, under `_OTHERS`."""
    return [number(line_of(record, f"baseline {kind}", by, name)["dice"]) for kind in (*BASELINES, ORACLE)]


def _by_modality(record: dict) -> str:
    rows = []
    for line in record["runs"]["box"]["modality"]:
        others = _against(record, "modality", line["name"])
        distances = [
            number(line_of(record, f"baseline {kind}", "modality", line["name"])["surface_dice"]) for kind in BASELINES
        ]
        rows.append([line["name"], *_scored(line), *others, " / ".join(distances)])
    return table(["modality", *_HEADER, *_OTHERS, "surface Dice of " + " / ".join(BASELINES)], rows)


def _explain(record: dict) -> str:
    settings = record["settings"]
    return (
        "Dice: mean over the objects of an image, then over images, then over modalities; in brackets the 95 % bootstrap "
        f"interval over groups (patients, eyes, videos). Surface Dice: true 2D surface Dice at {settings['tolerance_px']:g} px "
        "of the image. Challenge NSD: the number that the CVPR 2024 script reports for pictures; it measures a slab one voxel "
        "thick, so it is mostly agreement of areas and higher. Columns after it: Dice on the same boxes (protocol `box`: each "
        "side 0 to 5 % too large) of the filled box, the inscribed ellipse, GrabCut, and the best grey-level threshold in "
        "the box. That last one is an oracle: threshold and polarity are chosen by the truth. At most 8 objects of an image "
        f"and {settings['slices_per_volume']} slices of a volume."
    )


def _apart(record: dict) -> str:
    families, targets = record["runs"]["box"]["family"], record["runs"]["box"]["target"]
    if not families and not targets:
        return ""
    rows = [[line["name"], *_scored(line), *_against(record, "family", line["name"])] for line in families]
    text = "Fundus and OCT apart:\n\n" + table(["what", *_HEADER, *_OTHERS], rows) if rows else ""
    rows = [[line["name"], *_scored(line)] for line in targets]
    return f"{text}\n\nBy what was segmented, as the data sets name it:\n\n" + table(["what", *_HEADER], rows)


def _by_size(record: dict) -> str:
    rows = [
        [run, line["name"], line["objects"], with_interval(line, "dice"), with_interval(line, "surface_dice")]
        for run in ("box", "box, zoom off")
        for line in record["runs"][run]["size"]
    ]
    return "Small objects, by the share of the image:\n\n" + table(["run", "size", "objects", *_HEADER[2:4]], rows)


def _by_dataset(record: dict) -> str:
    lines = record["runs"]["box"]["dataset"]
    rows = [[line["name"], *_scored(line), *_against(record, "dataset", line["name"])] for line in lines]
    return "By data set:\n\n" + table(["data set", *_HEADER, *_OTHERS], rows)


def _named(record: dict) -> str:
    """The same boxes with and without a name."""
    if "box, named" not in record["runs"]:
        return ""
    plain, named = record["runs"]["box, unnamed"], record["runs"]["box, named"]
    rows = []
    for by in ("modality", "family", "target"):
        before = {line["name"]: line for line in plain[by]}
        for line in named[by]:
            old = before[line["name"]]
            change = f"{100 * (line['dice'] - old['dice']):+.1f}"
            name = f"**{line['name']}**" if line["name"] == MEAN else line["name"]
            rows.append([name, line["objects"], number(old["dice"]), with_interval(line, "dice"), change,
                         number(old["surface_dice"]), number(line["surface_dice"])])  # fmt: skip
    text = (
        "With the object's name beside the box (`--target`), the same boxes without it in the column before. Only objects "
        "whose name the model knows: modalities first, then families, then targets.\n\n"
    )
    header = [
        "what",
        "objects",
        "Dice, no name",
        "Dice, named",
        "points",
        "surface Dice, no name",
        "surface Dice, named",
    ]
    return text + table(header, rows)
