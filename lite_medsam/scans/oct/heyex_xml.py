"""Heidelberg XML export: an XML beside one picture per B-scan and one of the fundus; everything is in the files."""

import re
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.reading import load_image
from lite_medsam.scans.oct.vendor import (
    Exam,
    between_b_scans,
    checked_size,
    oct_scale,
    one_line_errors,
    package,
    scan_of,
    step,
)
from lite_medsam.scans.scan import Enface, Scan

_MAX_XML_BYTES = 2**28
_START = re.compile(rb"<\s*HEDX|<\s*BODY\b")


def is_heyex_xml(path: Path, start: bytes) -> bool:
    """Whether a file is the XML of a Heyex export."""
    return path.name.lower().endswith(".xml") and _START.search(start) is not None


def load_heyex_xml(path: Path, max_voxels: int) -> Scan:
    """Reads an export by its XML; the pictures must lie beside it, under the names that it gives.

    Raises:
        CaseError: If the XML or a picture is damaged or missing, or the B-scans differ in size.
        MissingExtraError: If eyepy is not installed.
    """
    with one_line_errors(path, "Heidelberg XML"):
        if path.stat().st_size > _MAX_XML_BYTES:
            raise CaseError(f"the XML must be at most {_MAX_XML_BYTES} bytes, has {path.stat().st_size}")
        module = package("eyepy.io.he.xml_reader", "reading Heidelberg XML")
        reader = module.HeXmlReader(path)
        module.get_xml_root.cache_clear()  # it would keep the text of a file that has changed since
        body = reader.xml_root[0]
        nodes = body.findall(".//ImageType[Type='OCT']..")
        if not nodes:
            raise CaseError("must hold OCT pictures, its XML names none")
        said = reader.parsed_values
        values = _b_scans(path, nodes, max_voxels)
        return scan_of(_exam(path, reader, said, values))


def _b_scans(path: Path, nodes, max_voxels: int) -> np.ndarray:
    values: np.ndarray = np.empty(0, np.uint8)
    for k, node in enumerate(nodes):
        picture = _grey(load_image(_beside(path, node)))
        if not k:
            values = np.empty(checked_size((len(nodes), *picture.shape), max_voxels), np.uint8)
        if picture.shape != values.shape[1:]:
            raise CaseError(f"B-scans must have one size, number {k + 1} has {picture.shape}, not {values.shape[1:]}")
        values[k] = picture
    return values


def _exam(path: Path, reader, said: dict, values: np.ndarray) -> Exam:
    places = reader.bscan_meta
    starts, ends = (np.array([_pair(meta[key]) for meta in places], np.float64) for key in ("start_pos", "end_pos"))
    between, note = between_b_scans(starts, ends)
    scale = oct_scale(
        step("B-scans", 1000 * between, "file", "mean distance of the B-scans' places") if between else None,
        step("depth", _um(said["scale_y"]), "file", "ScaleY of the XML"),
        step("A-scans", _um(said["scale_x"]), "file", "ScaleX of the XML"),
        note or "one B-scan has no neighbour",
    )
    return Exam(
        values,
        scale,
        laterality=_text(reader.xml_root, "Laterality"),
        device="Heidelberg Spectralis",
        visit_date=said["exam_time"] or said["visit_date"],
        enface=_slo(path, reader, said, starts, ends),
        surfaces=_surfaces(reader, values.shape),
        notes=(note,) if note else (),
    )


def _slo(path: Path, reader, said: dict, starts: np.ndarray, ends: np.ndarray) -> Enface | None:
    nodes = reader.xml_root[0].findall(".//ImageType[Type='LOCALIZER']..")
    if not nodes:
        return None
    picture = load_image(_beside(path, nodes[0]))
    size = (said["scale_y_slo"], said["scale_x_slo"])
    if not all(value and np.isfinite(value) and value > 0 for value in size):
        return Enface(picture, "SLO")
    lines = np.stack([starts, ends], axis=1) / np.array(size[::-1])
    return Enface(picture, "SLO", (float(size[0]), float(size[1])), lines if np.isfinite(lines).all() else None)


def _surfaces(reader, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for k, node in enumerate(reader.xml_root[0].findall(".//ImageType[Type='OCT']..")):
        for line in node.findall(".//SegLine"):
            name, text = line.findtext("Name"), line.findtext("Array")
            rows = np.array((text or "").split(), np.float32)
            if name and len(rows) == shape[2]:
                rows[(rows >= 3.0e38) | (rows <= 0)] = np.nan
                found.setdefault(name, np.full((shape[0], shape[2]), np.nan, np.float32))[k] = rows
    return found


def _beside(path: Path, node) -> Path:
    """The picture of a node: the file of that name in the XML's folder, whatever folder the XML has it in."""
    name = re.split(r"[\\/]", node.findtext("./ImageData/ExamURL") or "")[-1].strip()
    if name in ("", ".", ".."):
        raise CaseError("damaged, its XML does not name a picture's file")
    return path.parent / name


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image[..., 0]


def _pair(position) -> list[float]:
    return [np.nan if value is None else value for value in position]


def _um(mm: float | None) -> float | None:
    return None if mm is None else 1000 * mm


def _text(root, tag: str) -> str | None:
    node = root.find(f".//{tag}")
    return None if node is None else node.text
