"""What a click would give, before it is made."""

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.interactive import Session


def previewed(
    session: Session, x: float, y: float, positive: bool, index: int = 0, object_id: int | None = None
) -> Region | None:
    """The mask of one more click, without a change of the session; quick, and close to what the click itself gives.

    Without a box the picture as a whole is asked, which is encoded already, and no crop around what is found there.

    Args:
        session: The session.
        x: Column in pixels.
        y: Row.
        positive: Whether the click is on the object.
        index: The slice.
        object_id: Of the object that the click would be for; None: a new one.

    Returns:
        The mask, None where the model answers with none or cannot be asked.

    Raises:
        PromptError: If there is no such slice or object.
    """
    pixels = session.pixels(index)
    item = None if object_id is None else session.now.find(object_id)
    old = None if item is None else item.answers.get(index)
    box = None if old is None else old.box
    points = (*(() if old is None else old.points), (float(x), float(y), int(positive)))
    before = None if item is None else item.region(index)
    predictor = session.predictor
    prompt = Prompt(
        box,
        np.array([point[:2] for point in points]),
        np.array([point[2] for point in points], np.int64),
        None if before is None or not before.area_px else before.full(),
        target=None if item is None else item.target_among(predictor.spec.targets),
    )
    if box is None:
        predictor = Predictor(predictor.backend, "off", predictor.cache)
    try:
        region = Region.of(predictor.segment(pixels, [prompt]).mask(0))
    except PromptError:  # a model that takes no clicks, or none alone
        return None
    return region if region.area_px else None
