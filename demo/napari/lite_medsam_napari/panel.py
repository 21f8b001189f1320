"""The panel: buttons and layers."""

from typing import Any

import napari
from magicgui.widgets import CheckBox, Container, LineEdit, PushButton
from napari.layers import Image
from napari.utils.notifications import show_error, show_info

from lite_medsam_napari.editing import Editing


class Panel(Container):
    """Connects to a server, and sends what is drawn in its layers.

    Args:
        viewer: The viewer that it belongs to.
    """

    def __init__(self, viewer: napari.Viewer):
        self._viewer = viewer
        self._editing: Editing | None = None
        self._layers: dict[str, Any] = {}
        self._url = LineEdit(label="server", value="http://127.0.0.1:1527")
        self._key = LineEdit(label="key", value="")
        self._include = CheckBox(text="on the object (off: not part of it)", value=True)
        buttons = {
            "Open the selected image": self._open,
            "Send the drawing": self._send,
            "Undo": self._undo,
            "Next object": self._next,
        }
        widgets = [PushButton(text=text) for text in buttons]
        for widget, action in zip(widgets, buttons.values(), strict=True):
            widget.changed.connect(lambda *_, action=action: self._try(action))
        super().__init__(widgets=[self._url, self._key, widgets[0], self._include, *widgets[1:]])

    def _open(self) -> None:
        layer = self._viewer.layers.selection.active
        if not isinstance(layer, Image) or layer.ndim != 3:
            raise ValueError("select an image layer with a volume")
        if self._editing is not None:
            self._editing.close()
        self._editing = Editing(self._url.value, self._key.value, layer.data, tuple(layer.scale))
        for old in self._layers.values():
            if old in self._viewer.layers:
                self._viewer.layers.remove(old)
        place = {"scale": layer.scale, "translate": layer.translate}
        shapes = self._viewer.add_shapes(ndim=3, name="lite-medsam boxes and lines", face_color="transparent", **place)
        points = self._viewer.add_points(ndim=3, name="lite-medsam clicks", size=3, **place)
        labels = self._viewer.add_labels(self._editing.labels, name="lite-medsam labels", **place)
        points.events.data.connect(lambda event: self._try(self._clicked, event))
        shapes.mode = "add_rectangle"
        self._viewer.layers.selection.active = shapes
        self._layers = {"shapes": shapes, "points": points, "labels": labels}

    def _send(self) -> None:
        # by a button: while a rectangle is dragged, napari already tells of it
        editing, shapes = self._need(), self._layers["shapes"]
        if not len(shapes.data):
            raise ValueError("draw a rectangle or a path on a slice first")
        say = editing.box if shapes.shape_type[-1] == "rectangle" else editing.scribble
        say(shapes.data[-1], self._include.value)

    def _clicked(self, event) -> None:
        if str(event.action) in ("added", "ActionType.ADDED"):
            self._need().click(self._layers["points"].data[-1], self._include.value)

    def _undo(self) -> None:
        if not self._need().undo():
            show_info("there is nothing to take back")

    def _next(self) -> None:
        self._need().next_object()
        self._layers["shapes"].data, self._layers["points"].data = [], []

    def _need(self) -> Editing:
        if self._editing is None:
            raise ValueError("open an image first")
        return self._editing

    def _try(self, action, *given) -> None:
        try:
            action(*given)
        except Exception as error:  # whatever it is, the viewer goes on
            answer = getattr(error, "response", None)
            show_error(str(error) if answer is None else f"{error}: {answer.text[:300]}")
        if "labels" in self._layers:
            self._layers["labels"].refresh()


def make_panel(viewer: napari.Viewer) -> Panel:
    """What napari calls for the panel."""
    return Panel(viewer)
