"""Duke's MATLAB files: DME (Chiu 2014) and AMD (Farsiu 2013); the files have no scale, the publications have.

The numbers are those of eyepy, which names their sources: of the DME set the axial size is one constant of the device,
sizes along the others are means of a range over the eyes and so assumptions; of the AMD set the scan is 6.7 x 6.7 mm, and
4.5 um is the axial resolution of the device, not a size in the file.
"""

from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.matlab import mat_arrays, mat_shapes
from lite_medsam.scans.oct.vendor import Exam, checked_size, oct_scale, one_line_errors, scan_of, step
from lite_medsam.scans.scan import Scan

DME_SURFACES = ("ILM", "NFL/GCL", "IPL/INL", "INL/OPL", "OPL/ONL", "ISM/ISE", "OS/RPE", "BM")
AMD_SURFACES = ("ILM", "IBRPE", "BM")


def load_duke(path: Path, max_voxels: int) -> Scan:
    """Reads the array `images`, (depth, A-scans, B-scans), with the surfaces of the first grader.

    Raises:
        CaseError: If it is damaged, has no such array, or is too large.
    """
    with one_line_errors(path, "MATLAB"):
        shapes = mat_shapes(path)
        if len(shapes.get("images", ())) != 3:
            raise CaseError(f"must hold an array images of three axes, holds {', '.join(sorted(shapes)) or 'none'}")
        height, width, count = shapes["images"]
        checked_size((count, height, width), max_voxels)
        found = mat_arrays(path, ("images", "layerMaps", "manualLayers1"))
        values = np.ascontiguousarray(np.moveaxis(found["images"], -1, 0))
        if values.dtype.kind == "f":
            values = values.astype(np.float32)
        return scan_of(_exam(values, found, shapes))


def _exam(values: np.ndarray, found, shapes: dict) -> Exam:
    if "manualLayers1" in shapes or "manualFluid1" in shapes:
        rows = found.get("manualLayers1", np.empty((0, 0, 0))).swapaxes(1, 2)  # of surfaces, A-scans, B-scans
        mean = "mean of the range in Chiu 2014"
        scale = oct_scale(
            step("B-scans", 123.0, "assumed", mean),
            step("depth", 3.87, "device constant", "Chiu 2014"),
            step("A-scans", 11.33, "assumed", mean),
        )
        return Exam(values, scale, device="Heidelberg Spectralis", surfaces=_surfaces(rows, DME_SURFACES, values))
    if "layerMaps" in shapes:
        rows = np.moveaxis(found["layerMaps"], -1, 0)
        scan = "6.7 x 6.7 mm, Farsiu 2013"
        scale = oct_scale(
            step("B-scans", 6700 / len(values), "device constant", scan),
            step("depth", 4.5, "assumed", "the device's axial resolution, as eyepy takes it"),
            step("A-scans", 6700 / values.shape[2], "device constant", scan),
        )
        return Exam(values, scale, device="Bioptigen", surfaces=_surfaces(rows, AMD_SURFACES, values))
    return Exam(values, oct_scale(None, None, None, "a MATLAB file that is neither Duke's DME nor AMD set"))


def _surfaces(rows: np.ndarray, names: tuple[str, ...], values: np.ndarray) -> dict[str, np.ndarray]:
    """Rows (surfaces, D, W) as MATLAB counts them, from 1, by name from 0."""
    if rows.shape != (len(names), values.shape[0], values.shape[2]):
        return {}
    drawn = rows.astype(np.float32) - 1
    drawn[(drawn < 0) | (drawn >= values.shape[1])] = np.nan
    return {name: drawn[k] for k, name in enumerate(names) if np.isfinite(drawn[k]).any()}
