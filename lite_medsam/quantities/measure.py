"""Everything that the labels of one scan allow to be measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.quantities.atrophy import crora_quantities, ga_quantities
from lite_medsam.quantities.choroid import ChoroidWindow, choroid_quantities, lumen_by_niblack
from lite_medsam.quantities.etdrs import EtdrsGrid, etdrs_grid
from lite_medsam.quantities.fluid import fluid_map, fluid_quantities
from lite_medsam.quantities.fovea import place_fovea
from lite_medsam.quantities.fundus import field_of, fundus_quantities
from lite_medsam.quantities.grid import EyeGrid, fundus_directions
from lite_medsam.quantities.loss import dril_quantities, ez_loss_quantities
from lite_medsam.quantities.names import structures
from lite_medsam.quantities.quantity import Quantity
from lite_medsam.quantities.reading import LabelledScan
from lite_medsam.quantities.surfaces import default_surfaces, find_surface
from lite_medsam.quantities.thickness import layer_thickness, thickness_map, thickness_quantities
from lite_medsam.scans.scale import OCT_AXES, Scale, Step

KINDS = ("auto", "oct", "fundus")


@dataclass(frozen=True)
class MeasureOptions:
    """How a scan is measured.

    Attributes:
        fovea: B-scan and A-scan (z, x) in OCT, (y, x) in a fundus picture; None: as the file says, else as it is found.
        first_b_scan: "superior" or "inferior"; None: as the file says.
        surfaces: Names of the inner and the outer surface of the retina; None: `surfaces.default_surfaces`.
        window: Of the choroid vascularity index.
        kind: "oct" or "fundus"; "auto": fundus where the file or the labels say so.
        laterality: "R" or "L"; None: as the file says.
    """

    fovea: tuple[float, float] | None = None
    first_b_scan: str | None = None
    surfaces: tuple[str, str] | None = None
    window: ChoroidWindow = field(default_factory=ChoroidWindow)
    kind: str = "auto"
    laterality: str | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise CaseError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")


@dataclass(frozen=True, eq=False)
class Measured:
    """The numbers of a scan and the maps that they come from.

    Attributes:
        labelled: What was measured.
        quantities: The numbers.
        masks: (D, H, W) bool by structure.
        scale: Size of a voxel with origins, three axes of OCT, two of a fundus picture.
        grid: Of an OCT scan; None for a fundus picture.
        fields: The ETDRS grid, where it fits.
        thickness: (D, W) of the retina, in um or px; None without surfaces.
        fluid_depth: (D, W) fluid in each A-scan, in um or px; None without labels of fluid.
        notes: What a reader must know.
    """

    labelled: LabelledScan
    quantities: tuple[Quantity, ...]
    masks: Mapping[str, np.ndarray]
    scale: Scale
    grid: EyeGrid | None = None
    fields: EtdrsGrid | None = None
    thickness: np.ndarray | None = None
    fluid_depth: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def measure_scan(labelled: LabelledScan, options: MeasureOptions | None = None) -> Measured:
    """All quantities that the labels and the scale of a scan allow.

    Raises:
        CaseError: If there are no labels, none of their values has a name, or an option does not fit the scan.
    """
    options = options or MeasureOptions()
    drawn = labelled.scan.surfaces
    if labelled.label is None and drawn:  # the surfaces of the device are enough for thickness
        labelled = with_label(labelled, np.zeros(labelled.scan.label_shape, np.uint8), {})
    masks, unnamed = structures(labelled.volume_label, labelled.names)
    if not masks and not drawn:
        values = ", ".join(map(str, unnamed[:10])) or "none"
        raise CaseError(
            f"{labelled.scan.name}: the label values ({values}) must have names that say what they are; give --labels 1=IRF,2=SRF"
        )
    notes = list(labelled.notes)
    if unnamed:
        notes.append(f"label values without a name are not measured: {', '.join(map(str, unnamed[:10]))}")
    if _is_fundus(labelled, masks, options.kind):
        return _fundus(labelled, masks, options, notes)
    return _oct(labelled, masks, options, notes)


def _is_fundus(labelled: LabelledScan, masks: Mapping[str, np.ndarray], kind: str) -> bool:
    if kind != "auto":
        if kind == "fundus" and labelled.scan.is_volume:
            raise CaseError(f"{labelled.scan.name}: a volume is no fundus picture; leave --kind out")
        return kind == "fundus"
    if labelled.scan.is_volume or labelled.scan.modality == "OCT":
        return False
    return labelled.scan.modality == "Fundus" or "optic cup" in masks or "optic disc" in masks


def _fundus(labelled: LabelledScan, masks, options: MeasureOptions, notes: list[str]) -> Measured:
    scan = labelled.scan
    image = scan.to_uint8() if labelled.has_image else None
    fovea = options.fovea if options.fovea is not None else scan.fovea
    flat = {kind: mask[0] for kind, mask in masks.items()}
    found = fundus_quantities(
        flat, scan.spacing_mm, None if fovea is None else fovea[::-1], None if image is None else field_of(image)
    )
    return Measured(labelled, tuple(found), masks, scan.steps, notes=tuple(notes))


def _oct(labelled: LabelledScan, masks, options: MeasureOptions, notes: list[str]) -> Measured:
    scan = labelled.scan
    steps = scan.steps if scan.is_volume else (Step("B-scans", basis="a single B-scan"), *scan.steps)
    steps = tuple(replace(step, along=name) for step, name in zip(steps, OCT_AXES, strict=True))
    shape = labelled.volume_label.shape
    names = options.surfaces or default_surfaces(scan.surfaces, masks)
    drawn = _drawn(scan.surfaces, shape)
    surfaces = None if names is None else (find_surface(names[0], drawn, masks), find_surface(names[1], drawn, masks))
    rows = None if surfaces is None else surfaces[1].rows - surfaces[0].rows
    said = options.fovea if options.fovea is None or scan.is_volume else (0.0, options.fovea[1])
    place, origin = place_fovea((shape[0], shape[2]), (steps[0].um, steps[2].um), said, scan.fovea, rows)
    directions = fundus_directions(options.first_b_scan, None if scan.enface is None else scan.enface.b_scans_px)
    laterality = options.laterality or scan.laterality
    grid = EyeGrid((shape[0], shape[1], shape[2]), steps, place, origin, laterality, directions)
    fields = etdrs_grid(grid)
    notes += _grid_notes(grid)
    quantities = fluid_quantities(masks, grid)
    thickness = None
    if surfaces is not None:
        inner, outer = surfaces
        thickness = thickness_map(inner, outer, grid)
        quantities = thickness_quantities(inner, outer, grid, fields) + quantities
    quantities += layer_thickness(masks, grid, fields)
    quantities += _choroid(labelled, masks, grid, options.window)
    for of in (crora_quantities, ga_quantities, ez_loss_quantities, dril_quantities):
        quantities += of(masks, grid)
    wet = fluid_map(masks)
    depth = None if wet is None else wet * grid.depth(1.0)[0]
    return Measured(labelled, tuple(quantities), masks, steps, grid, fields, thickness, depth, tuple(notes))


def _drawn(surfaces: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Surfaces of the device as (D, W)."""
    wanted = (shape[0], shape[2])
    maps = {name: np.atleast_2d(np.asarray(rows, np.float64)) for name, rows in surfaces.items()}
    return {name: rows for name, rows in maps.items() if rows.shape == wanted}


