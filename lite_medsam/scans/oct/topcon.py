"""Topcon .fda and .fds: B-scans, fundus photograph, surfaces and scale, by OCT-Converter; the scale is in the file."""

import contextlib
import io
import types
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.vendor import Exam, checked_size, oct_scale, one_line_errors, package, scan_of, step
from lite_medsam.scans.scan import Enface, Scan

MARK = b"FOCT"


def is_topcon(path: Path, start: bytes) -> bool:
    """Whether a file is Topcon's, by its mark or ending."""
    return start.startswith(MARK) or path.name.lower().endswith((".fda", ".fds"))


def load_topcon(path: Path, max_voxels: int) -> Scan:
    """Reads a .fda or .fds file.

    Raises:
        CaseError: If it is damaged, without B-scans, or too large.
        MissingExtraError: If OCT-Converter is not installed.
    """
    with one_line_errors(path, "Topcon"):
        with open(path, "rb") as file:
            if not file.read(4).startswith(MARK):
                raise CaseError("must be a Topcon file, does not begin as one (FOCT)")
        ending = "fds" if path.name.lower().endswith(".fds") else "fda"
        module = package(f"oct_converter.readers.{ending}", "reading Topcon .fda and .fds")
        _keep_fromstring(module)
        kind = getattr(module, ending.upper())
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            reader = kind(path)
            volume = reader.read_oct_volume()
            fundus = _fundus(reader)
        return scan_of(exam_of(volume, fundus, max_voxels))


def exam_of(volume: Any, fundus: np.ndarray | None, max_voxels: int) -> Exam:
    """What OCT-Converter's volume of a Topcon file says; its spacing is A-scans, B-scans, depth in mm."""
    if not volume.volume:
        raise CaseError("holds no B-scans of a kind that is read (JPEG, or motion-corrected 16 bit)")
    first = np.asarray(volume.volume[0])
    checked_size((len(volume.volume), *first.shape[:2]), max_voxels)
    values = np.stack(
        [np.asarray(b_scan) if first.ndim == 2 else np.asarray(b_scan)[..., 0] for b_scan in volume.volume]
    )
    lateral, between, depth = volume.pixel_spacing or (None, None, None)
    is_volume = len(values) > 1
    scale = oct_scale(
        step("B-scans", _um(between), "file", "the scan's height over its B-scans") if is_volume else None,
        step("depth", _um(depth), "file", "the axial resolution of the scan's parameters"),
        step("A-scans", _um(lateral), "file", "the scan's width over its A-scans"),
        "one B-scan has no neighbour" if not is_volume else "the file has no scan parameters",
    )
    model = next(
        (info["model_name"] for key, info in (volume.metadata or {}).items()
         if key.startswith("hw_info") and info and info.get("model_name")), None
    )  # fmt: skip
    name = "" if model is None else "".join(c for c in str(model) if c.isprintable()).strip()
    return Exam(
        values,
        scale,
        laterality=volume.laterality,
        device=f"Topcon {name}".strip(),
        visit_date=volume.acquisition_date,
        enface=None if fundus is None else Enface(fundus, "fundus photograph"),
        surfaces=_surfaces(volume.contours, values.shape),
    )


def _keep_fromstring(module) -> None:
    """OCT-Converter 0.7 reads bytes with NumPy's binary `fromstring`, which newer NumPy refuses: it gets `frombuffer` there."""
    try:
        getattr(np, "fromstring")(b"\0", np.uint8)  # noqa: B009  # its types know the text form only
    except ValueError:
        module.np = types.SimpleNamespace(**vars(np))
        module.np.fromstring = lambda data, dtype: np.frombuffer(data, dtype).copy()


def _fundus(reader) -> np.ndarray | None:
    try:
        found = reader.read_fundus_image()
    except (ValueError, KeyError, OSError):
        return None
    return None if found is None else np.ascontiguousarray(np.clip(found.image, 0, 255).astype(np.uint8))


def _surfaces(contours, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    found = {}
    for name, rows in (contours or {}).items():
        drawn = np.array(rows, np.float32)
        if drawn.shape == (shape[0], shape[2]):
            drawn[(drawn < 0) | (drawn >= shape[1])] = np.nan
            found[str(name)] = drawn
    return found


def _um(mm: float | None) -> float | None:
    return None if mm is None else 1000 * mm
