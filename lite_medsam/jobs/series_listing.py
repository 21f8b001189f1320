"""DICOM series as inputs: which folders are volumes, and which series of a study is meant."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.jobs.naming import Source
from lite_medsam.scans.dicom_study import ZIP_SUFFIX, choose_series, find_series, is_study, stacks_in, study_files

Problems = list[tuple[Path, str]]


def source_of_series(given: Path, series: str | None) -> tuple[list[Source], Problems]:
    """The one series of a study that is meant, as an input called after the study and the series.

    Args:
        given: A folder, a DICOMDIR or a ZIP.
        series: Number, UID or modality; None: the only one.
    """
    if not is_study(given):
        return [], [(given, "--series chooses in a folder, DICOMDIR or ZIP of DICOM files, this is none of them")]
    try:
        with study_files(given) as (files, _):
            chosen = choose_series(find_series(files)[0], series)
    except CaseError as error:
        return [], [(given, str(error))]
    place = given.absolute() if given.is_dir() or given.name.lower().endswith(ZIP_SUFFIX) else given.absolute().parent
    stem = place.name[: -len(ZIP_SUFFIX)] if place.name.lower().endswith(ZIP_SUFFIX) else place.resolve().name
    name = stem if series is None else f"{stem}_{chosen.label}"
    return [Source(given, PurePath(name or "study"), place.parent.name, chosen.uid or series)], []


def sources_below(
    given: Path, files: Sequence[Path], own: Path | None, passed: Sequence[str]
) -> tuple[list[Source], Problems]:
    """The inputs in a folder and its subfolders, with DICOM series as volumes.

    In each folder the DICOM files that lie directly in it are looked at. If they are the slices of one series, the folder is
    one volume. If they are pictures (each a series of its own, or X-ray, ultrasound and the like without a place in the patient),
    each is an input. If there are slices of several series, nothing says which is meant: that is a problem.

    Args:
        given: The folder.
        files: The files with known endings in it.
        own: The output folder, which is left out.
        passed: Endings of files of other kinds.
    """
    top = given.resolve()
    sources, problems = [], []
    for folder, names in _folders(given, own):
        try:
            series, dicom = stacks_in(folder, names, passed)
        except MissingExtraError:  # each file says so by itself, and does not stop the others
            series, dicom = [], set()
        pictures = [s for s in series if s.is_image]
        if not any(s.is_stack for s in pictures):
            wanted = {*dicom, *(path.name for path in files if path.parent == folder)}
            sources += [_source(given, folder / name, top.name) for name in sorted(wanted)]
            continue
        others = [path for path in files if path.parent == folder and path.name not in dicom]
        sources += [_source(given, path, top.name) for path in others]
        try:
            choose_series(series, None)
        except CaseError as error:
            problems.append((folder, str(error)))
        else:
            at_top = folder == given
            name = PurePath(top.name or "scan") if at_top else PurePath(folder.relative_to(given))
            sources.append(Source(folder, name, top.parent.name if at_top else top.name))
    return sorted(sources, key=lambda source: source.path), problems


def _source(given: Path, path: Path, folder: str) -> Source:
    return Source(path, PurePath(path.relative_to(given)), folder)


def _folders(given: Path, own: Path | None) -> Iterable[tuple[Path, list[str]]]:
    for place, folders, names in os.walk(given):
        folders.sort()
        folder = Path(place)
        if own is not None and folder.is_relative_to(own):
            folders.clear()
            continue
        yield folder, names
