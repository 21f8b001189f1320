"""Label volumes: NIfTI and DICOM-SEG on the voxels of their scan, and TIFF of several pages."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError, MissingExtraError, PromptError
from lite_medsam.prompts.label_objects import LabelObject, check_names, objects_of_array, with_numbers
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import ITK_SUFFIXES, load_itk
from lite_medsam.scans.limits import voxels_in_memory
from lite_medsam.scans.nifti import load_nifti
from lite_medsam.scans.scan import DicomSource

_NEAR = 0.02  # of a voxel: frames that differ by less are one
_INSIDE = 0.5  # of a fractional segmentation, as of a binary one
# of highdicom and pydicom, to what a file does not say or says wrongly; not that memory is short
_NO_ANSWER = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
              ValueError, struct.error)  # fmt: skip
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def nifti_objects(path: Path, shape: tuple[int, ...] | None, geometry: Geometry | None) -> list[LabelObject]:
    """The objects of a NIfTI, NRRD or MetaImage label map, in the slices of the scan.

    Raises:
        PromptError: If it lies on other voxels than the scan.
    """
    load = load_itk if path.suffix.lower() in ITK_SUFFIXES else load_nifti
    scan = load(path, voxels_in_memory(), is_label=True)
    if geometry is None:
        labels = scan.values if shape is None or len(shape) == 3 or len(scan.values) > 1 else scan.values[0]
        return objects_of_array(labels, shape or labels.shape[-2:])
    voxels = scan.geometry.uncut(scan.values)
    placed = geometry.cut(onto(voxels, scan.geometry.affine, geometry))
    return objects_of_array(placed, shape or placed.shape)


def dicom_seg_objects(
    path: Path, shape: tuple[int, ...] | None, geometry: Geometry | None, source: DicomSource | None = None
) -> list[LabelObject]:
    """The objects of a DICOM segmentation, one for each segment, in the slices of the scan.

    Args:
        path: The file.
        shape: (H, W) or (D, H, W) of what they are for; None: the scan's.
        geometry: Of the scan.
        source: The images of the scan; frames that refer to them lie on them, whatever their places are: slices that are shifted
            or unevenly spaced are no volume to highdicom.

    Raises:
        PromptError: If it is no segmentation, or lies on other voxels than the scan.
        MissingExtraError: If highdicom is not installed.
    """
    try:
        import highdicom
    except ImportError:
        raise MissingExtraError("reading DICOM-SEG", "medical", "highdicom") from None
    if geometry is None:
        raise PromptError("DICOM-SEG lies in the patient: give it with its scan")
    try:
        seg = highdicom.seg.segread(path)
        numbers = list(seg.segment_numbers)
        names = [seg.get_segment_description(number).segment_label for number in numbers]
    except Exception as error:  # pydicom and highdicom raise anything on files of other kinds
        raise PromptError(f"must be a DICOM segmentation ({type(error).__name__})") from None
    voxels = _voxels_of(seg, geometry, source)
    found, held = [], []
    for k, name in enumerate(names):
        placed = geometry.cut(voxels(k))
        planes = placed if placed.shape == shape or shape is None or len(shape) == 3 else placed[:1]
        slices = {z: np.ascontiguousarray(plane) for z, plane in enumerate(planes) if plane.any()}
        if slices:
            found.append(LabelObject(slices, check_names(str(name))))
            held.append(int(numbers[k]))
    if not found:
        raise PromptError("labels must hold an object, got none")
    return with_numbers(found, held)


def _voxels_of(seg: Any, geometry: Geometry, source: DicomSource | None) -> Callable[[int], np.ndarray]:
    """Segment (from 0) -> (i, j, k) bool in the order of the scan's file.

    Raises:
        PromptError: If its frames lie on other voxels than the scan.
    """
    held = None if source is None else _by_reference(seg, geometry, source)
    if held is None:
        try:
            volume = seg.get_volume(combine_segments=False)
        except _NO_ANSWER:  # its frames are no even stack; that they lie on the images, they need not say
            held = None if source is None else _by_reference(seg, geometry, source, ignore_spatial_locations=True)
        else:
            # highdicom's indices are (slice, row, column), its affine leads to left, posterior, superior
            affine, stack = _LPS_TO_RAS @ np.asarray(volume.affine, float), np.asarray(volume.array)
            return lambda k: onto(stack[..., k] >= _INSIDE, affine, geometry)
    if held is None:
        raise PromptError(
            "its frames must refer to the images of the scan, or be an even stack of slices; give it with the series that it "
            "was made on"
        )
    return lambda k: (held[..., k] >= _INSIDE).transpose(2, 1, 0)


def _by_reference(seg: Any, geometry: Geometry, source: DicomSource, **how: bool) -> np.ndarray | None:
    """(k, j, i, segments) in the order of the scan's file; None where its frames do not refer to the scan's images."""
    columns, rows, slices = (*geometry.file_shape, 1)[:3]
    try:
        referred = {str(uids[-1]) for uids in seg.get_source_image_uids()}
        if (seg.Rows, seg.Columns) != (rows, columns) or not referred <= set(source.instances):
            return None
        how |= {"assert_missing_frames_are_empty": True}
        if source.frames:
            held = seg.get_pixels_by_source_frame(source.instances[0], [frame + 1 for frame in source.frames], **how)
        else:
            held = seg.get_pixels_by_source_instance(list(source.instances), **how)
    except _NO_ANSWER:
        return None
    return held if len(held) == slices else None


def onto(voxels: np.ndarray, affine: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Labels on the voxels of a scan's file: turned, mirrored and shifted by whole voxels, never resampled.

    Args:
        voxels: (i, j, k) labels; a part of the scan will do.
        affine: (4, 4) from their indices to right, anterior, superior in mm.
        geometry: Of the scan.

    Returns:
        (i, j, k) labels in the order of the scan's file.

    Raises:
        PromptError: If they lie between the voxels of the scan, or an object lies outside it.
    """
    full = (*geometry.file_shape, 1)[:3]
    turn = np.linalg.inv(geometry.affine) @ affine
    signs = np.rint(turn[:3, :3])
    corners = np.array([[0, 0, 0], *np.diag(np.array(voxels.shape) - 1.0)])
    places = corners @ turn[:3, :3].T + turn[:3, 3]
    is_turn = (np.abs(signs).sum(0) == 1).all() and (np.abs(signs).sum(1) == 1).all()
    if not is_turn or np.abs(places - (corners @ signs.T + np.rint(turn[:3, 3]))).max() > 5 * _NEAR:
        raise PromptError("labels must lie on the voxels of the scan, lie on others; resample them, nearest neighbour")
    axes = np.abs(signs).argmax(1)  # for each axis of the scan that of the labels
    turned = voxels.transpose(*axes.tolist())
    origin = np.rint(turn[:3, 3]).astype(int)
    for axis in range(3):
        if signs[axis, axes[axis]] < 0:
            turned = np.flip(turned, axis)
            origin[axis] -= turned.shape[axis] - 1
    if tuple(origin.tolist()) == (0, 0, 0) and turned.shape == full:
        return turned
    placed = np.zeros(full, voxels.dtype)
    low = np.maximum(origin, 0)
    high = np.minimum(origin + turned.shape, full)
    if (low >= high).any():
        raise PromptError("labels must lie inside the scan, lie outside")
    part = turned[tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))]
    if np.count_nonzero(part) != np.count_nonzero(turned):
        raise PromptError("labels must lie inside the scan, a part of them lies outside")
    placed[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = part
    return placed


def tiff_pages(path: Path) -> np.ndarray | None:
    """(N, H, W) integers of a TIFF of several grey pages; None for other files.

    Raises:
        CaseError: If the pages have different sizes, or are too large for memory.
    """
    import tifffile

    with open(path, "rb") as file:
        if file.read(2) not in (b"II", b"MM"):
            return None
    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            if len(series.shape) != 3 or series.axes.endswith("S") or series.shape[0] == 1:
                return None
            if len(tiff.series) > 1:
                raise CaseError("pages of a label TIFF must have one size")
            if series.size > voxels_in_memory():
                raise CaseError(f"has {series.size} voxels, more than memory allows")
            return series.asarray()
    except CaseError:
        raise
    except Exception as error:  # tifffile raises anything on damaged files
        raise CaseError(f"damaged TIFF ({type(error).__name__})") from None
