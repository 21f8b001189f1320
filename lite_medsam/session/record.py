"""A session as JSON and bytes, to be kept and opened again, with the last steps that can be taken back."""

import numpy as np

from lite_medsam.session.answer import Answer, Source
from lite_medsam.session.masks import PackedMasks
from lite_medsam.session.shown import ShownScan
from lite_medsam.session.state import ObjectState, Snapshot

KIND = "lite-medsam session"
VERSION = 1
# steps that can be taken back afterwards; fewer where their masks or slices, beside those of now, would make the record large
MAX_STEPS, MAX_STEP_BYTES, MAX_STEP_ROWS = 20, 2**20, 4000


def record_of(session: ShownScan, facts: dict, index: int) -> tuple[dict, np.ndarray]:
    """A session as a JSON document and the bytes of its masks, read by `RecordReader`.

    Args:
        session: What is to be kept.
        facts: `scan_facts` of its scan.
        index: The slice that is shown.
    """
    masks, sources = PackedMasks(), _Sources()
    given = session.given
    document = {
        "kind": KIND,
        "version": VERSION,
        "scan": facts,
        "model": given.model or given.source.model,
        "engine": given.engine or given.source.engine,
        "window": None if session.window is None else list(session.window),
        "spacing_mm": None if session.spacing_mm is None else list(session.spacing_mm),
        "slice": index,
        **_facts(session.now),
        "objects": [_object(item, masks, sources) for item in session.now.objects],
        "past": _past(session, masks, sources),
        "sources": sources.documents(),
    }
    return document, masks.array()


def _facts(snapshot: Snapshot) -> dict:
    """All of a snapshot but its objects and what the model is asked with."""
    return {
        "selected": next((item.number for item in snapshot.objects if item.id == snapshot.selected), None),
        "next_number": snapshot.next_number,
        "classes": [{"name": one.name, "colour": one.colour, "key": one.key} for one in snapshot.classes],
        "class": snapshot.current,
        "lengths": [one.document() for one in snapshot.lengths],
    }


def _past(session: ShownScan, masks: PackedMasks, sources: "_Sources") -> dict:
    """The last steps, the oldest first, back to where another model was asked.

    An object that several have is written once: they name it by its place among those of now and, after them, of `objects`.
    """
    places = {id(item): place for place, item in enumerate(session.now.objects)}
    objects: list[dict] = []
    steps: list[dict] = []
    most_bytes, rows = masks.nbytes + MAX_STEP_BYTES, 0
    for snapshot in session.past[: -MAX_STEPS - 1 : -1]:
        given = snapshot.given
        if given is None or given.predictor is not session.given.predictor:
            break
        new = [item for item in snapshot.objects if id(item) not in places]
        rows += sum(len(item.answers) + len(item.followed) for item in new)
        if rows > MAX_STEP_ROWS or masks.nbytes > most_bytes:
            break
        for item in new:
            places[id(item)] = len(places)
            objects.append(_object(item, masks, sources))
        window = None if given.window is None else list(given.window)
        steps.append({"window": window, "objects": [places[id(item)] for item in snapshot.objects], **_facts(snapshot)})
    return {"objects": objects, "steps": steps[::-1]}


def _object(item: ObjectState, masks: PackedMasks, sources: "_Sources") -> dict:
    return {
        "id": item.id,
        "number": item.number,
        "name": item.name,
        "target": item.target,
        "class": item.label,
        "hidden": item.hidden,
        "locked": item.locked,
        "answers": [_answer(z, answer, masks, sources) for z, answer in item.answers.items()],
        "followed": [
            {"slice": z, "mask": masks.put(region), "score": _number(item.scores.get(z)), "weak": item.weak.get(z)}
            for z, region in item.followed.items()
        ],
        "planes": [
            {
                "axis": axis,
                "index": index,
                "box": None if answer.box is None else list(answer.box),
                "points": [list(point) for point in answer.points],
                "mask": masks.put(answer.region),
            }
            for (axis, index), answer in item.planes.items()
        ],
        "ended": [[end.slice, end.why] for end in item.ended],
        "followed_with": sources.put(item.followed_with),
        "is_followed_from_answers": item.followed_from is item.answers,
    }


def _answer(z: int, answer: Answer, masks: PackedMasks, sources: "_Sources") -> dict:
    layers = ("previous", "painted", "added", "erased")
    given = {name: getattr(answer, name) for name in layers}
    return {
        "slice": z,
        "box": None if answer.box is None else list(answer.box),
        "points": [list(point) for point in answer.points],
        "choices": [{"mask": masks.put(one.region), "score": _number(one.score)} for one in answer.choices],
        "chosen": answer.chosen,
        "own": answer.own,
        "picked": answer.picked,
        "source": sources.put(answer.source),
        **{name: None if region is None else masks.put(region) for name, region in given.items()},
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


class _Sources:
    """What masks were made with, each once."""

    def __init__(self) -> None:
        self._found: dict[Source, int] = {}

    def put(self, source: Source | None) -> int | None:
        return None if source is None else self._found.setdefault(source, len(self._found))

    def documents(self) -> list[dict]:
        return [
            {
                "window": None if one.window is None else list(one.window),
                "model": one.model,
                "weights": one.weights,
                "engine": one.engine,
            }
            for one in self._found
        ]
