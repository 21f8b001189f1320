"""NRRD and MetaImage files in and out through SimpleITK, on the voxels of the file that was read."""

import math
import os
import re
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from lite_medsam.cases.fields import smallest_unsigned
from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.images.no_data import without_ground
from lite_medsam.scans.geometry import PLANES, Geometry, orient
from lite_medsam.scans.nifti import orientation_of
from lite_medsam.scans.raw_values import check_frame, finite, frame_note, labels_of, modality_and_window
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
# what a file's labels are written as: the same format, always in one file
WRITTEN_AS = {".nrrd": ".nrrd", ".nhdr": ".nrrd", ".mha": ".mha", ".mhd": ".mha"}
_HEADER_BYTES = 1 << 20
# where voxels lie, wherever in a line it stands: MetaIO passes over signs before a name, and takes a colon for an equals sign
_DATA_FILE = re.compile(rb"(?:elementdatafile[\s=:]*[=:]|^\s*data\s?file\s*:)[\s=:]*(.*?)\s*$", re.IGNORECASE)
_META_END = re.compile(rb"[\s=:]*ElementDataFile\s*[=:]")  # what MetaIO itself takes for the header's last line
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load_itk(
    path: str | os.PathLike, max_voxels: int, frame: int | None = None, plane: str = "auto", is_label: bool = False
) -> Scan:
    """Reads an NRRD or MetaImage file.

    Slices, rows and columns are those axes of the file that lie closest to the patient's, as with NIfTI.

    Args:
        path: A .nrrd, .nhdr, .mha or .mhd file; data of a header lie in its own folder.
        max_voxels: Larger images are refused by their header.
        frame: Which volume of several (a fourth axis, or several values per voxel), from 0.
        plane: "axial", "coronal", "sagittal" or "auto", see `geometry.orient`.
        is_label: As for `load_nifti`.

    Raises:
        CaseError: If the file is damaged, cut off, too large, has its data elsewhere, or holds several volumes.
        MissingExtraError: If SimpleITK is not installed.
    """
    sitk, path = _simpleitk(), Path(path)
    if plane not in ("auto", *PLANES):
        raise CaseError(f"plane must be auto or one of {', '.join(PLANES)}, got {plane!r}")
    try:
        _check_data_file(path)
        voxels, affine, notes = _voxels(sitk, path, max_voxels, frame)
        geometry, spacing = _geometry(affine, voxels.shape, plane)
        values, padded, note = (labels_of(voxels), 0, None) if is_label else without_ground(finite(voxels, notes))
    except CaseError as error:
        raise CaseError(f"{shown_path(path)}: {error}") from None
    except MemoryError:
        raise CaseError(f"{shown_path(path)}: not enough memory to load the volume") from None
    except Exception as error:  # RuntimeError of ITK for damage of every kind
        text = one_line(re.sub(r"(?s).*(?:ERROR|Error):? ", "", str(error)), 160)
        raise CaseError(f"{shown_path(path)}: must be a readable NRRD or MetaImage file, got: {text}") from None
    name = path.name[: -len(path.suffix)] or "scan"
    modality, window = modality_and_window(name, values)
    ours = np.ascontiguousarray(geometry.from_file(values))
    notes += [note] if note else []
    return Scan(ours, spacing, modality, geometry, name, True, window, tuple(notes), padded=padded)


