"""Manifests: tables of inputs with their prompts and the names of their results, as CSV or Parquet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from lite_medsam.errors import CaseError, MissingExtraError
from lite_medsam.jobs.listing import NAME_ENDINGS, Job, replaced_inputs
from lite_medsam.jobs.naming import STEM_BYTES, Source, targets
from lite_medsam.jobs.prompt_cells import is_cell
from lite_medsam.jobs.remote import is_url
from lite_medsam.storage.names import name_key, writable_folder, writable_name
from lite_medsam.storage.paths import shown_path
from lite_medsam.storage.tables import read_table

COLUMNS = ("path", "prompts", "output")


@dataclass(frozen=True)
class Row:
    """A row of a manifest.

    Attributes:
        place: Where it stands, for messages.
        path: The input: a path, relative to the manifest's folder, or an address as `s3://bucket/a.png`.
        prompts: The objects, see `prompt_cells`, or the name of a prompt file relative to the manifest's folder; empty: the
            boxes of an npz case.
        output: The results' path below the output folder without ending; empty: as for the inputs of a folder.
        problem: Why it is no row.
    """

    place: str
    path: str = ""
    prompts: str = ""
    output: str = ""
    problem: str | None = None


def read_manifest(manifest: Path, out: Path) -> list[Job]:
    """The jobs of a manifest in the order of its rows; a row that cannot be done is a job with a problem.

    Of rows that claim one output the first gets it.

    Args:
        manifest: A table with the column `path`, and `prompts` and `output` where they are needed; more are left alone.
            CSV, or Parquet by the ending `.parquet`.
        out: Folder of the results.

    Raises:
        CaseError: If it cannot be read, has no rows, or lacks the column `path`.
        MissingExtraError: If it is Parquet and pyarrow is not installed.
    """
    rows = _parquet_rows(manifest) if manifest.suffix.lower() == ".parquet" else _csv_rows(manifest)
    if not rows:
        raise CaseError(f"{shown_path(manifest)} must have a row for each input, got none")
    jobs = [row_job(row, manifest.parent, out) for row in rows]
    unnamed = {
        job.url or str(job.path.absolute()): _source(row, job)
        for row, job in zip(rows, jobs, strict=True)
        if job.problem is None and not row.output
    }
    named = dict(zip(unnamed, targets(list(unnamed.values()), NAME_ENDINGS), strict=True))
    for i, (row, job) in enumerate(zip(rows, jobs, strict=True)):
        if job.problem is None and not row.output:
            jobs[i] = replace(job, target=out / named[job.url or str(job.path.absolute())])
    return _without_clashes(rows, jobs, out)


def row_job(row: Row, folder: Path, out: Path) -> Job:
    """The job of a row; without an output its target is the output folder itself, to be replaced.

    Args:
        row: The row.
        folder: What its paths are relative to.
        out: Folder of the results.
    """
    problem = row.problem or _path_problem(row) or _output_problem(row.output)
    if problem is not None:
        name = PurePath(row.path).name or row.place
        return Job(Path(name), out / "row", place=row.place, problem=f"{row.place}: {problem}")
    url = row.path if is_url(row.path) else None
    path = folder / row.path if url is None else Path(PurePosixPath(row.path).name)
    job = Job(path, out / row.output, url=url, prompt_folder=folder, place=row.place)
    if not row.prompts:
        return job
    if is_cell(row.prompts):
        return replace(job, prompt_cell=row.prompts)
    return replace(job, prompt_file=folder / row.prompts)


def _path_problem(row: Row) -> str | None:
    if not row.path:
        return "path must name an input, got an empty cell"
    if "\0" in row.path + row.prompts or not PurePath(row.path).name:
        return f"path must name a file, got {row.path[:100]!r}"
    return None


def _output_problem(output: str) -> str | None:
    """Why results cannot be called so, on this system or on another."""
    if not output:
        return None
    windows, path = PureWindowsPath(output), PurePosixPath(output)
    if windows.drive or windows.root or ".." in windows.parts:
        return f"output must be a path below the output folder, without .., got {output[:100]!r}"
    fits = writable_name(path.name, STEM_BYTES) == path.name
    if not path.name or not fits or "\\" in output or any(writable_folder(part) != part for part in path.parts[:-1]):
        return f"output must be a name that every system can write, without ending, got {output[:100]!r}"
    return None


def _source(row: Row, job: Job) -> Source:
    """The input as `naming.targets` wants it: results of `P1/a.png` lie in `P1`, those of other folders at the top."""
    given = PurePath(row.path)
    is_below = job.url is None and not given.is_absolute() and ".." not in given.parts
    folder = PurePosixPath(job.url).parent.name if job.url else job.path.absolute().parent.name
    return Source(job.path, given if is_below else PurePath(job.path.name), folder, job.url)


def _without_clashes(rows: list[Row], jobs: list[Job], out: Path) -> list[Job]:
    """The jobs, with a problem where results would replace those of an earlier row, an input or a prompt file."""
    first: dict[str, str] = {}
    replacing = replaced_inputs(jobs)
    for i, (row, job) in enumerate(zip(rows, jobs, strict=True)):
        if job.problem is not None:
            continue
        name = job.target.relative_to(out).as_posix()
        owner = first.setdefault(name_key(name), row.place)
        if owner is not row.place:
            problem = (
                f"{row.place}: output must be another than that of {owner.rpartition(': ')[2]}, got {name!r} again"
            )
            jobs[i] = replace(job, problem=problem)
        elif i in replacing:
            jobs[i] = replace(job, problem=f"{row.place}: {replacing[i]}")
    return jobs


def _csv_rows(manifest: Path) -> list[Row]:
    table = read_table(manifest, ("path",), optional=COLUMNS[1:], keep_faulty=True)
    rows = [
        (line, Row(f"{table.path}: line {line}", **{key: cells.get(key, "") for key in COLUMNS}))
        for line, cells in zip(table.lines, table.rows, strict=True)
    ]
    rows += [(line, Row(f"{table.path}: line {line}", problem=reason)) for line, reason in table.faulty]
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _parquet_rows(manifest: Path) -> list[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtraError("reading Parquet", "ray", "pyarrow") from None
    shown = shown_path(manifest)
    try:
        names = {name.strip().casefold(): name for name in reversed(parquet.read_schema(manifest).names)}
        if "path" not in names:
            raise CaseError(f"{shown} must have the column path, got {', '.join(names) or 'none'}"[:400])
        known = {column: names[column] for column in COLUMNS if column in names}
        table = parquet.read_table(manifest, columns=list(known.values()))
    except (OSError, pyarrow.ArrowException) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise CaseError(f"{shown}: the Parquet table could not be read ({reason})") from None
    cells = {column: table[name].to_pylist() for column, name in known.items()}
    return [_parquet_row(f"{shown}: row {i + 1}", {key: cells[key][i] for key in cells}) for i in range(len(table))]


def _parquet_row(place: str, cells: Mapping[str, Any]) -> Row:
    """A row whose prompts may be lists of numbers, too."""
    texts = {key: "" if cell is None else cell for key, cell in cells.items()}
    if isinstance(texts.get("prompts"), (list, dict)):
        texts["prompts"] = json.dumps(texts["prompts"])
    wrong = next((key for key, cell in texts.items() if not isinstance(cell, str)), None)
    if wrong is not None:
        return Row(place, problem=f"{wrong} must be text, got {texts[wrong]!r}"[:200])
    return Row(place, **{key: cell.strip() for key, cell in texts.items()})
