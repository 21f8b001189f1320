"""Label files, whatever kind they are: told apart by their content, read as objects with masks."""

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.npz import read_npz
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.images.masks import read_mask, stored_mask
from lite_medsam.images.softness import half_of_soft
from lite_medsam.prompts.label_annotations import (
    coco_objects,
    kind_of_document,
    labelme_objects,
    polygon_objects,
    yolo_objects,
)
from lite_medsam.prompts.label_objects import LabelObject, objects_of_array
from lite_medsam.prompts.label_volumes import dicom_seg_objects, nifti_objects, tiff_pages
from lite_medsam.scans.dicom import is_dicom
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import ITK_SUFFIXES
from lite_medsam.scans.scan import DicomSource
from lite_medsam.storage.paths import shown_path
from lite_medsam.storage.strict_json import read_json

# ("nifti": NRRD and MetaImage too, which lie in the patient as well)
KINDS = ("npz", "zip", "picture", "nifti", "dicom", "coco", "labelme", "polygons", "yolo")
MAX_ANNOTATION_BYTES = 500_000_000
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_YOLO_LINE = re.compile(rb"\s*\d+(\s+-?[\d.eE+-]+){4,}\s*(\r?\n|$)")


def label_kind(path: str | os.PathLike) -> str | None:
    """Which kind of label file this is, by its content: one of `KINDS`; None for others, prompt files among them."""
    path = Path(path)
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return None
        with open(path, "rb") as file:
            start = file.read(4096)
    except (OSError, ValueError):
        return None
    if start.startswith(b"PK"):
        return _kind_of_zip(path)
    if is_dicom(path):  # (its preamble may be the mark of a TIFF)
        return "dicom"
    if start.startswith(_PICTURES):
        return "picture"
    # (a packed file is a NIfTI file or nothing that is read here)
    if start.startswith(b"\x1f\x8b") or start[344:347] in (b"n+1", b"ni1") or start[4:7] == b"n+2":
        return "nifti"
    if start.startswith(b"NRRD") or (path.suffix.lower() in ITK_SUFFIXES and b"ElementDataFile" in start):
        return "nifti"
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        try:
            return kind_of_document(read_json(path, PromptError, MAX_ANNOTATION_BYTES))
        except PromptError:
            return None  # what is wrong, the reader of prompt files says
    return "yolo" if _YOLO_LINE.match(start) else None


def read_label_objects(
    path: str | os.PathLike,
    shape: tuple[int, ...] | None = None,
    geometry: Geometry | None = None,
    stem: str = "",
    source: DicomSource | None = None,
) -> list[LabelObject]:
    """Reads the objects of a label file.

    Args:
        path: An npz with `segs` (or `gts`), NIfTI, NRRD, MetaImage, DICOM-SEG, a label PNG, BMP or TIFF (pages are slices, or a
            mask for each object), COCO, Labelme, YOLO segmentation, polygons, or a ZIP of the demo.
        shape: (H, W) or (D, H, W) of what they are for; None: a picture of the size that the file says.
        geometry: Of that scan, for NIfTI and DICOM-SEG, which lie in the patient.
        stem: The picture's name without ending, for COCO of several pictures.
        source: The images of that scan, for DICOM-SEG that refers to them.

    Returns:
        The objects in display coordinates, in the order of the file; of a label map in that of its values.

    Raises:
        PromptError: If it can't be read, is for another size or place, or holds no object; the message names the file.
        MissingExtraError: If nibabel or highdicom is needed and not installed.
    """
    path, shown = Path(path), shown_path(path)
    kind = label_kind(path)
    try:
        if kind is None:
            raise PromptError(f"must be a label file of a known kind: {', '.join(KINDS)}")
        if kind == "dicom":
            return dicom_seg_objects(path, shape, geometry, source)
        return _read(path, kind, shape, geometry, stem)
    except (CaseError, PromptError) as error:
        text = str(error)
        raise PromptError(text if text.startswith(shown) else f"{shown}: {text}") from None
    except OSError as error:
        raise PromptError(f"{shown}: could not be read ({error.strerror or error})") from None
    except MemoryError:
        raise PromptError(f"{shown}: not enough memory for its masks") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, zipfile.BadZipFile) as error:
        raise PromptError(f"{shown}: damaged or unusual {kind} file ({type(error).__name__})") from None


