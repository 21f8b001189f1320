"""Results to take home: label and overlay PNG, npz, NIfTI, annotations, prompts, measurements, and one ZIP of all."""

import contextlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lite_medsam.cases.fields import smallest_unsigned
from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.images.png_writing import palette_png_bytes, png_bytes
from lite_medsam.prompts.prompt_set import Prompt, prompt_files
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.prompts.volume_prompt_set import volume_prompt_files
from lite_medsam.results.annotations import Names, annotation_files, coco_of, pictures_of
from lite_medsam.results.class_maps import class_files
from lite_medsam.results.contents import readme_text
from lite_medsam.results.measurements import fluid, is_fluid, measure_objects, measurements_csv
from lite_medsam.results.named_overlay import named_overlay_png
from lite_medsam.results.overlay import draw_masks, draw_prompts, label_colours
from lite_medsam.results.result import Result
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.nifti import nifti_bytes
from lite_medsam.storage.files import atomic_write

_COMPRESSION = 4  # files that are taken home once: smaller, a little slower
_DATE = (1980, 1, 1, 0, 0, 0)  # the same results give the same bytes, whenever they are written


def label_png(labels: np.ndarray) -> bytes:
    """A label map as PNG: the numbers in it are the labels.

    Up to 255 it is a palette picture, so that viewers show the objects in the colours of the overlay; programs that read
    the colours instead of the stored numbers must be told not to (Pillow and tifffile give the numbers). Above, it is grey
    of 16 bits.

    Args:
        labels: (H, W) integers from 0 to 65535.

    Raises:
        CaseError: If it is no such map.
    """
    labels = smallest_unsigned(np.asarray(labels), "labels")
    if labels.ndim != 2 or labels.dtype == np.uint32:
        raise CaseError(f"a label PNG holds (H, W) labels up to 65535, got {labels.shape} up to {labels.max()}")
    if labels.dtype == np.uint8:
        return palette_png_bytes(labels, label_colours(), _COMPRESSION)
    return png_bytes(labels, _COMPRESSION)


def overlay_png(
    image: np.ndarray,
    masks: np.ndarray,
    prompts: Sequence[Prompt] = (),
    opacity: float = 0.45,
    contours: bool = True,
    numbers: Sequence[int] | None = None,
) -> bytes:
    """The picture with its objects coloured and their prompts drawn, see `overlay`, as RGB PNG.

    Args:
        image: (H, W) or (H, W, 3) uint8 RGB.
        masks: (H, W) labels or (N, H, W) bool.
        prompts: To draw; none by default.
        opacity: 0 (only contours) to 1.
        contours: Draw the rims.
        numbers: Of the masks of a stack and of the prompts; None: 1, 2, 3 and so on.
    """
    picture = draw_prompts(draw_masks(image, masks, opacity, contours, numbers), prompts, numbers)
    return png_bytes(picture, _COMPRESSION)


