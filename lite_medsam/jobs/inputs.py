"""The input of one job: what its file holds, which objects were asked for, a picture or a volume."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.jobs.listing import Job, SegmentOptions
from lite_medsam.jobs.prompt_cells import cell_document
from lite_medsam.jobs.remote import fetched
from lite_medsam.prompts.from_labels import prompts_from_labels
from lite_medsam.prompts.label_files import label_kind
from lite_medsam.prompts.prompt_set import MAX_PROMPT_FILE_BYTES, Prompt, prompts_from_document
from lite_medsam.prompts.spatial_objects import SpatialObject
from lite_medsam.prompts.volume_coordinates import (
    AXES,
    Frame,
    frame_of,
    picture_to_display,
    slice_axis,
    volume_to_display,
)
from lite_medsam.prompts.volume_objects import VolumeObject, as_box, target_of_object
from lite_medsam.prompts.volume_prompt_set import volume_prompts_from_document
from lite_medsam.scans.oct.words import exam_facts
from lite_medsam.scans.reading import load_volume
from lite_medsam.scans.scan import Scan
from lite_medsam.storage.strict_json import Checker, read_json


@contextmanager
def on_disk(job: Job) -> Iterator[Job]:
    """The job with its input on this machine's disk, while it is read; one that lies there already is as it is.

    Raises:
        CaseError: If nothing is at its address, or nothing is known of this kind of address.
        OSError: If it cannot be fetched.
        MissingExtraError: If fsspec or a package of this kind of address is not installed.
    """
    if job.url is None or job.problem is not None:
        yield job
    else:
        with fetched(job.url, job.path.name) as path:
            yield replace(job, path=path)


def read_scan(job: Job, options: SegmentOptions) -> Scan:
    """The npz or medical file of a job with its grey values mapped to 8 bit; `default_window` is the one that was used.

    Raises:
        CaseError: If it cannot be read, or a window was asked for where there are no grey values to choose from.
        MissingExtraError: If nibabel or pydicom is needed and not installed.
    """
    check_window(job, options)
    try:
        scan = load_volume(job.path, max_voxels=options.max_voxels, series=job.series, frame=options.frame)
    except CaseError as error:
        if "voxels, " not in str(error):
            raise
        raise CaseError(f"{error}, or allow more with --max-voxels") from None
    if options.spacing_um is not None:
        scan = scan.with_spacing_um(options.spacing_um)
    if not job.is_medical:
        return scan
    is_colour = scan.values.ndim > len(scan.label_shape)
    if is_colour and options.window is not None:
        raise CaseError(f"--window is for grey values, but {job.path.name} is in colour; leave it out")
    values = scan.to_uint8(*(options.window or (None, None)))
    return replace(scan, values=values, default_window=options.window or scan.default_window)


def check_window(job: Job, options: SegmentOptions) -> None:
    """Raises CaseError if a window or a frame was asked for of a file without raw grey values."""
    if options.frame is not None and not job.is_medical:
        raise CaseError(f"--frame is for NIfTI, NRRD and MetaImage files of several volumes, not for {job.path.name}")
    if options.window is not None and not job.is_medical:
        raise CaseError(f"--window is for NIfTI and DICOM files, which hold raw values, not for {job.path.name}")


def scan_facts(job: Job, scan: Scan) -> dict:
    """What the record says of how a file was read; of an npz only what was left unread in it."""
    if not job.is_medical:
        return exam_facts(scan) | ({"notes": list(scan.notes)} if scan.notes else {})
    window = scan.default_window
    return {"window": None if window is None else list(window), **exam_facts(scan), "notes": list(scan.notes)}


@dataclass(frozen=True)
class Asked:
    """What was asked with a job or in its prompt file.

    Attributes:
        objects: Each a `Prompt` of a picture, or each a `VolumeObject`; None if there are none.
        frame: What their numbers count.
        label_file: Masks to take as objects, in place of `objects`.
        refine: Those masks are refined by the model; else they are the answer.
        axis: Of the file, i, j or k, that slices are to lie across; None: as they are shown, or as prompts say.
    """

    objects: list[Any] | None
    frame: Frame
    label_file: Path | None = None
    refine: bool = False
    axis: str | None = None

    def placed(self, scan: Scan) -> tuple[Scan, list[Prompt] | list[VolumeObject] | None]:
        """The scan, cut so that the objects lie in its slices, and the objects in its display coordinates.

        Raises:
            PromptError: If the objects lie across another axis than the slices, and the scan can't be cut anew.
        """
        if self.axis is not None:
            return self._across(scan, AXES.index(self.axis))
        if self.label_file is not None:
            is_picture = not scan.is_volume or (len(scan.values) == 1 and scan.boxes is None)
            return scan, self.of_labels(scan.label_shape[-2:] if is_picture else scan.label_shape, scan)
        if self.objects is None:
            return scan, None
        if not are_of_volume(self.objects):
            return scan, picture_to_display(self.objects, self.frame, scan.geometry)
        axis = slice_axis(self.objects, self.frame, scan.geometry)
        if axis != scan.geometry.axes[0] and scan.is_volume:
            if scan.boxes is not None or scan.label is not None:
                raise PromptError(f"slices of an npz lie along k, got prompts along {AXES[axis]}; leave axis out")
            scan = scan.across(axis)
        return scan, volume_to_display(self.objects, self.frame, scan.geometry)

    def _across(self, scan: Scan, axis: int) -> tuple[Scan, list[VolumeObject]]:
        objects, own = self.objects or [], self.frame.axis
        in_space = all(isinstance(item, SpatialObject) or as_box(item) is not None for item in objects)
        if not objects or not are_of_volume(objects) or self.frame.coordinates == "display":
            raise PromptError("--axis goes with boxes, points and lines of a volume in voxel or mm coordinates")
        if not in_space and (2 if own is None else own) != axis:
            raise PromptError("--axis must be that of the prompts on slices; their file names it")
        scan = scan.across(axis)
        frame = Frame(self.frame.coordinates, None if in_space else axis)
        return scan, volume_to_display(objects, frame, scan.geometry)

    def of_labels(self, shape: tuple[int, ...], scan: Scan | None = None, stem: str = "") -> list[Any]:
        """The objects of the label file for a picture or volume of this shape.

        Raises:
            PromptError: If it can't be read, or is for something else.
        """
        assert self.label_file is not None
        geometry, source = (None, None) if scan is None else (scan.geometry, scan.dicom)
        return prompts_from_labels(self.label_file, shape, geometry, final=not self.refine, stem=stem, source=source)


def given_objects(job: Job, coordinates: str = "voxel", refine: bool = False, axis: str | None = None) -> Asked:
    """The objects that were asked for with the job or in its prompt file, of whichever kind, as they were said.

    Args:
        job: The job.
        coordinates: What numbers count that do not say it, see `SegmentOptions`.
        refine: Masks of a label file are refined by the model.
        axis: See `SegmentOptions`.

    Raises:
        PromptError: If the file or a mask is missing or not valid.
    """
    if job.prompts is not None:
        return Asked(list(job.prompts), Frame(coordinates), axis=axis)
    if job.prompt_cell is not None:
        check = Checker(f"prompts of {job.path.name}", PromptError)
        document, folder = cell_document(job.prompt_cell, check), job.prompt_folder
    elif job.prompt_file is not None and label_kind(job.prompt_file) is not None:
        return Asked(None, Frame("display"), job.prompt_file, refine, axis)
    elif job.prompt_file is not None:
        check = Checker(job.prompt_file, PromptError)
        document, folder = read_json(job.prompt_file, PromptError, MAX_PROMPT_FILE_BYTES), job.prompt_file.parent
    else:
        return Asked(None, Frame(coordinates), axis=axis)
    if isinstance(document, dict) and "volume" in document:
        objects, frame = volume_prompts_from_document(check, document, folder, coordinates)
        return Asked(objects, frame, axis=axis)
    prompts = prompts_from_document(check, document, folder)
    return Asked(prompts, frame_of(check, document, coordinates), axis=axis)


def with_target(objects: Sequence[Prompt] | Sequence[VolumeObject], target: str | None) -> list:
    """The objects, with the target where they have none of their own."""

    def own(item: Prompt | VolumeObject) -> str | None:
        return target_of_object(item) if isinstance(item, VolumeObject) else item.target

    return [replace(item, target=target) if target is not None and own(item) is None else item for item in objects]


def are_of_volume(objects: Sequence[Prompt | VolumeObject | SpatialObject] | None) -> bool:
    """Whether the objects say on which slices they lie."""
    return any(isinstance(item, (VolumeObject, SpatialObject)) for item in objects or ())


def is_one_picture(scan: Scan, objects: Sequence[Prompt | VolumeObject] | None) -> bool:
    """Whether a scan is handled as a picture: it is one, or has a single slice and nothing that asks for a volume.

    NIfTI files of pictures are volumes of one slice.
    """
    return not scan.is_volume or (len(scan.values) == 1 and scan.boxes is None and not are_of_volume(objects))
