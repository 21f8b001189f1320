"""What the model answers to all that was said about an object on a slice."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.choices import choices
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.state import Answer, ObjectState, Points, xy_and_labels


def asked(
    predictor: Predictor,
    pixels: np.ndarray,
    target: str | None,
    box: tuple[float, float, float, float] | None,
    points: Points,
    previous: Region | None,
) -> Answer:
    """Asks the model.

    Args:
        predictor: The model.
        pixels: (H, W) or (H, W, 3) uint8 of the slice.
        target: What the object is, as the model knows it.
        box: x0, y0, x1, y1 in pixels, last pixel inside.
        points: (x, y, 1 object or 0 background).
        previous: The mask to refine.

    Raises:
        PromptError: If the prompts do not fit the slice or the model.
    """
    mask = None if previous is None else previous.full()
    found = choices(predictor, pixels, Prompt(box, *xy_and_labels(points), mask, target=target))
    return Answer(box, points, previous, tuple(found))


def asked_anew(item: ObjectState, ask: Callable[[ObjectState, int, Answer], Answer]) -> ObjectState:
    """An object with all answers of the model asked for again.

    What was painted stays. Where an alternative was chosen, the mask stays and is taken for painted: the alternatives of
    the new answer are others.

    Args:
        item: The object.
        ask: Asks the model with what the old answer was asked with, on a slice.
    """
    answers = {}
    for index, old in item.answers.items():
        if old.painted is not None:
            answers[index] = old
        else:
            new = ask(item, index, old)
            answers[index] = replace(new, chosen=0) if old.chosen == 0 else replace(old, painted=old.region)
    return replace(item, answers=answers)
