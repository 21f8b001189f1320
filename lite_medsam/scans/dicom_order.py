"""The order and the places of DICOM slices and frames, and the affine that follows from them."""

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom_fields import directions, position

_UNEVEN = 0.02  # slice distances that differ by more than this share are worth a note
_TILT = 2e-3  # sideways shift of the slices, as a share of their distance, that counts as a tilted gantry
_TOUCHING_MM = 1e-3  # two slices closer than this are at one place
_TURNED = 1e-3  # unit vectors that differ by more are other directions
_NO_STACK = "they are in the order of the file and have no distance: areas are in mm², volumes in px"


def frame_order(dataset, frames: int) -> tuple[np.ndarray | None, np.ndarray | None, str | None]:
    """The order of frames along their normal, and the sorted positions; None where they have none.

    Frames that are no stack, as several phases or B-scans around a point, keep the order of the file, and a note says so.
    """
    if frames == 1:
        place = position(dataset)
        return None, None if place is None else place[None], None
    if not dataset.get("PerFrameFunctionalGroupsSequence"):
        return None, None, None
    places, turns = ([of(dataset, frame) for frame in range(frames)] for of in (position, directions))
    axes = turns[0]
    if axes is None or any(place is None for place in places):
        return None, None, None
    heights = np.array(places) @ np.cross(*axes)
    order = np.argsort(heights, kind="stable")
    if any(turn is not None and np.abs(turn - axes).max() > _TURNED for turn in turns):
        return None, None, f"frames have different directions: {_NO_STACK}"
    if (np.diff(heights[order]) < _TOUCHING_MM).any():
        return None, None, f"several frames lie at one place (phases, echoes): {_NO_STACK}"
    return order, np.array(places)[order], None


def slice_order(headers: list) -> tuple[list[int], np.ndarray | None, list[str]]:
    """The order of a series' files, their sorted positions, and notes."""
    places = [place for header in headers if (place := position(header)) is not None]
    axes = [axis for header in headers if (axis := directions(header)) is not None]
    if len(places) < len(headers) or len(axes) < len(headers):
        numbers = [header.get("InstanceNumber") for header in headers]
        if any(number is None for number in numbers):
            raise CaseError("slices must say where they lie (ImagePositionPatient or InstanceNumber), some do not")
        order = np.argsort([int(number) for number in numbers], kind="stable").tolist()
        return order, None, ["slices have no positions: sorted by InstanceNumber"]
    if max(np.abs(axis - axes[0]).max() for axis in axes) > _TURNED:
        raise CaseError("slices must have one direction, these differ; take out scouts and other pictures")
    heights = np.array(places) @ np.cross(axes[0][0], axes[0][1])
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order])
    if (steps < _TOUCHING_MM).any():
        raise CaseError("slices must lie at different places, some share one; put each phase in a folder of its own")
    return order.tolist(), np.array(places)[order], []


def uneven_note(steps: np.ndarray) -> str | None:
    """What to say of distances of slices in mm that differ; None where they do not."""
    if steps.max() - steps.min() <= _UNEVEN * np.median(steps):
        return None
    return f"slices are unevenly spaced, {steps.min():.3g} to {steps.max():.3g} mm: volumes are estimates"


def affine_of(positions, axes, in_plane: tuple[float, float], between: float) -> np.ndarray:
    """Voxel index (column, row, slice) -> mm, turned from DICOM's left, posterior, superior to NIfTI's right, anterior,
    superior."""
    affine = np.eye(4)
    if axes is None or positions is None:
        axes, origin = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(3)
    else:
        origin = positions[0]
    affine[:3, 0], affine[:3, 1], affine[:3, 3] = axes[0] * in_plane[1], axes[1] * in_plane[0], origin
    affine[:3, 2] = np.cross(*axes) * between
    if positions is not None and len(positions) > 1:
        step = (positions[-1] - positions[0]) / (len(positions) - 1)
        # a tilted gantry moves slices sideways; less than this is the rounding of the tags, and ITK insists on right angles
        if np.linalg.norm(step - (step @ np.cross(*axes)) * np.cross(*axes)) > _TILT * np.linalg.norm(step):
            affine[:3, 2] = step
        else:
            affine[:3, 2] *= abs(step @ np.cross(*axes)) / between
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
