"""The state of one client: its volume, its object, undo."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.serve.following import follow
from lite_medsam.serve.models import SharedModel
from lite_medsam.serve.planes import Planes
from lite_medsam.serve.spoken import Spoken
from lite_medsam.serve.voxels import Bounds, Voxels, hull, window
from lite_medsam.serve.wire_prompts import (
    box_on_slice,
    checked_area,
    checked_point,
    flattest_axis,
    lasso_slices,
    scribble_clicks,
)

MAX_STEPS = 30  # that can be taken back


@dataclass(frozen=True, eq=False)
class Changed:
    """What a client is told after a request.

    Attributes:
        ran: Whether something was answered or taken back.
        bounds: The part of the target buffer that is different now; None: nothing is.
        values: That part, in the buffer's type.
        stopped: Whether the time was over before the object was followed to its end.
    """

    ran: bool = False
    bounds: Bounds | None = None
    values: np.ndarray | None = None
    stopped: bool = False


class Workspace:
    """One client's volume and object. Every method leaves it as it was when it raises.

    Args:
        model: The model that all share.
        follow_seconds: An answer takes no longer than about this.
        clock: Seconds that only grow.
    """

    def __init__(self, model: SharedModel, follow_seconds: float = 40.0, clock: Callable[[], float] = time.monotonic):
        self._model, self._seconds, self._clock = model, follow_seconds, clock
        self.zooms = model.zooms
        self._closed = threading.Event()
        self._planes: Planes | None = None
        self._buffer = np.zeros((0, 0, 0), bool)  # what the client's target buffer holds
        self._dtype = np.dtype(np.uint8)
        self._spoken = Spoken.nothing((0, 0, 0))
        self._steps: deque[Spoken] = deque(maxlen=MAX_STEPS)

    @property
    def nbytes(self) -> int:
        """Bytes of the volume, the buffer and the steps."""
        planes = 0 if self._planes is None else self._planes.nbytes
        return planes + self._buffer.nbytes + sum(step.nbytes for step in (self._spoken, *self._steps))

    @property
    def has_image(self) -> bool:
        """Whether a volume was sent."""
        return self._planes is not None

    @property
    def mask(self) -> np.ndarray:
        """(X, Y, Z) bool, what the client's target buffer holds."""
        return self._buffer

    def close(self) -> None:
        """Stops what runs and forgets everything."""
        self._closed.set()
        self._planes = None
        self._buffer = np.zeros((0, 0, 0), bool)
        self._spoken = Spoken.nothing((0, 0, 0))
        self._steps.clear()

    def set_image(self, image: np.ndarray, properties: Mapping) -> None:
        """Takes a volume; all that was said before is forgotten, the target buffer is to be set anew.

        Raises:
            CaseError: As `Planes`.
        """
        planes = Planes(image, properties)
        self._planes = planes
        self._buffer = np.zeros(planes.shape, bool)
        self._dtype = np.dtype(np.uint8)
        self._restart()

    def set_target_buffer(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Notes that the client has an empty buffer of this shape and type.

        Raises:
            CaseError: If there is no volume, or it has another shape.
        """
        planes = self._need_image()
        if shape != planes.shape:
            raise CaseError(f"a target buffer must have the volume's shape {list(planes.shape)}, got {list(shape)}")
        self._buffer, self._dtype = np.zeros(planes.shape, bool), dtype

    def reset(self) -> None:
        """Forgets all that was said, for another object in the same volume; the buffer is empty then."""
        if self._planes is not None:
            self._planes.forget_turned()
        self._buffer = np.zeros(self._buffer.shape, bool)
        self._restart()

    def undo(self) -> Changed:
        """Takes the last step back."""
        if not self._steps:
            return Changed()
        self._spoken = self._steps.pop()
        return self._shown()

    def predict(self, refine: bool = False) -> Changed:
        """Answers what was said and is not answered yet.

        Args:
            refine: An initial segmentation is asked for anew.
        """
        self._need_image()
        refines = refine and self._spoken.initial is not None
        if not (self._spoken.waits or refines):
            return Changed()
        answered, stopped = self._answered(replace(self._spoken, refines=refines or self._spoken.refines))
        self._spoken = answered
        return replace(self._shown(), stopped=stopped)

    def add_box(self, coords, include: bool, run: bool) -> Changed:
        """A box on a slice of any axis: around the object, or what is not part of it.

        Raises:
            PromptError: If it is none.
        """
        shape = self._need_image().shape
        axis, index, (x0, y0, x1, y1) = box_on_slice(coords, shape, self._preferred())
        if include:
            return self._said(self._spoken.boxed(axis, index, (x0, y0, x1, y1)), run)
        area = np.zeros([size for a, size in enumerate(shape) if a != axis], bool)
        area[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = True
        return self._said(self._spoken.without(axis, {index: area}), run)

    def add_point(self, coordinates, include: bool, run: bool) -> Changed:
        """A click on the object, or where it is not.

        Raises:
            PromptError: If it lies outside.
        """
        voxel = checked_point(coordinates, self._need_image().shape)
        return self._said(self._spoken.clicked(voxel, include, self._preferred()[0]), run)

    def add_scribble(self, mask: np.ndarray, bounds, include: bool, run: bool) -> Changed:
        """A line on the object, or where it is not: clicks along it.

        Raises:
            PromptError: If the mask does not fit or is empty.
        """
        drawn, start = checked_area(mask, bounds, self._need_image().shape)
        spoken = self._spoken
        # the first scribble says which slices are looked at, the next ones are clicks on the slices that are followed
        axis = self._preferred()[0] if spoken.said else flattest_axis(drawn, self._preferred())
        for voxel in scribble_clicks(drawn, start, axis):
            spoken = spoken.clicked(voxel, include, axis)
        return self._said(replace(spoken, axis=axis), run)

    def add_lasso(self, mask: np.ndarray, bounds, include: bool, run: bool) -> Changed:
        """A rough outline of the object on a slice, or of what is not part of it.

        Raises:
            PromptError: If the mask does not fit or is empty.
        """
        shape = self._need_image().shape
        drawn, start = checked_area(mask, bounds, shape)
        axis = flattest_axis(drawn, self._preferred())
        areas = lasso_slices(drawn, start, axis, shape)
        return self._said(self._spoken.lassoed(axis, areas) if include else self._spoken.without(axis, areas), run)

    def add_initial(self, mask: np.ndarray, run: bool) -> Changed:
        """A segmentation to begin with; what was said before is forgotten, but the step can be taken back.

        Raises:
            PromptError: If it has another shape.
        """
        shape = self._need_image().shape
        if mask.shape != shape:
            raise PromptError(f"a segmentation must have the volume's shape {list(shape)}, got {list(mask.shape)}")
        initial = Voxels.of(mask > 0)
        spoken = replace(Spoken.nothing(shape), mask=initial, initial=initial, refines=run, waits=run)
        changed = self._said(spoken, run)
        if not run:
            self._buffer = initial.full()  # the client fills its own
        return changed

    # -- inside

    def _need_image(self) -> Planes:
        if self._planes is None:
            raise CaseError("a volume must be sent first, with set_image")
        return self._planes

    def _preferred(self) -> list[int]:
        """The axes: that of the last drawing, that across which the volume was scanned, the others."""
        usual = self._need_image().usual_axis
        first = usual if self._spoken.axis is None else self._spoken.axis
        return list(dict.fromkeys((first, usual, 0, 1, 2)))

    def _restart(self) -> None:
        self._spoken = Spoken.nothing(self._buffer.shape)
        self._steps.clear()

    def _said(self, spoken: Spoken, run: bool) -> Changed:
        stopped = False
        if run:
            spoken, stopped = self._answered(spoken)
        self._steps.append(self._spoken)
        self._spoken = spoken
        return replace(self._shown(), stopped=stopped) if run else Changed()

    def _answered(self, spoken: Spoken) -> tuple[Spoken, bool]:
        end = self._clock() + self._seconds

        def is_over() -> bool:
            return self._closed.is_set() or self._clock() > end

        return follow(self._model.predictor(self.zooms), self._need_image(), spoken, is_over)

    def _shown(self) -> Changed:
        """Brings the buffer up to date; the part that changed."""
        mask = self._spoken.mask.full()
        if mask.shape != self._buffer.shape:  # given back while it was worked on
            return Changed()
        bounds = hull(mask != self._buffer)
        self._buffer = mask
        return Changed(True, bounds, None if bounds is None else mask[window(bounds)].astype(self._dtype))
