"""Which prompt stands best for a line across a lesion: mean Dice of objects by rule.

The line is the longest diameter of each object of at least 40 pixels that is one part and fills at least half of its
convex hull, as lesions are; both ends are moved by up to 3 % of its length.

Beside the rules stands "box", the box around the object itself.

    python -m lite_medsam.evaluation.line_study phantoms
    python -m lite_medsam.evaluation.line_study CASE.npz ...
"""

import sys
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from lite_medsam.cases.case import Case, load_case
from lite_medsam.evaluation.metrics import dice
from lite_medsam.phantoms import KINDS, make_phantom
from lite_medsam.prompts.diameter_lines import RULES, longest_line, prompt_of_line
from lite_medsam.prompts.prompt_set import Prompt, box_from_mask
from lite_medsam.segment.predictor import Predictor

_MINIMUM_PX = 40
_JITTER = 0.03


def lesions(case: Case) -> Iterable[np.ndarray]:
    """(H, W) bool masks of the objects of a picture that a line can stand for."""
    label = np.asarray(case.truth)
    for value in np.unique(label)[1:].tolist():
        mask = label == value
        parts, _ = cv2.connectedComponents(mask.astype(np.uint8))
        hull = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32))
        if parts == 2 and mask.sum() >= max(_MINIMUM_PX, 0.5 * cv2.contourArea(hull)):
            yield mask


def study(predictor: Predictor, cases: Iterable[Case], seed: int = 0) -> dict[str, list[float]]:
    """Dice of every object by rule; "box" is the box around the object.

    Args:
        predictor: The model.
        cases: Pictures with labels.
        seed: Of the lines' jitter.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {rule: [] for rule in ("box", *RULES)}
    for case in cases:
        masks = list(lesions(case))
        for mask in masks:
            line = longest_line(mask)
            length = float(np.hypot(*(line[1] - line[0])))
            line = line + rng.uniform(-_JITTER, _JITTER, (2, 2)) * length
            line = np.clip(line, 0, np.array(mask.shape[::-1]) - 1.0)
            prompts = [Prompt(box=box_from_mask(mask))]
            for rule in RULES:
                box, points = prompt_of_line(line, rule)
                prompts.append(Prompt(box=box, points=points, point_labels=np.ones(len(points))))
            answer = predictor.segment(case.image, prompts)
            for i, rule in enumerate(found):
                found[rule].append(dice(mask, answer.mask(i)))
    return found


def main(arguments: Sequence[str]) -> None:
    """Prints the table."""
    if not arguments:
        sys.exit("usage: python -m lite_medsam.evaluation.line_study phantoms | CASE.npz ...")
    cases: Iterable[Case]
    if arguments == ["phantoms"]:
        cases = [make_phantom(kind, seed) for kind in KINDS for seed in range(4)]
    else:
        cases = [case for case in map(load_case, arguments) if not case.is_volume]
    found = study(Predictor.open(), cases)
    for rule, scores in found.items():
        print(f"{rule:22} {np.mean(scores):.4f}  ({len(scores)} objects)")


if __name__ == "__main__":
    main(sys.argv[1:])
