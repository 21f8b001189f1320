"""Everything that the model sees in a picture: a grid of clicks, and of their masks those that are sure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.encoding import EncodedImage
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.candidates import (
    MAX_CANDIDATES,
    Candidate,
    asked_again,
    box_of,
    distinct,
    main_part,
    region_of,
    union,
    without_merged,
)

WHOLE_GRID, QUARTER_GRID = 14, 12  # clicks along a side of the whole picture, and of each quarter (with some overlap)
QUARTER = 0.55
CHUNK = 48  # clicks at a time: their logits are 256 kB each
SCORE, STABLE = 0.5, 0.75
STEP = 1.0  # of the logits: a mask is stable where the threshold can be this much higher or lower
SMALLEST_PX, LARGEST = 12, 0.6  # of a mask; as a share of the picture
MOST = 120  # masks that are asked for once more


def find_everything(
    predictor: Predictor, image: np.ndarray, known: Sequence[Region] = (), stop: Callable[[], bool] | None = None
) -> list[Candidate]:
    """Objects of any kind, as segment-anything's automatic mask generator finds them.

    A grid of clicks on the whole picture and on its quarters is decoded. Masks stay whose score is high and whose area
    hardly changes with the threshold; of those that are of one object, the best. Each is then asked for once more with
    the box of its own mask.

    Args:
        predictor: The model; it must take clicks.
        image: (H, W) or (H, W, 3) uint8.
        known: Masks of objects that are there already; they are not offered again.
        stop: Asked between pieces of the work; nothing is found once it says yes.

    Returns:
        At most `MAX_CANDIDATES`, the surest first; `likeness` is score times agreement of both masks.

    Raises:
        PromptError: If the model was not trained on clicks.
    """
    taken = union(known, image.shape[:2])
    found: list[Candidate] = []
    for encoded, clicks in _views(predictor, image):
        free = [click for click in clicks if not taken[round(click[1]), round(click[0])]]
        for start in range(0, len(free), CHUNK):
            if stop is not None and stop():
                return []
            found += _sure_masks(predictor, encoded, free[start : start + CHUNK])
        # a click on what has a sure mask already would find it again
        taken = taken | union([item.region for item in found if item.likeness > 0.8], taken.shape)
    found.sort(key=lambda item: -item.likeness)
    offered = distinct(without_merged(distinct(found, known)[: 2 * MOST]), known)[:MOST]
    settled = [replace(item, likeness=item.score * agreed) for item, agreed in asked_again(predictor, image, offered)]
    settled.sort(key=lambda item: -item.likeness)
    return distinct(settled, known)[:MAX_CANDIDATES]


def _views(predictor: Predictor, image: np.ndarray) -> Iterator[tuple[EncodedImage, list[tuple[float, float]]]]:
    """The whole picture, then its quarters, each with the clicks of its grid."""
    height, width = image.shape[:2]
    whole = Frame.for_model((height, width), predictor.spec.preprocessing)
    yield predictor.encode(image, whole), _grid(whole, WHOLE_GRID)
    h, w = max(1, round(QUARTER * height)), max(1, round(QUARTER * width))
    for y0 in (0, height - h):
        for x0 in (0, width - w):
            frame = replace(whole, x0=x0, y0=y0, width=w, height=h)
            yield predictor.encode(image, frame), _grid(frame, QUARTER_GRID)


def _grid(frame: Frame, count: int) -> list[tuple[float, float]]:
    """(x, y) of clicks, `count` along the longer side and as dense along the other."""
    step = max(frame.width, frame.height) / count
    xs = frame.x0 + (np.arange(max(1, round(frame.width / step))) + 0.5) * frame.width / max(
        1, round(frame.width / step)
    )
    ys = frame.y0 + (np.arange(max(1, round(frame.height / step))) + 0.5) * frame.height / max(
        1, round(frame.height / step)
    )
    return [(float(int(x)), float(int(y))) for y in ys for x in xs]


def _sure_masks(
    predictor: Predictor, encoded: EncodedImage, clicks: Sequence[tuple[float, float]]
) -> Iterator[Candidate]:
    """The masks of clicks that are sure, stable and neither specks nor most of the picture."""
    prompts = [Prompt(points=np.array([click]), point_labels=np.array([1])) for click in clicks]
    found = predictor.decode(encoded, prompts)
    for i in range(len(found)):
        logits, score = found.logits[i], float(found.scores[i])
        wide = np.count_nonzero(logits > found.threshold - STEP)
        stable = np.count_nonzero(logits > found.threshold + STEP) / max(1, wide)
        if score < SCORE or stable < STABLE:
            continue
        region = main_part(region_of(found, i))
        if region.box and SMALLEST_PX <= region.area_px <= LARGEST * found.image_hw[0] * found.image_hw[1]:
            yield Candidate(box_of(region), region, score, score * stable)
