"""Models beside each other on the same boxes of the same cases: how they are run, scored, and told apart by groups."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.challenge.reference_quirks import segment_with_quirks
from lite_medsam.errors import PromptError
from lite_medsam.evaluation import scores
from lite_medsam.evaluation.evaluate import evaluate
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.runtime import Backend
from lite_medsam.model.spec import sha256_of
from lite_medsam.prompts.prompt_set import Prompt, Protocol
from lite_medsam.prompts.simulated_user import Segmenter
from lite_medsam.segment.predictor import ZOOM_MODES, Predictor

QUIRKS = "quirks"
MODES = (*ZOOM_MODES, QUIRKS)
FORMAT, VERSION = "lite-medsam-beside", 1
MEASURES = ("dice", "surface_dice")
_HOW = {"auto": "crops", "always": "crops of their own", "off": "whole image", QUIRKS: "its authors' script"}
_KEPT = ("case", "modality", "group", "label", "dice", "surface_dice", "seconds")


@dataclass(frozen=True, eq=False)
class Masks:
    """What `QuirksSegmenter` found.

    Attributes:
        stack: (N, H, W) bool.
        scores: N times NaN: the script tells none.
    """

    stack: np.ndarray
    scores: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.stack)

    def mask(self, index: int) -> np.ndarray:
        """(H, W) bool."""
        return self.stack[index]


class QuirksSegmenter:
    """LiteMedSAM as its own script runs it, as a segmenter that can be evaluated: boxes alone, no zoom.

    Each object is scored with its own mask, before the script lets later ones overwrite it.
    """

    def __init__(self, backend: Backend, cache: EncodingCache | None = None):
        self.backend, self.spec, self.cache = backend, backend.spec, cache

    def segment(self, image: np.ndarray, prompts: Sequence[Prompt]) -> Masks:
        """See `segment_with_quirks`.

        Raises:
            PromptError: If a prompt is no box.
        """
        if any(prompt.box is None for prompt in prompts):
            raise PromptError("the original script takes boxes alone, got another prompt; use a protocol with boxes")
        boxes = np.array([prompt.box for prompt in prompts], np.float64)
        stack = segment_with_quirks(self.backend, image, boxes, self.cache)
        return Masks(stack, (math.nan,) * len(prompts))


@dataclass(frozen=True, eq=False)
class Way:
    """A model and how it is run.

    Attributes:
        name: As it was asked for.
        backend: The opened model.
        mode: One of MODES.
    """

    name: str
    backend: Backend
    mode: str = "auto"

    @property
    def title(self) -> str:
        """What to call it in a table; crops go without saying for a model that was trained on them."""
        how = _HOW["off" if self.mode in ZOOM_MODES and not self.backend.spec.zoom.enabled else self.mode]
        plain = self.mode == "auto" and self.backend.spec.architecture.family == "lite-medsam"
        return self.backend.spec.name if plain else f"{self.backend.spec.name}, {how}"

    def segmenter(self, cache: EncodingCache) -> Segmenter:
        """What is evaluated; ways of one model share what was encoded."""
        return (
            QuirksSegmenter(self.backend, cache) if self.mode == QUIRKS else Predictor(self.backend, self.mode, cache)
        )

    def signature(self, protocol: Protocol) -> str:
        """Hash of all that the masks depend on besides the image."""
        spec = self.backend.spec
        zoom = asdict(spec.zoom)
        del zoom["refine_scale"]  # borders are not refined here
        facts = [spec.files, asdict(spec.preprocessing), zoom, spec.mask_threshold]
        facts += [self.mode, self.backend.name, protocol.sha256]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Ledger:
    """Scores of single cases, kept line by line, so that a long comparison can stop anywhere and go on.

    Args:
        path: JSON lines; what is not whole, as after a crash, is measured again. None keeps nothing.
    """

    def __init__(self, path: Path | None = None):
        self.path = path
        self.entries: dict[tuple[str, str], dict] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self.entries[entry["signature"], entry["case"]] = entry
                except (ValueError, KeyError, TypeError):
                    continue

    def add(self, entry: dict) -> None:
        """Keeps the scores of one case under one signature."""
        self.entries[entry["signature"], entry["case"]] = entry
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(entry))  # a new line first: the one before may be half a line


def missing(ways: Sequence[Way], cases: Sequence[Path], protocol: Protocol, ledger: Ledger) -> list[tuple[Way, Path]]:
    """What the ledger does not hold yet, case by case; a file that has changed is another case."""
    left = []
    signed = [(way, way.signature(protocol)) for way in ways]
    for case in cases:
        known = [ledger.entries.get((sign, case.stem), {}).get("sha256") for _, sign in signed]
        content = sha256_of(case) if any(known) else None
        left += [
            (way, case) for (way, _), value in zip(signed, known, strict=True) if value is None or value != content
        ]
    return left


def measure_case(way: Way, segmenter: Segmenter, case: Path, protocol: Protocol, ledger: Ledger) -> None:
    """Scores one case and keeps that.

    Args:
        way: How the model is run.
        segmenter: Its `segmenter()`, made once.
        case: npz file with labels.
        protocol: Which boxes.
        ledger: Where it is kept.
    """
    result = evaluate(segmenter, [case], protocol)
    rows = [{"image": row["image"]} | {name: row[name] for name in _KEPT} for row in result.rows]
    reasons = [reason for _, reason in result.skipped]
    entry = {"signature": way.signature(protocol), "way": way.name, "case": case.stem, "sha256": sha256_of(case)}
    ledger.add(entry | {"rows": rows, "left out": reasons})


def summarise(
    ways: Sequence[Way],
    cases: Sequence[Path],
    protocol: Protocol,
    ledger: Ledger,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The record of a finished comparison.

    Args:
        ways: The first one is what the others are compared with.
        cases: All must be in the ledger.
        protocol: As it was measured.
        ledger: The scores.
        groups: Patient, eye or video by case name, for cases that do not carry it.

    Returns:
        Per way: means and 95 % intervals over groups by modality and over modalities, and the same of the difference to
        the first way, object by object.
    """
    tables = [_rows(way, cases, protocol, ledger, groups or {}) for way in ways]
    first = tables[0]
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "protocol": protocol.name,
        "images": len({row["image"] for row in first}),
        "groups": len({row["group"] for row in first}),
        "objects": len(first),
        "left_out": sum(not ledger.entries[ways[0].signature(protocol), case.stem]["rows"] for case in cases),
        "ways": [],
    }
    for way, rows in zip(ways, tables, strict=True):
        spec = way.backend.spec
        entry = {"name": way.name, "title": way.title, "mode": way.mode, "image_size": spec.preprocessing.image_size}
        entry |= {"files": spec.files, "mean": _measures(rows, True), "modalities": _by_modality(rows)}
        if rows is not first:
            change = list(_differences(first, rows))
            entry |= {"change": _measures(change, True), "change_modalities": _by_modality(change)}
        record["ways"].append(entry)
    return record