def save_itk(path: str | os.PathLike, labels: np.ndarray, geometry: Geometry) -> None:
    """Writes a label map as NRRD or MetaImage, on the voxels of the file that it was made for.

    Args:
        path: A .nrrd or .mha file.
        labels: (D, H, W), or (H, W) for one slice; integers, 0 background; stored as the smallest of uint8, uint16,
            uint32.
        geometry: Of the scan.

    Raises:
        CaseError: If the labels have another shape or are no such numbers, or the name another ending.
        MissingExtraError: If SimpleITK is not installed.
        OSError: If the file can't be written; nothing is left behind.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITTEN_AS.values():
        raise CaseError(f"{shown_path(path)}: must end in .nrrd or .mha")
    with atomic_write(path) as temporary:
        write_itk(temporary, labels, geometry)


def write_itk(path: Path, labels: np.ndarray, geometry: Geometry) -> None:
    """As `save_itk`, straight to a path whose ending is .nrrd or .mha."""
    sitk = _simpleitk()
    array = geometry.to_file(smallest_unsigned(np.asarray(labels), "labels"))
    array = array.reshape((*array.shape, 1)[:3] if array.ndim < 3 else array.shape[:3])
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    affine = _LPS_TO_RAS @ geometry.affine
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetSpacing(lengths.tolist())
    directions = affine[:3, :3] / lengths
    if abs(np.linalg.det(directions)) > 1e-6:  # ITK takes no others
        image.SetDirection(directions.ravel().tolist())
    try:
        sitk.WriteImage(image, os.fspath(path), True)
    except RuntimeError as error:
        raise OSError(f"could not be written: {one_line(error, 160)}") from None


def itk_ending(name: str) -> str | None:
    """The ending of the labels of a file, `.nrrd` or `.mha`; None for files of other formats."""
    return WRITTEN_AS.get(Path(name).suffix.lower())


def _check_data_file(path: Path) -> None:
    """Refuses headers that would have any other file of this machine read as voxels."""
    with open(path, "rb") as file:
        start = file.read(_HEADER_BYTES)
    is_nrrd = start.startswith(b"NRRD")
    for line in start.splitlines():
        if is_nrrd and not line.strip():
            return
        match = _DATA_FILE.search(line)
        if match is not None:
            name = match[1].decode("utf-8", "replace")
            if name.upper().startswith("LIST"):
                raise CaseError("its slices lie in files of their own (LIST); save it as one file")
            if PureWindowsPath(name).name != name:
                raise CaseError("its data must lie beside the header, the header names another folder")
        if not is_nrrd and _META_END.match(line):
            return
    if len(start) == _HEADER_BYTES:  # what comes after has not been looked at
        raise CaseError(f"its header must end within {_HEADER_BYTES >> 20} MiB; remove its comments")


def _voxels(sitk, path: Path, max_voxels: int, frame: int | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(i, j, k) numbers of one volume, and voxel index -> right, anterior, superior in mm."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(os.fspath(path))
    reader.ReadImageInformation()
    size, parts = tuple(int(n) for n in reader.GetSize()), int(reader.GetNumberOfComponents())
    if len(size) not in (2, 3, 4) or min(size) < 1:
        raise CaseError(f"must be a volume of three axes, its header says {size}")
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise CaseError("must hold grey values, holds complex numbers; convert it first")
    times = size[3] if len(size) == 4 else 1
    check_frame(frame, times * parts, (*size, *([parts] if parts > 1 else [])))
    # values per voxel lie together in the file: all of them pass through memory
    if math.prod(size[:3]) * parts > max_voxels:
        raise CaseError(
            f"must have at most {max_voxels} voxels, its header says {size} of {parts} values; crop or shrink it"
        )
    chosen = frame or 0
    if times > 1:
        reader.SetExtractIndex([0, 0, 0, chosen // parts])
        reader.SetExtractSize([*size[:3], 0])
    image = reader.Execute()
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if parts > 1:
        image = sitk.VectorIndexSelectionCast(image, chosen % parts)
    array = sitk.GetArrayFromImage(image)
    array = array[None] if array.ndim == 2 else array
    if array.dtype.itemsize == 8:
        array = _narrowed(array)
    notes = [frame_note(chosen, times * parts)] if times * parts > 1 else []
    return array.transpose(2, 1, 0), _affine(image), notes


def _narrowed(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f" or array.min() < -(2**31) or array.max() >= 2**31:
        return array.astype(np.float32)
    return array.astype(np.int32)


def _affine(image: Any) -> np.ndarray:
    dims = image.GetDimension()
    affine = np.eye(4)
    direction = np.array(image.GetDirection(), np.float64).reshape(dims, dims)
    affine[:dims, :dims] = direction * np.array(image.GetSpacing(), np.float64)
    affine[:dims, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ affine


def _geometry(affine: np.ndarray, shape: tuple[int, ...], plane: str) -> tuple[Geometry, tuple[float, ...]]:
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    axes, flipped, name = orient(orientation_of(affine), shape, lengths, plane)
    geometry = Geometry(affine, shape, axes, flipped, plane=name)
    return geometry, geometry.spacing_mm


def _simpleitk() -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise MissingExtraError("reading and writing NRRD and MetaImage", "medical", "SimpleITK") from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK
