"""What the page is told after each request: the picture when it changed, objects, masks, measurements, timings."""

import base64

import cv2
import numpy as np

from lite_medsam.interactive import ObjectState, Session
from lite_medsam.overlay import PALETTE

MAX_SHOWN_SIDE = 4096  # larger pictures are shown smaller; prompts and results keep the full resolution


def picture_key(seat, index: int) -> str:
    """Names what the canvas shows, so that a picture is sent once."""
    return f"{seat.opened}.{seat.session.version}.{index}"


def shown_step(image_hw: tuple[int, int]) -> int:
    """Image pixels per shown pixel."""
    return max(1, -(-max(image_hw) // MAX_SHOWN_SIDE))


def picture_of(pixels: np.ndarray) -> str:
    """A slice as a data URL, PNG, so that what is seen is what the model sees."""
    step = shown_step(pixels.shape[:2])
    if step > 1:
        height, width = (-(-n // step) for n in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    if pixels.ndim == 3:
        pixels = pixels[:, :, ::-1]
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return "data:image/png;base64," + base64.b64encode(data).decode()


def view_of(seat, index: int, have: str | None) -> dict:
    """Everything that the page shows for one slice.

    Args:
        seat: Whose view.
        index: The slice.
        have: The key of the picture that the page has already; its pixels are left out then.
    """
    session: Session | None = seat.session
    base = {"model": seat.model, "engine": seat.engine, "job": job_of(seat)}
    if session is None:
        return base | {"image": None, "objects": [], "selected": None, "undo": False, "redo": False}
    seconds = session.seconds
    return base | {
        "image": _image(seat, session, index, have),
        "objects": [object_view(session, item, index) for item in session.now.objects],
        "selected": session.now.selected,
        "undo": session.can_undo,
        "redo": session.can_redo,
        "ms": {name: round(1000 * value, 1) for name, value in seconds.items()},
        "summary": summary_of(session),
        "compared": seat.compared,
    }


def job_of(seat) -> dict | None:
    """How far a propagation is."""
    job = seat.job
    if job is None:
        return None
    return {"running": job.running, "done": job.done, "total": job.total, "message": job.message}


def _image(seat, session: Session, index: int, have: str | None) -> dict:
    height, width = session.image_hw
    key = picture_key(seat, index)
    scan = session.scan
    values = scan.values
    low, high = _range(scan)
    grey = values.ndim == (3 if scan.is_volume else 2)
    image = {
        "key": key,
        "opened": seat.opened,
        "name": scan.name,
        "modality": scan.modality,
        "width": width,
        "height": height,
        "step": shown_step(session.image_hw),
        "slices": session.slices,
        "slice": index,
        "volume": scan.is_volume,
        "spacing_mm": None if session.spacing_mm is None else list(session.spacing_mm),
        "spacing_known": scan.spacing_mm is not None,
        "window": list(session.window) if session.window else None,
        "grey": grey,
        "range": [low, high],
        "hounsfield": scan.default_window is not None,
        "notes": list(scan.notes),
        "marked": sorted({z for item in session.now.objects for z in item.regions()}),
        "prompted": sorted({z for item in session.now.objects for z in item.answers}),
    }
    if have != key:
        image["png"] = picture_of(session.pixels(index))
    return image


def _range(scan) -> tuple[float, float]:
    values = scan.values
    if values.dtype == np.uint8:
        return 0.0, 255.0
    sample = values[:: max(1, len(values) // 16)]
    return float(np.nanmin(sample)), float(np.nanmax(sample))


def object_view(session: Session, item: ObjectState, index: int) -> dict:
    """One object on one slice."""
    answer, region = item.answers.get(index), item.region(index)
    step = shown_step(session.image_hw)
    score = answer.score if answer is not None else item.scores.get(index)
    choices = []
    if answer is not None and len(answer.choices) > 1:
        choices = [
            {"score": round(choice.score, 3), "area": choice.region.area_px, "mask": choice.region.runs(step)}
            for choice in answer.choices
        ]
    return {
        "id": item.id,
        "name": item.name,
        "colour": [int(v) for v in PALETTE[item.colour % len(PALETTE)]],
        "box": None if answer is None or answer.box is None else list(answer.box),
        "points": [] if answer is None else [list(point) for point in answer.points],
        "mask": None if region is None else region.runs(step),
        "score": None if score is None or not np.isfinite(score) else round(float(score), 3),
        "painted": answer is not None and answer.painted is not None,
        "followed": answer is None and region is not None,
        "choices": choices,
        "chosen": None if answer is None or answer.painted is not None else answer.chosen,
        "slices": sorted(item.regions()),
        "measures": measures_of(session, item, index),
    }


def measures_of(session: Session, item: ObjectState, index: int) -> list[list[str]]:
    """Name and value of what is measured of an object."""
    region = item.region(index)
    return [["area", f"{0 if region is None else region.area_px} px"]]


def summary_of(session: Session) -> list[list[str]]:
    """What is measured of all objects together."""
    return []
