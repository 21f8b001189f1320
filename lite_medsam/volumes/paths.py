"""Which slices an object is followed through, in which direction, and where it is looked for on the next one."""

import itertools
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from lite_medsam.prompts.prompt_object import Prompt, corners_of
from lite_medsam.prompts.volume_objects import PropagationLimits, VolumeObject, is_finished
from lite_medsam.volumes.prediction import Ending, SliceMask

UP = 1  # towards the last slice
_CLEAR = 4.0  # grey levels between an object and its surroundings from which on their contrast says something
_RING = 0.25  # width of the surroundings, as a share of the object's box


@dataclass(frozen=True)
class Look:
    """What an object looks like on one slice, to be compared with other slices.

    Attributes:
        score: The model's estimate of the IoU.
        strength: Mean logit inside, in the steps of `SliceMask`.
        contrast: Mean intensity inside less that of the surroundings, grey levels.
    """

    score: float
    strength: float
    contrast: float


@dataclass(eq=False)
class Path:
    """A run of slices of one object that is gone through in one direction.

    Attributes:
        direction: 1 towards the last slice, -1 towards slice 0.
        slices: The slices, in the order of the visit.
        is_seed: The slices have prompts of their own.
        between: The two prompted slices around it, where both guide it; None where it leads away from one.
        ended: Why the object has ended on the way, None while it goes on.
        look: The object on the slice that the path leads away from; None until it is known.
        doubtful: The slices since the last one that shows the object, each with what was found there, None where that is
            of no use, and why it is not the object.
        misses: How many of them are pictures of their own.
    """

    direction: int
    slices: range | tuple[int, ...]
    is_seed: bool = False
    between: tuple[int, int] | None = None
    ended: str | None = None
    look: Look | None = None
    doubtful: list[tuple[int, SliceMask | None, str]] = field(default_factory=list)
    misses: int = 0

    def source_of(self, z: int) -> int:
        """The slice that a slice of the path comes from: the last one that shows the object."""
        return z - self.direction * (len(self.doubtful) + 1)


def paths_of(item: VolumeObject, depth: int) -> list[Path]:
    """The paths of one object: its prompted slices, outwards from the outermost ones, and between neighbours.

    An empty mask as a prompt says that the object is not there: nothing leads away from it, and it is followed towards it
    from the other side.

    Args:
        item: A checked object.
        depth: Slices of the volume.
    """
    seeds = sorted(item.prompts)
    first, last = item.z_range or (0, depth - 1)
    here = {z: not _says_it_is_gone(item.prompts[z]) for z in seeds}
    paths = [Path(UP, tuple(seeds), is_seed=True)]
    if here[seeds[-1]]:
        paths.append(Path(UP, range(seeds[-1] + 1, last + 1)))
    if here[seeds[0]]:
        paths.append(Path(-UP, range(seeds[0] - 1, first - 1, -1)))
    for low, high in itertools.pairwise(seeds):
        if here[low] and here[high]:
            paths.append(Path(-UP, range(high - 1, low, -1), between=(low, high)))
        elif here[low]:
            paths.append(Path(UP, range(low + 1, high)))
        elif here[high]:
            paths.append(Path(-UP, range(high - 1, low, -1)))
    return paths


def grown(
    box: tuple[float, float, float, float],
    limits: PropagationLimits,
    image_hw: tuple[int, int],
    bounds: tuple[float, float, float, float] | None = None,
) -> tuple[float, float, float, float]:
    """A box with the margin around it, cut to the image and the object's bounds.

    Args:
        box: x0 y0 x1 y1, last pixel inside.
        limits: The margins.
        image_hw: Shape of the slice.
        bounds: The rectangle that the object stays in.
    """
    x0, y0, x1, y1 = box
    dx = limits.margin * (x1 - x0 + 1) + limits.margin_px
    dy = limits.margin * (y1 - y0 + 1) + limits.margin_px
    left, top, right, bottom = 0.0, 0.0, image_hw[1] - 1.0, image_hw[0] - 1.0
    if bounds is not None:  # never smaller than the mask itself, which may touch the bounds by a part of a pixel
        left, top = min(x0, max(left, bounds[0])), min(y0, max(top, bounds[1]))
        right, bottom = max(x1, min(right, bounds[2])), max(y1, min(bottom, bounds[3]))
    return max(x0 - dx, left), max(y0 - dy, top), min(x1 + dx, right), min(y1 + dy, bottom)


def between(
    before: SliceMask | None, after: SliceMask | None, share: float
) -> tuple[float, float, float, float] | None:
    """The box of an object between two slices that show it.

    The masks' signed distances are averaged by share (shape-based interpolation: Raya and Udupa, IEEE TMI 1990). Where
    the masks lie too far apart for that, their boxes are.

    Args:
        before: The mask at share 0.
        after: The mask at share 1.
        share: 0..1.

    Returns:
        x0 y0 x1 y1, last pixel inside; the other mask's box where one is empty, None where both are.
    """
    boxes = [mask.box for mask in (before, after) if mask is not None and mask.box is not None]
    if before is None or after is None or len(boxes) < 2:
        return boxes[0] if boxes else None
    (x0, y0), (x1, y1) = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    window_hw = int(y1 - y0 + 3), int(x1 - x0 + 3)
    distances = [_signed_distance(mask, (int(x0) - 1, int(y0) - 1), window_hw) for mask in (before, after)]
    inside = (1 - share) * distances[0] + share * distances[1] > 0
    if not inside.any():
        return corners_of((1 - share) * np.array(boxes[0]) + share * np.array(boxes[1]))
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    left, top = int(x0) - 1, int(y0) - 1
    return float(columns[0] + left), float(rows[0] + top), float(columns[-1] + left), float(rows[-1] + top)


