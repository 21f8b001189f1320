"""Optovue .OCT: 32-bit voxels beside a text file of the same name, which gives their numbers and no size of a voxel.

The widths in the text file are those of the video picture, not of the B-scans; OCT-Converter passes them on as the scale, or
15 um where they are missing. Neither is taken: the scale is unknown until a user says it.
"""

import math
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.scans.oct.vendor import Exam, checked_size, oct_scale, one_line_errors, package, scan_of
from lite_medsam.scans.scan import Scan


def load_optovue(path: Path, max_voxels: int) -> Scan:
    """Reads the first scan of an Optovue file.

    Raises:
        CaseError: If the text file is missing or says no sizes, or the voxels are cut off.
        MissingExtraError: If OCT-Converter is not installed.
    """
    with one_line_errors(path, "Optovue .OCT"):
        if not path.with_suffix(".txt").is_file():
            raise CaseError("an Optovue .OCT needs the text file of its name beside it (NAME.txt), there is none")
        if path.stat().st_size > 4 * max_voxels:
            raise CaseError(f"must have at most {max_voxels} voxels, has {path.stat().st_size // 4}; crop it")
        reader = package("oct_converter.readers", "reading Optovue .OCT").POCT(path)
        found = reader.read_oct_volume()
        if not found:
            raise CaseError("its text file must give Window Height, Scan Length and Scan Usage, it does not")
        sizes = reader.scan_info[0]
        shape = checked_size((sizes["number"], sizes["height"], sizes["length"]), max_voxels)
        if 4 * math.prod(shape) > path.stat().st_size:
            raise CaseError(f"cut off: its text file says {' x '.join(map(str, shape))} voxels, fewer are there")
        values = np.stack(found[0].volume).astype(np.float32, copy=False)
        values[~np.isfinite(values)] = np.nanmin(np.where(np.isfinite(values), values, np.nan))
        notes = (f"the first of {len(found)} scans in the file",) if len(found) > 1 else ()
        scale = oct_scale(None, None, None, "an Optovue file does not say the size of its voxels")
        return scan_of(Exam(values, scale, found[0].laterality, "Optovue", found[0].acquisition_date, notes=notes))
