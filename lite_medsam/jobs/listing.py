"""Which files to segment, with which prompts, and where their results go."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from lite_medsam.cases.case import IMAGE_SUFFIXES
from lite_medsam.errors import CaseError
from lite_medsam.jobs.naming import OUTPUT_ENDINGS, Source, stem_of, targets
from lite_medsam.jobs.remote import urls_below
from lite_medsam.jobs.series_listing import source_of_series, sources_below
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_coordinates import COORDINATES
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.results.annotations import KINDS
from lite_medsam.results.dicom_seg import SEG_TYPES
from lite_medsam.scans.dicom import is_dicom
from lite_medsam.scans.dicom_study import ZIP_SUFFIX, is_dicomdir, is_study
from lite_medsam.scans.itk_files import ITK_SUFFIXES
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.scans.oct.registry import OWN_SUFFIXES, SHARED_SUFFIXES, is_oct_file
from lite_medsam.segment.prediction import OVERLAPS
from lite_medsam.storage.paths import files_below, shown_path

OUTPUTS = ("npz", "label", "overlay")  # by default
DICOM_SEG = "dicom-seg"
ALL_OUTPUTS = (*OUTPUTS, *KINDS, DICOM_SEG, "parquet")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
MEDICAL_SUFFIXES = (*NIFTI_SUFFIXES, *DICOM_SUFFIXES, *ITK_SUFFIXES, *OWN_SUFFIXES)
INPUT_SUFFIXES = (*IMAGE_SUFFIXES, ".npz", *MEDICAL_SUFFIXES)
# of prompt files and label files in a folder, in this order
PROMPT_ENDINGS = (
    ".json", ".npz", "_label.nii.gz", ".nii.gz", ".nii", "_label.nrrd", ".nrrd", "_label.mha", ".mha",
    "_label.png", ".png", "_label.tif", ".tif", "_coco.json",
    "_labelme.json", "_polygons.json", "_yolo.txt", ".txt", "_lite-medsam.zip", ".zip", ".dcm",
)  # fmt: skip
NAME_ENDINGS = (*INPUT_SUFFIXES, *SHARED_SUFFIXES, ZIP_SUFFIX)  # what the names of results do not have
OVERLAP_CHOICES = (*OVERLAPS, "stack")


@dataclass(frozen=True)
class SegmentOptions:
    """What to write for each input, beside its JSON record.

    Attributes:
        save: Some of `ALL_OUTPUTS`; "parquet" are run lengths in the record, see `mask_table`.
        overlap: Who gets a pixel that several objects claim: "best", "first", "last"; "stack" keeps one mask per object,
            of pictures only.
        overwrite: Do again what is finished.
        reference_quirks: Work bug for bug as LiteMedSAM's own script; needs its converted weights and boxes alone.
        window: Centre and width for the grey values of NIfTI and DICOM files; None: the default window for CT, percentiles
            for others.
        target: What objects are whose prompts do not say it, as `Prompt.target`; None: not said.
        coordinates: What the numbers of prompts count in NIfTI and DICOM files: "voxel", the indices i, j, k of the file;
            "display", columns, rows and slices as they are shown; "lps_mm", "ras_mm", millimetres of the patient. A
            prompt file that names its own wins.
        axis: Of the file, "i", "j" or "k", that the slices of a NIfTI or DICOM volume are to lie across, so that the model
            sees those; for prompts in space (boxes, points, lines). None: as they are shown, or as the prompts say.
        refine_masks: Masks of label files given as prompts are refined by the model; else they are taken as they are.
        max_voxels: Larger scans are refused; None: what memory allows.
        spacing_um: Voxel size that the user says, in array order, instead of the file's; None: the file's.
        frame: Which volume of NIfTI, NRRD and MetaImage files of several, from 0; None: there must be one.
        seg_type: How DICOM segmentations hold their objects: "binary", each in frames of its own, or "labelmap".
    """

    save: tuple[str, ...] = OUTPUTS
    overlap: str = "best"
    overwrite: bool = False
    reference_quirks: bool = False
    window: tuple[float, float] | None = None
    target: str | None = None
    coordinates: str = "voxel"
    max_voxels: int | None = None
    spacing_um: tuple[float, ...] | None = None
    refine_masks: bool = False
    frame: int | None = None
    seg_type: str = SEG_TYPES[0]
    axis: str | None = None

    def __post_init__(self):
        unknown = [name for name in self.save if name not in ALL_OUTPUTS]
        if unknown:
            raise ValueError(f"save must be some of {', '.join(ALL_OUTPUTS)}, got {unknown[0]!r}")
        if self.axis not in (None, "i", "j", "k"):
            raise ValueError(f"axis must be i, j or k, got {self.axis!r}")
        if self.overlap not in OVERLAP_CHOICES:
            raise ValueError(f"overlap must be one of {', '.join(OVERLAP_CHOICES)}, got {self.overlap!r}")
        if self.coordinates not in COORDINATES:
            raise ValueError(f"coordinates must be one of {', '.join(COORDINATES)}, got {self.coordinates!r}")
        if self.seg_type not in SEG_TYPES:
            raise ValueError(f"seg_type must be one of {', '.join(SEG_TYPES)}, got {self.seg_type!r}")
        if self.overlap == "stack" and self.seg_type == "labelmap" and DICOM_SEG in self.save:
            raise ValueError("objects of --overlap stack may overlap, a label map can't; leave --seg-type at binary")
        if self.window is not None and not (all(map(math.isfinite, self.window)) and self.window[1] > 0):
            raise ValueError(f"window must be a centre and a width above 0, got {self.window[0]:g},{self.window[1]:g}")


@dataclass(frozen=True)
class Job:
    """One input file and where its results go.

    Attributes:
        path: The image, npz case, NIfTI, NRRD, MetaImage or DICOM file; the folder, DICOMDIR or ZIP of a DICOM series.
        target: Path of the results without suffix: target.npz, target_label.png, target_overlay.png, target.json.
        prompts: The objects to segment, of a picture or of a volume; None: the boxes of the npz case, or `prompt_file`.
        prompt_file: JSON to read the objects from.
        prompt_cell: The objects as a cell of a manifest says them, see `prompt_cells`.
        prompt_folder: Where masks lie that the cell names.
        url: Where the input lies if it is not on a disk of this machine; `path` is its name alone then.
        place: Where a manifest asks for it, for messages.
        problem: Why it cannot be done, where that is known before the file is opened.
        series: Which series of a folder, DICOMDIR or ZIP; None: the only one.
    """

    path: Path
    target: Path
    prompts: tuple[Prompt, ...] | tuple[VolumeObject, ...] | None = None
    prompt_file: Path | None = None
    prompt_cell: str | None = None
    prompt_folder: Path = Path()
    url: str | None = None
    place: str | None = None
    problem: str | None = None
    series: str | None = None

    @property
    def is_medical(self) -> bool:
        """Whether it is NIfTI, NRRD, MetaImage, DICOM or OCT, by its name, or by its content where the name leaves it open."""
        name = self.path.name.lower()
        if name.endswith(MEDICAL_SUFFIXES) or is_study(self.path):
            return True
        return is_oct_file(self.path) or (not name.endswith(INPUT_SUFFIXES) and is_dicom(self.path))


def find_jobs(
    inputs: Sequence[Path | str],
    out: Path,
    prompts: tuple[Prompt, ...] | tuple[VolumeObject, ...] | None = None,
    prompt_path: Path | None = None,
    folders_are_scans: bool = False,
    series: str | None = None,
) -> list[Job]:
    """The jobs for files and folders; folders are searched with their subfolders, which the output mirrors.

    A folder whose DICOM files are the slices of one series is one volume, see `series_listing.sources_below`.

    Inputs of one name get results of different names, see `naming.targets`; a file that is given twice is one job.

    Args:
        inputs: Images, npz cases, NIfTI and DICOM files, or folders of them; texts are addresses such as `s3://bucket/scans`.
        out: Folder of the results.
        prompts: Objects for every input.
        prompt_path: A prompt file for every input, or a folder with one of the input's name and .json for each.
        folders_are_scans: A folder is not searched: it is one scan, a stack of B-scans or a DICOM series.
        series: Number, UID or modality of a DICOM series: every input is a study, and this one of its series is the volume.

    Returns:
        The jobs. What cannot be an input (a file that is not there, a folder that cannot be read) is one with a problem.

    Raises:
        CaseError: If there is nothing but problems, or results would replace an input.
    """
    sources, problems = [], []
    for given in inputs:
        if isinstance(given, str):
            more, failed = sources_at(given)
        else:
            more, failed = find_sources(given, out, folders_are_scans, series)
        sources += more
        problems += failed
    if not sources:
        raise CaseError("; ".join(_reason(path, text) for path, text in problems) or "there must be an input, got none")
    sources = list({_place(source): source for source in reversed(sources)}.values())
    sources.reverse()
    jobs = []
    for source, target in zip(sources, targets(sources, NAME_ENDINGS), strict=True):
        file = _prompt_file(prompt_path, source, target)
        jobs.append(Job(source.path, out / target, prompts, file, url=source.url, series=source.series))
    replacing = replaced_inputs(jobs)
    if replacing:
        raise CaseError(next(iter(replacing.values())))
    return jobs + [Job(path, out / path.name, problem=_reason(path, text)) for path, text in problems]


def find_sources(
    given: Path, out: Path, folders_are_scans: bool = False, series: str | None = None
) -> tuple[list[Source], list[tuple[Path, str]]]:
    """The input files of a path that was given, and (path, reason) of what cannot be one.

    Results of an earlier run are no inputs: an output folder inside the given one is left out.
    """
    try:
        is_folder, exists = given.is_dir(), given.exists()
    except (OSError, ValueError) as error:
        return [], [(given, f"could not be read ({getattr(error, 'strerror', None) or error})")]
    if not exists:
        return [], [(given, "an input must be a file or folder, but this does not exist")]
    if series is not None or is_dicomdir(given):
        return source_of_series(given, series)
    if not is_folder or folders_are_scans:
        return [Source(given, PurePath(given.name), given.absolute().parent.name)], []
    found = files_below(given, (*INPUT_SUFFIXES, *SHARED_SUFFIXES))
    top, results = given.resolve(), out.resolve()
    own = given / results.relative_to(top) if results != top and results.is_relative_to(top) else None
    files = [path for path in found.files if own is None or not path.is_relative_to(own)]
    files = [path for path in files if path.suffix.lower() not in SHARED_SUFFIXES or is_oct_file(path)]
    others = (*IMAGE_SUFFIXES, ".npz", *NIFTI_SUFFIXES, *ITK_SUFFIXES, *OWN_SUFFIXES, *SHARED_SUFFIXES)
    sources, problems = sources_below(given, files, own, others)
    if not sources and not problems and not found.problems:
        wanted = ", ".join(INPUT_SUFFIXES)
        return [], [
            (given, f"a folder must hold images, volumes or npz cases ({wanted}), got none in {shown_path(given)}")
        ]
    return sources, found.problems + problems


def _reason(path: Path, text: str) -> str:
    return text if shown_path(path) in text else f"{shown_path(path)}: {text}"


def _place(source: Source) -> Path | str:
    return source.url or source.path.parent.resolve() / source.path.name


def sources_at(url: str) -> tuple[list[Source], list[tuple[Path, str]]]:
    """The input files at an address, and (name, reason) of what cannot be one, as for folders.

    Raises:
        MissingExtraError: If fsspec, or what it needs for this kind of address, is not installed.
    """
    try:
        folder, below = urls_below(url, INPUT_SUFFIXES)
    except (OSError, ValueError) as error:
        return [], [(Path(url), f"{url}: could not be read ({' '.join(str(error).split())})")]
    sources = [Source(Path(path.name), path, folder, address) for path, address in below]
    if not sources:
        return [], [(Path(url), f"must be or hold images, volumes or npz cases ({', '.join(INPUT_SUFFIXES)}): {url}")]
    return sources, []


def replaced_inputs(jobs: Iterable[Job]) -> dict[int, str]:
    """By the number of a job whose results would replace an input or a prompt file, what to say of it."""
    jobs = list(jobs)
    here = [job.path for job in jobs if job.url is None and job.problem is None]
    given = [*here, *(job.prompt_file for job in jobs if job.prompt_file is not None)]
    found: dict[int, str] = {}
    folders = {folder: folder.resolve() for folder in {*(p.parent for p in given), *(j.target.parent for j in jobs)}}
    # texts: of a million paths
    inputs = {str(path.resolve()) for path in given} | {str(folders[path.parent] / path.name) for path in given}
    for number, job in enumerate(jobs):
        stem = str(folders[job.target.parent] / job.target.name)
        replaced = next((end for end in OUTPUT_ENDINGS if stem + end in inputs), None)
        if replaced is not None:
            found[number] = (
                f"the output folder must not be that of the input {job.path}: {job.target.name}{replaced} "
                "would be replaced; name another one with -o"
            )
    return found


def _prompt_file(given: Path | None, source: Source, target: PurePath) -> Path | None:
    """The prompt file of an input; in a folder the one called as its results, as its path, or as itself.

    A JSON file wins over label files, which lie in another folder than the input: there they would be inputs themselves.
    """
    if given is None or not given.is_dir():
        return given
    stem = stem_of(source.below.name, (*INPUT_SUFFIXES, *SHARED_SUFFIXES))
    below = source.below.parent / stem
    choices = [target, PurePath(source.folder) / below, below, PurePath(stem)]
    endings = PROMPT_ENDINGS[:1] if given.resolve() in source.path.resolve().parents else PROMPT_ENDINGS
    files = [given / choice.with_name(choice.name + end) for end in endings for choice in choices]
    return next((file for file in files if file.is_file()), files[len(choices) - 1])