def _rows(way: Way, cases: Sequence[Path], protocol: Protocol, ledger: Ledger, groups: Mapping) -> list[scores.Row]:
    sign, rows = way.signature(protocol), []
    for name in (case.stem for case in cases):
        for row in ledger.entries[sign, name]["rows"]:
            rows.append(row | {"image": f"{name}/{row['image']}", "group": groups.get(name, row["group"])})
    return rows


def _differences(first: list[scores.Row], rows: list[scores.Row]) -> Iterator[scores.Row]:
    for before, row in zip(first, rows, strict=True):
        assert (before["image"], before["label"]) == (row["image"], row["label"])
        yield row | {name: row[name] - before[name] for name in MEASURES}


def _by_modality(rows: list[scores.Row]) -> dict[str, dict]:
    parts = {
        name: [row for row in rows if row["modality"] == name] for name in sorted({row["modality"] for row in rows})
    }
    return {
        name: {"groups": len({row["group"] for row in part}), **_measures(part, False)} for name, part in parts.items()
    }


def _measures(rows: list[scores.Row], over_modalities: bool) -> dict[str, Any]:
    """Mean, low and high of each measure, three decimals; None for an interval of a single group."""
    table = {}
    for name in MEASURES:
        values = (scores.average(rows, name, over_modalities), *scores.interval(rows, name, over_modalities))
        table[name] = [None if math.isnan(value) else round(value, 4) for value in values]
    return table
