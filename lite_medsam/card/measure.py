"""One pass over the validation cases: every run of the card, each image loaded once, each view encoded once."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lite_medsam.card.halves import Observation
from lite_medsam.card.raw_scores import RawBackend
from lite_medsam.card.refining import PLAIN, measure_refining
from lite_medsam.card.sweeps import (
    CLICK_CURVE,
    MAX_CLICKS,
    click_columns,
    moved_protocols,
    run_clicks,
    states_for_calibration,
)
from lite_medsam.cases.case import Case, slices
from lite_medsam.challenge.surface_dice import challenge_nsd
from lite_medsam.evaluation.baselines import BaselineSegmenter, ThresholdOracle
from lite_medsam.evaluation.evaluate import loaded_cases
from lite_medsam.evaluation.metrics import dice, iou, surface_dice
from lite_medsam.evaluation.object_scores import score_object
from lite_medsam.evaluation.scores import Row
from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.model.runtime import Backend
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import Prompt, Protocol, load_protocol
from lite_medsam.prompts.simulated_user import Segmenter, SimulatedUser
from lite_medsam.prompts.targets import Targets, family_of, named_prompts, target_of
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.refinement import TRIED_SCALE

BASELINES = ("box", "ellipse", "grabcut")
ORACLE = "threshold"
BOX, WHOLE = "box", "box, zoom off"  # names of runs
_SAME = ("image", "case", "dataset", "modality", "group", "label", "area_px", "area_fraction", "target", "family")


@dataclass(frozen=True)
class CardSettings:
    """How a card is measured.

    Attributes:
        zoom: The predictor's, see `Predictor`.
        refine: Likewise.
        tolerance_px: Of surface Dice.
        slices_per_volume: Labelled slices of a volume, each an image of its own.
        curves_every: Every n-th case is also prompted with moved boxes and clicks, which takes nine tenths of the time.
        groups: Patient, eye or video by case name.
        targets: Names of labels, from `read_targets`.
    """

    zoom: str = "auto"
    refine: str = "off"
    tolerance_px: float = 2.0
    slices_per_volume: int = 6
    curves_every: int = 1
    groups: Mapping[str, str] = field(default_factory=dict)
    targets: Targets = field(default_factory=dict)


@dataclass
class Measured:
    """Rows by run, and what else the pass has seen.

    Attributes:
        runs: Rows as in `results`, with `target` and `family`, by name of the run.
        observations: Scores of the network and measured IoUs.
        images: Pictures and slices with an object.
        curve_images: Those with moved boxes and clicks.
        cases: Cases seen.
        curve_cases: Those with moved boxes and clicks.
        skipped: (case, reason).
        reused: Share of views that did not have to be encoded again.
        refine_scale: From which scale on borders were refined to be compared.
    """

    runs: dict[str, list[Row]] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    images: int = 0
    curve_images: int = 0
    cases: int = 0
    curve_cases: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    reused: float = 0.0
    refine_scale: float = math.nan

    def add(self, run: str, rows: Iterable[Row]) -> None:
        self.runs.setdefault(run, []).extend(rows)


def measure(
    backend: Backend,
    cases: Iterable[Case | str | os.PathLike],
    settings: CardSettings,
    progress: Callable[[str], object] | None = None,
) -> Measured:
    """Prompts a model in every way that the card tells of.

    Args:
        backend: The engine with the model; its scores are taken without calibration.
        cases: Labelled cases, or paths of npz files, never trained on.
        settings: What to run.
        progress: Called with each case's name when it is loaded.
    """
    # moved boxes often share a view, and the protocols look at each image some forty times
    views = EncodingCache()
    raw = RawBackend(backend)
    predictors = {
        BOX: Predictor(raw, settings.zoom, views, settings.refine),
        WHOLE: Predictor(raw, "off", views, "off"),
        PLAIN: Predictor(raw, settings.zoom, views, "off"),
    }
    measured = Measured(refine_scale=backend.spec.zoom.refine_scale or TRIED_SCALE)
    for name, case in loaded_cases(cases, measured.skipped, progress):
        if name in settings.groups:
            case = replace(case, group=settings.groups[name])
        with_curves = measured.cases % settings.curves_every == 0
        measured.cases += 1
        measured.curve_cases += with_curves
        found = False
        for picture in slices(case, settings.slices_per_volume) if case.is_volume else [case]:
            found |= _measure_picture(predictors, picture, settings, with_curves, measured)
        if not found:
            measured.skipped.append((name, "no object that is large enough"))
    measured.reused = views.hits / max(1, views.hits + views.misses)
    return measured


def _measure_picture(
    predictors: Mapping[str, Predictor], case: Case, settings: CardSettings, with_curves: bool, measured: Measured
) -> bool:
    """All runs on one picture; False if it holds no object."""
    box, predictor = load_protocol("box"), predictors[BOX]
    objects = simulate_prompts(case.truth, box, case.name).objects
    if not objects:
        return False
    rows = []
    user = SimulatedUser(predictor, case.image, [prompt for _, prompt in objects])
    for (label, _), mask, score in zip(objects, user.masks, user.scores, strict=True):
        truth, target = case.truth == label, target_of(settings.targets, case, label)
        row: Row = {"image": measured.images} | score_object(case, label, truth, mask, settings.tolerance_px)
        row |= {"target": target, "family": family_of(row["modality"], target), "score": score}
        row |= {"challenge_nsd": challenge_nsd(truth, mask, settings.tolerance_px)}
        rows.append(row | {"seconds": user.seconds / len(objects)})
    measured.add(BOX, rows)
    named = [
        (label, prompt)
        for label, prompt in named_prompts(objects, case, settings.targets, predictor.spec.targets)
        if prompt.target is not None
    ]
    if named:
        same_rows = {row["label"]: row for row in rows}
        measured.add("box, unnamed", [same_rows[label] for label, _ in named])
        measured.add("box, named", _prompted(predictor, case, named, same_rows, settings.tolerance_px))
    measured.observations += [Observation("box", r["group"], r["modality"], r["score"], r["iou"]) for r in rows]

    same = {row["label"]: {name: row[name] for name in _SAME} | {"hd95": None} for row in rows}
    looks = measure_refining(predictors[PLAIN], case, objects, same, settings.tolerance_px, measured.refine_scale)
    for run, found in looks.items():
        measured.add(run, found)
    others: dict[str, Segmenter] = {WHOLE: predictors[WHOLE]}
    others |= {f"baseline {kind}": BaselineSegmenter(kind) for kind in BASELINES}
    others[f"baseline {ORACLE}"] = ThresholdOracle({str(p.name): case.truth == label for label, p in objects})
    for name, segmenter in others.items():
        measured.add(name, _boxed(segmenter, case, box, same, settings.tolerance_px))
    if with_curves:
        measured.curve_images += 1
        measured.add("box, curves", rows)
        _measure_curves(predictor, case, settings, same, measured)
    measured.images += 1
    return True


def _measure_curves(
    predictor: Predictor, case: Case, settings: CardSettings, same: Mapping[int, Row], measured: Measured
) -> None:
    for name, protocol in moved_protocols(load_protocol("box")).items():
        rows = _boxed(predictor, case, protocol, same, None)
        measured.add(name, rows)
        kind = "moved boxes"
        measured.observations += [Observation(kind, r["group"], r["modality"], r["score"], r["iou"]) for r in rows]
    for name, most in (("clicks", MAX_CLICKS), ("box+clicks", max(CLICK_CURVE))):
        protocol = replace(load_protocol(name), clicks=most)
        for run in run_clicks(predictor, case, protocol, max(CLICK_CURVE), settings.tolerance_px):
            known = same[run.label]
            measured.add(name, [known | click_columns(run, most)])
            measured.observations += [
                Observation(name, known["group"], known["modality"], state.score, state.iou)
                for state in states_for_calibration(run)
            ]


def _boxed(
    segmenter: Segmenter, case: Case, protocol: Protocol, same: Mapping[int, Row], tolerance_px: float | None
) -> list[Row]:
    """Rows of another segmenter or other boxes on the same objects; surface measures only with a tolerance."""
    return _prompted(segmenter, case, simulate_prompts(case.truth, protocol, case.name).objects, same, tolerance_px)


def _prompted(
    segmenter: Segmenter,
    case: Case,
    objects: Sequence[tuple[int, Prompt]],
    same: Mapping[int, Row],
    tolerance_px: float | None,
) -> list[Row]:
    """Rows of prompts on objects of which `same` knows what does not depend on the answer."""
    user = SimulatedUser(segmenter, case.image, [prompt for _, prompt in objects])
    rows: list[dict[str, Any]] = []
    for (label, _), mask, score in zip(objects, user.masks, user.scores, strict=True):
        truth = case.truth == label
        row = same[label] | {"dice": dice(truth, mask), "iou": iou(truth, mask), "score": score}
        if tolerance_px is not None:
            row["surface_dice"] = surface_dice(truth, mask, tolerance_px)
            row["challenge_nsd"] = challenge_nsd(truth, mask, tolerance_px)
        rows.append(row)
    return rows
