"""What is known at the end of a session about one picture or volume, for all files that are made of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.prompts.class_list import ObjectClass
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_objects import target_of_object
from lite_medsam.results.annotations import Names
from lite_medsam.scans.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Result:
    """What is known at the end of a session about one picture or volume.

    Attributes:
        image: (H, W) or (H, W, 3) uint8 RGB, or a volume with D in front.
        labels: (H, W) or (D, H, W) integers, object i has the value `number(i)`.
        prompts: One per object: `Prompt` for a picture, `VolumeObject` for a volume.
        masks: One (H, W) or (D, H, W) bool mask per object, overlaps kept; None: taken from `labels`.
        scores: The model's estimate of each object's IoU.
        spacing_mm: Pixel size in array order, None when unknown.
        spacing_origin: Where that size comes from, as `scans.scale.origin_words` says it; a column of the measurements.
        geometry: Of the scan; None leaves the NIfTI file to the spacing.
        modality: Adds the fluid summary for "OCT" where objects are named as fluid.
        name: First part of the file names; anything but letters, digits, `.`, `_` and `-` becomes `_`.
        z: The slice that is drawn of a volume; None: the one with the most labelled pixels.
        numbers: What each object is called in every file, from 1: its label value and colour; None: 1, 2, 3 and so on.
        classes: The class that each object was given, None where it was given none.
        class_list: All classes; their order is that of class numbers.
    """

    image: np.ndarray
    labels: np.ndarray
    prompts: Sequence[Any] = ()
    masks: Sequence[np.ndarray] | None = None
    scores: Sequence[float | None] | None = None
    spacing_mm: tuple[float, ...] | None = None
    geometry: Geometry | None = None
    modality: str | None = None
    name: str = "scan"
    z: int | None = None
    spacing_origin: str | None = None
    numbers: Sequence[int] | None = None
    classes: Sequence[str | None] = ()
    class_list: Sequence[ObjectClass] = ()

    def __post_init__(self):
        image, labels = np.asarray(self.image), np.asarray(self.labels)
        if labels.ndim not in (2, 3) or image.shape[: labels.ndim] != labels.shape or image.dtype != np.uint8:
            raise CaseError(
                f"image must be uint8 with labels of its size, got {image.dtype} {image.shape} and labels {labels.shape}"
            )

    @property
    def is_volume(self) -> bool:
        """Whether the labels are (D, H, W)."""
        return np.ndim(self.labels) == 3

    @property
    def names(self) -> list[str | None]:
        """The objects' names, as many as there are prompts or label values."""
        most = int(np.max(self.labels, initial=0)) if self.numbers is None else len(self.numbers)
        count = max(len(self.prompts), most)
        names = [prompt.name for prompt in self.prompts]
        return names + [None] * (count - len(names))

    @property
    def targets(self) -> list[str | None]:
        """What the objects were said to be, as many as there are names."""
        targets = [p.target if isinstance(p, Prompt) else target_of_object(p) for p in self.prompts]
        return targets + [None] * (len(self.names) - len(targets))

    @property
    def named(self) -> Names:
        """What annotations call the objects."""
        count = len(self.names)
        scores = None if self.scores is None else [*self.scores, *[None] * (count - len(self.scores))]
        listed = [one.name for one in self.class_list]
        return Names(self.names, self.targets, scores, self.numbers, self.classes, listed)

    def number(self, index: int) -> int:
        """The label value of one object."""
        return index + 1 if self.numbers is None else self.numbers[index]

    def labelled(self, index: int) -> np.ndarray:
        """(H, W) or (D, H, W) bool, what the label map holds of one object: without what others cover."""
        return np.asarray(self.labels) == self.number(index)

    def mask(self, index: int) -> np.ndarray:
        """(H, W) or (D, H, W) bool mask of one object."""
        return self.labelled(index) if self.masks is None else np.asarray(self.masks[index], bool)
