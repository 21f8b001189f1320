"""The results of `quantify` as files: tables, one JSON record, the report, and the maps as arrays."""

import csv
import io
import math
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.quantities import quantity, visits
from lite_medsam.quantities.definitions import DEFINITIONS
from lite_medsam.quantities.report_html import ScanReport, report_html
from lite_medsam.scans.scale import scale_json
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.json_text import json_bytes
from lite_medsam.storage.names import writable_name

_SCALE = ("um_b_scans", "um_depth", "um_a_scans", "scale_origin")


def write_results(folder: str | os.PathLike, scans: Sequence[ScanReport]) -> list[Path]:
    """Writes quantities.csv, visits.csv, quantities.json, report.html, and a NAME_maps.npz for each OCT volume, all or none.

    Returns:
        The files.

    Raises:
        OSError: If one cannot be written; nothing is left behind.
    """
    folder = Path(folder)
    series = visits.series_of([scan.visit for scan in scans])
    texts = {
        "quantities.csv": _csv([row for scan in scans for row in _rows(scan)],
                               ("scan", "group", "eye", "visit", *quantity.COLUMNS, *_SCALE)),
        "visits.csv": _csv([row for s in series for row in s.rows()], visits.COLUMNS),
        "report.html": report_html(scans, series),
    }  # fmt: skip
    contents = {name: text.encode("utf-8", "replace") for name, text in texts.items()}
    contents["quantities.json"] = json_bytes(_record(scans, series)) + b"\n"
    contents |= _maps(scans)
    with ExitStack() as files:
        for name, data in contents.items():
            files.enter_context(atomic_write(folder / name)).write_bytes(data)
    return [folder / name for name in contents]


def _rows(scan: ScanReport) -> list[dict]:
    sizes = [None] * (3 - len(scan.measured.scale)) + [step.um for step in scan.measured.scale]
    origin = "; ".join(f"{step.along}: {step.origin or 'unknown'}" for step in scan.measured.scale)
    before = {
        "scan": scan.measured.labelled.scan.name,
        "group": scan.visit.group,
        "eye": scan.visit.eye,
        "visit": scan.visit.date,
    }
    after = dict(zip(_SCALE, [*sizes, origin], strict=True))
    return [before | q.row() | after for q in scan.measured.quantities]


def _record(scans: Sequence[ScanReport], series: Sequence[visits.Series]) -> dict:
    used = {q.quantity for scan in scans for q in scan.measured.quantities}
    return {
        "version": 1,
        "scans": [
            {
                "scan": scan.measured.labelled.scan.name,
                "group": scan.visit.group, "eye": scan.visit.eye, "visit": scan.visit.date,
                "scale": scale_json(scan.measured.scale),
                "grid": None if scan.measured.grid is None else scan.measured.grid.to_json(),
                "notes": [*scan.measured.notes, *scan.processing],
                "quantities": [q.row() for q in scan.measured.quantities],
                "spread": [s.to_json() for s in scan.spread],
            }
            for scan in scans
        ],
        "visits": [row for s in series for row in s.rows()],
        "definitions": {name: {"definition": text, "source": source}
                        for name, (text, source) in DEFINITIONS.items() if name in used},
    }  # fmt: skip


def _maps(scans: Sequence[ScanReport]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for scan in scans:
        measured = scan.measured
        maps = {"thickness": measured.thickness, "fluid": measured.fluid_depth}
        arrays: dict[str, Any] = {key: values.astype(np.float32) for key, values in maps.items() if values is not None}
        if measured.grid is None or measured.grid.is_line or not arrays:
            continue
        unit = measured.grid.depth(1.0)[1]
        stem = writable_name(measured.labelled.scan.name, 200)
        name = next(n for k in range(len(scans)) if (n := f"{stem}{f'-{k + 1}' if k else ''}_maps.npz") not in found)
        file = io.BytesIO()
        np.savez_compressed(file, **{f"{key}_{unit}": values for key, values in arrays.items()})
        found[name] = file.getvalue()
    return found


def _csv(rows: Sequence[dict], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.8g}" if math.isfinite(value) else ""
    return "" if value is None else str(value)
