"""What `lite-medsam quantify` does with each scan: read, segment where asked, measure, and measure again for the spread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.inputs import are_of_volume, given_objects
from lite_medsam.jobs.listing import INPUT_SUFFIXES, SHARED_SUFFIXES, Job
from lite_medsam.jobs.naming import stem_of
from lite_medsam.prompts.prompt_object import Prompt, corners_of
from lite_medsam.prompts.volume_objects import VolumeObject, seeds_from_boxes
from lite_medsam.quantities.layers import segment_layers_through
from lite_medsam.quantities.measure import MeasureOptions, measure_scan, with_label
from lite_medsam.quantities.names import parse_names
from lite_medsam.quantities.reading import LabelledScan, read_labelled
from lite_medsam.quantities.report_html import ScanReport
from lite_medsam.quantities.spread import Objects, Spread, prompt_spread, segment_objects
from lite_medsam.quantities.visits import Visit, checked_date
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.tables import read_table

TABLE_COLUMNS = ("file", "masks", "labels", "group", "eye", "visit", "spacing_um", "fovea", "first_b_scan")
DUKE_LAYERS = (
    "retinal nerve fibre layer", "ganglion cell and inner plexiform layer", "inner nuclear layer", "outer plexiform layer",
    "outer nuclear layer and inner segments", "inner segment ellipsoid", "outer segments to retinal pigment epithelium",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One scan and what the user says of it; None: as the file says.

    Attributes:
        path: The scan, or its labels alone.
        masks: Labels of the scan, or the folder they are in.
        names: Of label values.
        group: The person; the scan's own name where it is not said.
        eye: "R" or "L".
        visit: YYYY-MM-DD.
        spacing_um: Voxel size in array order.
        fovea: (z, x).
        first_b_scan: "superior" or "inferior".
        name: What the scan is called in results; that of its file where it is not said.
    """

    path: Path
    masks: Path | None = None
    names: Mapping[int, str] | None = None
    group: str | None = None
    eye: str | None = None
    visit: str | None = None
    spacing_um: tuple[float, ...] | None = None
    fovea: tuple[float, float] | None = None
    first_b_scan: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Asking:
    """What is asked of the model.

    Attributes:
        predictor: The model.
        prompts: A prompt file; None: the boxes of the case.
        spread: Sets of jittered prompts; 0 for none.
        jitter: Largest move of an edge as a share of the box.
        seed: Of the moves.
        layers: x0 y0 x1 y1 around the retina on the middle B-scan, to segment all its layers; None: not.
        coordinates: What the numbers of prompts count, "voxel" or "display".
    """

    predictor: Predictor
    prompts: Path | None = None
    spread: int = 0
    jitter: float = 0.05
    seed: int = 0
    layers: tuple[float, ...] | None = None
    coordinates: str = "voxel"


def inputs_from_table(path: Path, defaults: Input) -> list[Input]:
    """A scan per row of a CSV with the column `file` and any other of `TABLE_COLUMNS`; files lie beside the table.

    Args:
        path: The table.
        defaults: What holds for rows that leave a cell empty; its path is not used.

    Raises:
        CaseError: If it is no such table or a cell is not what it must be.
    """
    table = read_table(path, ("file",))
    found = []
    for row, line in zip(table.rows, table.lines, strict=True):
        cells = {key.casefold().strip(): value for key, value in row.items()}
        try:
            found.append(_of_row(cells, path.parent, defaults))
        except CaseError as error:
            raise CaseError(f"{table.path}, line {line}: {error}") from None
    if not found:
        raise CaseError(f"{table.path}: must have a row for each scan, has none")
    return found


def _of_row(cells: Mapping[str, str], folder: Path, defaults: Input) -> Input:
    if not cells["file"]:
        raise CaseError("file must name a scan, is empty")
    said = replace(defaults, path=folder / cells["file"])
    if cells.get("masks"):
        said = replace(said, masks=folder / cells["masks"])
    if cells.get("labels"):
        said = replace(said, names=parse_names(cells["labels"]))
    if cells.get("group"):
        said = replace(said, group=cells["group"])
    if cells.get("eye"):
        said = replace(said, eye=parse_eye(cells["eye"]))
    if cells.get("visit"):
        said = replace(said, visit=checked_date(cells["visit"]))
    if cells.get("spacing_um"):
        said = replace(said, spacing_um=parse_numbers(cells["spacing_um"], "spacing_um"))
    if cells.get("fovea"):
        z, x = parse_numbers(cells["fovea"], "fovea", 2)
        said = replace(said, fovea=(z, x))
    return replace(said, first_b_scan=cells["first_b_scan"]) if cells.get("first_b_scan") else said


def named_apart(items: Sequence[Input]) -> list[Input]:
    """The scans with names of their own: that of the file, before it the folder's where files share it, else a number.

    Scans of one name would pass for one person's, and one's files for another's.
    """
    stems = [_stem(item.path) for item in items]
    names: list[str] = []
    for item, stem in zip(items, stems, strict=True):
        name = stem if stems.count(stem) == 1 else f"{item.path.absolute().parent.name}_{stem}"
        taken = [name, *(f"{name}-{k}" for k in range(2, len(items) + 1))]
        names.append(next(choice for choice in taken if choice not in names))
    return [replace(item, name=name) for item, name in zip(items, names, strict=True)]


def _stem(path: Path) -> str:
    return stem_of(path.name, (*INPUT_SUFFIXES, *SHARED_SUFFIXES)).removesuffix("_label")


