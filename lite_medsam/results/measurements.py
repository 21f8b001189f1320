"""Sizes of segmented objects: area, diameter, extent, volume, fluid; in mm or um, else in px."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lite_medsam.cases.fields import checked_spacing
from lite_medsam.errors import CaseError

UNITS = {"mm": 1.0, "um": 1000.0}
MM3_PER_ML = 1000.0
NL_PER_MM3 = 1000.0  # 1 nL is 10^6 um3


def measure(mask: np.ndarray, spacing_mm: Sequence[float] | None = None, unit: str = "mm") -> dict[str, float | int]:
    """Sizes of one object. The keys end in their units; without a spacing only those in px are there.

    Picture: `area_px`, `area_<unit>2`, `equivalent_diameter_px`, `equivalent_diameter_<unit>` (of the disc of that area),
    `x0_px` ... `y1_px` (box, last pixel inside; absent when the mask is empty), `width_<unit>`, `height_<unit>` of the
    box's outer edges, `regions` (connected pieces, 8 neighbours).

    Volume: `volume_voxels`, `volume_mm3`, `volume_ml`, `equivalent_diameter_<unit>` (of the ball of that volume; `_px`
    counts voxels as cubes), the box with `z0_slice` and `z1_slice`, `width_`, `height_` and `depth_<unit>`,
    `slices` that hold a part of it, `largest_area_px` and `largest_area_<unit>2` over the slices, `regions` (26 neighbours).

    Args:
        mask: (H, W) or (D, H, W) bool.
        spacing_mm: Pixel size in array order, (y, x) or (z, y, x); (y, x) of a volume whose slice distance is unknown gives
            areas, widths and heights, its volume stays in voxels.
        unit: "mm" or "um", for lengths and areas; volumes are in mm3 and ml always.

    Raises:
        CaseError: If an argument is not as above.
    """
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.ndim not in (2, 3) or not mask.size:
        raise CaseError(f"mask must be (H, W) or (D, H, W) bool, got {mask.dtype} {mask.shape}; pass labels == value")
    if unit not in UNITS:
        raise CaseError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
    is_in_plane = spacing_mm is not None and np.shape(spacing_mm) == (2,)
    spacing_mm = checked_spacing(spacing_mm, 2 if is_in_plane else mask.ndim)
    spacing = None if spacing_mm is None else tuple(size * UNITS[unit] for size in spacing_mm)
    window = _window(mask)
    if mask.ndim == 2:
        return _picture(mask, window, spacing, unit)
    return _volume(mask, window, spacing, spacing_mm, unit)


def measure_objects(
    masks: Iterable[np.ndarray],
    spacing_mm: Sequence[float] | None = None,
    *,
    names: Sequence[str | None] | None = None,
    scores: Sequence[float | None] | None = None,
    unit: str = "mm",
    numbers: Sequence[int] | None = None,
) -> list[dict]:
    """A row of `measure` per object, with its number, and name and score where they are given.

    Args:
        masks: One (H, W) or (D, H, W) bool mask per object, for instance `map(prediction.mask, range(len(prediction)))`.
        spacing_mm: See `measure`.
        names: One per object.
        scores: The model's estimate of each mask's IoU.
        unit: See `measure`.
        numbers: The objects' label values; None: 1, 2, 3 and so on.
    """
    rows = []
    for i, mask in enumerate(masks):
        number = i + 1 if numbers is None else numbers[i]
        row: dict = {"object": number}
        if names is not None:
            row["name"] = names[i] or f"object {number}"
        score = None if scores is None else scores[i]
        if score is not None and math.isfinite(score):
            row["score"] = round(float(score), 4)
        rows.append(row | measure(mask, spacing_mm, unit))
    return rows


def fluid(
    masks: Iterable[np.ndarray], spacing_mm: Sequence[float] | None = None, unit: str = "um", minimum_px: int = 1
) -> dict[str, float | int]:
    """What an OCT report says of fluid: how much in all and in how many pockets; overlaps count once.

    Keys: `fluid_area_px`, `fluid_area_<unit>2` of a B-scan, or `fluid_volume_voxels`, `fluid_volume_mm3`,
    `fluid_volume_ml`, `fluid_volume_nl` of a volume; `fluid_regions`, connected pieces (8 or 26 neighbours).

    Args:
        masks: One (H, W) or (D, H, W) bool mask per object.
        spacing_mm: Pixel size in array order.
        unit: "mm" or "um".
        minimum_px: Smaller pieces are left out, of the sum too.

    Raises:
        CaseError: If there is no mask, or one is not as above.
    """
    union = None
    for mask in masks:
        mask = np.asarray(mask)
        union = mask.copy() if union is None else union | mask
    if union is None:
        raise CaseError("masks must be one at least, got none")
    if minimum_px > 1:
        union = _without_small(union, minimum_px)
    sizes = measure(union, spacing_mm, unit)
    wanted = ("area_px", f"area_{unit}2", "volume_voxels", "volume_mm3", "volume_ml", "regions")
    found = {f"fluid_{key}": sizes[key] for key in wanted if key in sizes}
    if "volume_mm3" in sizes:
        found["fluid_volume_nl"] = sizes["volume_mm3"] * NL_PER_MM3
    return found


def is_fluid(name: str) -> bool:
    """Whether an object's name says that it is fluid in the retina: fluid, cyst, IRF, SRF, PED."""
    return re.search(r"fluid|cyst|\b(irf|srf|ped)\b", name.lower()) is not None


