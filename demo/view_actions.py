"""What a page asks about what is shown and taken home: grey values, spacing, the model, comparing, saving."""

import base64
from typing import TYPE_CHECKING

from lite_medsam.session.lengths import checked_lengths
from lite_medsam.session.preview import previewed

from .fields import Refused, list_of, number_of, text_of, whole_of
from .seats import Seat
from .slice_pictures import values_view
from .view import checked_unit, shown_step

if TYPE_CHECKING:
    from .actions import Desk


def _look(desk: "Desk", seat: Seat, request: dict) -> dict:
    return {}


def _window(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    if request.get("centre") is None:
        session.set_window(None)
    else:
        session.set_window((number_of(request["centre"], "centre"), number_of(request.get("width"), "width")))
    seat.compared = None
    return {}


def _values(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    values = session.scan.values
    if values.ndim > (3 if session.scan.is_volume else 2):
        raise Refused("a colour picture has no other values than those that are shown")
    index = whole_of(request.get("slice", 0), "slice")
    return values_view(session, index, shown_step(session.image_hw), seat.value_range)


def _preview(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    x, y = number_of(request.get("x"), "x"), number_of(request.get("y"), "y")
    index, target = whole_of(request.get("slice", 0), "slice"), request.get("object")
    target = None if target is None else whole_of(target, "object")
    positive, exact = request.get("positive") is not False, request.get("exact") is True
    region = previewed(session, x, y, positive, index, target, exact)
    return {"mask": None if region is None else region.runs(shown_step(session.image_hw))}


def _lengths(desk: "Desk", seat: Seat, request: dict) -> dict:
    session = desk.session_of(seat)
    session.measure(checked_lengths(request.get("lengths"), session.slices, session.image_hw))
    return {}


def _spacing(desk: "Desk", seat: Seat, request: dict) -> dict:
    from lite_medsam.cases.fields import checked_spacing

    session = desk.session_of(seat)
    values = request.get("mm")
    if values is None:
        session.spacing_mm = session.scan.spacing_mm
    else:
        sizes = [number_of(v, "spacing") for v in list_of(values, "mm", 3)]
        count = 3 if session.scan.is_volume and len(sizes) != 2 else 2  # two of a volume: the slice distance is unknown
        session.spacing_mm = checked_spacing(sizes, count)
    return {}


def _model(desk: "Desk", seat: Seat, request: dict) -> dict:
    model, engine = text_of(request.get("model"), "model"), text_of(request.get("engine"), "engine")
    predictor = desk.models.get(model, engine)
    if seat.session is not None:
        seat.session.set_predictor(predictor, model, engine)
    seat.model, seat.engine, seat.compared = model, engine, None
    objects = () if seat.session is None else seat.session.now.objects
    targets = (item.target for item in objects if item.target and item.target not in predictor.spec.targets)
    lost = ", ".join(dict.fromkeys(targets))
    return {"message": f"This model does not know {lost}: it is asked without, the objects keep it."} if lost else {}


def _compare(desk: "Desk", seat: Seat, request: dict) -> dict:
    from .comparing import compare

    session = desk.session_of(seat)
    model, engine = text_of(request.get("model"), "model"), text_of(request.get("engine"), "engine")
    index = whole_of(request.get("slice", 0), "slice")
    seat.compared = compare(session, desk.models.get(model, engine), model, engine, index)
    return {"message": "Left this model, right the other one."}


def _end_compare(desk: "Desk", seat: Seat, request: dict) -> dict:
    seat.compared = None
    return {}


def _save(desk: "Desk", seat: Seat, request: dict) -> dict:
    from .saving import save

    session = desk.session_of(seat)
    index, look = whole_of(request.get("slice", 0), "slice"), request.get("look")
    what, unit = text_of(request.get("what", "zip"), "what"), checked_unit(request.get("unit"))
    name, data = save(session, index, what, unit, look if isinstance(look, dict) else None)
    return {"file": {"name": name, "data": base64.b64encode(data).decode()}}


VIEW_OPERATIONS = {
    "look": _look,
    "window": _window,
    "values": _values,
    "preview": _preview,
    "lengths": _lengths,
    "spacing": _spacing,
    "model": _model,
    "compare": _compare,
    "endcompare": _end_compare,
    "save": _save,
}