def parse_eye(text: str) -> str:
    """ "R" or "L" from the ways in which an eye is written.

    Raises:
        CaseError: If it is none of them.
    """
    found = {"r": "R", "od": "R", "right": "R", "l": "L", "os": "L", "left": "L"}.get(text.strip().lower())
    if found is None:
        raise CaseError(f"eye must be R or L (OD or OS, right or left), got {text!r}")
    return found


def parse_numbers(text: str, what: str, count: int | None = None) -> tuple[float, ...]:
    """Numbers with commas (or spaces, where a table needs its commas) between them.

    Raises:
        CaseError: If there are others, or not as many as `count`.
    """
    try:
        numbers = tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        numbers = ()
    if not numbers or not np.isfinite(numbers).all() or (count is not None and len(numbers) != count):
        raise CaseError(f"{what} must be {count or 'two or three'} numbers, got {text!r}")
    return numbers


def quantify(
    item: Input, options: MeasureOptions, asking: Asking | None = None, on_done: Callable[[int], object] | None = None
) -> ScanReport:
    """Everything of one scan.

    Args:
        item: The scan.
        options: How it is measured; what `item` says wins.
        asking: The model and its prompts; None where masks are there.
        on_done: Called with how many sets of jittered prompts are done.

    Raises:
        CaseError: If something cannot be read or measured; the message names the file.
        PromptError: If a prompt does not fit.
    """
    labelled = read_labelled(item.path, item.masks, item.names, is_image=asking is not None)
    # files of the clinic have no name of their own that may be shown: results are called as the file is
    labelled = replace(labelled, scan=replace(labelled.scan, name=item.name or _stem(item.path)))
    if item.spacing_um is not None:
        labelled = replace(labelled, scan=labelled.scan.with_spacing_um(item.spacing_um))
    options = replace(
        options,
        fovea=item.fovea if item.fovea is not None else options.fovea,
        first_b_scan=item.first_b_scan or options.first_b_scan,
        laterality=item.eye or options.laterality,
    )
    labelled, objects, processing = _segmented(labelled, item, asking)
    measured = measure_scan(labelled, options)
    spread: tuple[Spread, ...] = ()
    if asking is not None and asking.spread:
        if objects is None:
            raise PromptError("the spread needs the prompts that the masks come from; give --prompts")
        spread = tuple(prompt_spread(asking.predictor, measured, objects, options, asking.spread,
                                     jitter=asking.jitter, seed=asking.seed, on_done=on_done))  # fmt: skip
    scan = labelled.scan
    eye = options.laterality or scan.laterality
    visit = Visit(item.group or scan.name, eye, item.visit or scan.visit_date, measured.quantities)
    return ScanReport(measured, visit, spread, processing)


def _segmented(
    labelled: LabelledScan, item: Input, asking: Asking | None
) -> tuple[LabelledScan, Objects | None, tuple[str, ...]]:
    """The scan with the labels that are to be measured, the prompts, and what was done."""
    if asking is None:
        return labelled, None, ()
    if asking.layers is not None:
        return _with_layers(labelled, asking), None, ()
    objects = _asked(labelled.scan, item, asking)
    if item.masks is not None:
        return (
            labelled,
            objects,
            ("the numbers are of the masks that were given, the spread is of masks from the prompts",),
        )
    label, names = segment_objects(asking.predictor, labelled.scan.to_uint8(), objects)
    names = {value: (item.names or {}).get(value, name) for value, name in names.items()}
    return with_label(labelled, label, names), objects, (f"segmented from {len(objects)} prompted objects",)


def _asked(scan: Scan, item: Input, asking: Asking) -> Objects:
    """The prompts of a file, or the boxes of a case, with the names that the user gives."""
    if asking.prompts is not None:
        asked = given_objects(Job(item.path, item.path, prompt_file=asking.prompts), asking.coordinates)
        placed, objects = asked.placed(scan)
        if placed is not scan:
            raise PromptError(f"{item.path.name}: the prompts must lie in its B-scans, they lie across another axis")
        if not objects or scan.is_volume != are_of_volume(objects):
            raise PromptError(
                f"{item.path.name}: the prompts must be those of a {'volume' if scan.is_volume else 'picture'}"
            )
        said = item.names or {}
        return [replace(o, name=said.get(i, o.name)) for i, o in enumerate(_typed(objects), 1)]
    if scan.boxes is None or not len(scan.boxes):
        raise PromptError(f"{item.path.name} has no boxes of its own; give --prompts")
    names = [(item.names or scan.label_names or {}).get(i) for i in range(1, len(scan.boxes) + 1)]
    if scan.is_volume:
        return seeds_from_boxes(scan.boxes, names)
    return [Prompt(box=corners_of(box), name=name) for box, name in zip(scan.boxes, names, strict=True)]


def _typed(objects: list[Any]) -> list[Prompt | VolumeObject]:
    return [o for o in objects if isinstance(o, (Prompt, VolumeObject))]


def _with_layers(labelled: LabelledScan, asking: Asking) -> LabelledScan:
    """The scan with all layers that the model knows, in their order."""
    targets = [name for name in DUKE_LAYERS if name in asking.predictor.spec.targets]
    if not targets:
        raise PromptError(f"{asking.predictor.spec.name} knows no names of layers; use other weights")
    image = labelled.scan.to_uint8()
    image = image if labelled.scan.is_volume else image[None]
    assert asking.layers is not None
    found = segment_layers_through(asking.predictor, image, asking.layers, targets)
    label = np.stack([layers.label_map() for layers in found])
    changed = float(np.mean([layers.changed for layers in found]))
    note = f"{found[0].record()['post_processing']}; {changed:.0%} of their pixels changed"
    labelled = replace(labelled, notes=(*labelled.notes, note))
    return with_label(labelled, label if labelled.scan.is_volume else label[0], dict(enumerate(targets, 1)))
