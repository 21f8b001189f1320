"""How honest a model's score is: calibration on groups that it was not fitted on, and scores in words."""

from typing import Any

from lite_medsam.card.markdown import number, table
from lite_medsam.results.score_words import GOOD, GOOD_IOU, MEANINGS, START_OVER, USABLE, USABLE_IOU, score_words

_RANGES = {
    GOOD: f"{GOOD_IOU:.2f} and more",
    USABLE: f"{USABLE_IOU:.2f} to {GOOD_IOU:.2f}",
    START_OVER: f"below {USABLE_IOU:.2f}",
}


def calibration(record: dict[str, Any]) -> str:
    """The map of scores, and how far off they are, by kind of prompt and by modality.

    Args:
        record: From `summarise_card`.
    """
    found = record["calibration"]
    rows = [
        [line["kind"].replace("all", "box, clicks, box+clicks alike"), line["masks"], number(line["error_before"]),
         number(line["error_after"]), _signed(line["bias_before"]), _signed(line["bias_after"])]
        for line in found["kinds"] if line["masks"]
    ]  # fmt: skip
    done = (found["slope"], found["intercept"]) != (1.0, 0.0)
    text = (
        "The network estimates the IoU of each mask. " + (
            f"`spec.json` holds a map of two numbers for it, sigmoid({found['slope']:g} logit(score) {found['intercept']:+g}), "
            f"fitted by `lite-medsam card --calibrate` on {found['groups_fitted']} groups. "
            if done else "The scores are not calibrated. "
        ) + f"The figures are from the other {found['groups_reported']} groups. Error: expected calibration error, the distance "
        "between score and measured IoU averaged over ten bins of scores. Bias: mean score minus mean IoU. Moved boxes were "
        "not used for fitting."
    )  # fmt: skip
    header = ["prompts", "masks", "error before", "error", "bias before", "bias"]
    by_modality = ", ".join(f"{line['name']} {_signed(line['bias'])}" for line in found["modalities"])
    bias = f"\n\nBias of the masks from boxes, by modality: {by_modality}." if by_modality else ""
    return text + "\n\n" + table(header, rows) + bias


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def words(record: dict[str, Any]) -> str:
    """What a score means to a user, with the IoU that was measured for such scores.

    Args:
        record: From `summarise_card`; its bins of scores are each within one of the words.
    """
    bins = record["calibration"]["bins"]
    rows = [[_RANGES[word], word, MEANINGS[word], number(_measured(bins, "all", word), 2)] for word in _RANGES]
    careless = [number(_measured(bins, "moved boxes", word), 2) for word in _RANGES]
    moved = "" if set(careless) == {"-"} else f" After boxes that were moved on purpose it was {', '.join(careless)}."
    return (
        "The score beside a mask is the model's estimate of its IoU, the share of what mask or object cover that is in both. "
        f"So 0.43 says: {score_words(0.43)}.\n\n"
        + table(["score", "in words", "what to do", "measured"], rows)
        + f"\n\nMeasured: the mean IoU of masks with such scores, on groups that the score was not calibrated on.{moved} The score "
        "is no probability, and says nothing about an object that is not there."
    )


def _measured(bins: dict[str, Any], kind: str, word: str) -> float | None:
    """Mean IoU of the masks whose score is called that; None where there is none."""
    found = [(iou, count) for score, iou, count in bins.get(kind, {}).get("after", ()) if score_words(score) == word]
    total = sum(count for _, count in found)
    return sum(iou * count for iou, count in found) / total if total else None
