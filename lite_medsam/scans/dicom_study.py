"""Studies of several DICOM series: a folder with subfolders, a DICOMDIR, a ZIP; which is meant."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from lite_medsam.errors import CaseError
from lite_medsam.scans.dicom_fields import position
from lite_medsam.scans.dicom_files import (
    MAX_FILES,
    candidates,
    is_dicom,
    looks_like_dicom,
    one_line_errors,
    read_header,
)
from lite_medsam.scans.limits import voxels_in_memory
from lite_medsam.storage.paths import shown_path

ZIP_SUFFIX = ".zip"
# objects that say something of images and are none
_NO_IMAGES = ("SEG", "SR", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTRECORD", "REG", "DOC", "AU", "ECG", "HD", "ANN", "M3D")
_SLICES = ("CT", "MR", "PT", "NM")  # modalities whose files are slices, even where they do not say their place
_SHOWN = 8


@dataclass(frozen=True)
class Series:
    """The files of one series; no field says whose it is.

    Attributes:
        uid: SeriesInstanceUID, "" where it is missing.
        number: SeriesNumber, None where it is missing.
        modality: DICOM's code, "" where it is missing.
        files: The files, in the order of their paths.
        frames: Pictures in all files together.
        size: Rows and columns of the first file, None where it has no pixels.
        has_places: Whether all files say where they lie in the patient.
    """

    uid: str
    number: int | None
    modality: str
    files: tuple[Path, ...]
    frames: int
    size: tuple[int, int] | None
    has_places: bool

    @property
    def is_image(self) -> bool:
        """Whether it holds pictures, and not marks, reports or plans."""
        return self.size is not None and self.modality not in _NO_IMAGES

    @property
    def is_stack(self) -> bool:
        """Whether its files are the slices of one volume: several of one picture each, with a place or of a modality of slices."""
        return (
            self.is_image
            and len(self.files) > 1
            and self.frames == len(self.files)
            and (self.has_places or self.modality in _SLICES)
        )

    @property
    def label(self) -> str:
        """What it is called in file names: its number, else the end of its UID."""
        return f"series{self.number}" if self.number is not None else f"series-{self.uid[-8:] or 'x'}"

    def line(self) -> str:
        """Number, modality and size in a few words."""
        number = "no number" if self.number is None else f"{self.number}"
        size = f", {self.size[0]} x {self.size[1]}" if self.size else ""
        return f"{number} ({self.modality or 'no modality'}, {self.frames} images{size})"


@contextlib.contextmanager
def study_files(path: Path, max_bytes: int | None = None) -> Iterator[tuple[list[Path], int]]:
    """The DICOM files of a study and how many others there are; those of a ZIP exist until the end of the block.

    Args:
        path: A folder (searched with its subfolders), a DICOMDIR, a ZIP, or one DICOM file.
        max_bytes: Most bytes that are unpacked from a ZIP; None: what memory allows.

    Raises:
        CaseError: If it can't be read, names files outside, or holds too much.
    """
    if path.is_dir():
        yield candidates(path, below=True)
    elif is_zip(path):
        with tempfile.TemporaryDirectory(prefix="lite-medsam-zip-") as folder:
            yield _unpacked(path, Path(folder), 8 * voxels_in_memory() if max_bytes is None else max_bytes)
    elif is_dicomdir(path):
        yield _of_dicomdir(path), 0
    else:
        yield [path], 0


def is_zip(path: Path) -> bool:
    """Whether it is a ZIP by its name; npz cases are ZIPs too, and are not meant."""
    return path.name.lower().endswith(ZIP_SUFFIX) and path.is_file()


def is_dicomdir(path: Path) -> bool:
    """Whether it is the table of contents of a study's folder."""
    return path.name.upper() == "DICOMDIR" and path.is_file()


def is_study(path: Path) -> bool:
    """Whether it can hold several series."""
    return path.is_dir() or is_zip(path) or is_dicomdir(path)


def find_series(files: Sequence[Path]) -> tuple[list[Series], list[Path]]:
    """The series among files, by number, and the files that can't be read."""
    found: dict[str, Series] = {}
    unread = []
    for path in files:
        try:
            with one_line_errors(shown_path(path)):
                one = _alone(path)
        except CaseError:
            unread.append(path)
            continue
        same = found.get(one.uid)
        if same is not None:
            one = replace(
                same,
                files=same.files + one.files,
                frames=same.frames + one.frames,
                has_places=same.has_places and one.has_places,
            )
        found[one.uid] = one
    return sorted(found.values(), key=lambda s: (s.number is None, s.number or 0, s.uid)), unread


def _alone(path: Path) -> Series:
    """One file as if it were its whole series."""
    header = read_header(path)
    rows, columns, number = header.get("Rows"), header.get("Columns"), header.get("SeriesNumber")
    return Series(
        uid=str(header.get("SeriesInstanceUID") or ""),
        number=None if number is None else int(number),
        modality=str(header.get("Modality") or "").strip(),
        files=(path,),
        frames=int(header.get("NumberOfFrames") or 1),
        size=(int(rows), int(columns)) if rows and columns else None,
        has_places=position(header) is not None,
    )


