"""Scans with their labels: a case, a scan beside the masks that `segment` wrote, or label maps alone."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lite_medsam.cases.npz import read_npz
from lite_medsam.errors import CaseError
from lite_medsam.evaluation.predictions import PredictionFiles, read_prediction
from lite_medsam.images.masks import read_mask
from lite_medsam.images.reading import IMAGE_SUFFIXES
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.itk_files import ITK_SUFFIXES
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.scans.oct.stack import is_tiff_stack, pictures_of
from lite_medsam.scans.reading import load_volume
from lite_medsam.scans.scale import OCT_AXES, Scale, Step, scale_from, spacing_of
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.paths import shown_path

_MAX_RECORD_BYTES = 100_000_000
_VOLUMES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)


@dataclass(frozen=True, eq=False)
class LabelledScan:
    """What is measured.

    Attributes:
        scan: The picture or volume with all that is known of it; only zeros where there are labels alone.
        label: (H, W) or (D, H, W) integers of the scan's shape, 0 background; None where it is still to be segmented.
        names: Of its values.
        has_image: Whether `scan.values` is a picture.
        notes: What a user should know.
    """

    scan: Scan
    label: np.ndarray | None
    names: Mapping[int, str]
    has_image: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def volume_label(self) -> np.ndarray:
        """(D, H, W) labels; a picture is a volume of one B-scan.

        Raises:
            CaseError: If there are none.
        """
        if self.label is None:
            raise CaseError(f"{self.scan.name}: there are no labels to measure; give --masks or --prompts")
        return self.label if self.label.ndim == 3 else self.label[None]


def read_labelled(
    path: Path, masks: Path | None = None, names: Mapping[int, str] | None = None, is_image: bool = False
) -> LabelledScan:
    """Reads what is to be measured.

    Args:
        path: A scan; or, without `masks`, labels: a case with `gts`, an npz with `segs`, a NIfTI file or picture of label numbers,
            or a folder of such pictures, one a B-scan in the order of their names.
        masks: Labels of the scan, in any of these forms; or the folder that `segment` wrote them to.
        names: Of label values; None: as the case, or the record that `segment` wrote, says.
        is_image: `path` is a scan, whatever it looks like.

    Raises:
        CaseError: If a file is missing, damaged or no label map, or scan and labels have different shapes.
    """
    if masks is None and not is_image and _is_labels(path):
        label = read_labels(path)
        record = _record(path)
        scale = _scale(path, record, label.ndim)
        name = re.sub(r"_label$", "", _stem(path))
        geometry = Geometry.from_spacing(label.shape, None)
        scan = Scan(
            np.zeros(label.shape, np.uint8), spacing_of(scale), None, geometry, name, is_volume=label.ndim == 3, scale=scale,
            laterality=_laterality(record), visit_date=_visit(record),
        )  # fmt: skip
        return LabelledScan(scan, label, dict(names or _names_of(record)), False, _axes_note(path, scan))
    scan = load_volume(path)
    notes = (*scan.notes, *_axes_note(path, scan))
    if masks is None:
        return LabelledScan(scan, scan.label, dict(names or scan.label_names or {}), True, notes)
    source = masks if masks.is_file() or _is_stack(masks, path) else PredictionFiles(masks).of(path)
    beside = _on_voxels_of(scan, source)
    if beside.shape != scan.label_shape:
        raise CaseError(
            f"{shown_path(source)}: the labels must have the shape {scan.label_shape} of {shown_path(path)}, have {beside.shape}"
        )
    found = dict(names or _names_of(_record(source)) or scan.label_names or {})
    return LabelledScan(replace(scan, label=beside), beside, found, True, notes)


def read_labels(path: Path) -> np.ndarray:
    """A label map from a file or a folder of pictures.

    Returns:
        (H, W) or (D, H, W) integers.

    Raises:
        CaseError: If it cannot be read or holds no whole numbers from 0.
    """
    if path.is_dir():
        label = _stack(path)
    elif is_tiff_stack(path) or path.name.lower().endswith(_VOLUMES):
        label = _whole(load_volume(path, is_label=True).values)
    else:
        label = read_prediction(path)
    return _checked(label, path)


def _checked(label: np.ndarray, path: Path) -> np.ndarray:
    """Whole numbers from 0; 0 and 255 alone are one object, as in pictures."""
    is_whole = label.dtype.kind in "bu" or (label.dtype.kind == "i" and label.min(initial=0) >= 0)
    if not is_whole or label.ndim not in (2, 3):
        raise CaseError(
            f"{shown_path(path)}: must hold whole label numbers (H, W) or (D, H, W), got {label.dtype} {label.shape}"
        )
    is_one = label.dtype == bool or set(np.unique(label).tolist()) == {0, 255}
    return (label > 0).astype(np.uint8) if is_one else label


def _stack(folder: Path) -> np.ndarray:
    """The pictures of a folder as one volume, by the numbers that they store: what they mean, all of them together say."""
    pages = pictures_of(folder)
    if not pages:
        raise CaseError(f"{shown_path(folder)}: must hold label pictures, one a B-scan, holds none")
    planes = [read_mask(page) for page in pages]
    if any(plane.ndim != 2 for plane in planes) or len({plane.shape for plane in planes}) > 1:
        raise CaseError(f"{shown_path(folder)}: the label pictures must be grey and of one size")
    return np.stack(planes)


def _on_voxels_of(scan: Scan, path: Path) -> np.ndarray:
    """Labels in the slices of a scan; those of files with axes of their own are brought there voxel by voxel."""
    if path.name.lower().endswith(_VOLUMES):
        other = load_volume(path, is_label=True)
        label = _checked(_whole(other.values), path)
        voxels = other.geometry.uncut(label if label.ndim == 3 else label[None])
        if voxels.shape == (*scan.geometry.file_shape, 1)[:3]:
            cut = scan.geometry.cut(voxels)
            return cut if scan.is_volume else cut[0]
        return label
    label = read_labels(path)
    return label[0] if label.shape == (1, *scan.label_shape) else label


def _is_labels(path: Path) -> bool:
    """Whether a file given alone holds labels: no image is with them."""
    if path.is_dir():
        return bool(pictures_of(path)) and _holds_labels(path)
    name = path.name.lower()
    if name.endswith(".npz"):
        try:
            read_npz(path, ("segs",))
        except CaseError:
            return False
        return True
    return name.endswith((*_VOLUMES, *IMAGE_SUFFIXES)) and _holds_labels(path)


def _holds_labels(path: Path) -> bool:
    """Whether a picture or NIfTI file holds few whole numbers, as labels do."""
    try:
        label = read_labels(path)
    except CaseError:
        return False
    return len(np.unique(label)) <= 64


def _is_stack(folder: Path, scan: Path) -> bool:
    """Whether a folder of masks is one stack of pictures, and no folder of results with a file for the scan."""
    return folder.is_dir() and bool(pictures_of(folder)) and not PredictionFiles(folder).of(scan).is_file()


def _whole(values: np.ndarray) -> np.ndarray:
    """Whole numbers that were stored as floats."""
    return values.astype(np.int64) if values.dtype.kind == "f" and (values == np.rint(values)).all() else values


def _stem(path: Path) -> str:
    return path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem


def _record(path: Path) -> dict:
    """The record that `segment` wrote beside its masks; empty where there is none."""
    target = path.with_name(re.sub(r"_label$", "", _stem(path)) + ".json")
    try:
        if target.stat().st_size > _MAX_RECORD_BYTES:
            return {}
        record = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and isinstance(record.get("objects"), list) else {}


def _names_of(record: Mapping) -> dict[int, str]:
    """Names of label values as a record says them: the name of the object, else its target."""
    found = {}
    for item in record.get("objects", ()):
        name = isinstance(item, dict) and (item.get("name") or item.get("target"))
        if name and isinstance(item.get("id"), int):
            found[item["id"]] = str(name)
    return found


def _scale(path: Path, record: Mapping, ndim: int) -> Scale:
    """The voxel size of labels alone: of their own file, else of the record that `segment` wrote beside them."""
    if path.name.lower().endswith(_VOLUMES):
        return load_volume(path).steps[-ndim:]
    steps, sizes = record.get("scale"), record.get("spacing_mm")
    try:
        if steps:
            found = tuple(Step(str(s["along"]), s["um"], s["origin"], str(s.get("basis", ""))) for s in steps)
            return found if len(found) == ndim else scale_from(None, ndim)
        return scale_from(tuple(float(mm) for mm in sizes) if sizes and len(sizes) <= ndim else None, ndim)
    except (TypeError, KeyError, ValueError):
        return scale_from(None, ndim)  # a record of another program


def _laterality(record: Mapping) -> str | None:
    return record["laterality"] if record.get("laterality") in ("R", "L") else None


def _visit(record: Mapping) -> str | None:
    try:
        return datetime.date.fromisoformat(record["visit_date"]).isoformat()
    except (KeyError, TypeError, ValueError):
        return None


def _axes_note(path: Path, scan: Scan) -> tuple[str, ...]:
    """For volumes of which the file does not say which axis is the depth."""
    if scan.is_volume and path.name.lower().endswith(_VOLUMES) and scan.steps[0].along != OCT_AXES[0]:
        return ("slices and rows of the file, as they are shown, are taken for B-scans and depth",)
    return ()
