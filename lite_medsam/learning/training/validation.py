"""How good a model is on held-out cases, through the Predictor that users run; pictures of that."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from lite_medsam.cases.case import Case, load_case, slices
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.evaluation.report import Evaluation
from lite_medsam.evaluation.score_tables import format_table
from lite_medsam.evaluation.scores import MEAN
from lite_medsam.learning.network.backend import TorchBackend
from lite_medsam.learning.network.checkpoint import Segmenter
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import Protocol
from lite_medsam.results.overlay import draw_masks
from lite_medsam.segment.predictor import Predictor

SCORES = ("dice", "iou", "surface_dice")
PICTURE_HW_PX = 260, 520  # at most


class Validator:
    """Scores weights of one model on the same cases and prompts each time.

    Args:
        model: Gives the network; it is copied to the CPU, where users run it.
        cases: Held-out cases.
        protocol: Who prompts.
        slices_per_volume: Labelled slices scored of a volume.
    """

    def __init__(self, model: Segmenter, cases: Sequence[Path], protocol: Protocol, slices_per_volume: int):
        self.model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        self.cases, self.protocol, self.slices_per_volume = list(cases), protocol, slices_per_volume

    def evaluate(self, state: dict[str, Tensor]) -> Evaluation:
        """Scores a state dict of the model.

        Raises:
            ValueError: If no object could be scored.
        """
        self.model.load_state_dict(state)
        predictor = Predictor(TorchBackend(self.model))
        result = evaluate(predictor, self.cases, self.protocol, slices_per_volume=self.slices_per_volume)
        if not result.rows:
            reason = result.skipped[0][1] if result.skipped else "no object"
            raise ValueError(f"validation needs an object to score, got none in {len(self.cases)} cases ({reason})")
        return result


def means(result: Evaluation) -> dict[str, float]:
    """Dice, IoU and surface Dice: means over objects, then images, then modalities."""
    line = next(row for row in result.summary("modality") if row["modality"] == MEAN)
    return {name: float(line[name]) for name in SCORES}


def comparison(before: dict[str, Evaluation], after: dict[str, Evaluation]) -> list[dict[str, Any]]:
    """Rows of the before/after table: by protocol, means over modalities, on the same cases.

    Args:
        before: Scores of the starting weights by protocol.
        after: Scores of the new ones.
    """
    rows = []
    for name, old in before.items():
        first, last = means(old), means(after[name])
        line = next(row for row in after[name].summary("modality") if row["modality"] == MEAN)
        rows.append(
            {
                "protocol": name,
                "groups": line["groups"],
                "images": line["images"],
                "objects": line["objects"],
                "dice before": first["dice"],
                "dice after": last["dice"],
                "gain": last["dice"] - first["dice"],
                "surface dice before": first["surface_dice"],
                "surface dice after": last["surface_dice"],
            }
        )
    return rows


def format_comparison(rows: Sequence[dict[str, Any]], markdown: bool = False) -> str:
    """The before/after table as text."""
    return format_table([dict(row) for row in rows], markdown)


def draw_panel(
    before: Predictor, after: Predictor, cases: Sequence[Path], protocol: Protocol, slices_per_volume: int = 1
) -> np.ndarray:
    """Held-out cases as rows: the truth, the answer of the starting weights, that of the new ones.

    Args:
        before: The starting model.
        after: The new model.
        cases: Files of labelled cases.
        protocol: Who prompts; corrections are left out.
        slices_per_volume: Slices shown of a volume.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows = []
    for path in cases:
        case = load_case(path)
        for image in slices(case, slices_per_volume) if case.is_volume else [case]:
            row = _panel_row(before, after, image, protocol)
            if row is not None:
                rows.append(row)
    width = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    titles = np.full((24, width, 3), 255, np.uint8)
    cv2.putText(titles, "truth | before | after", (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([titles, *rows])


def _panel_row(before: Predictor, after: Predictor, case: Case, protocol: Protocol) -> np.ndarray | None:
    simulated = simulate_prompts(case.truth, protocol, case.name).objects
    if not simulated:
        return None
    prompts = [prompt for _, prompt in simulated]
    truth = np.zeros(case.truth.shape, np.uint16)
    for number, (value, _) in enumerate(simulated, 1):
        truth[case.label == value] = number
    answers = [truth, *(predictor.segment(case.image, prompts).label_map() for predictor in (before, after))]
    x0, y0, x1, y1 = _window(truth > 0)
    scale = min(PICTURE_HW_PX[0] / (y1 - y0), PICTURE_HW_PX[1] / (x1 - x0))
    height, width = max(1, round((y1 - y0) * scale)), max(1, round((x1 - x0) * scale))
    image = cv2.resize(case.image[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_LINEAR)
    pictures = []
    for answer in answers:
        # enlarged first, so that lines are thin on small images
        shown = cv2.resize(answer[y0:y1, x0:x1].astype(np.uint16), (width, height), interpolation=cv2.INTER_NEAREST)
        pictures.append(draw_masks(image, shown, opacity=0.25))
    return np.concatenate([np.pad(picture, ((0, 0), (0, 4), (0, 0))) for picture in pictures], axis=1)


def _window(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 (x1, y1 outside) of what a picture shows: the objects with a third more around them."""
    edges = []
    for axis in (1, 0):
        filled = np.flatnonzero(mask.any(axis=1 - axis)) if mask.any() else np.arange(mask.shape[axis])
        margin = max(16, (filled[-1] - filled[0] + 1) // 3)
        edges.append((max(0, filled[0] - margin), min(mask.shape[axis], filled[-1] + 1 + margin)))
    (x0, x1), (y0, y1) = edges
    return int(x0), int(y0), int(x1), int(y1)


def evaluate_all(
    predictor: Predictor,
    asked: Sequence[tuple[Protocol, Sequence[Path]]],
    slices_per_volume: int,
    progress: Callable[[str], object],
) -> dict[str, Evaluation]:
    """Scores by name of the protocol.

    Args:
        predictor: The model.
        asked: Who prompts, and on which files of labelled cases.
        slices_per_volume: Labelled slices scored of a volume.
        progress: Called with the name of each case.
    """
    return {
        protocol.name: evaluate(predictor, cases, protocol, slices_per_volume=slices_per_volume, progress=progress)
        for protocol, cases in asked
    }
