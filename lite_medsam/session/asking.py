"""What the model answers to all that was said about an object on a slice."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.choices import Choice, choices, overlap
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer, ModelInput, Points, xy_and_labels
from lite_medsam.session.following import FollowedScan
from lite_medsam.session.state import ObjectState


def asked(given: ModelInput, pixels: np.ndarray, target: str | None, said: Answer, newest: int) -> Answer:
    """Asks the model.

    Where its answer does not agree with the newest clicks, the alternative that does and is nearest to it is chosen.

    Args:
        given: The model.
        pixels: (H, W) or (H, W, 3) uint8 of the slice.
        target: What the object is, as the model knows it.
        said: Box, clicks, and the mask to refine; what was painted over it stays.
        newest: How many clicks, from the last one back, the mask must agree with.

    Raises:
        PromptError: If the prompts do not fit the slice or the model.
    """
    mask = None if said.previous is None else said.previous.full()
    prompt = Prompt(said.box, *xy_and_labels(said.points), mask, target=target)
    found = choices(given.predictor, pixels, prompt)
    own: int | None = 0
    if not found[0].region.area_px and len(found) > 1:  # an empty mask is no choice where there are others
        found, own = found[1:], None
    chosen = nearest_agreeing(found, said.points[len(said.points) - newest :])
    return Answer(
        said.box,
        said.points,
        said.previous,
        tuple(found),
        chosen,
        added=said.added,
        erased=said.erased,
        own=own,
        source=given.source,
    )


def nearest_agreeing(found: list[Choice], points: tuple) -> int:
    """The choice that agrees with half of the clicks at least and is nearest to the first one; 0 where none agrees."""
    agreeing = [i for i, choice in enumerate(found) if agreement(choice.region, points) >= 0.5]
    if not agreeing:
        return 0
    return max(agreeing, key=lambda i: (overlap(found[0].region, found[i].region), -i))


def agreement(region: Region, points: tuple) -> float:
    """The share of clicks that a mask agrees with: it holds those on the object and not those beside it; 1 without clicks."""
    return float(np.mean([region.holds(x, y) == bool(label) for x, y, label in points])) if points else 1.0


def asked_anew(item: ObjectState, ask: Callable[[ObjectState, int, Answer], Answer], slices=None) -> ObjectState:
    """An object with answers of the model asked for again.

    What was painted stays. Where the user has taken an alternative, the mask stays and counts as painted: the alternatives of
    the new answer are others.

    Args:
        item: The object.
        ask: Asks the model with what the old answer was asked with, on a slice.
        slices: On these alone; None: on all.
    """
    answers = dict(item.answers)
    for index, old in item.answers.items():
        if not old.choices or old.painted is not None or (slices is not None and index not in slices):
            continue
        answers[index] = replace(old, painted=old.base) if old.picked else ask(item, index, old)
    return replace(item, answers=answers)


class AskedScan(FollowedScan):
    """The part of a session that asks the model.

    Attributes:
        seconds: What the model took for the last answer, where its backend is timed.
        missed: Clicks of the last answer that its mask does not agree with.
    """

    def __init__(self, predictor: Predictor, scan: Scan, model: str = "", engine: str = ""):
        super().__init__(predictor, scan, model, engine)
        self.seconds: dict[str, float] = {}
        self.missed: Points = ()

    def stale(self, index: int | None = None) -> list[ObjectState]:
        """The objects with a mask that the model has not answered as it is now, or not to the picture as it sees it now.

        Args:
            index: On this slice; None: on any.
        """
        return [item for item in self.now.objects if self._stale_slices(item, index)]

    def renew(self, index: int | None = None) -> int:
        """Asks for those masks anew, in one step; locked objects and masks by hand stay.

        Args:
            index: On this slice; None: on all that were prompted.

        Returns:
            How many objects were asked about.

        Raises:
            PromptError: If the model was not trained on the prompts that are there.
        """
        changed, count = self.now, 0
        for item in self.stale(index):
            if not item.locked:
                slices = self._stale_slices(item, index)
                changed, count = changed.with_object(asked_anew(item, self._ask_again, slices)), count + 1
        if count:
            self.commit(replace(changed, selected=self.now.selected))
        return count

    def _stale_slices(self, item: ObjectState, index: int | None) -> list[int]:
        source = self.source
        return [z for z, answer in item.answers.items() if index in (None, z) and answer.is_stale(source)]

    def _ask(self, item: ObjectState, index: int, said: Answer, newest: int = 0) -> Answer:
        pixels, target = self.pixels(index), item.target_among(self.predictor.spec.targets)
        spent = getattr(self.predictor.backend, "spent", dict)
        spent()
        answer = asked(self.given, pixels, target, said, newest)
        self.seconds = spent()
        clicks = said.points[len(said.points) - newest :]
        self.missed = clicks if agreement(answer.region, clicks) < 0.5 else ()
        return answer

    def _ask_again(self, item: ObjectState, index: int, old: Answer) -> Answer:
        return self._ask(item, index, old, min(1, len(old.points)))
