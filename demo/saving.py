"""What a user takes home: single files, or one ZIP with all of them and a record of how they were made."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import lite_medsam
from lite_medsam.errors import CaseError, MissingExtraError, PromptError
from lite_medsam.jobs.references import model_sha256
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.results.annotations import annotation_files
from lite_medsam.results.class_maps import class_png
from lite_medsam.results.contents import readme_text
from lite_medsam.results.dicom_seg import Algorithm, Segment, lack_of, write_dicom_seg
from lite_medsam.results.measurements import is_fluid
from lite_medsam.results.result import Result
from lite_medsam.results.take_home import annotated, label_png, take_home_files, write_zip
from lite_medsam.session.following import with_masks
from lite_medsam.session.interactive import Session
from lite_medsam.session.plane_files import plane_prompt_files
from lite_medsam.volumes.planes import planes_of

from .result_record import record_of, reproduce_text, spacing_origin
from .session_files import session_members

PLANES_TEXT = """
prompts_PLANE.json has what was said on another plane than that of the slices, in voxels of the file that was opened.
prompts.json makes the masks again on every slice; this one is followed anew from that plane, without square pixels:
  lite-medsam segment -i FILE --prompts prompts_PLANE.json -o out
"""
ENDINGS = {
    "label": "_label.png",
    "overlay": "_overlay.png",
    "npz": ".npz",
    "nifti": "_label.nii.gz",
    "coco": "_coco.json",
    "prompts": "prompts.json",
    "names": "_names.png",
    "polygons": "_polygons.json",
    "classes": "_classes.png",
    "dicomseg": "_seg.dcm",
}
# of a picture one file, of a volume one for each slice: a ZIP
PER_PICTURE = {"labelme": "_labelme.json", "yolo": "_yolo.txt"}


def save(session: Session, index: int, what: str, unit: str = "mm", look: dict | None = None) -> tuple[str, bytes]:
    """One file to download.

    Args:
        session: What to save; masks are made once more from the prompts, by the same call as `lite-medsam segment`.
        index: The slice that pictures of a volume show.
        what: "zip" for all, or a key of `ENDINGS` or `PER_PICTURE`; where that is several files they are a ZIP, too.
        unit: "mm" or "um" for the measurements.
        look: "opacity" 0 to 1 and "contours" of the overlay, as on the screen.

    Returns:
        File name and content.

    Raises:
        PromptError: If there is no mask, or no such file.
    """
    kinds = {**ENDINGS, **PER_PICTURE}
    if what != "zip" and what not in kinds:
        raise PromptError(f"what to save must be zip or one of {', '.join(kinds)}, got {what[:40]!r}")
    lack = lack_of(session.scan.dicom)
    if what == "dicomseg" and lack is not None:
        raise PromptError(lack)
    result, stem, files = result_files(session, index, what, unit, look)
    if what == "zip":
        members = session_members(session, index, f"{stem}.npz")
        files["README.txt"] += (
            f"\n{', '.join(sorted(members))}: the session; the ZIP opens again in the demo.\n".encode()
        )
        return f"{stem}_lite-medsam.zip", zipped(files | members)
    if what in PER_PICTURE:
        return _per_picture(result, stem, what)
    wanted = [name for name in files if name.endswith(ENDINGS[what])]
    if not wanted and what == "classes":
        raise PromptError("there is no class list, so no label map of classes; add classes first")
    if not wanted:
        raise MissingExtraError("a NIfTI file", "medical", "nibabel")
    masks = [name for name in files if name.startswith("prompts_")]
    if what == "prompts" and masks:
        return f"{stem}_prompts.zip", zipped({name: files[name] for name in (*masks, wanted[0])})
    name = wanted[0]
    return (f"{stem}_prompts.json" if what == "prompts" else name), files[name]


def result_files(
    session: Session, index: int, what: str = "zip", unit: str = "mm", look: dict | None = None
) -> tuple[Result, str, dict[str, bytes]]:
    """The files of a session's results.

    Args:
        session, index, unit, look: As for `save`.
        what: As for `save`; DICOM-SEG is made for "zip" where it can be, and for "dicomseg".

    Returns:
        The result, what the files' names begin with, and content by name.

    Raises:
        PromptError: If there is no mask.
    """
    lack = lack_of(session.scan.dicom)
    result = result_of(session, index)
    look = look or {}
    opacity = float(np.clip(look.get("opacity", 0.45), 0, 1))
    files = take_home_files(result, unit, opacity, look.get("contours", True) is not False)
    stem = next(name for name in files if name.endswith(".npz")).removesuffix(".npz")
    if result.is_volume:
        files[f"{stem}_z{index:03d}_label.png"] = label_png(result.labels[index])
        if result.class_list:
            files[f"{stem}_z{index:03d}_classes.png"] = class_png(result.labels[index], result.named, result.class_list)
    if lack is None and what in ("zip", "dicomseg"):
        files |= dicom_seg_file(session, result, stem, required=what == "dicomseg")
    files[f"{stem}_record.json"] = record_of(session, result)
    files["README.txt"] = (readme_text(files) + reproduce_text(stem, result.is_volume)).encode()
    if result.is_volume and (said := plane_files(session)):
        files |= said
        files["README.txt"] += PLANES_TEXT.encode()
    return result, stem, files


def plane_files(session: Session) -> dict[str, bytes]:
    """What was said on other planes than that of the slices, see `plane_prompt_files`."""
    geometry = session.scan.geometry
    return plane_prompt_files(session.now, planes_of(geometry, session.scan.modality), geometry)


def result_of(session: Session, index: int) -> Result:
    """The session's objects as a result.

    Raises:
        PromptError: If no object has a mask.
    """
    scan = session.scan
    wet = any(is_fluid(item.name) for item in session.now.objects)
    shared: dict[str, Any] = {
        "spacing_mm": session.spacing_mm,
        "spacing_origin": spacing_origin(session),
        "geometry": scan.geometry,
        "modality": "OCT" if wet else scan.modality,
        "name": scan.name,
        "class_list": session.now.classes,
    }
    if scan.is_volume:
        seeds, masks, scores = session.volume_objects()
        if not seeds:
            raise PromptError("there is no mask to save yet; draw a box or click on something first")
        numbers = [item.number for item in with_masks(session.now)]
        shared["classes"] = [item.label for item in with_masks(session.now)]
        return Result(session.volume(), session.label_map(), seeds, masks, scores, z=index, numbers=numbers, **shared)
    asked = session.prompts()
    if not asked:
        raise PromptError("there is no mask to save yet; draw a box or click on something first")
    regions = [item.region(0) for item, _ in asked]
    shown = [region.full() for region in regions if region is not None]
    numbered = [replace(prompt, number=item.number) for item, prompt in asked]
    prompts, prediction, masks = _settled(session, numbered, shown)
    scores = [None if np.isnan(score) else float(score) for score in prediction.scores]
    numbers = [item.number for item, _ in asked]
    shared["classes"] = [item.label for item, _ in asked]
    labels = np.array([0, *numbers], np.min_scalar_type(max(numbers)))[prediction.label_map()]
    return Result(session.pixels(), labels, prompts, masks, scores, numbers=numbers, **shared)


def dicom_seg_file(session: Session, result: Result, stem: str, required: bool) -> dict[str, bytes]:
    """The objects as a DICOM segmentation, by file name.

    Args:
        session: What is saved.
        result: The same as a result.
        stem: First part of the file's name.
        required: Whether it is what was asked for; else it is left out where it can't be written.

    Raises:
        CaseError: If it is required and can't be written.
    """
    scan, masks = session.scan, [result.mask(i) for i in range(len(result.names))]
    rows = zip(result.names, result.targets, result.classes, strict=True)
    segments = [Segment(name, target or label) for name, target, label in rows]
    made_by = Algorithm(session.predictor.spec.name, model_sha256(session.predictor), lite_medsam.__version__)
    assert scan.dicom is not None  # see `lack_of`
    with tempfile.TemporaryDirectory(prefix="lite-medsam-demo-") as folder:
        path = Path(folder) / "seg.dcm"
        try:
            # an object's value is its place in the list there
            labels = np.stack(masks) if not result.is_volume else _in_order(result)
            write_dicom_seg(path, labels, scan.geometry, scan.dicom, segments, made_by)
        except (CaseError, MissingExtraError):
            if required:
                raise
            return {}
        return {f"{stem}_seg.dcm": path.read_bytes()}


def _in_order(result: Result) -> np.ndarray:
    """The label map with 1, 2, 3 and so on in place of the objects' numbers."""
    numbers = [result.number(i) for i in range(len(result.names))]
    table = np.zeros(max([0, *numbers]) + 1, np.min_scalar_type(len(numbers)))
    table[numbers] = np.arange(1, len(numbers) + 1)
    return table[result.labels]


