"""How good is it: a segmenter prompted over labelled cases as a protocol says, or finished segmentations."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.case import Case, load_case, slices
from lite_medsam.errors import CaseError
from lite_medsam.evaluation import scores
from lite_medsam.evaluation.columns import Columns
from lite_medsam.evaluation.object_scores import score_object
from lite_medsam.evaluation.predictions import LabelNumbers, PredictionFiles, read_prediction
from lite_medsam.evaluation.report import Evaluation
from lite_medsam.prompts.first_prompts import simulate_prompts
from lite_medsam.prompts.prompt_set import Prompt, Protocol, rng_for
from lite_medsam.prompts.simulated_user import Segmenter, SimulatedUser
from lite_medsam.prompts.targets import Targets, named_prompts


def evaluate(
    segmenter: Segmenter,
    cases: Iterable[Case | str | os.PathLike],
    protocol: Protocol,
    *,
    tolerance_px: float = 2.0,
    slices_per_volume: int = 6,
    groups: Mapping[str, str] | None = None,
    targets: Targets | None = None,
    progress: Callable[[str], object] | None = None,
    columns: Columns | None = None,
) -> Evaluation:
    """Prompts a segmenter as the protocol says and scores every object of every case.

    Volumes are scored slice by slice, on labelled slices spread evenly; each slice is an image of its own.
    With clicks, each next click lies in the middle of the largest error so far, and the mask so far goes back
    in as `Prompt.mask`; an object without an error gets no further click and keeps its scores.

    Args:
        segmenter: Its `segment(image, prompts)` gets all prompts of an image at once.
        cases: Cases, or paths of npz files, which are loaded one at a time.
        protocol: Who prompts, see `prompts.load_protocol`.
        tolerance_px: Of surface Dice, in pixels of the case's image.
        slices_per_volume: At most this many slices of a volume.
        groups: Patient, eye or video by case name, for cases that do not carry it; intervals are over groups.
        targets: What labels are called, from `targets.read_targets`: prompts say the names that the segmenter's spec knows.
            None: no prompt has a name.
        progress: Called with the name of each case when it is done (also when it was skipped).
        columns: What is added to each row.

    Returns:
        Rows and what was left out. `seconds` is the wall time of an image's `segment` calls over its objects.

    Raises:
        PromptError: If the segmenter refuses the kind of prompt (not the fault of a single case).
    """
    rows: list[scores.Row] = []
    skipped: list[tuple[str, str]] = []
    too_small = over_limit = images = named = 0
    known = known_targets(segmenter)
    for name, case in loaded_cases(cases, skipped, progress):
        if groups and name in groups:
            case = dataclasses.replace(case, group=groups[name])
        found = 0
        for image_case in slices(case, slices_per_volume) if case.is_volume else [case]:
            simulated = simulate_prompts(image_case.truth, protocol, image_case.name)
            too_small, over_limit = too_small + simulated.too_small, over_limit + simulated.over_limit
            objects = simulated.objects
            if targets is not None:
                objects = named_prompts(objects, image_case, targets, known)
                named += sum(prompt.target is not None for _, prompt in objects)
            if objects:
                for row in _score_image(segmenter, image_case, objects, protocol, tolerance_px, columns or Columns()):
                    rows.append({"image": images} | row)
                images, found = images + 1, found + 1
        if not found:
            skipped.append((name, f"no object of at least {protocol.min_area_px} pixels in the label map"))
    settings = {
        "protocol": protocol.name,
        "version": protocol.version,
        "sha256": protocol.sha256,
        "tolerance_px": tolerance_px,
        "slices_per_volume": slices_per_volume,
        **({} if targets is None else {"named_objects": named}),
    }
    return Evaluation(rows, settings, skipped, too_small, over_limit)


def known_targets(segmenter: Segmenter) -> tuple[str, ...]:
    """The names of objects that a segmenter knows; none for those without a spec, as baselines."""
    spec = getattr(segmenter, "spec", None)
    return () if spec is None else spec.targets


def evaluate_predictions(
    cases: Iterable[Case | str | os.PathLike],
    folder: str | os.PathLike,
    *,
    tolerance_px: float = 2.0,
    groups: Mapping[str, str] | None = None,
    progress: Callable[[str], object] | None = None,
    columns: Columns | None = None,
) -> Evaluation:
    """Scores finished segmentations: `segs` of <folder>/<case name>.npz, or a picture, against the case's labels.

    Each label value is an object, also one that only the prediction has (Dice 0); a note says where labels and `segs` have
    no value in common. Volumes are scored as a whole, in units of an in-plane pixel: with spacing (5, 0.8, 0.8) mm one
    slice is 6.25 px away from the next.

    Args:
        cases: Cases, or paths of npz files.
        folder: Where the segmentations are, named like the cases.
        tolerance_px: Of surface Dice, in pixels.
        groups: Group by case name, in place of the case's own.
        progress: Called with the name of each case when it is done (also when it was skipped).
        columns: What is added to each row.

    Returns:
        Rows; `score` and `seconds` are None. Missing, unreadable and wrongly shaped segmentations are in
        `skipped`.
    """
    rows: list[scores.Row] = []
    skipped: list[tuple[str, str]] = []
    images, numbers, files = 0, LabelNumbers(), PredictionFiles(folder)
    for name, case, item in _loaded(cases, skipped, progress):
        if groups and name in groups:
            case = dataclasses.replace(case, group=groups[name])
        try:
            segs = read_prediction(files.of(item))
            _check_segs(segs, case)
        except CaseError as error:
            skipped.append((name, str(error)))
            continue
        numbers.add(name, case.truth, segs)
        labels = np.union1d(np.unique(case.truth), np.unique(segs))
        for label in labels[labels != 0].tolist():
            masks = case.truth == label, segs == label
            row = score_object(case, label, *masks, tolerance_px) | {"score": None, "seconds": None}
            rows.append({"image": images} | row | (columns or Columns()).of_object(case, *masks))
        images += 1
        if not labels.any():
            skipped.append((name, "neither the label map nor segs holds an object"))
    settings = {"predictions": Path(folder).name, "tolerance_px": tolerance_px}
    return Evaluation(rows, settings, skipped, notes=numbers.notes())


def loaded_cases(
    cases: Iterable[Case | str | os.PathLike],
    skipped: list[tuple[str, str]],
    progress: Callable[[str], object] | None,
) -> Iterator[tuple[str, Case]]:
    """Labelled cases by name, loaded one at a time; what can't be used goes to `skipped`."""
    for name, case, _ in _loaded(cases, skipped, progress):
        yield name, case


