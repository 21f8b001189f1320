"""What was said about an object on a slice, the mask that it led to, and what the model was asked with."""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.choices import Choice
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.region import Region

# x, y, 1 object or 0 background, of each click
Points = tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class Source:
    """What masks were made from: the model's picture, and the model.

    Attributes:
        window: Centre and width of the grey values that the model saw; None: all, or a picture that has no window.
        model: Its name.
        weights: Tells apart models of one name, a digest of their files.
        engine: What ran it.
    """

    window: tuple[float, float] | None
    model: str
    weights: str = ""
    engine: str = ""


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the model is asked with.

    Attributes:
        predictor: The model.
        window: Centre and width of the grey values that it sees, None: all.
        model: What the model is called where it was chosen.
        engine: What the engine is called there.
    """

    predictor: Predictor
    window: tuple[float, float] | None = None
    model: str = ""
    engine: str = ""

    @cached_property
    def source(self) -> Source:
        """The same in words, to be kept with masks."""
        spec = self.predictor.spec
        files = json.dumps(spec.files, sort_keys=True).encode()
        digest = hashlib.sha256(files).hexdigest()[:16] if spec.files else ""
        return Source(self.window, self.model or spec.name, digest, self.predictor.backend.name)


@dataclass(frozen=True, eq=False)
class Answer:
    """What was said about an object on one slice, and the mask that it led to.

    Attributes:
        box: x0, y0, x1, y1 in pixels, last pixel inside.
        points: (x, y, 1 object or 0 background).
        previous: The mask that was refined, None at the start.
        choices: What the prompts can mean; () for a mask that was painted or given.
        chosen: Index into `choices`.
        painted: The mask where it is no choice of the model: merged, split, opened, cleaned up or followed from another slice.
        added: Pixels that were painted since, over whatever the model answers; None: none.
        erased: Pixels that were erased since; None: none.
        own: Index in `choices` of what `Predictor.segment` answers; None where that was empty and is left out.
        picked: Whether the user took this choice; else it is what agrees best with the prompts.
        source: What the model was asked with, None where it was not.
    """

    box: tuple[float, float, float, float] | None = None
    points: Points = ()
    previous: Region | None = None
    choices: tuple[Choice, ...] = ()
    chosen: int = 0
    painted: Region | None = None
    added: Region | None = None
    erased: Region | None = None
    own: int | None = 0
    picked: bool = False
    source: Source | None = None

    @property
    def base(self) -> Region | None:
        """The mask under what was painted and erased; None where there is none."""
        if self.painted is not None:
            return self.painted
        return self.choices[self.chosen].region if self.choices else None

    @cached_property
    def region(self) -> Region:
        """The mask that is shown."""
        base, layers = self.base, [layer for layer in (self.added, self.erased) if layer is not None]
        if not layers:
            assert base is not None  # what is neither asked nor painted is no answer
            return base
        mask = np.zeros(layers[0].image_hw, bool) if base is None else base.full()
        if self.added is not None:
            mask[self.added.window] |= self.added.inside
        if self.erased is not None:
            mask[self.erased.window] &= ~self.erased.inside
        return Region.of(mask)

    @property
    def is_by_hand(self) -> bool:
        """Whether some of the mask is no choice of the model."""
        return self.painted is not None or self.added is not None or self.erased is not None

    @property
    def is_said(self) -> bool:
        """Whether there is a box or a click."""
        return self.box is not None or bool(self.points)

    @property
    def score(self) -> float | None:
        """The model's estimate of the mask's IoU, None where some of it is by hand."""
        return None if self.is_by_hand else self.choices[self.chosen].score

    def is_stale(self, source: Source) -> bool:
        """Whether the mask is an answer of the model to another picture, or of another model."""
        return self.painted is None and bool(self.choices) and self.source != source

    def laid_over(self, old: "Answer") -> "Answer":
        """This answer under what was painted and erased on an older one."""
        return replace(self, added=old.added, erased=old.erased)

    def said(self, name: str | None = None, target: str | None = None) -> Prompt:
        """The prompt as it was said, which the model answers in its own way."""
        previous = None if self.previous is None else self.previous.full()
        return Prompt(self.box, *xy_and_labels(self.points), previous, name, target=target)

    def prompt(self, source: Source | None, name: str | None = None, target: str | None = None) -> Prompt:
        """The prompt that `Predictor.segment` answers with exactly the mask that is shown.

        A mask that the model does not answer by itself is a final one: painted on, an alternative, or an answer of another
        model or to another picture. Box and clicks stay beside it.

        Args:
            source: What the model is asked with.
            name: Of the object.
            target: Of the object.
        """
        if not self.is_by_hand and self.chosen == self.own and self.source == source:
            return self.said(name, target)
        return replace(self.said(name, target), mask=self.region.full(), final=True)


def xy_and_labels(points: Points) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) x, y and (K,) labels of clicks, as a prompt has them."""
    return np.array([point[:2] for point in points]).reshape(-1, 2), np.array([point[2] for point in points], np.int64)