def _per_picture(result: Result, stem: str, kind: str) -> tuple[str, bytes]:
    """Labelme's or YOLO's file of a picture, alone where it is one."""
    found, _ = annotation_files([kind], stem, *annotated(result))
    files = {stem + ending: content for ending, content in found.items()}
    if len(files) == 1:
        return next(iter(files.items()))
    return f"{stem}_{kind}.zip", zipped(files)


def _settled(session: Session, prompts: list[Prompt], shown: list[np.ndarray]):
    """Prompts that, asked all together as `lite-medsam segment` does, give the masks that are shown one by one.

    Where many small objects share crops, some would come out a few pixels different: those are saved as final masks.
    """
    for attempt in range(4):
        prediction = session.predictor.segment(session.pixels(), prompts)
        masks = [prediction.mask(i) for i in range(len(prediction))]
        other = [i for i, mask in enumerate(masks) if not np.array_equal(mask, shown[i])]
        if not other:
            break
        # without those the crops are shared in another way, so the rest is asked once more
        for i in other if attempt < 2 else range(len(prompts)):
            prompts[i] = replace(prompts[i], mask=shown[i], final=True)
    return prompts, prediction, masks


def zipped(files: dict[str, bytes]) -> bytes:
    """The files as one ZIP."""
    buffer = io.BytesIO()
    write_zip(buffer, files)
    return buffer.getvalue()