def _loaded(
    cases: Iterable[Case | str | os.PathLike],
    skipped: list[tuple[str, str]],
    progress: Callable[[str], object] | None,
) -> Iterator[tuple[str, Case, Case | str | os.PathLike]]:
    """The same, each with what was given for it."""
    for item in cases:
        name = item.name if isinstance(item, Case) else Path(item).stem
        try:
            case = item if isinstance(item, Case) else load_case(item)
            if case.label is None:
                case.require("gts")
                raise CaseError(f"{name}: must be labelled to be scored, has no gts")
        except (CaseError, OSError, MemoryError) as error:
            skipped.append((name, " ".join(str(error).split()) or type(error).__name__))
        else:
            yield name, case, item
        if progress is not None:
            progress(name)


def _check_segs(segs: np.ndarray, case: Case) -> None:
    if segs.shape != case.truth.shape:
        raise CaseError(f"segs must have the label map's shape {case.truth.shape}, got {segs.shape}")
    if segs.dtype.kind not in "bui" or (segs.size and segs.min() < 0):
        raise CaseError(f"segs must hold integers from 0, got {segs.dtype}")


def _score_image(
    segmenter: Segmenter,
    case: Case,
    objects: Sequence[tuple[int, Prompt]],
    protocol: Protocol,
    tolerance_px: float,
    columns: Columns,
) -> list[scores.Row]:
    truths = [case.truth == label for label, _ in objects]
    user = SimulatedUser(segmenter, case.image, [prompt for _, prompt in objects])
    history: list[dict[str, Any]] = [{} for _ in objects]
    given = 0 if protocol.kind == "box+clicks" else 1  # clicks that the first prompts hold
    if protocol.corrections or protocol.kind == "clicks":
        _note(history, columns, given, truths, user.masks)
        rngs = [rng_for(protocol, f"{case.name}/clicks", label) for label, _ in objects]
        for click in range(given + 1, given + protocol.corrections + 1):
            user.correct(truths, rngs)
            _note(history, columns, click, truths, user.masks)
    seconds = user.seconds / len(objects)
    return [
        score_object(case, label, truth, mask, tolerance_px)
        | {"score": score, "seconds": seconds}
        | clicks
        | columns.of_object(case, truth, mask)
        for (label, _), truth, mask, score, clicks in zip(
            objects, truths, user.masks, user.scores, history, strict=True
        )
    ]


def _note(history: list[dict], columns: Columns, click: int, truths: list[np.ndarray], masks: list[np.ndarray]) -> None:
    for entry, truth, mask in zip(history, truths, masks, strict=True):
        entry |= columns.after_click(click, truth, mask)