def _grid_notes(grid: EyeGrid) -> list[str]:
    notes = []
    unknown = [step.along for step in grid.steps if step.um is None]
    if unknown and not (grid.is_line and unknown == ["B-scans"]):
        notes.append(f"the size of a voxel along {', '.join(unknown)} is unknown: what needs it is in px, or not told")
    if grid.fovea_origin.startswith("assumed"):
        notes.append("the fovea was not found: the circles are about the middle of the scan; set it with --fovea Z,X")
    if not grid.is_line and grid.laterality is None:
        notes.append("the side of the eye is unknown: fields are left and right, not nasal and temporal; give --eye")
    if not grid.is_line and grid.to_fundus is None:
        notes.append("where the first B-scan lies is unknown: give --first-b-scan superior or inferior")
    return notes


def _choroid(labelled: LabelledScan, masks, grid: EyeGrid, window: ChoroidWindow) -> list[Quantity]:
    if "choroid" not in masks:
        return []
    if "choroidal lumen" in masks:
        return choroid_quantities(masks["choroid"], masks["choroidal lumen"], grid, window)
    scan = labelled.scan
    if not labelled.has_image or scan.values.ndim > len(scan.label_shape):
        return []
    image = scan.to_uint8()
    lumen = lumen_by_niblack(image if image.ndim == 3 else image[None])
    return choroid_quantities(masks["choroid"], lumen, grid, window, "lumen by Niblack's threshold, not labelled")


def with_label(labelled: LabelledScan, label: np.ndarray, names: Mapping[int, str]) -> LabelledScan:
    """The same scan with other labels."""
    return replace(labelled, label=label, names=dict(names))
