"""One volume on the server and the labels of its objects; knows no viewer."""

import numpy as np
from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession

from lite_medsam_napari.drawing import box_of, line_of


class Editing:
    """A volume on a server.

    Args:
        url: Of the server.
        key: What the server wants to know; "" for nothing.
        volume: (Z, Y, X), or (Z, Y, X, 3) in colour.
        spacing: Voxel size in array order.

    Attributes:
        labels: (Z, Y, X) uint16, finished objects from 1 on, and the one that is worked on.
        value: Of the one that is worked on.
    """

    def __init__(self, url: str, key: str, volume: np.ndarray, spacing: tuple[float, ...] | None = None):
        image = volume[None] if volume.ndim == 3 else np.moveaxis(volume, -1, 0)
        self.labels, self.value = np.zeros(image.shape[1:], np.uint16), 1
        self._finished = self.labels.copy()
        self._session = nnInteractiveRemoteInferenceSession(url, api_key=key or None)
        try:
            given = {} if spacing is None else {"spacing": list(spacing)}
            self._session.set_image(np.ascontiguousarray(image), given)
            self._session.set_target_buffer(np.zeros(self.labels.shape, np.uint8))
        except BaseException:
            self.close()
            raise

    def box(self, corners: np.ndarray, include: bool = True) -> None:
        """A rectangle around the object, see `drawing.box_of`."""
        self._session.add_bbox_interaction(box_of(corners, self.labels.shape), include)
        self._show()

    def click(self, point: np.ndarray, include: bool = True) -> None:
        """A click on the object, or where it is not."""
        self._session.add_point_interaction([round(float(v)) for v in point], include)
        self._show()

    def scribble(self, path: np.ndarray, include: bool = True) -> None:
        """A line on the object, or where it is not, see `drawing.line_of`."""
        mask, bounds = line_of(path, self.labels.shape)
        self._session.add_scribble_interaction(mask, include, interaction_bbox=bounds)
        self._show()

    def undo(self) -> bool:
        """Takes the last prompt back; whether there was one."""
        done = self._session.undo()
        self._show()
        return done

    def next_object(self) -> None:
        """Keeps the object and starts another one."""
        if self._session.target_buffer.any():
            self._finished, self.value = self.labels.copy(), self.value + 1
        self._session.reset_interactions()

    def close(self) -> None:
        """Gives the place on the server back."""
        self._session.close()

    def _show(self) -> None:
        # in place, so that a viewer's layer shows the same array
        np.copyto(
            self.labels, np.where((self._session.target_buffer > 0) & (self._finished == 0), self.value, self._finished)
        )
