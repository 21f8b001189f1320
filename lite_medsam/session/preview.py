"""What a click would give, before it is made."""

from dataclasses import replace

from lite_medsam.errors import PromptError
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer
from lite_medsam.session.asking import asked
from lite_medsam.session.interactive import Session


def previewed(
    session: Session,
    x: float,
    y: float,
    positive: bool,
    index: int = 0,
    object_id: int | None = None,
    exact: bool = False,
) -> Region | None:
    """The mask of one more click, without a change of the session.

    Args:
        session: The session.
        x: Column in pixels.
        y: Row.
        positive: Whether the click is on the object.
        index: The slice.
        object_id: Of the object that the click would be for; None: a new one.
        exact: As the click itself is answered. Else the model looks once, from what is encoded already: the box's crop, or
            the picture as a whole; the click's own mask may differ, as the model looks again from a crop then.

    Returns:
        The mask, None where the model answers with none or cannot be asked.

    Raises:
        PromptError: If there is no such slice or object.
    """
    pixels = session.pixels(index)
    item = None if object_id is None else session.now.find(object_id)
    old = Answer() if item is None else item.answers.get(index, Answer())
    before = None if item is None else item.region(index)
    points = (*old.points, (float(x), float(y), int(positive)))
    said = replace(old, points=points, previous=before if before is not None and before.area_px else None)
    target = None if item is None else item.target_among(session.predictor.spec.targets)
    try:
        if exact:
            region = asked(session.given, pixels, target, said, 1).region
        else:
            predictor = session.predictor
            zoom = "off" if said.box is None else predictor.zoom
            predictor = Predictor(predictor.backend, zoom, predictor.cache, refine="off")
            region = Region.of(predictor.segment(pixels, [said.said(target=target)]).mask(0))
    except PromptError:  # a model that takes no clicks, or none alone
        return None
    return region if region.area_px else None
