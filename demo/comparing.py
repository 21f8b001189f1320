"""The same prompts on another model, to look at beside one's own."""

import time
from dataclasses import replace

from lite_medsam.errors import PromptError
from lite_medsam.segment.choices import overlap
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.interactive import Session

from .view import shown_step


def compare(session: Session, predictor: Predictor, model: str, engine: str, index: int) -> dict:
    """What another model makes of the prompts on one slice.

    Each model is told of an object's target if it knows the name.

    Args:
        session: The prompts.
        predictor: The other model.
        model: Its name.
        engine: Its engine.
        index: The slice.

    Returns:
        A title, the time it took, and for each object id, mask, score, and Dice of the two masks.

    Raises:
        PromptError: If there are no prompts to ask with, or the model was not trained on their kind.
    """
    answers = [(item, item.answers[index]) for item in session.now.objects if index in item.answers]
    asked = [(item, answer.said(item.name)) for item, answer in answers if answer.is_said]
    if not asked:
        raise PromptError("a comparison needs a box or clicks on this slice, got none; a painted mask asks no model")
    known = predictor.spec.targets
    prompts = [replace(prompt, target=item.target_among(known)) for item, prompt in asked]
    without = list(dict.fromkeys(item.target for item, _ in asked if item.target and item.target not in known))
    pixels, step = session.pixels(index), shown_step(session.image_hw)
    started = time.perf_counter()
    prediction = predictor.segment(pixels, prompts)
    seconds = time.perf_counter() - started
    objects = []
    for number, (item, _) in enumerate(asked):
        region, own = Region.of(prediction.mask(number)), item.region(index)
        assert own is not None  # who asks on a slice has an answer there
        iou = overlap(region, own)
        objects.append(
            {
                "id": item.id,
                "mask": region.runs(step),
                "score": round(float(prediction.scores[number]), 3),
                "dice": round(2 * iou / (1 + iou), 4) if region.area_px or own.area_px else None,
            }
        )
    plural = "" if len(objects) == 1 else "s"
    timing = f"{model} on {engine}: {1000 * seconds:.0f} ms for {len(objects)} object{plural}, all read anew"
    if without:
        timing += f"; {model} does not know {', '.join(without)} and was asked without"
    return {"title": f"{model}, {engine}", "timing": timing, "objects": objects}
