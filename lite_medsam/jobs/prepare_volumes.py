"""What the adapters `nifti` and `dicom` of `lite-medsam prepare` share: a scan and its labels to a case."""

from collections.abc import Mapping, Sequence

import numpy as np

from lite_medsam.cases.adapters.check import SLICE_FACTS
from lite_medsam.cases.adapters.source import Item, ItemError, Problem
from lite_medsam.cases.case import Case
from lite_medsam.scans.scan import Scan

_GAP = 1.5  # steps longer than this many usual ones are gaps


def case_of(scan: Scan, label: np.ndarray | None, item: Item, names: Mapping[int, str], modality: str | None) -> Case:
    """A volume as a case whose metadata say where its slices lie.

    Args:
        scan: The volume.
        label: (D, H, W) integers as displayed, None without one.
        item: What it is called and whose it is.
        names: Of label values.
        modality: As the user says it; None: as the file does.

    Raises:
        ItemError: If it is in colour.
    """
    if scan.values.ndim > len(scan.label_shape) and scan.is_volume:
        raise ItemError("unsupported", "a case holds grey volumes, this one is in colour")
    spacing = scan.spacing_mm if scan.spacing_mm and len(scan.spacing_mm) == len(scan.label_shape) else None
    used = {int(v) for v in np.unique(label)} if label is not None else set()
    return Case(
        scan.to_uint8(), label, spacing_mm=spacing, name=item.name, modality=modality or scan.modality, group=item.group,
        is_volume=scan.is_volume, label_names={v: name for v, name in names.items() if v in used} or None,
        metadata=slice_facts(scan) if scan.is_volume else None,
    )  # fmt: skip


def slice_facts(scan: Scan) -> dict[str, str]:
    """Where the slices lie along their normal, in mm from the first, and the gaps between them."""
    heights: Sequence[float] = () if scan.dicom is None else scan.dicom.heights_mm
    if not heights:
        if scan.spacing_mm is None or len(scan.spacing_mm) < 3:
            return {}
        heights = [scan.spacing_mm[0] * z for z in range(len(scan.values))]
    steps = np.diff(heights)
    usual = float(np.median(steps)) if len(steps) else 0.0
    gaps = [
        f"after slice {z}: {step:.4g} mm instead of {usual:.4g}" for z, step in enumerate(steps) if step > _GAP * usual
    ]
    positions, gap_key = SLICE_FACTS
    return {positions: ";".join(f"{h - heights[0]:.4g}" for h in heights), gap_key: "; ".join(gaps)}


def scan_problems(scan: Scan, file: str) -> list[Problem]:
    """What a person should know of how a volume was read."""
    problems = [Problem("reading-note", file, note) for note in scan.notes]
    facts = slice_facts(scan) if scan.is_volume else {}
    if facts.get(SLICE_FACTS[1]):
        problems.append(Problem("slice-gap", file, facts[SLICE_FACTS[1]]))
    if scan.spacing_mm is None or len(scan.spacing_mm) < len(scan.label_shape):
        problems.append(Problem("no-spacing", file, "the voxel size is not known: measures will be in px"))
    return problems
