"""Prompts on the other two planes of a volume: answered there, and drawn into the masks of the slices."""

from dataclasses import replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_set import Prompt, validate
from lite_medsam.segment.choices import Choice
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer
from lite_medsam.session.asking import agreement, asked
from lite_medsam.session.interactive import MAX_POINTS, Session
from lite_medsam.session.state import ObjectState
from lite_medsam.volumes.planes import Plane, Squared, planes_of


class PlanePrompts:
    """Boxes and clicks of a session's objects on pictures across the rows and the columns of a volume.

    The model is asked with that picture, its pixels made square. The mask becomes part of the object's masks on all slices
    that nothing was said on, so that it is shown, followed, measured and saved as they are. A picture is named by the axis
    of the array that it lies across, 1 for rows and 2 for columns, and its index along that.

    Args:
        session: Of a volume.

    Raises:
        PromptError: If it is a picture.
    """

    def __init__(self, session: Session):
        if not session.scan.is_volume:
            raise PromptError("a picture has one plane; open a volume")
        self.session = session
        self.shape = (session.slices, *session.image_hw)
        self.planes = planes_of(session.scan.geometry, session.scan.modality)

    def picture(self, axis: int, index: int) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8 as it is shown; a view."""
        return self._plane(axis, index).picture(self.session.volume(), index)

    def region(self, item: ObjectState, axis: int, index: int) -> Region:
        """An object on a picture; empty where it is not."""
        return self._plane(axis, index).region(item.regions(), index, self.shape)

    def draw_box(self, box, axis: int, index: int, object_id: int | None = None, new: bool = False) -> None:
        """Draws the box of an object on a picture; its clicks there stay.

        Args:
            box: x0, y0, x1, y1 in pixels of the picture, last pixel inside.
            axis: 1 or 2.
            index: Along it.
            object_id: None for the selected object; the first one is made when there is none.
            new: It is the box of a new object.
        """
        image_hw = self._plane(axis, index).shape_hw(self.shape)
        checked = validate(Prompt(box=box), image_hw).box
        item = self.session.new_object() if new else self.session.object_to_change(object_id)
        old = item.planes.get((axis, index), Answer())
        self._store(item, axis, index, self._asked(item, axis, index, replace(old, box=checked, previous=None), 0))

    def click(self, x: float, y: float, positive: bool, axis: int, index: int, object_id: int | None = None) -> None:
        """Clicks on the object, or where it is not; its mask on the picture is refined."""
        item = self.session.object_to_change(object_id)
        old = item.planes.get((axis, index), Answer())
        before = self.region(item, axis, index)
        if len(old.points) >= MAX_POINTS:
            raise PromptError(f"an object must have at most {MAX_POINTS} clicks on a picture; clear it and start again")
        points = (*old.points, (float(x), float(y), int(positive)))
        said = replace(old, points=points, previous=before if before.area_px else None)
        self._store(item, axis, index, self._asked(item, axis, index, said, 1))

    def remove_point(self, number: int, axis: int, index: int, object_id: int | None = None) -> None:
        """Takes one click back; with the last one that says where the object is goes its mask on the picture."""
        item = self.session.object_to_change(object_id)
        old = item.planes.get((axis, index), Answer())
        if not 0 <= number < len(old.points):
            raise PromptError(f"a click must be one of the {len(old.points)}, got number {number}")
        left = replace(old, points=old.points[:number] + old.points[number + 1 :], previous=None)
        if left.box is not None or any(label for _, _, label in left.points):
            self._store(item, axis, index, self._asked(item, axis, index, left, min(1, len(left.points))))
        else:
            self._store(item, axis, index, None)

    def _plane(self, axis: int, index: int) -> Plane:
        if axis not in (1, 2) or not 0 <= index < self.shape[axis]:
            last = self.shape[axis] - 1 if axis in (1, 2) else None
            raise PromptError(
                f"a picture of another plane must lie across axis 1 or 2, from 0 to {last}, got {axis}, {index}"
            )
        return self.planes[axis]

    def _asked(self, item: ObjectState, axis: int, index: int, said: Answer, newest: int) -> Answer:
        session, squared = self.session, Squared.of(self.planes[axis], self.session.spacing_mm)
        picture = self.picture(axis, index)
        shown = replace(
            said,
            box=None if said.box is None else squared.box(said.box),
            points=tuple((*squared.point(x, y), label) for x, y, label in said.points),
            previous=None if said.previous is None else Region.of(squared.picture(said.previous.full())),
        )
        target = item.target_among(session.predictor.spec.targets)
        spent = getattr(session.predictor.backend, "spent", dict)
        spent()
        answer = asked(session.given, squared.picture(picture), target, shown, newest)
        session.seconds = spent()
        choices = tuple(
            Choice(Region.of(squared.mask(choice.region.full(), picture.shape[:2])), choice.score)
            for choice in answer.choices
        )
        answer = replace(answer, box=said.box, points=said.points, previous=said.previous, choices=choices)
        clicks = said.points[len(said.points) - newest :]
        session.missed = clicks if agreement(answer.region, clicks) < 0.5 else ()
        return answer

    def _store(self, item: ObjectState, axis: int, index: int, answer: Answer | None) -> None:
        given = {key: old for key, old in item.planes.items() if key != (axis, index)}
        if answer is not None:
            given[axis, index] = answer
        image_hw = self.planes[axis].shape_hw(self.shape)
        mask = np.zeros(image_hw, bool) if answer is None else answer.region.full()
        masks = self.planes[axis].drawn(item.regions(), index, mask, self.session.image_hw)
        followed = {z: region for z, region in masks.items() if z not in item.answers}
        self.session.commit(
            self.session.now.with_object(
                replace(item, planes=given, followed=followed, followed_from=None, followed_with=self.session.source)
            )
        )
