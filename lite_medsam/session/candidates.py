"""Find the others: objects that look like those that were marked, offered as a batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.choices import overlap
from lite_medsam.segment.instances import split_instances
from lite_medsam.segment.prediction import Prediction
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.alike import Alike
from lite_medsam.session.likeness import FeatureMap, Rule, fit_rule
from lite_medsam.session.proposals import SMALLEST, Box, proposed_boxes

MAX_CANDIDATES = 200
FIRST_BOXES, BOXES, REST_BOXES = 40, 160, 60  # asked in the first round, in the second, and for what is left
SURE, MAX_SURE = 0.6, 25  # from so alike on, at most so many are examples of the second round
FLOOR = 0.15  # less alike than this is not offered
SAMPLES = 600  # pixels of examples, and as many near and far from them
SAME_IOU, HELD = 0.35, 0.7  # masks that share so much, or of which one lies in the other by so much of itself, are one


@dataclass(frozen=True, eq=False)
class Candidate:
    """An object that is offered.

    Attributes:
        box: x0, y0, x1, y1 around the mask, last pixel inside.
        region: The mask: the main part of what the model answers to such a box, or a piece of it.
        score: Its estimate of the mask's IoU.
        likeness: 0 to 1: how like the examples in look and size, or for `everything` how sure the mask is.
    """

    box: Box
    region: Region
    score: float
    likeness: float


def find_similar(
    predictor: Predictor,
    image: np.ndarray,
    examples: Sequence[Region],
    known: Sequence[Region] = (),
    target: str | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Candidate]:
    """Objects of a picture that look like examples.

    The encoder's features and the grey values of the examples' pixels against those around them make a linear rule. Boxes are
    laid around what it answers most to, and the model is asked for all of them in one batch. The likest masks are
    examples of a second round; what is left over beside its masks is looked at once more.

    Args:
        predictor: The model; with a cache, so that the picture is encoded once.
        image: (H, W) or (H, W, 3) uint8.
        examples: Masks of the objects whose like is looked for.
        known: Masks of all objects that are there already; they are not offered again.
        target: What the examples are, as the model knows it.
        stop: Asked between the rounds; nothing is found once it says yes.

    Returns:
        At most `MAX_CANDIDATES`, the likest first.

    Raises:
        PromptError: If no example has a pixel.
    """
    examples = [region for region in examples if region.area_px]
    if not examples:
        raise PromptError("an object must have a mask on this slice to find others like it, got none; draw a box first")
    search = _Search(predictor, image, examples, [*examples, *known], target)
    first = search.round(examples, FIRST_BOXES)
    sure = [item.region for item in first if item.likeness >= SURE][:MAX_SURE]
    second = [] if stop is not None and stop() else search.round([*examples, *sure], BOXES)
    if stop is not None and stop():
        return []
    found = search.settled(second)
    rest = search.settled(search.rest(found, REST_BOXES))
    both = sorted([*found, *rest], key=lambda item: -item.likeness)
    return distinct(both, search.known)[:MAX_CANDIDATES]


class _Search:
    """One search: the picture's features are computed once for all rounds.

    Args: as `find_similar`.
    """

    def __init__(
        self,
        predictor: Predictor,
        image: np.ndarray,
        examples: Sequence[Region],
        known: Sequence[Region],
        target: str | None,
    ):
        self.known = list(known)
        self._predictor, self._image, self._target = predictor, image, target
        self._area = float(np.median([region.area_px for region in examples]))
        self._object_px = float(np.median([max(region.inside.shape) for region in examples]))
        self._features = FeatureMap(predictor, image, self._object_px)
        self._taken = union(self.known, image.shape[:2])
        self._asked: dict[Box, tuple[Region, float]] = {}

    def round(self, examples: Sequence[Region], most: int) -> list[Candidate]:
        """What a rule made of these examples finds, the likest first."""
        self._answer = self._features.apply(self._rule(examples))
        self._alike = Alike(self._features, self._answer, examples, self._area)
        return self._offered(proposed_boxes(self._answer, self._taken, self._area, most), self.known)

    def rest(self, found: Sequence[Candidate], most: int) -> list[Candidate]:
        """What the same rule finds beside these: an object that touched one of them stands alone now."""
        regions = [item.region for item in found if item.likeness >= 0.5]
        taken = self._taken | union(regions, self._taken.shape)
        boxes = proposed_boxes(self._answer, taken, self._area, most)
        return self._offered([box for box in boxes if box not in self._asked], [*self.known, *regions])

    def settled(self, offered: Sequence[Candidate]) -> list[Candidate]:
        """The same, each asked for once more from a crop with the box of its own mask: an object stays what it is."""
        again = []
        for item, agreed in asked_again(self._predictor, self._image, offered, self._target):
            again += self._divided(item, agreed)
        again.sort(key=lambda item: -item.likeness)
        return distinct([item for item in again if item.likeness >= FLOOR], self.known)

    def _divided(self, item: Candidate, agreed: float) -> list[Candidate]:
        """A candidate rated; its pieces instead, where its mask falls apart at its necks into what is as like the examples."""
        whole = replace(item, likeness=self._alike.of(item.region, item.score, agreed))
        if item.region.area_px < self._area:
            return [whole]
        parts = [moved(Region.of(part), item.region) for part in split_instances(item.region.inside)]
        pieces = [
            Candidate(box_of(part), part, item.score, self._alike.of(part, item.score, agreed))
            for part in parts
            if part.area_px >= SMALLEST * self._area
        ]
        alike = np.mean([piece.likeness for piece in pieces]) if len(pieces) > 1 else 0.0
        return pieces if alike >= 0.9 * whole.likeness else [whole]

    def _offered(self, boxes: Sequence[Box], known: Sequence[Region]) -> list[Candidate]:
        self._ask([box for box in boxes if box not in self._asked])
        answers = [(box, *self._asked[box]) for box in boxes]
        rated = [Candidate(box, r, score, self._alike.of(r, score)) for box, r, score in answers if r.area_px]
        rated.sort(key=lambda item: -item.likeness)
        return distinct(without_merged([item for item in rated if item.likeness >= FLOOR / 3]), known)

    def _ask(self, boxes: Sequence[Box]) -> None:
        """Asks for boxes in the tiles that are encoded already."""
        for tile in self._features.tiles:
            (y0, y1), (x0, x1) = tile.rows, tile.columns
            mine = [b for b in boxes if y0 <= (b[1] + b[3]) / 2 < y1 and x0 <= (b[0] + b[2]) / 2 < x1]
            if mine:
                asked = [Prompt(box=box, target=self._target) for box in mine]
                found = self._predictor.decode(tile.encoded, asked)
                for i, box in enumerate(mine):
                    self._asked[box] = region_of(found, i), float(found.scores[i])

    def _rule(self, examples: Sequence[Region]) -> Rule:
        rng = np.random.default_rng(0)
        inside = union(examples, self._taken.shape)
        away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
        free, near = ~(self._taken & ~inside), away < 0.7 * self._object_px
        places = [inside, (away > 1.5) & near & free, ~near & free]
        a, *others = (self._features.at(*_some(mask, SAMPLES, rng)) for mask in places if mask.any())
        return fit_rule(a, np.concatenate(others)) if others else fit_rule(a, a)


def asked_again(
    predictor: Predictor, image: np.ndarray, offered: Sequence[Candidate], target: str | None = None
) -> Iterator[tuple[Candidate, float]]:
    """Each candidate asked for once more, from a crop that suits it, with the box of its own mask; and how well both agree.

    Args:
        predictor: The model.
        image: (H, W) or (H, W, 3) uint8.
        offered: The candidates; those of which nothing is left are passed over.
        target: What they are, as the model knows it.
    """
    boxes = [box_of(item.region) for item in offered]
    if not boxes:
        return
    found = predictor.segment(image, [Prompt(box=box, target=target) for box in boxes])
    for i, item in enumerate(offered):
        region = main_part(region_of(found, i))
        if region.area_px:
            score = float(found.scores[i])
            yield Candidate(box_of(region), region, score, item.likeness), overlap(item.region, region)


def region_of(prediction: Prediction, index: int) -> Region:
    """One mask of a prediction, without building it in the size of the image."""
    (rows, columns), inside = prediction.mask_part(index)
    part = Region.of(inside)
    return Region(columns.start + part.x0, rows.start + part.y0, part.inside, prediction.image_hw)


def main_part(region: Region) -> Region:
    """The largest connected part of a mask: crumbs are no part of an object that is offered."""
    count, parts, facts, _ = cv2.connectedComponentsWithStats(region.inside.astype(np.uint8), connectivity=4)
    if count < 3:
        return region
    return moved(Region.of(parts == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))), region)


def moved(part: Region, region: Region) -> Region:
    """What was cut out of a region's rectangle, in the region's image."""
    return Region(region.x0 + part.x0, region.y0 + part.y0, part.inside, region.image_hw)


def distinct(offered: Sequence[Candidate], known: Sequence[Region] = ()) -> list[Candidate]:
    """Those that are none of the known masks and none that comes before them."""
    kept: list[Candidate] = []
    for item in offered:
        if not any(is_same(item.region, other) for other in [*known, *(one.region for one in kept)]):
            kept.append(item)
    return kept


def without_merged(offered: Sequence[Candidate]) -> list[Candidate]:
    """Without the masks that two or more others, nearly as good and apart from one another, make up: they hold several objects."""
    kept = []
    for item in offered:
        inside: list[Region] = []
        for other in offered:
            if other.region.area_px > 0.8 * item.region.area_px or other.likeness < 0.7 * item.likeness:
                continue
            if _held(other.region, item.region) > HELD and not any(is_same(other.region, one) for one in inside):
                inside.append(other.region)
        if len(inside) < 2 or sum(one.area_px for one in inside) < 0.6 * item.region.area_px:
            kept.append(item)
    return kept


def _held(a: Region, b: Region) -> float:
    """Share of a mask that lies in another."""
    iou = overlap(a, b)
    return iou * (a.area_px + b.area_px) / (1 + iou) / max(a.area_px, 1)


def is_same(a: Region, b: Region) -> bool:
    """Whether two masks are of one object, or one is of a part of the other's."""
    return overlap(a, b) > SAME_IOU or max(_held(a, b), _held(b, a)) > HELD


def box_of(region: Region) -> Box:
    """The box around a mask; of an empty one the first pixel."""
    x0, y0, x1, y1 = region.box or (0, 0, 0, 0)
    return float(x0), float(y0), float(x1), float(y1)


def union(regions: Sequence[Region], image_hw: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: every pixel of some region."""
    mask = np.zeros(image_hw, bool)
    for region in regions:
        mask[region.window] |= region.inside
    return mask


def _some(mask: np.ndarray, most: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of some pixels of a mask."""
    places = np.flatnonzero(mask)
    chosen = places if len(places) <= most else rng.choice(places, most, replace=False)
    rows, columns = np.unravel_index(chosen, mask.shape)
    return rows, columns
