"""What a client has said of its object; all that undo brings back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import Box, Prompt
from lite_medsam.segment.region import Region
from lite_medsam.serve.voxels import Voxels
from lite_medsam.session.answer import Points, xy_and_labels
from lite_medsam.session.interactive import MAX_POINTS


@dataclass(frozen=True, eq=False)
class Said:
    """What was said on one slice.

    Attributes:
        box: x0, y0, x1, y1, last pixel inside.
        points: (x, y, 1 object or 0 background).
        previous: The mask that this refines; alone it is the answer.
    """

    box: Box | None = None
    points: Points = ()
    previous: Region | None = None

    @property
    def is_positive(self) -> bool:
        """Whether it says where the object is, beyond the mask that it refines."""
        return self.box is not None or any(label for _, _, label in self.points)

    def prompt(self, kinds: Sequence[str]) -> Prompt | None:
        """The prompt of the slice; None where nothing says yet that the object is there.

        Args:
            kinds: What the model was trained on; without "mask" a mask is told by the box around it.
        """
        xy, labels = xy_and_labels(self.points)
        shown = self.previous
        if shown is None or not shown.area_px:
            if self.is_positive:
                return Prompt(self.box, xy, labels)
            return None if shown is None else Prompt(mask=shown.full())
        if not self.points and self.box is None:
            return Prompt(mask=shown.full())
        # the box says again where the object is: from the mask alone, the model is too sure of itself to be followed
        box = self.box or _around(shown, self.points)
        mask = shown.full() if "mask" in kinds else None
        return Prompt(box if "box+points" in kinds or not self.points else None, xy, labels, mask)


@dataclass(frozen=True, eq=False)
class Spoken:
    """All that was said, and the mask that it led to. Values are never changed, so that steps can be taken back.

    Attributes:
        shape: (X, Y, Z) of the volume.
        mask: The answer to all that was answered.
        said: Axis -> slice -> what was said there.
        found: Axis -> the object as it was followed along that axis.
        axis: The axis of the box or lasso that was drawn last; None before the first.
        initial: The segmentation that the client began with.
        refines: Whether that is to be asked for anew, slice by slice.
        cut: What was taken away from objects that are followed along another axis.
        waits: Whether something was said that is not answered yet.
    """

    shape: tuple[int, int, int]
    mask: Voxels
    said: Mapping[int, Mapping[int, Said]] = field(default_factory=dict)
    found: Mapping[int, Voxels] = field(default_factory=dict)
    axis: int | None = None
    initial: Voxels | None = None
    refines: bool = False
    cut: tuple[Voxels, ...] = ()
    waits: bool = False

    @classmethod
    def nothing(cls, shape: tuple[int, int, int]) -> "Spoken":
        """The beginning."""
        return cls(shape, Voxels(shape, None, np.zeros(0, np.uint8)))

    @property
    def nbytes(self) -> int:
        """Bytes of the masks."""
        masks = [self.mask, *self.found.values(), *self.cut, *([self.initial] if self.initial else [])]
        return sum(mask.nbytes for mask in masks)

    def current(self, axis: int, index: int) -> Region | None:
        """The mask of a slice as it is now; None where it is empty."""
        known = self.mask if self.initial is not None else self.found.get(axis)
        region = None if known is None else Region.of(known.plane(axis, index))
        return region if region is not None and region.area_px else None

    def with_said(self, axis: int, changed: Mapping[int, Said]) -> "Spoken":
        """With other words on some slices of an axis."""
        said = {**self.said.get(axis, {}), **changed}
        if any(len(each.points) > MAX_POINTS for each in changed.values()):
            raise PromptError(f"a slice must have at most {MAX_POINTS} clicks; reset and start again")
        return replace(self, said={**self.said, axis: said}, waits=True)

    def boxed(self, axis: int, index: int, box: Box) -> "Spoken":
        """With a box around the object; clicks on the slice stay, a mask that was refined there does not."""
        old = self.said.get(axis, {}).get(index, Said())
        return replace(self.with_said(axis, {index: Said(box, old.points)}), axis=axis)

    def lassoed(self, axis: int, areas: Mapping[int, np.ndarray]) -> "Spoken":
        """With a rough outline of the object on one slice or several; the box around it is what the model is asked with.

        The area as a mask to refine would make the first answer so sure that the object ends too early elsewhere.
        """
        spoken = self
        for index, area in areas.items():
            box = Region.of(area).box
            if box is not None:
                spoken = spoken.boxed(axis, index, (float(box[0]), float(box[1]), float(box[2]), float(box[3])))
        return spoken

    def clicked(self, voxel: tuple[int, int, int], include: bool, axis: int) -> "Spoken":
        """With a click on the object, or where it is not.

        Args:
            voxel: Where.
            include: Whether the object is there.
            axis: Whose slices a click on the object belongs to. Where the object is not, it counts along every axis along which
                the object was found there.
        """
        there = [a for a, found in self.found.items() if found.holds(voxel)]
        spoken = self
        for a in [axis] if include or not there else there:
            index = voxel[a]
            row, column = (v for i, v in enumerate(voxel) if i != a)
            old = spoken.said.get(a, {}).get(index)
            if old is None:  # the mask that is shown there is what the user looks at and corrects
                old = Said(previous=self.current(a, index))
            points = (*old.points, (float(column), float(row), int(include)))
            spoken = spoken.with_said(a, {index: replace(old, points=points)})
        if include:
            spoken = replace(spoken, cut=tuple(part for part in spoken.cut if not part.holds(voxel)))
        return spoken

    def without(self, axis: int, areas: Mapping[int, np.ndarray]) -> "Spoken":
        """With an area taken away on one slice or several; what was said there is answered by what is left."""
        spoken = replace(self, waits=True)
        if axis in self.said or not self.said:
            left = {}
            for index, area in areas.items():
                now = self.current(axis, index)
                if now is not None:
                    left[index] = Said(previous=Region.of(now.full() & ~area))
            spoken = spoken.with_said(axis, left)
        if any(other != axis for other in self.said):
            taken = np.zeros(self.shape, bool)
            planes = np.moveaxis(taken, axis, 0)
            for index, area in areas.items():
                planes[index] = area
            spoken = replace(spoken, cut=(*spoken.cut, Voxels.of(taken)))
        return spoken

    def answered(self, mask: Voxels, found: Mapping[int, Voxels], initial: Voxels | None) -> "Spoken":
        """With its answer."""
        return replace(self, mask=mask, found=found, initial=initial, refines=False, waits=False)


def _around(region: Region, points: Points) -> Box:
    """The box around a mask and the clicks on the object."""
    x0, y0, x1, y1 = region.box or (0, 0, 0, 0)
    inside = [(x, y) for x, y, label in points if label]
    columns, rows = [x0, x1, *(x for x, _ in inside)], [y0, y1, *(y for _, y in inside)]
    return float(min(columns)), float(min(rows)), float(max(columns)), float(max(rows))
