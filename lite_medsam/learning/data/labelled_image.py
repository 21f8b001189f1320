"""Labelled images in memory, with what sampling needs to know of their objects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case, load_case, slices
from lite_medsam.model.preprocessing import intensity_range
from lite_medsam.prompts.targets import Targets, target_of


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image in memory with what sampling needs to know of its objects.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        label: (H, W) integers, 0 background.
        ids: (N,) label values.
        boxes: (N, 4) x0 y0 x1 y1, last pixel inside.
        value_range: Smallest and largest value of the image.
        modality: Name of the modality.
        dataset: Name of the data set, for balance.
        name: Name of the case.
        targets: What each object is called, "" where that is unknown.
    """

    image: np.ndarray
    label: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    value_range: tuple[float, float]
    modality: str
    dataset: str
    name: str
    targets: tuple[str, ...] = ()

    @classmethod
    def from_case(cls, case: Case, names: Targets | None = None) -> "LabelledImage | None":
        """None if the case has no object.

        Args:
            case: A labelled picture.
            names: From `lite_medsam.prompts.targets.read_targets`.
        """
        from scipy import ndimage

        label = case.truth
        windows = {i: w for i, w in enumerate(ndimage.find_objects(label), 1) if w is not None}
        if not windows:
            return None
        boxes = [(w[1].start, w[0].start, w[1].stop - 1, w[0].stop - 1) for w in windows.values()]
        # names follow 2D_<modality>_<data set>_<rest>
        parts = case.name.split("_")
        return cls(
            image=np.ascontiguousarray(case.image),
            label=label,
            ids=np.array(list(windows)),
            boxes=np.array(boxes, np.float32),
            value_range=intensity_range(case.image),
            modality=case.modality or "unknown",
            dataset=parts[2] if len(parts) > 2 else "",
            name=case.name,
            targets=tuple(target_of(names or {}, case, label) for label in windows),
        )


def load_images(
    paths: Sequence[Path],
    slices_per_volume: int,
    names: Targets | None = None,
    check: Callable[[Case], None] | None = None,
) -> list[LabelledImage]:
    """All labelled 2D images of npz cases, in the order of the paths; volumes give a few of their labelled slices.

    Args:
        paths: The cases.
        slices_per_volume: At most so many.
        names: What labels are called, from `lite_medsam.prompts.targets.read_targets`.
        check: Called with each labelled case; raises if it must not be used.
    """
    images = []
    for path in paths:
        case = load_case(path)
        if case.label is None:
            continue
        if check is not None:
            check(case)
        for flat in slices(case, slices_per_volume) if case.is_volume else [case]:
            image = LabelledImage.from_case(flat, names)
            if image is not None:
                images.append(image)
    return images
