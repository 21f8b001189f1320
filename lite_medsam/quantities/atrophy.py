"""Atrophy: cRORA by the 250 um rule on each B-scan, and the area of geographic atrophy en face."""

from collections.abc import Mapping

import numpy as np

from lite_medsam.quantities.grid import EyeGrid, a_scans
from lite_medsam.quantities.quantity import Quantity

RULE_UM, LARGE_UM = 250.0, 500.0


def runs(line: np.ndarray) -> list[tuple[int, int]]:
    """First and last A-scan of each unbroken run of True in a (W,) bool line, both inside."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def rora_runs(
    hypertransmission: np.ndarray, rpe_loss: np.ndarray, ez_loss: np.ndarray | None, um: float
) -> list[tuple[int, int, bool]]:
    """Lesions along one B-scan: A-scans with hypertransmission or RPE loss where both overlap.

    Complete (cRORA) is one whose hypertransmission and whose RPE loss each reach over 250 um or more without a gap, and, where the
    loss of photoreceptors is labelled, that overlies it. The others are incomplete (iRORA).

    Args:
        hypertransmission: (W,) bool.
        rpe_loss: (W,) bool, attenuation or disruption of the RPE.
        ez_loss: (W,) bool; None where it was not looked at.
        um: Between two A-scans.

    Returns:
        First and last A-scan that has both, and whether it is complete.
    """
    found = []
    for first, last in runs(hypertransmission & rpe_loss):
        reach = [next(run for run in runs(line) if run[0] <= first <= run[1]) for line in (hypertransmission, rpe_loss)]
        complete = all((end - start + 1) * um >= RULE_UM for start, end in reach)
        if ez_loss is not None:
            complete = complete and bool(ez_loss[first : last + 1].any())
        found.append((first, last, complete))
    return found


def crora_quantities(masks: Mapping[str, np.ndarray], grid: EyeGrid) -> list[Quantity]:
    """Counts and sizes of cRORA and iRORA; nothing unless hypertransmission and RPE loss are labelled and A-scans have a size."""
    if "hypertransmission" not in masks or "RPE loss" not in masks or grid.steps[2].um is None:
        return []
    bright, lost = a_scans(masks["hypertransmission"]), a_scans(masks["RPE loss"])
    thin = a_scans(masks["EZ loss"]) if "EZ loss" in masks else None
    note = "" if thin is not None else "loss of photoreceptors is not labelled and was not asked for"
    um = grid.steps[2].um
    complete_map, longest, counts, b_scans, large = np.zeros(bright.shape, bool), 0, [0, 0], 0, 0
    rows: list[Quantity] = []
    for z in range(grid.shape[0]):
        lesions = rora_runs(bright[z], lost[z], None if thin is None else thin[z], um)
        whole = [(first, last) for first, last, complete in lesions if complete]
        counts[0] += len(whole)
        counts[1] += len(lesions) - len(whole)
        b_scans += bool(whole)
        for first, last in whole:
            complete_map[z, first : last + 1] = True
            longest = max(longest, last - first + 1)
            large += (last - first + 1) * um >= LARGE_UM
        if lesions and not grid.is_line:
            extent = sum(last - first + 1 for first, last in whole)
            rows.append(Quantity("cRORA extent", *grid.width(extent), "cRORA", b_scan=z, note=note))
    found = [
        Quantity("cRORA lesions on B-scans", counts[0], "count", "cRORA", note=note),
        Quantity("iRORA lesions on B-scans", counts[1], "count", "iRORA", note=note),
        Quantity("B-scans with cRORA", b_scans, "count", "cRORA", note=note),
        Quantity("longest cRORA", *grid.width(longest), "cRORA", note=note),
        Quantity("cRORA of 500 um or more", large, "count", "cRORA", note=note),
    ]
    if not grid.is_line:
        found.append(Quantity("cRORA area", *grid.en_face(int(complete_map.sum())), "cRORA", note=note))
    return found + rows


def ga_quantities(masks: Mapping[str, np.ndarray], grid: EyeGrid) -> list[Quantity]:
    """Area of geographic atrophy en face: A-scans that hold the label; and its square root, on which growth is told."""
    if "GA" not in masks or grid.is_line:
        return []
    cells = a_scans(masks["GA"])
    area, unit = grid.en_face(int(cells.sum()))
    found = [Quantity("GA area", area, unit, "GA")]
    if unit == "mm2":
        found.append(Quantity("GA square root", float(np.sqrt(area)), "mm", "GA"))
    if grid.knows_distances:
        for diameter in (1.0, 6.0):
            inside, _ = grid.en_face(float((grid.within(diameter / 2) * cells).sum()))
            found.append(Quantity("GA area", inside, unit, "GA", f"within {diameter:g} mm circle"))
    return found


def ga_area_of_picture(mask: np.ndarray, pixel_mm2: float | None) -> list[Quantity]:
    """The same of a fundus picture (autofluorescence, infrared, colour), (H, W) bool."""
    pixels = int(np.count_nonzero(mask))
    if pixel_mm2 is None:
        return [Quantity("GA area", pixels, "px", "GA")]
    area = pixels * pixel_mm2
    return [Quantity("GA area", area, "mm2", "GA"), Quantity("GA square root", float(np.sqrt(area)), "mm", "GA")]
