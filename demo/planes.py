"""The other two planes of a volume: what the page shows of them, and prompts that are drawn on them."""

from typing import TYPE_CHECKING

import numpy as np

from lite_medsam.session.planes import PlanePrompts

from .fields import Refused, list_of, number_of, text_of, whole_of
from .object_actions import on_object
from .seats import Seat
from .slice_pictures import data_url, packed

if TYPE_CHECKING:
    from .actions import Desk


def _planes(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    if not session.scan.is_volume:
        raise Refused("a picture has one plane; open a volume")
    at = [whole_of(value, "at") for value in list_of(request.get("at"), "at", 3)]
    if len(at) != 3:
        raise Refused("at must be x, y and z of a voxel")
    have = {text_of(key, "have") for key in list_of(request.get("have", []), "have", 2) if key is not None}
    prompts = PlanePrompts(session)
    deep = request.get("values") is True and session.scan.values.ndim == 3
    return {"planes": [plane_view(seat, prompts, axis, at[2 - axis], have, deep) for axis in (1, 2)]}


def plane_view(seat: Seat, prompts: PlanePrompts, axis: int, index: int, have: set[str], deep: bool) -> dict:
    """One picture across rows (axis 1) or columns (axis 2), with all objects on it.

    Args:
        seat: Whose.
        prompts: Of its session.
        axis: Of the array.
        index: Along it.
        have: Keys of pictures that the page has already.
        deep: The values themselves, packed, in place of what the model sees.
    """
    session, plane = prompts.session, prompts.planes[axis]
    picture = prompts.picture(axis, index)
    height, width = picture.shape[:2]
    spacing = session.spacing_mm
    key = f"{seat.opened}.{session.version}.{axis}.{index}{'.values' if deep else ''}"
    shown = {
        "key": key,
        "opened": seat.opened,
        "name": plane.name,
        "axis": axis,
        "index": index,
        "count": prompts.shape[axis],
        "width": width,
        "height": height,
        "rows": [plane.rows, plane.upside_down],
        "columns": [plane.columns, plane.mirrored],
        "um": None,
        "objects": [_object_view(prompts, item, axis, index) for item in session.now.objects],
    }
    if spacing is not None and len(spacing) == 3:
        shown["um"] = {"x": 1000 * spacing[plane.columns], "y": 1000 * spacing[plane.rows]}
    if key not in have and deep:
        codes, shown["low"], shown["step"] = packed(plane.picture(session.scan.values, index), seat.value_range)
        shown["png"] = data_url(codes)
    elif key not in have:
        shown["png"] = data_url(np.ascontiguousarray(picture))
    return shown


def _object_view(prompts: PlanePrompts, item, axis: int, index: int) -> dict:
    region, answer = prompts.region(item, axis, index), item.planes.get((axis, index))
    return {
        "id": item.id,
        "mask": region.runs() if region.area_px else None,
        "box": None if answer is None or answer.box is None else list(answer.box),
        "points": [] if answer is None else [list(point) for point in answer.points],
    }


def _place(request: dict) -> tuple[int, int]:
    return whole_of(request.get("axis"), "axis"), whole_of(request.get("index"), "index")


def _box(session, request, index, target):
    box = [number_of(value, "box") for value in list_of(request.get("box"), "box", 4)]
    PlanePrompts(session).draw_box(box, *_place(request), target, request.get("new") is True)


def _click(session, request, index, target):
    x, y = number_of(request.get("x"), "x"), number_of(request.get("y"), "y")
    PlanePrompts(session).click(x, y, request.get("positive") is not False, *_place(request), target)


def _unclick(session, request, index, target):
    PlanePrompts(session).remove_point(whole_of(request.get("number"), "number"), *_place(request), target)


PLANE_OPERATIONS = {
    "planes": _planes,
    "planebox": on_object(_box),
    "planeclick": on_object(_click),
    "planeunclick": on_object(_unclick),
}