def _read(path: Path, kind: str, shape: Any, geometry: Geometry | None, stem: str) -> list[LabelObject]:
    if kind == "npz":
        return _npz_objects(path, shape)
    if kind == "zip":
        return _zip_objects(path, shape)
    if kind == "nifti":
        return nifti_objects(path, shape, geometry)
    if kind == "picture":
        return _picture_objects(path, shape)
    if kind == "yolo":
        if path.stat().st_size > MAX_ANNOTATION_BYTES:
            raise PromptError(f"must be at most {MAX_ANNOTATION_BYTES} bytes")
        return yolo_objects(path.read_text(encoding="utf-8"), shape, _yolo_classes(path))
    document = read_json(path, PromptError, MAX_ANNOTATION_BYTES)
    if kind == "coco":
        return coco_objects(document, shape, stem)
    return labelme_objects(document, shape) if kind == "labelme" else polygon_objects(document, shape)


def _kind_of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "npz"  # its reader says what is wrong
    if any(name.endswith((".npz", "_coco.json")) for name in names):
        return "zip"
    return "npz" if any(name.endswith(".npy") for name in names) else None


def _npz_objects(path: Path, shape: tuple[int, ...] | None) -> list[LabelObject]:
    arrays = read_npz(path, (), ("segs", "gts", "label_ids", "label_names"), unread={})
    labels = next((arrays[key] for key in ("segs", "gts") if key in arrays), None)
    if labels is None:
        raise PromptError("must hold segs or gts")
    names = {}
    if "label_ids" in arrays and "label_names" in arrays:
        ids, texts = (arrays[key].ravel().tolist() for key in ("label_ids", "label_names"))
        names = {int(i): str(text) for i, text in zip(ids, texts, strict=False)}
    return objects_of_array(labels, shape or labels.shape[-2:], names)


def _zip_objects(path: Path, shape: tuple[int, ...] | None) -> list[LabelObject]:
    """COCO has the names, and masks where they overlap; it is written into every ZIP of ours."""
    with zipfile.ZipFile(path) as archive:
        found = [info for info in archive.infolist() if info.filename.endswith("_coco.json")]
        if len(found) != 1 or found[0].file_size > MAX_ANNOTATION_BYTES:
            raise PromptError("must be a ZIP of ours with one _coco.json")
        document = json.loads(archive.read(found[0]).decode("utf-8"))
    if kind_of_document(document) != "coco":
        raise PromptError("its _coco.json must be COCO annotations")
    return coco_objects(document, shape, "")


def _picture_objects(path: Path, shape: tuple[int, ...] | None) -> list[LabelObject]:
    pages = tiff_pages(path)
    if pages is not None:
        return objects_of_array(pages, shape or pages.shape[-2:])
    mask = stored_mask(path)
    if mask.is_colour and not mask.is_lossy and not _is_one_colour(mask.values):
        labels = _numbers_of_colours(mask.values)
    else:
        labels = read_mask(path)
        labels = labels if labels.ndim == 2 else labels.max(axis=2)
    return objects_of_array(labels, shape or labels.shape)


def _is_one_colour(colours: np.ndarray) -> bool:
    """Whether the brightest pixels have one colour and edges are soft: then the others are its edge."""
    brightness = colours.max(axis=2)
    bright = colours[brightness == brightness.max()]
    return bool((bright == bright[0]).all()) and half_of_soft(brightness) is not None


def _numbers_of_colours(colours: np.ndarray) -> np.ndarray:
    """(H, W) labels: one for each colour but black."""
    red, green, blue = (colours[..., k].astype(np.int64) for k in range(3))
    found, indices = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    if len(found) > 256:
        raise PromptError(f"a mask in colours must have at most 256 of them, has {len(found)}")
    return indices.reshape(red.shape) + (0 if found[0] == 0 else 1)


def _yolo_classes(path: Path) -> list[str]:
    """Names of the class numbers from a file beside the labels: ours, or the classes.txt of labelling tools."""
    for beside in (path.with_name(f"{path.stem}_classes.txt"), path.with_name("classes.txt")):
        try:
            return beside.read_text(encoding="utf-8").splitlines()[:10_000]
        except (OSError, ValueError):
            continue
    return []
