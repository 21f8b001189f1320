"""Which files to segment, with which prompts, and where their results go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.case import IMAGE_SUFFIXES
from lite_medsam.errors import CaseError
from lite_medsam.prediction import OVERLAPS
from lite_medsam.prompts import Prompt

OUTPUTS = ("npz", "label", "overlay")
INPUT_SUFFIXES = (*IMAGE_SUFFIXES, ".npz")
OVERLAP_CHOICES = (*OVERLAPS, "stack")


@dataclass(frozen=True)
class SegmentOptions:
    """What to write for each input, beside its JSON record.

    Attributes:
        save: Some of "npz", "label", "overlay".
        overlap: Who gets a pixel that several objects claim: "best", "first", "last"; "stack" keeps one mask per object.
        overwrite: Do again what is finished.
        reference_quirks: Work bug for bug as LiteMedSAM's own script; needs its converted weights and boxes alone.
    """

    save: tuple[str, ...] = OUTPUTS
    overlap: str = "best"
    overwrite: bool = False
    reference_quirks: bool = False

    def __post_init__(self):
        unknown = [name for name in self.save if name not in OUTPUTS]
        if unknown:
            raise ValueError(f"save must be some of {', '.join(OUTPUTS)}, got {unknown[0]!r}")
        if self.overlap not in OVERLAP_CHOICES:
            raise ValueError(f"overlap must be one of {', '.join(OVERLAP_CHOICES)}, got {self.overlap!r}")


@dataclass(frozen=True)
class Job:
    """One input file and where its results go.

    Attributes:
        path: The image or npz case.
        target: Path of the results without suffix: target.npz, target_label.png, target_overlay.png, target.json.
        prompts: The objects to segment; None: the boxes of the npz case, or `prompt_file`.
        prompt_file: JSON to read the objects from.
    """

    path: Path
    target: Path
    prompts: tuple[Prompt, ...] | None = None
    prompt_file: Path | None = None


def find_jobs(
    inputs: Sequence[Path], out: Path, prompts: tuple[Prompt, ...] | None = None, prompt_path: Path | None = None
) -> list[Job]:
    """The jobs for files and folders; folders are searched with their subfolders, which the output mirrors.

    Args:
        inputs: Images, npz cases, or folders of them.
        out: Folder of the results.
        prompts: Objects for every input.
        prompt_path: A prompt file for every input, or a folder with one of the input's name and .json for each.

    Raises:
        CaseError: If an input does not exist, a folder holds nothing to segment, or results would replace an input.
    """
    found: list[tuple[Path, Path]] = []
    for given in inputs:
        if given.is_dir():
            files = sorted(p for p in given.rglob("*") if p.suffix.lower() in INPUT_SUFFIXES and p.is_file())
            files = [p for p in files if not p.name.startswith(".")]
            if not files:
                raise CaseError(
                    f"a folder must hold images or npz cases ({', '.join(INPUT_SUFFIXES)}), got none in {given}"
                )
            found += [(p, out / p.relative_to(given)) for p in files]
        elif given.exists():
            found.append((given, out / given.name))
        else:
            raise CaseError(f"an input must be a file or folder, but {given} does not exist")
    stems = [target.with_suffix("") for _, target in found]
    jobs = []
    for (path, target), stem in zip(found, stems, strict=True):
        if stems.count(stem) > 1:  # a.png and a.jpg: keep both names apart
            stem = target.with_name(target.name.replace(".", "_"))
        if stem.with_suffix(".npz").resolve() == path.resolve():
            raise CaseError(f"the output folder must not be that of the input {path}; name another one with -o")
        jobs.append(Job(path, stem, prompts, _prompt_file(prompt_path, path)))
    return jobs


def _prompt_file(given: Path | None, path: Path) -> Path | None:
    if given is None or not given.is_dir():
        return given
    return given / f"{path.stem}.json"
