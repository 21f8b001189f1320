"""Which files to segment, with which prompts, and where their results go."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.cases.case import IMAGE_SUFFIXES
from lite_medsam.errors import CaseError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.prompts.volume_coordinates import COORDINATES
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.scans.dicom import is_dicom
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.segment.prediction import OVERLAPS

OUTPUTS = ("npz", "label", "overlay")
OUTPUT_ENDINGS = (".npz", "_label.png", "_label.tif", "_label.nii.gz", "_overlay.png", ".json")
MEDICAL_SUFFIXES = (*NIFTI_SUFFIXES, ".dcm", ".dicom", ".ima")
INPUT_SUFFIXES = (*IMAGE_SUFFIXES, ".npz", *MEDICAL_SUFFIXES)
OVERLAP_CHOICES = (*OVERLAPS, "stack")


@dataclass(frozen=True)
class SegmentOptions:
    """What to write for each input, beside its JSON record.

    Attributes:
        save: Some of "npz", "label", "overlay".
        overlap: Who gets a pixel that several objects claim: "best", "first", "last"; "stack" keeps one mask per object,
            of pictures only.
        overwrite: Do again what is finished.
        reference_quirks: Work bug for bug as LiteMedSAM's own script; needs its converted weights and boxes alone.
        window: Centre and width for the grey values of NIfTI and DICOM files; None: the default window for CT, percentiles
            for others.
        target: What objects are whose prompts do not say it, as `Prompt.target`; None: not said.
        coordinates: What the numbers of prompts count in NIfTI and DICOM files: "voxel", the indices i, j, k of the file,
            or "display", columns, rows and slices as they are shown. A prompt file that names its own wins.
        max_voxels: Larger scans are refused; None: what memory allows.
    """

    save: tuple[str, ...] = OUTPUTS
    overlap: str = "best"
    overwrite: bool = False
    reference_quirks: bool = False
    window: tuple[float, float] | None = None
    target: str | None = None
    coordinates: str = "voxel"
    max_voxels: int | None = None

    def __post_init__(self):
        unknown = [name for name in self.save if name not in OUTPUTS]
        if unknown:
            raise ValueError(f"save must be some of {', '.join(OUTPUTS)}, got {unknown[0]!r}")
        if self.overlap not in OVERLAP_CHOICES:
            raise ValueError(f"overlap must be one of {', '.join(OVERLAP_CHOICES)}, got {self.overlap!r}")
        if self.coordinates not in COORDINATES:
            raise ValueError(f"coordinates must be one of {', '.join(COORDINATES)}, got {self.coordinates!r}")
        if self.window is not None and not (all(map(math.isfinite, self.window)) and self.window[1] > 0):
            raise ValueError(f"window must be a centre and a width above 0, got {self.window[0]:g},{self.window[1]:g}")


@dataclass(frozen=True)
class Job:
    """One input file and where its results go.

    Attributes:
        path: The image, npz case, NIfTI or DICOM file.
        target: Path of the results without suffix: target.npz, target_label.png, target_overlay.png, target.json.
        prompts: The objects to segment, of a picture or of a volume; None: the boxes of the npz case, or `prompt_file`.
        prompt_file: JSON to read the objects from.
    """

    path: Path
    target: Path
    prompts: tuple[Prompt, ...] | tuple[VolumeObject, ...] | None = None
    prompt_file: Path | None = None

    @property
    def is_medical(self) -> bool:
        """Whether it is NIfTI or DICOM, by its name, or for unknown endings by its content."""
        name = self.path.name.lower()
        return name.endswith(MEDICAL_SUFFIXES) or (not name.endswith(INPUT_SUFFIXES) and is_dicom(self.path))


def find_jobs(
    inputs: Sequence[Path],
    out: Path,
    prompts: tuple[Prompt, ...] | tuple[VolumeObject, ...] | None = None,
    prompt_path: Path | None = None,
) -> list[Job]:
    """The jobs for files and folders; folders are searched with their subfolders, which the output mirrors.

    Args:
        inputs: Images, npz cases, NIfTI and DICOM files, or folders of them.
        out: Folder of the results.
        prompts: Objects for every input.
        prompt_path: A prompt file for every input, or a folder with one of the input's name and .json for each.

    Raises:
        CaseError: If an input does not exist, a folder holds nothing to segment, or results would replace an input.
    """
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        if given.is_dir():
            files = sorted(p for p in given.rglob("*") if p.name.lower().endswith(INPUT_SUFFIXES) and p.is_file())
            files = [p for p in files if not p.name.startswith(".")]
            if not files:
                raise CaseError(
                    f"a folder must hold images, volumes or npz cases ({', '.join(INPUT_SUFFIXES)}), got none in {given}"
                )
            found += [(p, out / p.relative_to(given)) for p in files]
        elif given.exists():
            found.append((given, out / given.name))
        else:
            raise CaseError(f"an input must be a file or folder, but {given} does not exist")
    stems = [target.with_name(stem_of(target.name)) for _, target in found]
    jobs = []
    for (path, target), stem in zip(found, stems, strict=True):
        if stems.count(stem) > 1:  # a.png and a.jpg: keep both names apart
            stem = target.with_name(target.name.replace(".", "_"))
        jobs.append(Job(path, stem, prompts, _prompt_file(prompt_path, path)))
    _check_outputs(jobs)
    return jobs


def stem_of(name: str) -> str:
    """A file's name without its ending; that of `a.nii.gz` is `a`."""
    ending = ".nii.gz" if name.lower().endswith(".nii.gz") else Path(name).suffix
    return name[: len(name) - len(ending)]


def _check_outputs(jobs: Iterable[Job]) -> None:
    """Raises CaseError if a result would replace an input or a prompt file."""
    given = [path for job in jobs for path in (job.path, job.prompt_file) if path is not None]
    folders = {folder: folder.resolve() for folder in {*(p.parent for p in given), *(j.target.parent for j in jobs)}}
    inputs = {path.resolve() for path in given} | {folders[path.parent] / path.name for path in given}
    for job in jobs:
        folder = folders[job.target.parent]
        replaced = next((end for end in OUTPUT_ENDINGS if folder / (job.target.name + end) in inputs), None)
        if replaced is not None:
            raise CaseError(
                f"the output folder must not be that of the input {job.path}: {job.target.name}{replaced} "
                "would be replaced; name another one with -o"
            )


def _prompt_file(given: Path | None, path: Path) -> Path | None:
    if given is None or not given.is_dir():
        return given
    return given / f"{stem_of(path.name)}.json"
