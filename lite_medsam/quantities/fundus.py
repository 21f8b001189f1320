"""Fundus photographs: cup-disc ratios, the load of lesions, and how far they are from the fovea."""

from collections.abc import Mapping, Sequence

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.quantities.atrophy import ga_area_of_picture
from lite_medsam.quantities.quantity import Quantity

NOT_LESIONS = ("optic disc", "optic cup", "vessels", "fovea")


def fundus_quantities(
    masks: Mapping[str, np.ndarray],
    spacing_mm: Sequence[float] | None,
    fovea_xy: tuple[float, float] | None = None,
    field: np.ndarray | None = None,
) -> list[Quantity]:
    """Everything of a fundus photograph that its labels allow.

    Args:
        masks: (H, W) bool by structure. A label of the disc may leave the cup out (the rim): they are joined.
        spacing_mm: Pixel size (y, x); None gives px.
        fovea_xy: Column and row of the fovea; None: the middle of the label of the fovea, if there is one.
        field: (H, W) bool, the part of the picture that shows the eye; None for all of it.

    Raises:
        CaseError: If the fovea lies outside the picture.
    """
    found = _cup_disc(masks, spacing_mm)
    if fovea_xy is None and "fovea" in masks and masks["fovea"].any():
        y, x = (float(axis.mean()) for axis in np.nonzero(masks["fovea"]))
        fovea_xy = x, y
    elif fovea_xy is not None:
        height, width = next(iter(masks.values())).shape if masks else (0, 0)
        if not (-0.5 <= fovea_xy[0] <= width - 0.5 and -0.5 <= fovea_xy[1] <= height - 0.5):
            raise CaseError(f"the fovea must lie in the picture of {width} x {height} px as x,y, got {fovea_xy}")
    if "optic disc" in masks and fovea_xy is not None and masks["optic disc"].any():
        found.append(_disc_to_fovea(masks, spacing_mm, fovea_xy))
    for kind, mask in masks.items():
        if kind == "GA":
            found += ga_area_of_picture(mask, None if spacing_mm is None else float(np.prod(spacing_mm)))
        elif kind not in NOT_LESIONS:
            found += _lesions(kind, mask, spacing_mm, fovea_xy, field)
    return found


def _cup_disc(masks: Mapping[str, np.ndarray], spacing_mm: Sequence[float] | None) -> list[Quantity]:
    if "optic disc" not in masks or "optic cup" not in masks:
        return []
    cup = masks["optic cup"]
    disc = masks["optic disc"] | cup
    if not disc.any():
        return [
            Quantity(f"cup-disc ratio, {way}", float("nan"), "1", "optic disc", note="no disc")
            for way in ("vertical", "area")
        ]
    ratios = {"vertical": _extent(cup, 0) / _extent(disc, 0), "horizontal": _extent(cup, 1) / _extent(disc, 1)}
    found = [Quantity(f"cup-disc ratio, {way}", ratio, "1", "optic disc") for way, ratio in ratios.items()]
    found.append(Quantity("cup-disc ratio, area", np.count_nonzero(cup) / np.count_nonzero(disc), "1", "optic disc"))
    for name, mask in (("optic disc", disc), ("optic cup", cup)):
        found.append(Quantity("area", *_area(int(np.count_nonzero(mask)), spacing_mm), name))
    return found


def _extent(mask: np.ndarray, axis: int) -> int:
    """Pixels from the first to the last along an axis, both inside."""
    there = np.flatnonzero(mask.any(1 - axis))
    return int(there[-1] - there[0] + 1) if len(there) else 0


def _disc_to_fovea(masks, spacing_mm, fovea_xy) -> Quantity:
    disc = masks["optic disc"] | masks.get("optic cup", np.zeros((), bool))
    middle = np.array([axis.mean() for axis in np.nonzero(disc)])
    steps = np.ones(2) if spacing_mm is None else np.asarray(spacing_mm, np.float64)
    away = float(np.hypot(*((middle - np.array(fovea_xy[::-1])) * steps)))
    return Quantity(
        "distance to the fovea", away, "px" if spacing_mm is None else "mm", "optic disc", note="from its middle"
    )


def _lesions(kind: str, mask: np.ndarray, spacing_mm, fovea_xy, field: np.ndarray | None) -> list[Quantity]:
    from scipy import ndimage

    pixels = int(np.count_nonzero(mask))
    count = int(ndimage.label(mask, np.ones((3, 3), bool))[1])
    whole = mask.size if field is None else int(np.count_nonzero(field))
    shown = "the picture" if field is None else "the round field of the picture"
    found = [
        Quantity("lesion area", *_area(pixels, spacing_mm), kind),
        Quantity("lesions", count, "count", kind),
        Quantity("lesion share", 100 * pixels / whole if whole else float("nan"), "%", kind, note=f"of {shown}"),
    ]
    if fovea_xy is not None:
        steps = np.ones(2) if spacing_mm is None else np.asarray(spacing_mm, np.float64)
        away = (np.argwhere(mask) - np.array(fovea_xy[::-1])) * steps
        nearest = float(np.hypot(*away.T).min()) if pixels else float("nan")
        unit = "px" if spacing_mm is None else "mm"
        found.append(Quantity("distance to the fovea", nearest, unit, kind, note="of its nearest pixel"))
    return found


def _area(pixels: int, spacing_mm: Sequence[float] | None) -> tuple[float, str]:
    return (pixels, "px") if spacing_mm is None else (pixels * float(np.prod(spacing_mm)), "mm2")


def field_of(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: the part of a photograph that shows the eye, without the black around it."""
    brightest = image if image.ndim == 2 else image.max(-1)
    return brightest > 10
