"""A volume cut into slices along any of its axes."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import stretch_to_uint8
from lite_medsam.scans.raw_values import looks_like_hounsfield
from lite_medsam.scans.scan import SOFT_TISSUE, window

_FEWER = 0.75  # an axis with at most this share of the next one's samples is the one that was scanned slice by slice
_THICKER = 1.5


class Planes:
    """A volume as the model sees it, along each axis.

    Args:
        image: (C, X, Y, Z), C 1 (grey) or 3 (colour), any number type: raw numbers, or 8-bit values, which are kept.
        properties: What the client says of it: "spacing", three numbers in array order, and "window", centre and width of
            the grey values; both may be missing. Hounsfield units are told from their range and shown in the soft tissue window.

    Raises:
        CaseError: If the image has another shape, holds NaN, or the window is none.
    """

    def __init__(self, image: np.ndarray, properties: Mapping):
        if image.ndim != 4 or image.shape[0] not in (1, 3) or not image.size:
            raise CaseError(
                f"an image must be (C, X, Y, Z), C 1 for grey or 3 for colour, and not empty, got {list(image.shape)}"
            )
        if image.dtype == np.float16:
            image = image.astype(np.float32)
        values = image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)
        given = _window_of(properties)
        if given is None and image.shape[0] == 1 and looks_like_hounsfield(values):
            given = SOFT_TISSUE
        if given is not None and not np.isfinite(values).all():
            raise CaseError("an image must not hold NaN or infinite values; replace them first")
        volume = stretch_to_uint8(values) if given is None else window(values, *given)
        self._along = {0: np.ascontiguousarray(volume)}
        self.usual_axis = _usual_axis(self.shape, properties.get("spacing"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z)."""
        x, y, z = self._along[0].shape[:3]
        return x, y, z

    @property
    def nbytes(self) -> int:
        """Bytes of the volume, once for each axis that was asked for."""
        return sum(volume.nbytes for volume in self._along.values())

    def along(self, axis: int) -> np.ndarray:
        """(D, H, W) or (D, H, W, 3) uint8: the slices across an axis; the other two keep their order."""
        if axis not in self._along:
            self._along[axis] = np.ascontiguousarray(np.moveaxis(self._along[0], axis, 0))
        return self._along[axis]

    def forget_turned(self) -> None:
        """Keeps the volume along the first axis alone."""
        self._along = {0: self._along[0]}


def _window_of(properties: Mapping) -> tuple[float, float] | None:
    given = properties.get("window")
    if given is None:
        return None
    if (
        not isinstance(given, list | tuple)
        or len(given) != 2
        or not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e30 for v in given)
    ):
        raise CaseError("window of the image properties must be two numbers, centre and width of the grey values")
    return float(given[0]), float(given[1])


def _usual_axis(shape: tuple[int, int, int], spacing) -> int:
    """The axis across which the slices were taken: the one with clearly fewer samples, else with thicker ones, else the first.

    Samples come first because clients send the spacing in either order.
    """
    fewest, next_fewest = sorted(shape)[:2]
    if fewest <= _FEWER * next_fewest:
        return shape.index(fewest)
    try:
        steps = np.asarray(spacing, np.float64)
    except (TypeError, ValueError, OverflowError):
        return 0
    if steps.shape == (3,) and np.isfinite(steps).all() and (steps > 0).all():
        thick, next_thick = np.sort(steps)[::-1][:2]
        if thick >= _THICKER * next_thick:
            return int(steps.argmax())
    return 0
