"""What the numbers say against a model, in plain words."""

from typing import Any

from lite_medsam.card.markdown import number
from lite_medsam.card.measure import BASELINES, ORACLE
from lite_medsam.card.record import line_of
from lite_medsam.evaluation.scores import MEAN

LOW_DICE = 0.75  # of a modality: named as weak below it
MARGIN = 0.1  # over the best simple baseline: named where it is less
WORST = 6  # data sets and targets that are named
FEW_GROUPS = 3

LIMITS = (
    "It answers every prompt with some mask, also where there is no object.",
    "A box alone cannot say which of two nested or crossing things is meant: vessels, single layers, heart walls, tumour parts, "
    "tubes.",
    "The validation images come from the same sources as the training images (other patients, eyes and videos); other devices "
    "and other protocols will score lower. Nothing warns when an image is unlike them.",
    "Volumes are scored here slice by slice, each slice with a prompt of its own.",
)
"""What holds for every model of this kind."""


def weaknesses(record: dict[str, Any]) -> list[str]:
    """Sentences, each derived from the record by a fixed rule; the worst first.

    Args:
        record: From `summarise_card`.
    """
    found = [_worst(record), _modalities(record), _margins(record), _oracle(record), _small(record), _moved(record)]
    found += [_clicks(record), _scores(record), _few(record)]
    return [sentence for sentence in found if sentence]


def short_weaknesses(record: dict[str, Any]) -> list[str]:
    """Those that a user must know before anything else.

    Args:
        record: From `summarise_card`.
    """
    return [sentence for sentence in (_worst(record), _small(record), _clicks(record)) if sentence]


def _lines(record: dict, run: str, by: str) -> list[dict]:
    return [line for line in record["runs"][run][by] if line["name"] != MEAN]


def _named(lines: list[dict]) -> str:
    return ", ".join(f"{line['name']} {number(line['dice'], 2)}" for line in lines)


def _worst(record: dict) -> str:
    by = "target" if record["runs"]["box"]["target"] else "dataset"
    known = [line for line in _lines(record, "box", by) if line["dice"] is not None]
    lines = sorted(known, key=lambda line: line["dice"])[:WORST]
    what = "things" if by == "target" else "data sets"
    return (
        f"Lowest Dice with a box, by what was segmented: {_named(lines)}. Look at these {what} twice." if lines else ""
    )


def _modalities(record: dict) -> str:
    lines = [line for line in _lines(record, "box", "modality") if line["dice"] is not None and line["dice"] < LOW_DICE]
    return f"Modalities below a Dice of {LOW_DICE}: {_named(lines)}." if lines else ""


def _margins(record: dict) -> str:
    close = []
    for line in _lines(record, "box", "dataset"):
        others = {kind: line_of(record, f"baseline {kind}", "dataset", line["name"]) for kind in BASELINES}
        best = max(others, key=lambda kind: others[kind]["dice"] or 0)
        gain = (line["dice"] or 0) - (others[best]["dice"] or 0)
        if gain < MARGIN:
            close.append((gain, f"{line['name']} ({gain:+.2f} against {best})"))
    names = ", ".join(text for _, text in sorted(close))
    points = round(100 * MARGIN)
    return f"Less than {points} points of Dice above the best baseline without a model: {names}." if close else ""


def _oracle(record: dict) -> str:
    better = []
    for line in _lines(record, "box", "dataset"):
        oracle = line_of(record, f"baseline {ORACLE}", "dataset", line["name"])
        if oracle["dice"] is not None and line["dice"] is not None and oracle["dice"] > line["dice"]:
            better.append(line | {"name": f"{line['name']} {number(oracle['dice'], 2)} against", "dice": line["dice"]})
    text = "Where the best grey-level threshold in the box, chosen by the truth, is better than the model"
    return f"{text}: {_named(better)}. A threshold that someone sets by hand may do as well there." if better else ""


def _small(record: dict) -> str:
    lines = _lines(record, "box", "size")
    small = next((line for line in lines if line["name"].startswith("<")), None)
    large = next((line for line in lines if line["name"].startswith(">")), None)
    if not small or not large or small["dice"] >= large["dice"]:
        return ""
    return (
        f"Small objects ({small['name']}) have a Dice of {number(small['dice'])}, larger ones {number(large['dice'])}."
    )


def _moved(record: dict) -> str:
    by_name = {line["name"]: line["dice"] for line in record["moved"]}
    usual = by_name.get("box, curves")
    if usual is None:
        return ""
    costs = {name: usual - dice for name, dice in by_name.items() if dice is not None and name != "box, curves"}
    shown = [
        f"{name} {costs[name]:+.3f}"
        for name in ("moved -10 %", "moved +10 %", "within 10 %", "moved -20 %", "moved +30 %")
    ]
    tight = " Too tight is worse than too wide." if costs["moved -10 %"] > costs["moved +10 %"] else ""
    return f"A careless box costs Dice, against the usual one: {', '.join(shown)}.{tight}"


def _clicks(record: dict) -> str:
    clicks = record["clicks"]["clicks"]
    if not clicks:
        return ""
    dice = dict(zip(clicks["clicks"], clicks["dice"], strict=True))
    never = clicks["noc"]["never_iou_90%"]
    return (
        f"Clicks alone say less than a box: Dice {number(dice[1])} after one, {number(dice[5])} after five; "
        f"{never:.0%} of the objects never reach an IoU of 0.90 in 20 clicks."
    ).replace("%", " %")


def _scores(record: dict) -> str:
    line = next((line for line in record["calibration"]["kinds"] if line["kind"] == "all"), None)
    if not line or line["error_after"] is None:
        return ""
    return (
        f"The score is an estimate of the mask's IoU; on groups that it was not calibrated on it is off by "
        f"{number(line['error_after'])} on average over bins of scores. It says nothing about an object that is not there."
    )


def _few(record: dict) -> str:
    lines = [line for line in _lines(record, "box", "dataset") if line["groups"] < FEW_GROUPS]
    names = ", ".join(line["name"] for line in lines)
    return f"Measured on one or two groups only, so these figures say little: {names}." if lines else ""
