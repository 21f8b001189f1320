"""What the page is told after each request: the picture when it changed, objects, masks, measurements, timings."""

import numpy as np

from lite_medsam.prompts.vocabulary import by_modality
from lite_medsam.results import readable
from lite_medsam.results.dicom_seg import lack_of
from lite_medsam.results.measurements import UNITS, fluid, is_fluid
from lite_medsam.results.overlay import PALETTE
from lite_medsam.results.score_words import score_words
from lite_medsam.segment.region import Region
from lite_medsam.session.interactive import Session
from lite_medsam.session.state import ObjectState
from lite_medsam.volumes.reasons import in_words

from .lanes import lane_of, to_look_at
from .slice_pictures import data_url, shown_smaller
from .top_view import has_top_view, runs_upwards, scale_view, top_view

MAX_SHOWN_SIDE = 4096  # larger pictures are shown smaller; prompts and results keep the full resolution


def picture_key(seat, index: int) -> str:
    """Names what the canvas shows, so that a picture is sent once."""
    return f"{seat.opened}.{seat.session.version}.{index}"


def shown_step(image_hw: tuple[int, int]) -> int:
    """Image pixels per shown pixel."""
    return max(1, -(-max(image_hw) // MAX_SHOWN_SIDE))


def view_of(seat, index: int, have: str | None, unit: str = "mm") -> dict:
    """Everything that the page shows for one slice.

    Args:
        seat: Whose view.
        index: The slice.
        have: The key of the picture that the page has already; its pixels are left out then.
        unit: "mm" or "um" for what is measured.
    """
    session: Session | None = seat.session
    if session is None:
        return seat_of(seat) | {"image": None, "objects": [], "selected": None, "undo": False, "redo": False}
    seconds = session.seconds
    return seat_of(seat) | {
        "image": _image(seat, session, index, have),
        "objects": [object_view(session, item, index, unit) for item in session.now.objects],
        "next": {"number": session.now.next_number, "colour": colour_of(session.now.next_number)},
        "selected": session.now.selected,
        "classes": [{"name": one.name, "colour": one.colour, "key": one.key} for one in session.now.classes],
        "class": session.now.current,
        "lengths": [one.document() for one in session.now.lengths],
        "lacks": {"dicomseg": lack_of(session.scan.dicom)},
        "undo": session.can_undo,
        "redo": session.can_redo,
        "ms": {name: round(1000 * value, 1) for name, value in seconds.items()},
        "summary": summary_of(session, index, unit),
        "compared": seat.compared,
        "stale": stale_of(session, index),
        "notice": notice_of(session),
        "to_look_at": to_look_at(session),
        "targets": by_modality(session.predictor.spec.targets, session.scan.modality),
    }


def seat_of(seat) -> dict:
    """What is there without a picture, too: the model, its engine, and what runs."""
    return {"model": seat.model, "engine": seat.engine, "job": job_of(seat)}


def notice_of(session: Session) -> str | None:
    """What is said where the last mask does not agree with the clicks that led to it."""
    if not session.missed:
        return None
    if session.missed[-1][2]:
        return "The mask does not hold the place that you clicked: click again, draw a box, or paint it."
    return "The mask still holds the place that you clicked away: click again, or erase it."


def stale_of(session: Session, index: int) -> dict:
    """How many objects have masks of another model or window: on this slice, on any, and followed ones."""
    followed = [item for item in session.now.objects if item.followed and item.followed_with != session.source]
    return {"here": len(session.stale(index)), "all": len(session.stale()), "followed": len(followed)}


def job_of(seat) -> dict | None:
    """How far a propagation is."""
    job = seat.job
    if job is None:
        return None
    return {
        "running": job.running,
        "done": job.done,
        "total": job.total,
        "message": job.message,
        "failed": job.failed,
    }


def _image(seat, session: Session, index: int, have: str | None) -> dict:
    height, width = session.image_hw
    key = picture_key(seat, index)
    scan = session.scan
    values = scan.values
    low, high = seat.value_range
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
        "voxel": voxel_axes(scan),
        "spacing_mm": None if session.spacing_mm is None else list(session.spacing_mm),
        "spacing_known": scan.spacing_mm is not None,
        "scale": scale_view(session),
        "top_view": {"upwards": runs_upwards(scan)} if has_top_view(scan) else None,
        "window": list(session.window) if session.window else None,
        "grey": grey,
        "deep": values.dtype != np.uint8,
        "range": [low, high],
        "hounsfield": scan.default_window is not None,
        "notes": list(scan.notes),
        "marked": sorted({z for item in session.now.objects for z in item.regions()}),
        "prompted": sorted({z for item in session.now.objects for z in item.answers}),
    }
    if have != key:
        image["png"] = data_url(shown_smaller(session.pixels(index), image["step"]))  # what the model sees
    if image["top_view"] and str(have).partition(".")[0] != str(seat.opened):  # sent once for a volume
        above = np.ascontiguousarray(top_view(scan))
        image["top_view"]["png"] = data_url(shown_smaller(above, shown_step((above.shape[0], above.shape[1]))))
    return image


def voxel_axes(scan) -> list[list] | None:
    """For x, y and z as shown: the axis of the file, whether it is flipped, and its last index; None of plain pictures."""
    geometry = scan.geometry
    if not scan.is_volume and geometry.is_file_order:
        return None
    columns = zip(geometry.axes[::-1], geometry.flipped[::-1], geometry.shape[::-1], strict=True)
    return [[axis, bool(flip), size - 1] for axis, flip, size in columns]


def colour_of(number: int) -> list[int]:
    """RGB of the object of a number: that of its label value in files."""
    return PALETTE[(number - 1) % len(PALETTE)].tolist()


def object_view(session: Session, item: ObjectState, index: int, unit: str) -> dict:
    """One object on one slice."""
    answer, region = item.answers.get(index), item.region(index)
    step = shown_step(session.image_hw)
    score = answer.score if answer is not None else item.scores.get(index)
    offered = () if answer is None or answer.painted is not None or len(answer.choices) < 2 else answer.choices
    choices = [
        {"score": round(choice.score, 3), "area": choice.region.area_px, "mask": choice.region.runs(step)}
        for choice in offered
    ]
    return {
        "id": item.id,
        "number": item.number,
        "colour": colour_of(item.number),
        "label": item.label,
        "hidden": item.hidden,
        "locked": item.locked,
        "name": item.name,
        "target": item.target,
        "box": None if answer is None or answer.box is None else list(answer.box),
        "points": [] if answer is None else [list(point) for point in answer.points],
        "mask": None if region is None else region.runs(step),
        "score": None if score is None or not np.isfinite(score) else round(float(score), 3),
        "words": score_words(score),
        "painted": answer is not None and answer.is_by_hand,
        "stale": answer is not None and answer.is_stale(session.source),
        "followed": answer is None and region is not None,
        "choices": choices,
        "chosen": None if answer is None or answer.painted is not None else answer.chosen,
        "slices": sorted(item.regions()),
        "ended": [end._asdict() for end in item.ended],
        "lane": lane_of(session, item) if session.scan.is_volume else None,
        "measures": measures_of(session, item, index, unit),
    }


def measures_of(session: Session, item: ObjectState, index: int, unit: str) -> list[list[str]]:
    """Name and value of what is measured of an object."""
    rows = []
    region = item.region(index)
    if region is not None and region.area_px:
        rows += [
            ["area", _area(session, region.area_px, unit)],
            ["equivalent diameter", _diameter(session, region, unit)],
        ]
        shared = [
            (other.number, common_px(region, other.region(index))) for other in session.now.objects if other is not item
        ]
        rows += [[f"of it in object {number}, too", _area(session, px, unit)] for number, px in shared if px]
    if session.scan.is_volume:
        regions = item.regions()
        voxels = sum(one.area_px for one in regions.values())
        if voxels:
            mm3 = _voxel_mm3(session)
            text = readable.pixels(voxels, "voxels") if mm3 is None else readable.volume(voxels * mm3)
            rows.append(["volume", f"{text}, {len(regions)} slice{'s' * (len(regions) != 1)}"])
        for side, end in zip(("followed down to", "followed up to"), item.ended, strict=False):
            rows.append(
                [side, in_words(end.why) if end.slice is None else f"slice {end.slice + 1}: {in_words(end.why)}"]
            )
    return rows


def common_px(region: Region, other: Region | None) -> int:
    """Pixels that two masks of a slice share."""
    if other is None or region.box is None or other.box is None:
        return 0
    (x0, y0, x1, y1), (u0, v0, u1, v1) = region.box, other.box
    if max(x0, u0) > min(x1, u1) or max(y0, v0) > min(y1, v1):
        return 0
    left, top, right, bottom = max(x0, u0), max(y0, v0), min(x1, u1) + 1, min(y1, v1) + 1
    own = region.inside[top - y0 : bottom - y0, left - x0 : right - x0]
    return int(np.count_nonzero(own & other.inside[top - v0 : bottom - v0, left - u0 : right - u0]))


def _area(session: Session, px: int, unit: str) -> str:
    if session.spacing_mm is None:
        return readable.pixels(px)
    return f"{readable.area(px * float(np.prod(session.spacing_mm[-2:])), unit)} ({readable.pixels(px)})"


def _diameter(session: Session, region: Region, unit: str) -> str:
    if session.spacing_mm is None:
        return readable.pixels(2 * float(np.sqrt(region.area_px / np.pi)))
    return readable.length(2 * float(np.sqrt(region.area_px * np.prod(session.spacing_mm[-2:]) / np.pi)), unit)


def _voxel_mm3(session: Session) -> float | None:
    spacing = session.spacing_mm
    return float(np.prod(spacing)) if spacing is not None and len(spacing) == 3 else None


def summary_of(session: Session, index: int, unit: str) -> list[list[str]]:
    """What is measured of all objects together: for OCT the fluid, of those that are named as fluid."""
    wet = [item for item in session.now.objects if is_fluid(item.name)]
    here = [item.region(index) for item in wet]
    regions = [region for region in here if region is not None and region.area_px]
    if not regions:
        return []
    sizes = fluid([_cut(region, regions) for region in regions])
    rows = [
        ["fluid area", _area(session, int(sizes["fluid_area_px"]), unit)],
        ["fluid regions", str(sizes["fluid_regions"])],
    ]
    mm3 = _voxel_mm3(session)
    if session.scan.is_volume and mm3 is not None:
        union: dict[int, np.ndarray] = {}
        for item in wet:
            for z, region in item.regions().items():
                union[z] = union[z] | region.full() if z in union else region.full()
        voxels = sum(int(np.count_nonzero(mask)) for mask in union.values())
        rows.append(["fluid volume", readable.volume(voxels * mm3)])
    return rows


def _cut(region: Region, regions: list[Region]) -> np.ndarray:
    """A region's mask on the smallest window that holds all of them."""
    boxes = np.array([one.box for one in regions])
    (x0, y0), (x1, y1) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    return region.full()[y0 : y1 + 1, x0 : x1 + 1]


def checked_unit(unit: object) -> str:
    """The unit of a request, "mm" where it names none that is known."""
    return unit if isinstance(unit, str) and unit in UNITS else "mm"
