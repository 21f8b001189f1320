"""What the slice bar shows: for each object where it was prompted and followed, why it ended, and which slices need a look."""

from collections.abc import Iterable

from lite_medsam.session.interactive import Session
from lite_medsam.session.state import ObjectState, Snapshot
from lite_medsam.volumes.reasons import EXPECTED, in_words


def lane_of(session: Session, item: ObjectState) -> dict:
    """An object's lane: slices from 0, runs of them as [first, last], reasons in words."""
    return {
        "prompted": sorted(item.answers),
        "followed": runs_of(z for z, region in item.followed.items() if region.area_px and z not in item.answers),
        "weak": [[z, in_words(why)] for z, why in weak_slices(item)],
        "ended": [{"slice": end.slice, "why": end.why, "words": in_words(end.why)} for end in item.ended],
        "stale": bool(item.followed) and item.followed_with != session.source,
        "outdated": bool(item.followed) and item.followed_from is not item.answers,
    }


def weak_slices(item: ObjectState) -> list[tuple[int, str]]:
    """Slices that were followed and need a look, and why; those that were corrected since do not."""
    return [(z, why) for z, why in sorted(item.weak.items()) if z not in item.answers]


def to_look_at(session: Session) -> list[list]:
    """[slice, number of the object, why] of everything that needs a look: weak slices, and ends that were not asked for."""
    found = []
    for item in session.now.objects:
        found += [[z, item.number, in_words(why)] for z, why in weak_slices(item)]
        for end in item.ended:
            if end.slice is not None and end.why not in EXPECTED:
                found.append([end.slice, item.number, f"ends here: {in_words(end.why)}"])
    return sorted(found)


def runs_of(slices: Iterable[int]) -> list[list[int]]:
    """Whole numbers as runs [first, last]."""
    runs: list[list[int]] = []
    for z in sorted(slices):
        if runs and runs[-1][1] == z - 1:
            runs[-1][1] = z
        else:
            runs.append([z, z])
    return runs


def report_of(found: Snapshot) -> str:
    """What following has come to, in a sentence for each of a few objects, in one for more."""
    items = [item for item in found.objects if item.ended]
    weak = sum(len(weak_slices(item)) for item in items)
    tail = f" {weak} slice{'s need' if weak != 1 else ' needs'} a look." if weak else ""
    if len(items) > 3:
        early = sum(any(end.why not in EXPECTED for end in item.ended) for item in items)
        ended = f"; {early} of them end inside the volume" if early else ""
        return f"{len(items)} objects were followed{ended}.{tail}"
    return " ".join(_sentence(item) for item in items) + tail


def _sentence(item: ObjectState) -> str:
    held = sorted(item.regions())
    if not held:
        return f"{item.name}: nothing found."
    ends = [end for end in item.ended if end.slice is not None]
    if len(ends) == 2 and all(end.why == "end of volume" for end in ends):
        return f"{item.name}: slices {held[0] + 1} to {held[-1] + 1}, to both ends of the volume."
    reasons = [f"{side}: {in_words(end.why)}" for side, end in zip(("below", "above"), ends, strict=False)]
    return f"{item.name}: slices {held[0] + 1} to {held[-1] + 1} ({', '.join(reasons)})."