def case_npz(
    image: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> bytes:
    """An npz in the challenge's terms: `imgs`, `segs`, and `boxes` and `spacing` where they are given.

    Args:
        image: uint8.
        labels: (H, W) or (D, H, W) integers.
        boxes: (N, 4) x0 y0 x1 y1 or (N, 6) x0 y0 z0 x1 y1 z1, last pixel and slice inside.
        spacing_mm: In array order (z, y, x); the file has the challenge's order x, y, z.
    """
    arrays = {"imgs": image, "segs": smallest_unsigned(np.asarray(labels), "segs")}
    if boxes is not None and len(boxes):
        arrays["boxes"] = np.asarray(boxes, np.float32)
    if spacing_mm is not None and len(spacing_mm) == np.ndim(labels):  # (a volume's is three numbers or none)
        arrays["spacing"] = np.array(tuple(spacing_mm)[::-1], np.float64)
    if np.ndim(labels) == 3:
        arrays["is_volume"] = np.array(True)
    file = io.BytesIO()
    np.savez_compressed(file, **dict[str, Any](arrays))
    return file.getvalue()


def coco_json(result: Result) -> str:
    """The objects as COCO text, see `coco`; a volume gives one image per slice that holds an object, `<name>_z012.png`."""
    return json.dumps(coco_of(*annotated(result)), separators=(",", ":")) + "\n"


def take_home_files(result: Result, unit: str = "mm", opacity: float = 0.45, contours: bool = True) -> dict[str, bytes]:
    """Every file of a result by its name; the same result gives the same bytes.

    A volume has no label PNG; its overlay shows one slice. NIfTI is left out where nibabel is missing. `prompts.json` is
    what `lite-medsam segment --prompts` reads; previous masks lie beside it.

    Args:
        result: The result.
        unit: "mm" or "um" for measurements.
        opacity: Of the overlay.
        contours: Draw rims on the overlay.
    """
    stem, names = _safe(result.name), result.names
    files: dict[str, bytes] = {}
    if result.is_volume:
        files[f"{stem}_overlay.png"] = _slice_overlay(result, opacity, contours)
    else:
        stack = (
            None if result.masks is None or not len(result.masks) else np.stack([*map(result.mask, range(len(names)))])
        )
        drawn = result.labels if stack is None else stack
        if np.max(result.labels, initial=0) <= np.iinfo(np.uint16).max:
            files[f"{stem}_label.png"] = label_png(result.labels)
        files[f"{stem}_overlay.png"] = overlay_png(
            result.image, drawn, result.prompts, opacity, contours, result.numbers
        )
    files[f"{stem}_names.png"] = _names_png(result, opacity, contours)
    files[f"{stem}.npz"] = case_npz(result.image, result.labels, _boxes(result), result.spacing_mm)
    geometry = result.geometry or Geometry.from_spacing(result.labels.shape, result.spacing_mm)
    with contextlib.suppress(MissingExtraError):
        files[f"{stem}_label.nii.gz"] = nifti_bytes(result.labels, geometry)
    kinds = ("coco", "polygons") if result.is_volume else ("coco", "polygons", "labelme", "yolo")
    annotations, _ = annotation_files(kinds, stem, *annotated(result))
    files |= {stem + ending: content for ending, content in annotations.items()}
    files |= class_files(stem, result.labels, geometry, result.named, result.class_list)
    if result.prompts:
        files |= (
            volume_prompt_files(result.prompts)
            if result.is_volume
            else prompt_files(result.prompts, coordinates="display")
        )
    files[f"{stem}_measurements.csv"] = measurements_csv(_rows(result, unit)).encode()
    files["README.txt"] = readme_text(files).encode()
    return files


def write_zip(target: str | os.PathLike | BinaryIO, files: Mapping[str, bytes]) -> None:
    """Writes files into one ZIP: their names only, no folders, no dates, no owner; the same files give the same bytes.

    Args:
        target: A path, written atomically, or a binary file object.
        files: Name -> content, from `take_home_files`.

    Raises:
        CaseError: If a name holds a path.
        OSError: If the file can't be written.
    """
    for name in files:
        if not name or name != re.sub(r"[/\\:\0]", "_", name) or name in (".", ".."):
            raise CaseError(f"file names in a ZIP must be plain names, got {name!r}")
    if isinstance(target, (str, os.PathLike)):
        with atomic_write(Path(target)) as temporary, open(temporary, "wb") as file:
            _zip(file, files)
    else:
        _zip(target, files)


def _zip(file: BinaryIO, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, _DATE)
            packed = name.endswith((".npz", ".gz", ".png"))
            info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
            archive.writestr(info, content)


def annotated(result: Result) -> tuple[list, Names]:
    """The pictures and names of a result, as `annotation_files` wants them."""
    masks = [result.mask(i) for i in range(len(result.names))]
    return pictures_of(_safe(result.name), np.shape(result.labels), masks), result.named


def _names_png(result: Result, opacity: float, contours: bool) -> bytes:
    """The picture, or the slice that is drawn of a volume, with numbers and names."""
    z = _drawn_slice(result)
    masks = [result.mask(i) if z is None else result.mask(i)[z] for i in range(len(result.names))]
    numbers = [result.number(i) for i in range(len(masks))]
    image = result.image if z is None else result.image[z]
    return named_overlay_png(image, masks, numbers, result.names, opacity, contours)


def _drawn_slice(result: Result) -> int | None:
    if not result.is_volume:
        return None
    return int(np.count_nonzero(result.labels, axis=(1, 2)).argmax()) if result.z is None else result.z


def _rows(result: Result, unit: str) -> list[dict]:
    names = result.names
    masks = (result.mask(i) for i in range(len(names)))
    scores = None if result.scores is None else [*result.scores, *[None] * (len(names) - len(result.scores))]
    numbers = [result.number(i) for i in range(len(names))]
    rows = measure_objects(masks, result.spacing_mm, names=names, scores=scores, unit=unit, numbers=numbers)
    covered = [row | _in_label_map(result, i) for i, row in enumerate(rows)]
    rows = covered if any("label_map_voxels" in row or "label_map_px" in row for row in covered) else rows
    wet = [i for i, name in enumerate(names) if name and is_fluid(name)]
    if result.modality == "OCT" and wet:
        rows.append({"object": "fluid", "name": "all fluid", **fluid(map(result.mask, wet), result.spacing_mm, unit)})
    if result.spacing_origin and result.spacing_mm:
        rows = [row | {"spacing_origin": result.spacing_origin} for row in rows]
    return rows


def _in_label_map(result: Result, index: int) -> dict[str, int | str]:
    """What the label map holds of an object, and who covers the rest; nothing where it holds the whole mask."""
    mask, held = result.mask(index), result.labelled(index)
    others = np.unique(np.asarray(result.labels)[mask & ~held])
    if not len(others):
        return {}
    unit = "voxels" if result.is_volume else "px"
    return {
        f"label_map_{unit}": int(np.count_nonzero(held)),
        "covered_by": " ".join(str(number) for number in others.tolist() if number),
    }


def _boxes(result: Result) -> np.ndarray | None:
    """The boxes that were drawn, else those of the masks, in the objects' order; objects with neither are left out."""
    boxes = []
    for i in range(len(result.names)):
        drawn = _drawn_box(result.prompts[i]) if i < len(result.prompts) else None
        if drawn is None:
            places = np.argwhere(result.mask(i))
            drawn = (*places.min(0)[::-1], *places.max(0)[::-1]) if len(places) else None
        if drawn is not None:
            boxes.append(drawn)
    return np.array(boxes, np.float32) if boxes else None


def _drawn_box(prompt: Prompt | VolumeObject) -> tuple[float, ...] | None:
    """The box of a prompt; of a volume's object the 3D box that it came from."""
    if isinstance(prompt, Prompt):
        return prompt.box
    if prompt.bounds is None or prompt.z_range is None:
        return None
    (x0, y0, x1, y1), (z0, z1) = prompt.bounds, prompt.z_range
    return x0, y0, z0, x1, y1, z1


def _slice_overlay(result: Result, opacity: float, contours: bool) -> bytes:
    z = _drawn_slice(result)
    prompts = [item.prompts.get(z, Prompt()) for item in result.prompts]
    return overlay_png(result.image[z], result.labels[z], prompts, opacity, contours, result.numbers)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "scan"
