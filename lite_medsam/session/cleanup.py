"""Clean-up of a session's masks, on a slice or through a volume; the result is kept like what was painted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.segment.region import Region
from lite_medsam.session.answer import Answer
from lite_medsam.session.interactive import Session
from lite_medsam.session.mask_shapes import (
    checked_radius,
    fill_holes,
    grow,
    keep_largest,
    remove_islands,
    shrink,
    smooth,
    without_overlaps,
)
from lite_medsam.session.state import ObjectState, Snapshot

ACTIONS = ("largest", "islands", "holes", "smooth", "grow", "shrink", "overlaps")
UNITS = ("px", "mm")
WINNERS = ("smaller", "later", "selected")


@dataclass(frozen=True)
class CleanUp:
    """What is to be done.

    Attributes:
        action: "largest" keeps the largest part; "islands" removes parts below the amount; "holes" fills holes, with an
            amount only those up to it; "smooth", "grow" and "shrink" go by the amount as a radius; "overlaps" gives each
            pixel to one object.
        amount: A radius in px or mm; for islands and holes an area in px or mm2, of a volume's islands voxels or mm3.
        unit: "px" or "mm". In px the slices of a volume are smoothed, grown and shrunk one by one, in mm in space.
        winner: Who gets a pixel that several objects claim: the "smaller" one, the "later" one, or the "selected" one (then
            the smaller).
    """

    action: str
    amount: float | None = None
    unit: str = "px"
    winner: str = "smaller"

    def __post_init__(self):
        for name, value, known in (
            ("action", self.action, ACTIONS),
            ("unit", self.unit, UNITS),
            ("winner", self.winner, WINNERS),
        ):
            if value not in known:
                raise PromptError(f"{name} of a clean-up must be one of {', '.join(known)}, got {value!r}")
        if self.action in ("smooth", "grow", "shrink"):
            checked_radius(0.0 if self.amount is None else self.amount)
        if self.action == "islands" and not (self.amount or 0) > 0:
            raise PromptError(f"islands must be removed below a size above 0, got {self.amount}")

    @property
    def reach(self) -> float:
        """How far beyond a mask the result can lie, in its unit."""
        return float(self.amount or 0) if self.action in ("grow", "smooth") else 0.0


@dataclass(frozen=True)
class Done:
    """What a clean-up has changed.

    Attributes:
        changed: Numbers of the objects that have another mask now.
        spared: Numbers of those of which nothing would have been left; they are as they were.
    """

    changed: tuple[int, ...]
    spared: tuple[int, ...]


def clean_up(
    session: Session, what: CleanUp, index: int | None = 0, object_id: int | None = None, every: bool = False
) -> Done:
    """Cleans masks of a session up: one step that undo takes back; none where nothing changes.

    Objects that are hidden or locked are left alone where all are meant. A slice whose mask changes is settled, as if it had
    been painted: following does not change it any more.

    Args:
        session: The session.
        what: What to do.
        index: The slice; None: all slices.
        object_id: The object, None for the selected one.
        every: All objects. "overlaps" is always about all.

    Raises:
        PromptError: If there is no mask, the pixel size that mm need is not known, or the object is locked.
    """
    if index is not None:
        session.check_slice(index)
    spacing = _spacing(session, what, index)
    items = [item for item in session.now.objects if not item.hidden and _slices(item, index)]
    found: dict[int, dict[int, np.ndarray]] = {}
    spared: list[int] = []
    if what.action == "overlaps":
        found = _without_overlaps(session.now, items, what.winner, index)
    else:
        if every:
            items = [item for item in items if not item.locked]
        else:
            chosen = session.now.find(object_id)
            items = [chosen] if _slices(chosen, index) else []
        if not items:
            where = "in this volume" if index is None else "on this slice" if session.scan.is_volume else "here"
            raise PromptError(f"an object must have a mask to be cleaned up, got none {where}; draw a box first")
        whole = (session.slices, *session.image_hw) if index is None and session.scan.is_volume else session.image_hw
        for item in items:
            masks = _cleaned(item, what, index, whole, spacing)
            if any(mask.any() for mask in masks.values()):
                found[item.id] = masks
            else:
                spared.append(item.number)
    objects = tuple(repainted(item, found.get(item.id, {})) for item in session.now.objects)
    changed = tuple(new.number for new, old in zip(objects, session.now.objects, strict=True) if new is not old)
    if changed:
        session.commit(replace(session.now, objects=objects))
    return Done(changed, tuple(spared))


def repainted(item: ObjectState, masks: dict[int, np.ndarray]) -> ObjectState:
    """An object with other masks on some slices, as if the difference had been painted and erased; itself where there is none.

    Args:
        item: The object.
        masks: (H, W) bool by slice.
    """
    answers = dict(item.answers)
    for index, mask in masks.items():
        before = item.region(index)
        was = np.zeros(mask.shape, bool) if before is None else before.full()
        gained, lost = mask & ~was, was & ~mask
        if not gained.any() and not lost.any():
            continue
        old = item.answers.get(index, Answer(painted=before))
        added, erased = (np.zeros(mask.shape, bool) if one is None else one.full() for one in (old.added, old.erased))
        added, erased = (added | gained) & ~lost, (erased | lost) & ~gained
        layers = [Region.of(layer) if layer.any() else None for layer in (added, erased)]
        answers[index] = replace(old, added=layers[0], erased=layers[1])
    changed = any(answers[z] is not item.answers.get(z) for z in answers)
    return replace(item, answers=dict(sorted(answers.items()))) if changed else item


def _spacing(session: Session, what: CleanUp, index: int | None) -> tuple[float, ...] | None:
    if what.unit == "px" or what.action in ("largest", "overlaps") or (what.action == "holes" and what.amount is None):
        return None
    known = session.spacing_mm or ()
    wanted = 3 if index is None and session.scan.is_volume else 2
    if len(known) < wanted:
        lacking = "the distance of the slices" if len(known) == 2 else "the size of a pixel"
        raise PromptError(f"a clean-up in mm must know {lacking}, which this file does not say; type it in, or use px")
    return tuple(known[-wanted:])


def _slices(item: ObjectState, index: int | None) -> dict[int, Region]:
    """The masks of an object that hold a pixel, on a slice or on all."""
    if index is None:
        return item.regions()
    region = item.region(index)
    return {index: region} if region is not None and region.area_px else {}


def _cleaned(
    item: ObjectState, what: CleanUp, index: int | None, shape: tuple[int, ...], spacing: tuple[float, ...] | None
) -> dict[int, np.ndarray]:
    """(H, W) masks of an object by slice after a clean-up, all slices that can have changed."""
    regions = _slices(item, index)
    image_hw = shape[-2:]
    reach = [what.reach / step for step in (spacing or (1.0,) * len(shape))]
    rows, columns = _window(regions.values(), image_hw, (reach[-2], reach[-1]))
    if len(shape) == 2:
        ((z, region),) = regions.items()
        cleaned = {z: _applied(what, region.full()[rows, columns], spacing)}
    else:
        beyond = int(np.ceil(reach[0])) if spacing is not None else 0
        low, high = max(0, min(regions) - beyond), min(shape[0] - 1, max(regions) + beyond)
        stack = np.zeros((high - low + 1, rows.stop - rows.start, columns.stop - columns.start), bool)
        for z, region in regions.items():
            stack[z - low] = region.full()[rows, columns]
        cleaned = {low + k: mask for k, mask in enumerate(_applied(what, stack, spacing))}
    found = {}
    for z, part in cleaned.items():
        if z in regions or part.any():
            found[z] = np.zeros(image_hw, bool)
            found[z][rows, columns] = part
    return found


def _window(regions: Iterable[Region], image_hw: tuple[int, ...], reach_yx: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns around all masks with room for what can be added, and for the background beside them."""
    boxes = np.array([region.box for region in regions])
    dy, dx = (int(np.ceil(reach)) + 2 for reach in reach_yx)
    x0, y0 = boxes[:, :2].min(0)
    x1, y1 = boxes[:, 2:].max(0)
    rows = slice(max(0, int(y0) - dy), min(image_hw[0], int(y1) + dy + 1))
    return rows, slice(max(0, int(x0) - dx), min(image_hw[1], int(x1) + dx + 1))


