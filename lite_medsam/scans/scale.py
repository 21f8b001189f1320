"""How large a voxel is along each axis, and where that number comes from: the file, the device, an assumption, the user."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lite_medsam.errors import CaseError

ORIGINS = ("file", "device constant", "assumed", "user")
OCT_AXES = ("B-scans", "depth", "A-scans")


@dataclass(frozen=True)
class Step:
    """The distance from one voxel to the next along one axis.

    Attributes:
        along: What lies along the axis: "B-scans", "depth", "A-scans", or "slices", "rows", "columns".
        um: In micrometres; None when unknown, then nothing is measured along it.
        origin: One of `ORIGINS`; None when unknown.
        basis: How the number came about, such as "20.0 degrees at 0.295 mm per degree"; for an unknown one why.
    """

    along: str
    um: float | None = None
    origin: str | None = None
    basis: str = ""

    def __post_init__(self):
        if (self.um is None) != (self.origin is None) or self.origin not in (None, *ORIGINS):
            raise CaseError(f"a step must have a size with an origin of {', '.join(ORIGINS)}, or neither")
        if self.um is not None and not (math.isfinite(self.um) and self.um > 0):
            raise CaseError(f"a step along the {self.along} must be above 0 um, got {self.um}")

    def __str__(self) -> str:
        size = "unknown (px)" if self.um is None else f"{self.um:.5g} um ({self.origin})"
        return f"{self.along}: {size}{': ' if self.basis else ''}{self.basis}"


Scale = tuple[Step, ...]
"""The steps of a scan in array order: (y, x) or (z, y, x)."""


def spacing_of(scale: Scale) -> tuple[float, ...] | None:
    """The voxel size in mm in array order; (y, x) where only the distance of the slices is unknown; None where no area can
    be measured."""
    sizes = [step.um for step in scale]
    known = sizes[-2:] if len(sizes) == 3 and sizes[0] is None else sizes
    return None if any(um is None for um in known) else tuple(um / 1000 for um in known if um is not None)


def scale_from(spacing_mm: Sequence[float] | None, ndim: int, origin: str = "file", basis: str = "") -> Scale:
    """The steps of a scan of which only the spacing is known, all of one origin.

    Args:
        spacing_mm: (y, x) or (z, y, x); None: nothing is known.
        ndim: 2 for a picture, 3 for a volume.
        origin: Of `ORIGINS`.
        basis: As in `Step`.
    """
    names = ("slices", "rows", "columns")[-ndim:]
    sizes = (*[None] * ndim, *(spacing_mm or ()))[-ndim:]
    return tuple(
        Step(name) if mm is None else Step(name, 1000 * mm, origin, basis)
        for name, mm in zip(names, sizes, strict=True)
    )


def user_scale(spacing_um: Sequence[float], scale: Scale) -> Scale:
    """The same axes with the sizes that the user says.

    Args:
        spacing_um: As many as the scan has axes, in array order: B-scans, depth, A-scans of an OCT volume.
        scale: What was known before; its sizes are named in the basis of the new ones.

    Raises:
        CaseError: If they are too few or too many, or not above 0.
    """
    wanted = ", ".join(step.along for step in scale)
    if len(spacing_um) != len(scale):
        raise CaseError(f"the spacing must be {len(scale)} numbers in um ({wanted}), got {len(spacing_um)}")
    if not all(math.isfinite(um) and um > 0 for um in spacing_um):
        raise CaseError(f"the spacing must be above 0 um ({wanted}), got {', '.join(f'{um:g}' for um in spacing_um)}")
    return tuple(
        Step(step.along, float(um), "user", f"instead of {step.um:.5g} um ({step.origin})" if step.um else "")
        for um, step in zip(spacing_um, scale, strict=True)
    )


def origin_words(scale: Scale) -> str | None:
    """Where the sizes come from, as tables say it: "file", or by axis "B-scans assumed, depth file"; None: none is known."""
    known = [step for step in scale if step.origin]
    if len({step.origin for step in known}) == 1:
        return known[0].origin
    return ", ".join(f"{step.along} {step.origin}" for step in known) or None


def scale_json(scale: Scale) -> list[dict]:
    """The steps as a record holds them: along, um, origin, and basis where there is one."""
    return [
        {"along": step.along, "um": step.um, "origin": step.origin} | ({"basis": step.basis} if step.basis else {})
        for step in scale
    ]