def _says_it_is_gone(prompt: Prompt) -> bool:
    return is_finished(prompt) and prompt.mask is not None and not (prompt.mask > 0).any()


def _signed_distance(mask: SliceMask, origin_xy: tuple[int, int], window_hw: tuple[int, int]) -> np.ndarray:
    """Distance to the mask's edge in pixels, positive inside."""
    inside = np.zeros(window_hw, np.uint8)
    rows, columns = mask.window
    x, y = origin_xy
    inside[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = mask.strength > 0
    return cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)


def look_of(mask: SliceMask, image: np.ndarray) -> Look:
    """What an object looks like on a slice.

    Args:
        mask: Its mask, not empty.
        image: (H, W) or (H, W, 3) uint8, the slice.
    """
    assert mask.box is not None  # it is not empty
    x0, y0, x1, y1 = mask.box
    dx, dy = (int(_RING * (side + 1)) + 2 for side in (x1 - x0, y1 - y0))
    left, top = max(0, x0 - dx), max(0, y0 - dy)
    around = image[top : y1 + dy + 1, left : x1 + dx + 1]
    inside = np.zeros(around.shape[:2], np.uint8)
    height, width = mask.strength.shape
    inside[y0 - top : y0 - top + height, x0 - left : x0 - left + width] = mask.strength > 0
    within = np.mean(cv2.mean(around, inside)[: 1 if around.ndim == 2 else 3])
    outside = np.mean(cv2.mean(around, 1 - inside)[: 1 if around.ndim == 2 else 3])
    return Look(mask.score, mask.mean_strength, float(within - outside) if (inside == 0).any() else 0.0)


def limits_of_doubt(limits: PropagationLimits) -> PropagationLimits:
    """The same with limits so much stricter that what keeps to them needs no look."""

    def stricter(share: float) -> float:
        return share + limits.doubt * (1 - share)

    return replace(
        limits,
        minimum_score=0.0,
        relative_score=stricter(limits.relative_score),
        relative_strength=stricter(limits.relative_strength),
        relative_contrast=stricter(limits.relative_contrast),
    )


def common_share(mask: SliceMask, before: SliceMask) -> float:
    """How much of the smaller of two masks lies in the other, 0 to 1."""
    rows = slice(max(mask.y0, before.y0), min(mask.window[0].stop, before.window[0].stop))
    columns = slice(max(mask.x0, before.x0), min(mask.window[1].stop, before.window[1].stop))
    smaller = min(mask.area_px, before.area_px)
    if rows.start >= rows.stop or columns.start >= columns.stop or not smaller:
        return 0.0
    parts = [
        one.strength[rows.start - one.y0 : rows.stop - one.y0, columns.start - one.x0 : columns.stop - one.x0] > 0
        for one in (mask, before)
    ]
    return int(np.count_nonzero(parts[0] & parts[1])) / smaller


def why_different(look: Look, before: Look, limits: PropagationLimits) -> str | None:
    """Why what is found is not the object any more; None if it is.

    Args:
        look: On this slice.
        before: On the slice that it comes from.
        limits: How much may change.
    """
    if look.score < max(limits.minimum_score, limits.relative_score * before.score):
        return "score"
    if look.strength < limits.relative_strength * before.strength:
        return "strength"
    # with the sign: an object brighter than its surroundings does not become darker
    if abs(before.contrast) >= _CLEAR and look.contrast / before.contrast < limits.relative_contrast:
        return "contrast"
    return None


def ending_of(
    direction: int, outermost: int | None, paths: Sequence[Path], found: Container[int], depth: int, stopped: bool
) -> Ending:
    """Where following an object ended on one side, and why.

    Args:
        direction: `UP` or -`UP`.
        outermost: The last slice on this side that shows the object, None for none.
        paths: All paths of the object.
        found: Its slices.
        depth: Slices of the volume.
        stopped: Whether following was stopped before its end.
    """
    outer = [p for p in paths if p.direction == direction and not p.is_seed and p.between is None]
    ended = next((path.ended for path in outer if path.ended is not None), None)
    if ended is not None:
        return Ending(outermost, ended)
    if stopped and any(z not in found for path in outer for z in path.slices):
        return Ending(outermost, "stopped")
    doubted = next((path.doubtful[0][2] for path in outer if path.doubtful), None)
    if doubted is not None:
        return Ending(outermost, doubted)
    is_edge = outermost == (0 if direction != UP else depth - 1)
    return Ending(outermost, "end of volume" if is_edge else "limit")
