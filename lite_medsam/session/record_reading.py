"""A record of a session, checked on its way in: it may come from a stranger."""

from typing import Any

from lite_medsam.errors import PromptError
from lite_medsam.prompts.class_list import MAX_CLASSES, ObjectClass, class_list
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.choices import MAX_CHOICES, Choice
from lite_medsam.session.answer import Answer, Source
from lite_medsam.session.lengths import read_lengths
from lite_medsam.session.masks import UnpackedMasks
from lite_medsam.session.record import KIND, MAX_STEPS, VERSION
from lite_medsam.session.state import MAX_NAME, ObjectState, Snapshot
from lite_medsam.storage.strict_json import Checker
from lite_medsam.volumes.planes import planes_of
from lite_medsam.volumes.prediction import Ending

MAX_OBJECTS = 1000
MAX_POINTS = 10_000
MAX_NUMBER = 10**6
_WORD = 200  # characters of a model's name and the like


class RecordReader:
    """A record that was checked on its way in.

    Args:
        document: What `record_of` gave, or JSON made of it.
        masks: Its bytes.
        scan: What it must be a record of.
        where: What messages call it.

    Attributes:
        window, spacing_mm, slice: As in the record.

    Raises:
        PromptError: If it is none, is of another version or another scan, or a part of it is not valid.
    """

    def __init__(self, document: Any, masks: Any, scan: Scan, where: str = "the session"):
        check = self._check = Checker(where, PromptError)
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise check.fail("it", "be a session that was saved here")
        if document.get("version") != VERSION:
            raise check.fail("version", f"be {VERSION}; a newer program may read it", document.get("version"))
        known = ("kind", "version", "scan", "model", "engine", "window", "spacing_mm", "slice", "selected")
        self._document = check.mapping(
            document, "", (*known, "next_number", "classes", "class", "objects", "sources"), ("lengths", "past")
        )
        shape = check.mapping(document["scan"], "scan", ("name", "shape", "values"))["shape"]
        if shape != list(scan.label_shape):
            raise check.fail("scan", f"have the shape of what is open, {list(scan.label_shape)}", str(shape))
        height, width = scan.label_shape[-2:]
        self._hw = height, width
        self._depth = scan.label_shape[0] if scan.is_volume else 1
        self._planes_of = planes_of(scan.geometry, scan.modality)
        self._masks = UnpackedMasks(check, masks, self._hw)
        self._sources = [
            self._source(one, f"sources[{i}]") for i, one in enumerate(check.array(document["sources"], "sources"))
        ]
        self.window = self._window(document["window"], "window")
        self.spacing_mm = self._spacing(document["spacing_mm"])
        self.slice = check.integer(document["slice"], "slice", 0, self._depth - 1)

    def objects(self) -> tuple[ObjectState, ...]:
        """The objects; they keep their ids, so that what a page has on its way is about the same ones."""
        check = self._check
        items = check.array(self._document["objects"], "objects", maximum=MAX_OBJECTS)
        return tuple(self._object(item, f"objects[{i}]") for i, item in enumerate(items))

    def steps(self) -> list[tuple[Snapshot, tuple[float, float] | None]]:
        """What was known after each step that is kept, with its window; the oldest first, the present one last."""
        check, objects = self._check, self.objects()
        past = self._document.get("past", {"objects": [], "steps": []})
        check.mapping(past, "past", ("objects", "steps"))
        older = check.array(past["objects"], "past.objects", maximum=MAX_STEPS * MAX_OBJECTS)
        pool = [*objects, *(self._object(item, f"past.objects[{i}]") for i, item in enumerate(older))]
        found = []
        for k, step in enumerate(check.array(past["steps"], "past.steps", maximum=MAX_STEPS)):
            at = f"past.steps[{k}]"
            keys = ("window", "objects", "selected", "next_number", "classes", "class", "lengths")
            step = check.mapping(step, at, keys)
            places = check.array(step["objects"], f"{at}.objects", maximum=MAX_OBJECTS)
            mine = tuple(pool[check.integer(place, f"{at}.objects", 0, len(pool) - 1)] for place in places)
            found.append((self._snapshot(step, mine), self._window(step["window"], f"{at}.window")))
        return [*found, (self._snapshot(self._document, objects), self.window)]

    def _snapshot(self, document: dict, objects: tuple[ObjectState, ...]) -> Snapshot:
        """The objects, which of them is selected, the number of the next one, the classes and lengths."""
        check = self._check
        if min(len({item.number for item in objects}), len({item.id for item in objects})) != len(objects):
            raise check.fail("objects", "have a number and an id of its own each")
        highest = max((item.number for item in objects), default=0)
        following = check.integer(document["next_number"], "next_number", highest + 1, MAX_NUMBER)
        chosen = document["selected"]
        selected = next((item.id for item in objects if item.number == chosen), None)
        if chosen is not None and selected is None:
            raise check.fail("selected", "be the number of an object", chosen)
        found = check.array(document["classes"], "classes", maximum=MAX_CLASSES)
        entries = [check.mapping(one, f"classes[{i}]", ("name", "colour", "key")) for i, one in enumerate(found)]
        classes = self._classes(entries)
        current = document["class"]
        named = {None, *(one.name for one in classes)}
        if not isinstance(current, (str, type(None))) or {current, *(item.label for item in objects)} - named:
            raise check.fail("classes", "hold every class that is named")
        lengths = read_lengths(document.get("lengths", []), check, self._depth, self._hw)
        return Snapshot(objects, selected, following, classes=classes, current=current, lengths=lengths)

    def _classes(self, entries: list[dict]) -> tuple[ObjectClass, ...]:
        try:
            return class_list(entries) if entries else ()
        except PromptError as error:
            raise PromptError(f"{self._check.source}: classes: {error}") from None

    def _object(self, item: Any, place: str) -> ObjectState:
        check = self._check
        required = (
            "id",
            "number",
            "name",
            "target",
            "class",
            "hidden",
            "locked",
            "answers",
            "followed",
            "ended",
            "followed_with",
        )
        item = check.mapping(item, place, (*required, "is_followed_from_answers"), ("planes",))
        answers = dict(
            self._answer(one, f"{place}.answers[{k}]") for k, one in enumerate(self._rows(item, place, "answers"))
        )
        followed, scores, weak = {}, {}, {}
        for k, one in enumerate(self._rows(item, place, "followed")):
            at = f"{place}.followed[{k}]"
            one = check.mapping(one, at, ("slice", "mask", "score", "weak"))
            z = self._slice(one["slice"], f"{at}.slice")
            followed[z], scores[z] = self._masks.get(one["mask"], f"{at}.mask"), self._score(one["score"], at)
            if one["weak"] is not None:
                weak[z] = check.text(one["weak"], f"{at}.weak", _WORD)
        is_current = self._flag(item["is_followed_from_answers"], f"{place}.is_followed_from_answers")
        return ObjectState(
            check.integer(item["id"], f"{place}.id", 1, MAX_NUMBER),
            check.text(item["name"], f"{place}.name", MAX_NAME),
            answers,
            followed,
            scores,
            None if item["target"] is None else check.text(item["target"], f"{place}.target", _WORD),
            self._ended(item["ended"], f"{place}.ended"),
            check.integer(item["number"], f"{place}.number", 1, MAX_NUMBER),
            self._flag(item["hidden"], f"{place}.hidden"),
            self._flag(item["locked"], f"{place}.locked"),
            self._source_of(item["followed_with"], f"{place}.followed_with"),
            answers if is_current else None,
            weak,
            None if item["class"] is None else check.text(item["class"], f"{place}.class", MAX_NAME),
            self._planes(item.get("planes", []), f"{place}.planes"),
        )

    def _planes(self, value: Any, place: str) -> dict[tuple[int, int], Answer]:
        """What was said on other planes, its masks as if they were painted."""
        check, found = self._check, {}
        shape = (self._depth, *self._hw)
        for k, item in enumerate(check.array(value, place, maximum=sum(shape))):
            at = f"{place}[{k}]"
            item = check.mapping(item, at, ("axis", "index", "box", "points", "mask"))
            axis = check.integer(item["axis"], f"{at}.axis", 1, 2)
            index = check.integer(item["index"], f"{at}.index", 0, shape[axis] - 1)
            image_hw = self._planes_of[axis].shape_hw(shape)
            mask = self._masks.get(item["mask"], f"{at}.mask", image_hw)
            box, points = self._box(item["box"], f"{at}.box", image_hw), self._points(item["points"], at, image_hw)
            found[axis, index] = Answer(box, points, painted=mask)
        return found

    def _answer(self, item: Any, place: str) -> tuple[int, Answer]:
        check = self._check
        required = ("slice", "box", "points", "choices", "chosen", "own", "picked", "source")
        layers = ("previous", "painted", "added", "erased")
        item = check.mapping(item, place, (*required, *layers))
        choices = []
        for k, one in enumerate(check.array(item["choices"], f"{place}.choices", maximum=MAX_CHOICES)):
            one = check.mapping(one, f"{place}.choices[{k}]", ("mask", "score"))
            region = self._masks.get(one["mask"], f"{place}.choices[{k}].mask")
            choices.append(Choice(region, self._score(one["score"], f"{place}.choices[{k}]")))
        last = max(0, len(choices) - 1)
        regions = {name: self._masks.get(item[name], f"{place}.{name}") for name in layers if item[name] is not None}
        if not choices and not regions.keys() & {"painted", "added", "erased"}:
            raise check.fail(place, "have a mask")
        return self._slice(item["slice"], f"{place}.slice"), Answer(
            box=self._box(item["box"], f"{place}.box", self._hw),
            points=self._points(item["points"], place, self._hw),
            choices=tuple(choices),
            chosen=check.integer(item["chosen"], f"{place}.chosen", 0, last),
            own=None if item["own"] is None else check.integer(item["own"], f"{place}.own", 0, last),
            picked=self._flag(item["picked"], f"{place}.picked"),
            source=self._source_of(item["source"], f"{place}.source"),
            **regions,
        )

    def _rows(self, item: dict, place: str, name: str) -> list:
        rows = self._check.array(item[name], f"{place}.{name}", maximum=self._depth)
        slices = [row.get("slice") for row in rows if isinstance(row, dict)]
        if len(set(map(str, slices))) != len(slices):
            raise self._check.fail(f"{place}.{name}", "have each slice once")
        return rows

    def _slice(self, value: Any, place: str) -> int:
        return self._check.integer(value, place, 0, self._depth - 1)

    def _points(self, value: Any, place: str, image_hw: tuple[int, int]) -> tuple[tuple[float, float, int], ...]:
        points = []
        for k, row in enumerate(self._check.array(value, f"{place}.points", maximum=MAX_POINTS)):
            at = f"{place}.points[{k}]"
            x, y, label = self._check.array(row, at, 3)
            points.append((*self._place(x, y, at, image_hw), self._check.integer(label, at, 0, 1)))
        return tuple(points)

    def _place(self, x: Any, y: Any, place: str, image_hw: tuple[int, int]) -> tuple[float, float]:
        (height, width), number = image_hw, self._check.number
        return number(x, place, -0.5, width - 0.5), number(y, place, -0.5, height - 0.5)

    def _box(self, value: Any, place: str, image_hw: tuple[int, int]) -> tuple[float, float, float, float] | None:
        if value is None:
            return None
        x0, y0, x1, y1 = self._check.array(value, place, 4)
        (x0, y0), (x1, y1) = self._place(x0, y0, place, image_hw), self._place(x1, y1, place, image_hw)
        if x0 > x1 or y0 > y1:
            raise self._check.fail(place, "have x0 <= x1 and y0 <= y1", value)
        return x0, y0, x1, y1

    def _score(self, value: Any, place: str) -> float:
        return float("nan") if value is None else self._check.number(value, f"{place}.score", 0, 1)

    def _flag(self, value: Any, place: str) -> bool:
        if not isinstance(value, bool):
            raise self._check.fail(place, "be true or false", value)
        return value

    def _ended(self, value: Any, place: str) -> tuple[Ending, ...]:
        rows = [self._check.array(row, place, 2) for row in self._check.array(value, place, maximum=2)]
        return tuple(
            Ending(None if z is None else self._slice(z, place), self._check.text(why, place, _WORD)) for z, why in rows
        )

    def _window(self, value: Any, place: str) -> tuple[float, float] | None:
        if value is None:
            return None
        centre, width = self._check.array(value, place, 2)
        number = self._check.number
        return number(centre, place, -1e12, 1e12), number(width, place, 1e-12, 1e12)

    def _spacing(self, value: Any) -> tuple[float, ...] | None:
        if value is None:
            return None
        sizes = self._check.array(value, "spacing_mm", maximum=3)
        if len(sizes) not in ((2, 3) if self._depth > 1 else (2,)):
            raise self._check.fail("spacing_mm", "be two or three sizes", len(sizes))
        return tuple(self._check.number(size, "spacing_mm", 1e-9, 1e6) for size in sizes)

    def _source(self, value: Any, place: str) -> Source:
        item = self._check.mapping(value, place, ("window", "model", "weights", "engine"))
        words = [item[name] for name in ("model", "weights", "engine")]
        if not all(isinstance(word, str) and len(word) <= _WORD for word in words):
            raise self._check.fail(place, "have texts")
        return Source(self._window(item["window"], place), *words)

    def _source_of(self, value: Any, place: str) -> Source | None:
        if value is None:
            return None
        return self._sources[self._check.integer(value, place, 0, len(self._sources) - 1)]