def _applied(what: CleanUp, mask: np.ndarray, spacing: tuple[float, ...] | None) -> np.ndarray:
    amount = float(what.amount or 0)
    if what.action == "largest":
        return keep_largest(mask)
    if what.action == "islands":
        return remove_islands(mask, amount, spacing)
    if what.action == "holes":
        return fill_holes(mask, what.amount, spacing)
    return {"smooth": smooth, "grow": grow, "shrink": shrink}[what.action](mask, amount, spacing)


def _without_overlaps(
    now: Snapshot, items: Sequence[ObjectState], winner: str, index: int | None
) -> dict[int, dict[int, np.ndarray]]:
    """By object and slice the masks without what another object has; those that are locked keep everything."""
    slices = [_slices(item, index) for item in items]
    sizes = [sum(region.area_px for region in found.values()) for found in slices]

    def place(i: int) -> tuple:
        first = (not items[i].locked, winner == "selected" and items[i].id != now.selected)
        return (*first, -i) if winner == "later" else (*first, sizes[i], -i)

    order = sorted(range(len(items)), key=place)
    found: dict[int, dict[int, np.ndarray]] = {item.id: {} for item in items}
    for z in sorted(set().union(*slices)):
        here = [i for i in order if z in slices[i]]
        masks = without_overlaps([slices[i][z].full() for i in here], range(len(here)))
        for i, mask in zip(here, masks, strict=True):
            found[items[i].id][z] = mask
    return found
