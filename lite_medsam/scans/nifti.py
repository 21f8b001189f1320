"""NIfTI files in and out; results lie on the voxels of the file that was read."""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.fields import smallest_unsigned
from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.images.no_data import without_ground
from lite_medsam.images.silence import quiet
from lite_medsam.scans.geometry import PLANES, Geometry, orient
from lite_medsam.scans.raw_values import check_frame, finite, frame_note, labels_of, modality_and_window
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.guarded_reading import GuardedFile, GuardedGzip
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

NIFTI_SUFFIXES = (".nii", ".nii.gz")
# what says where voxels are; every text field of the header stays behind
_GEOMETRIC = (
    "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z",
    "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def load_nifti(
    path: str | os.PathLike, max_voxels: int, frame: int | None = None, plane: str = "auto", is_label: bool = False
) -> Scan:
    """Reads a NIfTI file.

    Slices, rows and columns are those axes of the file that lie closest to the patient's, as radiology shows them.

    Args:
        path: A .nii or .nii.gz file.
        max_voxels: Larger images are refused by their header.
        frame: Which volume of several, from 0; without it, a file with several is refused.
        plane: "axial", "coronal", "sagittal" or "auto", see `geometry.orient`.
        is_label: Numbers are labels: each is what it says, none is a mark of no data, and NaN is background.

    Raises:
        CaseError: If the file is missing, damaged, cut off, too large, in colour, complex, or has several volumes.
        MissingExtraError: If nibabel is not installed.
    """
    nibabel = _nibabel()
    shown = shown_path(path)
    if plane not in ("auto", *PLANES):
        raise CaseError(f"plane must be auto or one of {', '.join(PLANES)}, got {plane!r}")
    try:
        with quiet(), _opened(Path(path)) as file:
            image = _image_class(nibabel, file).from_stream(file)
            values, padded, file_shape, notes = _values(image, max_voxels, frame, is_label)
        geometry, spacing, more = _geometry(nibabel, image, file_shape, plane)
    except CaseError as error:
        raise CaseError(f"{shown}: {error}") from None
    except MemoryError:
        raise CaseError(f"{shown}: not enough memory to load the volume") from None
    except FileNotFoundError:
        raise CaseError(f"{shown}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, struct.error):
        raise CaseError(f"{shown}: damaged or cut-off NIfTI file") from None
    except Exception as error:  # ImageFileError, HeaderDataError, OSError of a short file, ValueError of a wild header
        raise CaseError(f"{shown}: must be a readable NIfTI file, got: {one_line(error)}") from None
    name = Path(path).name.removesuffix(".gz").removesuffix(".nii") or "scan"
    modality, default = modality_and_window(name, values)
    ours = geometry.from_file(values)
    if (
        geometry.axes[0] == 0 and ours.ndim == 3
    ):  # slices across the axis along which the file lies in memory: slow to take
        ours = np.ascontiguousarray(ours)
    return Scan(ours, spacing, modality, geometry, name, True, default, (*notes, *more), padded=padded)


def save_nifti(path: str | os.PathLike, labels: np.ndarray, geometry: Geometry) -> None:
    """Writes a label map so that affine, shape and orientation equal those of the file that it was made for.

    Args:
        path: A .nii or .nii.gz file.
        labels: (D, H, W), or (H, W) for one slice; integers, 0 background; stored as the smallest of uint8, uint16,
            uint32.
        geometry: Of the scan.

    Raises:
        CaseError: If the labels have another shape or are no such numbers, or the name another ending.
        MissingExtraError: If nibabel is not installed.
        OSError: If the file can't be written; nothing is left behind.
    """
    path = Path(path)
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        raise CaseError(f"{shown_path(path)}: must end in .nii or .nii.gz")
    data = nifti_bytes(labels, geometry, path.name.lower().endswith(".gz"))
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def nifti_bytes(labels: np.ndarray, geometry: Geometry, compressed: bool = True) -> bytes:
    """The file of `save_nifti` as bytes; the same labels give the same bytes."""
    nibabel = _nibabel()
    array = geometry.to_file(smallest_unsigned(np.asarray(labels), "labels"))
    large = geometry.nifti2 or max(array.shape) > np.iinfo(np.int16).max
    header_class, image_class = (
        (nibabel.Nifti2Header, nibabel.Nifti2Image) if large else (nibabel.Nifti1Header, nibabel.Nifti1Image)
    )
    header = header_class()
    header.set_data_dtype(array.dtype)
    if geometry.header:
        header.set_data_shape(array.shape)
        for key, value in geometry.header.items():
            header[key] = value
        image = image_class(np.asfortranarray(array), None, header)
    else:
        image = image_class(np.asfortranarray(array), geometry.affine, header)
        image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    if not compressed:
        return data
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as file:
        file.write(data)
    return packed.getvalue()


def orientation_of(affine: np.ndarray) -> np.ndarray:
    """(3, 2): for each axis of a file the closest axis of the patient (right, anterior, superior) and the direction along it.

    Raises:
        MissingExtraError: If nibabel is not installed.
    """
    return _nibabel().orientations.io_orientation(affine)


def _opened(path: Path) -> GuardedFile | GuardedGzip:
    with open(path, "rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return GuardedGzip(path) if is_packed else GuardedFile(path)


def _image_class(nibabel, file: GuardedFile | GuardedGzip) -> Any:
    """NIfTI 1 or 2, by the size of the header that begins the file."""
    head = file.read(4)
    file.seek(0)
    for order in ("<i", ">i"):
        size = struct.unpack(order, head)[0] if len(head) == 4 else 0
        if size in (348, 540):
            return nibabel.Nifti1Image if size == 348 else nibabel.Nifti2Image
    raise CaseError("must be a NIfTI file, does not begin with the header of one")


def _values(
    image, max_voxels: int, frame: int | None, is_label: bool
) -> tuple[np.ndarray, int, tuple[int, ...], list[str]]:
    """The numbers, how many of them are padding, the file's shape, and notes."""
    shape, dtype = tuple(int(n) for n in image.shape), image.header.get_data_dtype()
    if dtype.names is not None or dtype.kind not in "buif":
        raise CaseError(f"must hold grey values, holds {'colours' if dtype.names else dtype}; convert it first")
    if not 2 <= len(shape) <= 7 or min(shape) < 1:
        raise CaseError(f"must be a volume of three axes, its header says {shape}")
    several = math.prod(shape[3:])
    check_frame(frame, several, shape)
    file_shape = shape[:3] if several > 1 else shape
    if math.prod(file_shape) > max_voxels:
        raise CaseError(f"must have at most {max_voxels} voxels, its header says {shape}; crop or shrink it")
    notes = [frame_note(frame or 0, several)] if several > 1 else []
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    is_scaled = slope != 1 or intercept != 0
    if several > 1:
        # in the order of the file, in which the first of several axes runs fastest
        place = tuple(int(i) for i in np.unravel_index(frame or 0, shape[3:], order="F"))
        values = np.asarray(image.dataobj[(slice(None),) * 3 + place], np.float32 if is_scaled else None)
        is_scaled = False
    else:
        values = np.asarray(image.dataobj.get_unscaled())
    values = values.reshape(file_shape).astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
    if is_label:
        values = labels_of(values * np.float32(slope) + np.float32(intercept) if is_scaled else values)
        return values, 0, file_shape, notes
    values = finite(values, notes)
    is_turned = is_scaled and slope < 0
    padded, note = 0, None
    if not is_turned:  # marks of no data are numbers of the file, before its scaling
        values, padded, note = without_ground(values)
    if is_scaled:
        values = values.astype(np.float32)
        values *= np.float32(slope)
        values += np.float32(intercept)
        values = finite(values, notes)
    if is_turned:
        values, padded, note = without_ground(values)
    return values, padded, file_shape, [*notes, *([note] if note else [])]


def _geometry(nibabel, image, file_shape, plane: str) -> tuple[Geometry, tuple[float, float, float] | None, list[str]]:
    header, notes = image.header, []
    kept = {key: np.array(header[key]) for key in _GEOMETRIC}
    affine = np.array(image.affine, np.float64)
    affine[:3] *= _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)  # (the header itself goes back as it was)
    is_usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0
    orientation, lengths = np.full((3, 2), np.nan), np.ones(3)
    if is_usable:
        orientation = orientation_of(affine)
        lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    else:
        notes.append("the file does not say where its voxels lie: no voxel size, slices in the order of the file")
    axes, flipped, name = orient(orientation, file_shape, lengths, plane)
    geometry = Geometry(affine, file_shape, axes, flipped, kept, isinstance(image, nibabel.Nifti2Image), name)
    if not is_usable:
        return geometry, None, notes
    return geometry, geometry.spacing_mm, notes


def _nibabel():
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError("reading and writing NIfTI", "medical", "nibabel") from None
    return nibabel