def measurements_csv(rows: Sequence[Mapping]) -> str:
    """Rows as CSV text; a column for every key in order of appearance, empty where a row has none."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _shown(value) for key, value in row.items()})
    return text.getvalue()


def _picture(mask: np.ndarray, window, spacing: tuple[float, ...] | None, unit: str) -> dict[str, float | int]:
    area = int(np.count_nonzero(mask[window])) if window else 0
    sizes: dict[str, float | int] = {"area_px": area}
    if spacing:
        sizes[f"area_{unit}2"] = area * math.prod(spacing)
    sizes["equivalent_diameter_px"] = _disc(area)
    if spacing:
        sizes[f"equivalent_diameter_{unit}"] = _disc(area * math.prod(spacing))
    return sizes | _box(window, spacing, unit) | {"regions": _regions(mask[window]) if window else 0}


def _volume(
    mask: np.ndarray,
    window,
    spacing: tuple[float, ...] | None,
    spacing_mm: tuple[float, ...] | None,
    unit: str,
) -> dict[str, float | int]:
    inside = mask[window] if window else np.zeros((1, 1, 1), bool)
    count = int(np.count_nonzero(inside))
    areas = np.count_nonzero(inside, axis=(1, 2))
    sizes: dict[str, float | int] = {"volume_voxels": count}
    known = spacing if spacing is not None and len(spacing) == 3 else None
    if known is not None and spacing_mm is not None:
        volume = count * math.prod(spacing_mm)
        sizes |= {"volume_mm3": volume, "volume_ml": volume / MM3_PER_ML}
    sizes["equivalent_diameter_px"] = _ball(count)
    if known is not None:
        sizes[f"equivalent_diameter_{unit}"] = _ball(count * math.prod(known))
    sizes |= _box(window, spacing, unit)
    sizes |= {"slices": int(np.count_nonzero(areas)), "largest_area_px": int(areas.max())}
    if spacing:
        sizes[f"largest_area_{unit}2"] = int(areas.max()) * math.prod(spacing[-2:])
    return sizes | {"regions": _regions(inside) if count else 0}


def _box(window, spacing: tuple[float, ...] | None, unit: str) -> dict[str, float | int]:
    if window is None:
        return {}
    low, high = [s.start for s in window], [s.stop - 1 for s in window]
    sizes: dict[str, float | int] = {"x0_px": low[-1], "y0_px": low[-2], "x1_px": high[-1], "y1_px": high[-2]}
    if len(window) == 3:
        sizes |= {"z0_slice": low[0], "z1_slice": high[0]}
    if spacing:
        for name, axis in zip(("width", "height", "depth"), range(-1, -len(spacing) - 1, -1), strict=False):
            sizes[f"{name}_{unit}"] = (high[axis] - low[axis] + 1) * spacing[axis]
    return sizes


def _disc(area: float) -> float:
    return 2 * math.sqrt(area / math.pi)


def _ball(volume: float) -> float:
    return (6 * volume / math.pi) ** (1 / 3)


def _window(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest window that holds the object; None when it is empty."""
    spans = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hit):
            return None
        spans.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return tuple(spans)


def _regions(mask: np.ndarray) -> int:
    from scipy import ndimage

    return int(ndimage.label(mask, np.ones((3,) * mask.ndim, bool))[1])


def _without_small(mask: np.ndarray, minimum_px: int) -> np.ndarray:
    from scipy import ndimage

    pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    keep = np.bincount(pieces.ravel()) >= minimum_px
    keep[0] = False
    return keep[pieces]


def _shown(value) -> str:
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return np.format_float_positional(value, 6, fractional=False, trim="-")  # spreadsheets misread exponents
    return "" if value is None else str(value)