def choose_series(series: Sequence[Series], wanted: str | None) -> Series:
    """The series that is meant.

    Args:
        series: Those that are there.
        wanted: A SeriesNumber, a SeriesInstanceUID or a modality; None: the only one that holds pictures.

    Raises:
        CaseError: If none or several fit; names those that are there.
    """
    pictures = [s for s in series if s.is_image]
    if wanted is None:
        fits, what = pictures, "must hold one series of images"
    else:
        text = wanted.strip()
        fits = [s for s in pictures if text.isdecimal() and s.number == int(text)]
        fits = fits or [s for s in pictures if s.uid and s.uid == text]
        fits = fits or [s for s in pictures if s.modality and s.modality.upper() == text.upper()]
        what = f"must hold one series {text[:70]}"
    if len(fits) == 1:
        return fits[0]
    names = [f"{s.line()} {s.uid}" if wanted is not None and len(fits) > 1 else s.line() for s in fits or pictures]
    more = ["..."] if len(names) > _SHOWN else []
    there = "; ".join([*names[:_SHOWN], *more]) or "none"
    count = len(fits) if fits or wanted is None else 0
    how = (
        "choose one by number, UID or modality (--series), and see lite-medsam info FOLDER"
        if pictures
        else "give another"
    )
    raise CaseError(f"{what}, holds {count}: {there}; {how}" if count else f"{what}, there are: {there}; {how}")


def _of_dicomdir(path: Path) -> list[Path]:
    with one_line_errors(shown_path(path)):
        records = read_header(path).get("DirectoryRecordSequence") or []
        files, missing = [], 0
        for record in records:
            name = record.get("ReferencedFileID")
            if not name:
                continue
            parts = [name] if isinstance(name, str) else [str(part) for part in name]
            if any(part in ("", ".", "..") or len(PureWindowsPath(part).parts) != 1 for part in parts):
                raise CaseError("must name files below its own folder only")
            file = _without_case(path.parent, parts)
            missing += file is None
            if file is not None:
                files.append(file)
            if len(files) > MAX_FILES:
                raise CaseError(f"must name at most {MAX_FILES} files")
        if missing:
            raise CaseError(f"names {missing} of {missing + len(files)} files that are not there; copy the whole study")
        return files


def _without_case(folder: Path, parts: Sequence[str]) -> Path | None:
    """A file by its names, in whatever case a copy from a disc has left them."""
    for part in parts:
        exact = folder / part
        if not exact.exists():
            same = [p for p in folder.iterdir() if p.name.upper() == part.upper()] if folder.is_dir() else []
            if not same:
                return None
            exact = same[0]
        folder = exact
    return folder if folder.is_file() else None


def _unpacked(path: Path, folder: Path, max_bytes: int) -> tuple[list[Path], int]:
    files: list[Path] = []
    others = total = 0
    with one_line_errors(shown_path(path)), _opened_zip(path) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not _is_litter(m.filename)]
        if len(members) > MAX_FILES:
            raise CaseError(f"must hold at most {MAX_FILES} files, holds {len(members)}")
        for member in sorted(members, key=lambda m: m.filename):
            if member.flag_bits & 1:
                raise CaseError("must not be encrypted; unpack it first")
            with archive.open(member) as file:
                start = file.read(132)
                if not looks_like_dicom(start) or PureWindowsPath(member.filename).name.upper() == "DICOMDIR":
                    others += 1
                    continue
                total += member.file_size
                if total > max_bytes:
                    raise CaseError(f"must unpack to at most {max_bytes >> 20} MiB; unpack it and give the folder")
                # names of ours: theirs may lead anywhere
                target = folder / f"{len(files):05d}.dcm"
                with open(target, "wb") as out:
                    out.write(start)
                    while piece := file.read(1 << 20):
                        out.write(piece)
                os.utime(target, (path.stat().st_mtime,) * 2)  # so that work on the same ZIP is known again
                files.append(target)
        if not files:
            raise CaseError("must be a ZIP of DICOM files, holds none")
    return files, others


@contextlib.contextmanager
def _opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise CaseError(f"damaged ZIP file ({error})") from None


def _is_litter(name: str) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in name.split("/"))


def stacks_in(folder: Path, names: Sequence[str], passed: Sequence[str]) -> tuple[list[Series], set[str]]:
    """The series of the DICOM files that lie directly in a folder, and the names of these files.

    Args:
        folder: The folder.
        names: Of its files.
        passed: Endings, in lower case, of files that are not looked into because they are of another kind.
    """
    files = [
        Path(folder, name)
        for name in sorted(names)
        if not name.startswith(".") and name.upper() != "DICOMDIR" and not name.lower().endswith(tuple(passed))
    ]
    files = [path for path in files if os.access(path, os.R_OK) and path.is_file() and is_dicom(path)]
    if not files:
        return [], set()
    series, _ = find_series(files)
    return series, {path.name for path in files}
