"""What the tags of a DICOM data set say of its pixels, and nothing of the patient."""

import math
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.scan import SOFT_TISSUE
from lite_medsam.storage.one_line import one_line

# DICOM PS3.3 C.7.3.1.1.1 -> our names
MODALITY = {
    "CT": "CT", "MR": "MR", "PT": "PET", "CR": "XRay", "DX": "XRay", "RG": "XRay", "XA": "XRay", "RF": "XRay",
    "IO": "XRay", "PX": "XRay", "MG": "Mammography", "US": "US", "IVUS": "US", "OPT": "OCT", "OCT": "OCT", "IVOCT": "OCT",
    "OP": "Fundus", "ES": "Endoscopy", "DMS": "Dermoscopy", "SM": "Microscopy", "GM": "Microscopy",
}  # fmt: skip
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
GREYS = ("MONOCHROME1", "MONOCHROME2")
# of an ultrasound region: units, spatial format, data type
_CENTIMETRES, _PLANE, _TISSUE = 3, 1, 1
_TIMES = (0x00181063, 0x00181065)  # FrameTime, FrameTimeVector


@dataclass(frozen=True)
class PixelFormat:
    """Size and kind of the pixels of one data set.

    Attributes:
        frames: Number of pictures, 1 without the tag.
        rows: Height.
        columns: Width.
        is_colour: Whether a pixel has three values in the end.
        bits: Bits that are used of each value.
        is_signed: Whether values can be negative.
    """

    frames: int
    rows: int
    columns: int
    is_colour: bool
    bits: int
    is_signed: bool


