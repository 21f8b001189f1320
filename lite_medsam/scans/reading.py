"""Medical files in, label maps out: NIfTI, DICOM, MetaImage, OCT of the clinic, npz cases, by one function."""

import importlib.util
import os
from pathlib import Path

from lite_medsam.cases.case import load_case
from lite_medsam.errors import CaseError
from lite_medsam.images.decoding import other_kind
from lite_medsam.images.metaimage import METAIMAGE_SUFFIXES
from lite_medsam.images.reading import IMAGE_SUFFIXES, load_image
from lite_medsam.images.web_formats import is_gif, is_webp
from lite_medsam.scans.dicom import is_dicom, load_dicom_file, load_dicom_series
from lite_medsam.scans.dicom_files import candidates
from lite_medsam.scans.dicom_study import is_study
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import ITK_SUFFIXES, load_itk
from lite_medsam.scans.limits import voxels_in_memory
from lite_medsam.scans.metaimage import is_oct_metaimage, load_metaimage
from lite_medsam.scans.nifti import NIFTI_SUFFIXES, load_nifti, nifti_bytes, save_nifti
from lite_medsam.scans.oct.registry import find_format, folder_loader
from lite_medsam.scans.scan import SOFT_TISSUE, Scan, window
from lite_medsam.storage.paths import shown_path

__all__ = [
    "SOFT_TISSUE",
    "Geometry",
    "Scan",
    "load_volume",
    "nifti_bytes",
    "save_nifti",
    "window",
]

READABLE = (
    "NIfTI (.nii, .nii.gz), NRRD and MetaImage (.nrrd, .nhdr, .mha, .mhd), DICOM (a file, or the folder or ZIP of a series), "
    "OCT (.vol, .xml, .e2e, .fda, .fds, .img, .OCT, .mat), npz, and pictures (png, jpg, bmp, tif, webp, gif)"
)
# volumes of other programs, which would pass for damaged pictures
_OTHER_VOLUMES = (
    ".mgz",
    ".mgh",
    ".img",
    ".hdr",
    ".mnc",
    ".par",
    ".rec",
    ".vti",
    ".gipl",
    ".ima.gz",
)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def load_volume(
    path: str | os.PathLike,
    *,
    max_voxels: int | None = None,
    first_volume: bool = False,
    plane: str = "auto",
    series: str | None = None,
    frame: int | None = None,
    is_label: bool = False,
) -> Scan:
    """Reads a scan: NIfTI, NRRD, MetaImage, DICOM (a file, a series, a study), an OCT file, an npz case, or a picture.

    A folder without DICOM is an OCT exam: of Heyex's XML and its pictures, or of B-scans as pictures, in the order of their names.

    Args:
        path: What to read; the ending decides, and the content for files without a known one.
        max_voxels: Larger scans are refused by their header, before memory is taken for them; None: what memory allows.
        first_volume: Take the first volume of a NIfTI time series instead of refusing it.
        plane: How a NIfTI volume is cut: "axial", "coronal", "sagittal" or "auto" (see `geometry.orient`). DICOM and npz
            keep the slices that they have.
        series: Of a folder, DICOMDIR or ZIP of DICOM: SeriesNumber, SeriesInstanceUID or modality of the wanted series.
        frame: Of NIfTI, NRRD and MetaImage with several volumes (time, channels): which one, from 0.
        is_label: Numbers of NIfTI, NRRD and MetaImage are labels: each is what it says, none is a mark of no data, and NaN is
            background.

    Returns:
        The raw numbers and what is known about them.

    Raises:
        CaseError: If the file is missing, damaged, too large or of another kind; the message names it and is one line.
        MissingExtraError: If nibabel, pydicom, eyepy or OCT-Converter is needed and not installed.
    """
    source, max_voxels = Path(path), voxels_in_memory() if max_voxels is None else max_voxels
    name, shown = source.name.lower(), shown_path(path)
    if source.is_dir():
        return _load_folder(source, max_voxels, series)
    if is_study(source):
        return load_dicom_series(source, max_voxels, series)
    if not source.is_file():
        raise CaseError(f"{shown}: {'must be a regular file' if source.exists() else 'no such file'}")
    if source.stat().st_size == 0:
        raise CaseError(f"{shown}: the file is empty (0 bytes)")
    if name.endswith(NIFTI_SUFFIXES):
        return load_nifti(source, max_voxels, 0 if first_volume and frame is None else frame, plane, is_label)
    # (without SimpleITK a MetaImage is read in the order of its file)
    has_itk = importlib.util.find_spec("SimpleITK") is not None
    if name.endswith(METAIMAGE_SUFFIXES) and frame is None and (not has_itk or is_oct_metaimage(source)):
        return load_metaimage(source, max_voxels, is_label)
    if name.endswith(ITK_SUFFIXES):
        return load_itk(source, max_voxels, 0 if first_volume and frame is None else frame, plane, is_label)
    if frame is not None:
        raise CaseError(f"{shown}: a frame can be chosen in NIfTI, NRRD and MetaImage only; leave it out")
    if name.endswith(".npz"):
        return _load_npz(source, max_voxels)
    # (a DICOM file may have the mark of a TIFF in its preamble)
    if name.endswith((".dcm", ".dicom", ".ima")) or (not name.endswith(IMAGE_SUFFIXES) and is_dicom(source)):
        return load_dicom_file(source, max_voxels)
    exam = find_format(source)
    if exam is not None:
        return exam.load(source, max_voxels)
    if is_picture(source):
        image = load_image(source)
        return Scan(image, None, None, Geometry.from_spacing(image.shape[:2], None), source.stem)
    raise unreadable(source)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture: by its ending, or by its first bytes where that says nothing."""
    if path.name.lower().endswith(IMAGE_SUFFIXES):
        return True
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return False
    is_known = start.startswith(_PICTURES) or is_webp(start) or is_gif(start)
    return is_known and not path.name.lower().endswith(_OTHER_VOLUMES)


def is_other_volume(path: Path) -> bool:
    """Whether the ending is that of a medical volume of a kind that is not read."""
    return path.name.lower().endswith(_OTHER_VOLUMES)


def unreadable(path: Path) -> CaseError:
    """What to say of a file that is none of those that can be read."""
    kind = path.suffix.lower() if is_other_volume(path) else ""
    known = None if kind else other_kind(_start_of(path))
    what = f"{kind} volumes are not read; save it as NIfTI first" if kind else "it is none of them"
    what = f"its content is {known}" if known else what
    return CaseError(f"{shown_path(path)}: must be {READABLE}; {what}")


def _start_of(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(512)
    except OSError:
        return b""


def _load_folder(folder: Path, max_voxels: int, series: str | None) -> Scan:
    exam = None if series is not None or candidates(folder)[0] else folder_loader(folder)
    return load_dicom_series(folder, max_voxels, series) if exam is None else exam(max_voxels)


def _load_npz(path: Path, max_voxels: int) -> Scan:
    case = load_case(path, max_bytes=8 * max_voxels)
    return Scan(
        values=case.image,
        spacing_mm=case.spacing_mm,
        modality=case.modality,
        geometry=Geometry.from_spacing(case.label_shape, case.spacing_mm),
        name=case.name,
        is_volume=case.is_volume,
        boxes=case.boxes,
        label=case.label,
        label_names=case.label_names,
        notes=case.notes,
        unread=case.unread,
    )
