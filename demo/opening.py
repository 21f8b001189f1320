"""What a page can open: uploaded files, and the phantoms that come with the package."""

import contextlib
import zipfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.intensity import to_uint8
from lite_medsam.images.reading import IMAGE_SUFFIXES, read_pixels
from lite_medsam.jobs.listing import MEDICAL_SUFFIXES
from lite_medsam.phantoms import bundled_cases, make_phantom_volume
from lite_medsam.prompts.label_files import read_label_objects
from lite_medsam.prompts.label_objects import LabelObject
from lite_medsam.results.dicom_seg_source import with_headers
from lite_medsam.scans.dicom import is_dicom
from lite_medsam.scans.dicom_study import ZIP_SUFFIX
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.scans.oct.registry import SHARED_SUFFIXES
from lite_medsam.scans.oct.stack import is_tiff_stack
from lite_medsam.scans.reading import load_volume
from lite_medsam.scans.scan import Scan

from .uploads import Upload

VOLUME_SAMPLES = {"ct": "CT volume", "mr": "MR volume", "oct-cme": "OCT volume"}


def _scan_of(case) -> Scan:
    geometry = Geometry.from_spacing(case.label_shape, case.spacing_mm)
    notes = ("a phantom: computed, not a patient",)
    return Scan(case.image, case.spacing_mm, case.modality, geometry, case.name, case.is_volume, notes=notes)


@lru_cache(maxsize=1)
def _pictures() -> dict[str, Scan]:
    return {case.name: _scan_of(case) for case in bundled_cases()}


@lru_cache(maxsize=len(VOLUME_SAMPLES))
def _volume(kind: str) -> Scan:
    return _scan_of(make_phantom_volume(kind))


def sample_list() -> list[dict[str, str]]:
    """Name and title of every sample."""
    titles = {"oct-cme": "OCT, cystoid oedema", "oct-srf": "OCT, subretinal fluid"}
    pictures = []
    for name, scan in _pictures().items():
        kind = name.split("_")[2].rsplit("-", 1)[0]
        pictures.append({"name": name, "title": titles.get(kind, scan.modality or kind)})
    return pictures + [{"name": f"3D_{kind}", "title": title} for kind, title in VOLUME_SAMPLES.items()]


def open_sample(name: str) -> Scan:
    """A phantom.

    Raises:
        CaseError: If there is none of this name.
    """
    if name in _pictures():
        return _pictures()[name]
    if name.startswith("3D_") and name[3:] in VOLUME_SAMPLES:
        return _volume(name[3:])
    raise CaseError(f"there is no sample {name[:60]!r}")


def open_upload(upload: Upload, max_pixels: int, series: str | None = None) -> Scan:
    """What was uploaded: one file, or the files of a DICOM series.

    Args:
        upload: The files.
        max_pixels: Of a picture, or voxels of a volume.
        series: Which series of a study, see `load_volume`; None: the only one.

    Raises:
        CaseError: If it is damaged, too large or of another kind; messages show the user's name of the file, not ours.
    """
    shown = clean_name(upload.names[0])
    source = upload.source
    try:
        scan = open_file(source, max_pixels, series)
    except CaseError as error:
        text = str(error).replace(str(source), shown).replace(str(upload.folder), "upload").replace(source.name, shown)
        raise CaseError(text) from None
    if scan.dicom is not None:  # the files are about to go; a segmentation refers to them
        with contextlib.suppress(CaseError):
            scan = replace(scan, dicom=with_headers(scan.dicom))
    left = _left_out(upload, scan)
    return replace(scan, name=_stem(_title(upload)), notes=(*scan.notes, *left))


def _title(upload: Upload) -> str:
    """What several files are called: by the folder that all of them came in, where there is one."""
    if len(upload.names) == 1:
        return clean_name(upload.names[0])
    tops = {name.replace("\\", "/").strip("/").split("/")[0] for name in upload.names if "/" in name.strip("/")}
    return clean_name(tops.pop()) if len(tops) == 1 else f"series of {len(upload.names)}"


def _left_out(upload: Upload, scan: Scan) -> list[str]:
    """What to say of files that came together with a DICOM series and are none of it."""
    if len(upload.names) < 2 or scan.dicom is None or upload.source != upload.folder:
        return []
    others = [clean_name(name) for k, name in enumerate(upload.names) if not is_dicom(upload.path(k))]
    if not others:
        return []
    shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return [f"{len(others)} of the files are not DICOM and were left out ({shown}): open them by themselves"]


def open_masks(upload: Upload, scan: Scan) -> list[LabelObject]:
    """The objects of an uploaded label file, for the scan that is open.

    Raises:
        PromptError: If it is no such file, or is for something else.
    """
    path = upload.source if upload.source.is_file() else upload.path(0)  # (of a header and its data the header)
    shown = clean_name(upload.names[0])
    shape = scan.label_shape
    try:
        return read_label_objects(path, shape, scan.geometry, scan.name, scan.dicom)
    except PromptError as error:
        raise PromptError(str(error).replace(str(path), shown).replace(path.name, shown)) from None


def open_file(path: Path, max_pixels: int, series: str | None = None) -> Scan:
    """One file, or a folder that is one scan: DICOM files, B-scans as pictures.

    Raises:
        CaseError: As `load_volume`.
    """
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES and not is_tiff_stack(path):
        values = read_pixels(path, max_pixels)
        if values.ndim == 3 or values.dtype == bool:
            values = to_uint8(values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise CaseError(f"{path}: an image must not hold NaN or infinite values; replace them first")
        return Scan(values, None, None, Geometry.from_spacing(values.shape[:2], None), path.stem)
    if zipfile.is_zipfile(path) and path.suffix.lower() == ZIP_SUFFIX:
        _check_zip(path)
    return load_volume(path, max_voxels=max_pixels, series=series)


def _check_zip(path: Path) -> None:
    """A ZIP of something else than DICOM says what it holds, and what to do with it.

    Raises:
        CaseError: If no file in it can be DICOM.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
    known = (*IMAGE_SUFFIXES, ".npz", ".npy", ".json", ".csv", ".txt", *NIFTI_SUFFIXES, ".pdf")
    if names and all(name.lower().endswith(known) for name in names):
        shown = ", ".join(clean_name(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        raise CaseError(
            f"{path}: a ZIP must hold the files of a DICOM series, or be one that was saved here; this one holds {shown}: "
            "unpack it and open its files, or drop its folder here"
        )


def clean_name(name: str) -> str:
    """A file's name without folders, on one line, short."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c if c.isprintable() else "?" for c in last)[-120:] or "file"


def _stem(name: str) -> str:
    for suffix in (*MEDICAL_SUFFIXES, *SHARED_SUFFIXES, ".npz", ".zip", *IMAGE_SUFFIXES):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    kept = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")
    return kept[:80] or "image"