def pixel_format(dataset, max_voxels: int) -> PixelFormat:
    """Size and kind of the pixels, refused where they are missing, odd or too many."""
    numbers = {}
    for keyword in ("Rows", "Columns", "BitsAllocated"):
        value = dataset.get(keyword)
        if value is None:
            raise CaseError(f"must have pixels, the tag {keyword} is missing")
        numbers[keyword] = int(value)
    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = numbers["Rows"], numbers["Columns"]
    kind = str(dataset.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if kind not in (*GREYS, *COLOURS) or samples not in (1, 3):
        raise CaseError(
            f"pixels must be grey, RGB, YBR or palette colours, got {one_line(kind, 40)} with {samples} samples"
        )
    if min(frames, rows, columns) < 1:
        raise CaseError(f"must have pixels, its header says {frames} x {rows} x {columns}")
    if frames * rows * columns * samples > max_voxels:
        raise CaseError(
            f"must have at most {max_voxels} voxels, its header says {frames} x {rows} x {columns}; crop it"
        )
    bits = int(dataset.get("BitsStored") or numbers["BitsAllocated"])
    return PixelFormat(frames, rows, columns, kind in COLOURS, bits, int(dataset.get("PixelRepresentation") or 0) == 1)


def functional(dataset, frame: int, sequence: str):
    """The item of a functional group for one frame of an enhanced object; None where there is none."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    groups = ([per_frame[frame]] if frame < len(per_frame) else []) + list(shared[:1])
    for group in groups:
        items = group.get(sequence)
        if items:
            return items[0]
    return None


def position(dataset, frame: int = 0) -> np.ndarray | None:
    """Centre of the first voxel, mm to the left, to the back and to the head; None where it is missing."""
    return _vector(functional(dataset, frame, "PlanePositionSequence"), dataset, "ImagePositionPatient", 3)


def directions(dataset, frame: int = 0) -> np.ndarray | None:
    """(2, 3) unit vectors along a row (x) and down a column (y) of the picture; None where they are missing or no
    directions."""
    values = _vector(functional(dataset, frame, "PlaneOrientationSequence"), dataset, "ImageOrientationPatient", 6)
    if values is None:
        return None
    vectors = values.reshape(2, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    if (np.abs(lengths - 1) > 0.05).any() or abs(vectors[0] @ vectors[1]) > 0.05:
        return None
    row = vectors[0] / lengths[0]
    down = vectors[1] - (vectors[1] @ row) * row  # rounded tags are not quite at right angles, and ITK insists
    return np.stack([row, down / np.linalg.norm(down)])


def pixel_spacing(dataset, frame: int = 0) -> tuple[tuple[float, float] | None, str | None]:
    """Size (y, x) of a pixel in mm and a note about it; None where it is unknown."""
    measures = functional(dataset, frame, "PixelMeasuresSequence")
    spacing = _positive_pair(_vector(measures, dataset, "PixelSpacing", 2))
    if spacing is not None:
        return spacing, None
    for keyword in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = _positive_pair(_vector(None, dataset, keyword, 2))
        if spacing is not None:
            return spacing, f"the pixel size is that of the detector ({keyword}), not corrected for magnification"
    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    if regions:
        return _ultrasound_spacing(regions)
    return None, "no pixel size is given: measures are in px"


def _ultrasound_spacing(regions) -> tuple[tuple[float, float] | None, str | None]:
    """The pixel size of the tissue's regions, DICOM PS3.3 C.8.5.5: 2D, in cm; strips of ECG and Doppler have none, or others."""
    pictures = [r for r in regions if r.get("RegionSpatialFormat") in (_PLANE, None)]
    tissue = [r for r in pictures if r.get("RegionDataType") in (_TISSUE, None)] or pictures
    sizes = []
    for region in tissue:
        units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
        try:
            y, x = (abs(float(region.get(k) or 0)) * 10 for k in ("PhysicalDeltaY", "PhysicalDeltaX"))
        except (TypeError, ValueError):
            continue
        if units == (_CENTIMETRES, _CENTIMETRES) and 0 < y < math.inf and 0 < x < math.inf:
            sizes.append((y, x))
    if not sizes:
        return (
            None,
            f"none of the {len(regions)} ultrasound regions is a 2D picture with a size in cm: measures are in px",
        )
    if any(abs(a - b) > 1e-3 * b for size in sizes for a, b in zip(size, sizes[0], strict=True)):
        return None, f"the {len(sizes)} tissue regions have different pixel sizes: measures are in px"
    if len(regions) > len(sizes):
        return sizes[
            0
        ], f"the pixel size is that of the tissue; it is not right in the other {len(regions) - len(sizes)} regions"
    return sizes[0], None


def slice_distance(dataset) -> tuple[float | None, str | None]:
    """Distance between slices in mm as the tags have it, None where they do not; and a note about it."""
    unknown = "areas are in mm², volumes in px"
    pointers = dataset.get("FrameIncrementPointer")
    pointers = pointers if isinstance(pointers, (list, tuple)) or hasattr(pointers, "__iter__") else [pointers]
    if any(pointer in _TIMES for pointer in pointers):
        return None, f"frames follow each other in time, they have no distance: {unknown}"
    measures = functional(dataset, 0, "PixelMeasuresSequence")
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        found = _vector(measures, dataset, keyword, 1)
        if found is not None and abs(found[0]) > 0:
            return float(abs(found[0])), None
    return None, f"no slice distance is given: {unknown}"


def rescale(dataset, frame: int = 0) -> tuple[float, float]:
    """Slope and intercept of the stored values."""
    item = functional(dataset, frame, "PixelValueTransformationSequence")
    slope, intercept = (_vector(item, dataset, keyword, 1) for keyword in ("RescaleSlope", "RescaleIntercept"))
    # a slope of 0 would flatten the picture: a known vendor slip
    factor = 1.0 if slope is None or slope[0] == 0 else float(slope[0])
    return factor, 0.0 if intercept is None else float(intercept[0])


def default_window(dataset, modality: str | None) -> tuple[float, float] | None:
    """Centre and width of a CT's window: the first of the file, else soft tissue; None for other modalities."""
    if modality != "CT":
        return None
    item = functional(dataset, 0, "FrameVOILUTSequence")
    centre, width = (_vector(item, dataset, keyword, None) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width[0] <= 0:
        return SOFT_TISSUE
    return float(centre[0]), float(width[0])


def _vector(item, dataset, keyword: str, count: int | None) -> np.ndarray | None:
    """The numbers of a tag, of a functional group's item first; None where they are missing, too few or not finite."""
    for source in (item, dataset):
        value = None if source is None else source.get(keyword)
        if value is None or value == "":
            continue
        try:
            numbers = np.atleast_1d(np.array(value, np.float64))
        except (TypeError, ValueError):
            continue
        if numbers.ndim == 1 and len(numbers) and count in (None, len(numbers)) and np.isfinite(numbers).all():
            return numbers
    return None


def _positive_pair(values: np.ndarray | None) -> tuple[float, float] | None:
    if values is None or not (values > 0).all() or not all(math.isfinite(v) for v in values):
        return None
    return float(values[0]), float(values[1])
