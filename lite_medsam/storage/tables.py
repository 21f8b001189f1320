"""CSV tables that people wrote: whatever Excel, Windows or a script makes of them, and errors that say the place."""

import csv
import io
import locale
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.errors import CaseError
from lite_medsam.storage.one_line import one_line
from lite_medsam.storage.paths import shown_path

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        path: Its file, as messages show it.
        rows: Cells by column, without spaces around them; blank rows are left out.
        lines: Where each row ends in the file, from 1.
        faulty: (line, reason) of rows that were left out.
    """

    path: str
    rows: tuple[dict[str, str], ...]
    lines: tuple[int, ...]
    faulty: tuple[tuple[int, str], ...] = ()


def read_table(
    path: str | os.PathLike, columns: Sequence[str], optional: Sequence[str] = (), keep_faulty: bool = False
) -> Table:
    """Reads a CSV with a header: commas, semicolons, tabs or bars; UTF-8, UTF-16 with its mark, or this system's old encoding.

    A RuntimeWarning says so where it is the last.

    Args:
        path: The file.
        columns: Names that must be in the header, whatever their case and order; others may be there as well.
        optional: Names that are known in the same way where they are there.
        keep_faulty: Rows with more cells than the header are left out and listed, not refused with the whole table.

    Raises:
        CaseError: If it cannot be read, a column is missing, or a row has more cells than the header.
    """
    shown = shown_path(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CaseError(f"{shown}: the table could not be read ({error.strerror or error})") from None
    text = _decoded(data, shown)
    lines = text.splitlines(keepends=True)
    first = next((i for i, line in enumerate(lines) if line.strip() and not line.lower().startswith("sep=")), 0)
    known = (*columns, *optional)
    separator = _separator(lines[first:], known)
    reader = csv.reader(io.StringIO("".join(lines[first:]), newline=""), delimiter=separator, skipinitialspace=True)
    try:
        header = [_known(cell, known) for cell in next(reader, [])]
        missing = [column for column in columns if column not in header]
        if missing:
            wanted = f"{', '.join(columns[:-1])} and {columns[-1]}" if len(columns) > 1 else columns[0]
            raise CaseError(f"{shown} must be a CSV with the columns {wanted}, got {one_line(header, 300)}")
        rows, ends, faulty = [], [], list[tuple[int, str]]()
        for cells in reader:
            line = first + reader.line_num
            reason = _row_fault(cells, header)
            if reason is not None and not keep_faulty:
                raise CaseError(f"{shown}: line {line} {reason}")
            if reason is not None:
                faulty.append((line, reason))
            elif any(cell.strip() for cell in cells):
                rows.append(_row(cells, header))
                ends.append(line)
    except csv.Error as error:
        raise CaseError(f"{shown}: line {first + reader.line_num} is no CSV ({error})") from None
    return Table(shown, tuple(rows), tuple(ends), tuple(faulty))


def file_names(cell: str, endings: Sequence[str]) -> tuple[str, ...]:
    """What the file that a cell names may be called: its name as it stands, and without its ending.

    A path of Windows or POSIX counts by its last part. A name with dots and no ending, as `P1.a`, stays whole.

    Args:
        cell: A name or path.
        endings: Endings that are cut, in lower case.
    """
    name = cell.strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
    bare = next((name[: -len(end)] for end in endings if name.lower().endswith(end) and len(name) > len(end)), name)
    return (bare, name) if bare != name else (name,)


def _decoded(data: bytes, shown: str) -> str:
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise CaseError(
                f"{shown}: the table must be in {encoding[:6].upper()}, byte {error.start + 1} is not"
            ) from None
        text = _in_old_encoding(data, shown, error.start)
    if "\0" in text:
        raise CaseError(f"{shown}: must be a CSV as text, holds zero bytes; save it as CSV in UTF-8")
    return text


def _in_old_encoding(data: bytes, shown: str, place: int) -> str:
    """Text of a system that does not write UTF-8: this one's encoding, or that of Western Windows."""
    own = locale.getpreferredencoding(False).lower().replace("-", "")
    for encoding in ("cp1252",) if own in ("utf8", "ascii", "ansi_x3.41968", "us") else (own, "cp1252"):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        warnings.warn(f"{shown} is not in UTF-8; it was read as {encoding}", RuntimeWarning, stacklevel=5)
        return text
    raise CaseError(f"{shown}: the table must be in UTF-8, byte {place + 1} is not; save it as CSV in UTF-8")


def _separator(lines: Sequence[str], columns: Sequence[str]) -> str:
    """The one by which the header has the most of the columns; a comma in doubt."""
    header = lines[0] if lines else ""

    def found(separator: str) -> int:
        try:
            cells = next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            return 0
        return len({_known(cell, columns) for cell in cells} & set(columns))

    return max(_SEPARATORS, key=found)


def _known(cell: str, columns: Sequence[str]) -> str:
    """A cell of the header as the columns are called, where it differs in case only."""
    text = cell.strip()
    return next((column for column in columns if column.casefold() == text.casefold()), text)


def _row_fault(cells: list[str], header: list[str]) -> str | None:
    if not any(cell.strip() for cell in cells[len(header) :]):
        return None
    return f"has {len(cells)} cells, the header has {len(header)}; put texts that hold the separator in quotes"


def _row(cells: list[str], header: list[str]) -> dict[str, str]:
    given = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
    return dict(zip(header, given, strict=False))
