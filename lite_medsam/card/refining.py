"""What a second look at the borders of large objects brings: the same boxes with and without it."""

from collections.abc import Mapping, Sequence
from typing import Any

from lite_medsam.card.markdown import number, table
from lite_medsam.cases.case import Case
from lite_medsam.evaluation.metrics import dice, surface_dice
from lite_medsam.evaluation.scores import MEAN, Row
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.encoding import ImageEncoder
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.refinement import refine_borders

PLAIN, REFINED = "box, not refined", "box, refined"


def measure_refining(
    predictor: Predictor,
    case: Case,
    objects: Sequence[tuple[int, Prompt]],
    same: Mapping[int, Row],
    tolerance_px: float,
    scale: float,
) -> dict[str, list[Row]]:
    """Rows of those objects whose border had a second look, by name of the run.

    Args:
        predictor: One that does not refine.
        case: A picture with labels.
        objects: Label and prompt of each.
        same: By label, what does not depend on the answer.
        tolerance_px: Of surface Dice.
        scale: From which on borders are refined, see `Zoom.refine_scale`.
    """
    prompts = [prompt for _, prompt in objects]
    plain = predictor.segment(case.image, prompts)
    encoder = ImageEncoder(predictor.backend, case.image, predictor.cache)
    refined = refine_borders(predictor.backend, encoder, plain, prompts, "auto", scale)
    rows: dict[str, list[Row]] = {PLAIN: [], REFINED: []}
    for i in sorted(refined.refined):
        label = objects[i][0]
        truth = case.truth == label
        for run, answer in ((PLAIN, plain), (REFINED, refined)):
            mask = answer.mask(i)
            measures = {"dice": dice(truth, mask), "surface_dice": surface_dice(truth, mask, tolerance_px)}
            rows[run].append(same[label] | measures)
    return rows


def refining(record: dict[str, Any]) -> str:
    """The table, "" for a record without such objects.

    Args:
        record: From `summarise_card`.
    """
    runs = record["runs"]
    if not runs.get(REFINED, {}).get("modality"):
        return ""
    before = {line["name"]: line for line in runs[PLAIN]["modality"]}
    rows = []
    for line in runs[REFINED]["modality"]:
        old, name = before[line["name"]], line["name"]
        cells: list[Any] = [f"**{name}**" if name == MEAN else name, line["objects"]]
        for measure in ("dice", "surface_dice"):
            cells += [number(old[measure]), number(line[measure]), f"{100 * (line[measure] - old[measure]):+.1f}"]
        rows.append(cells)
    text = (
        "A second look at borders (`--refine auto`), only objects that had one, because a model pixel shows at least "
        f"{record['settings']['refine_scale']:g} pixels of the picture: the same boxes without it and with it.\n\n"
    )
    header = ["modality", "objects", "Dice", "refined", "points", "surface Dice", "refined", "points"]
    return text + table(header, rows)
