"""MetaImage volumes of OCT (.mhd, .mha) to a Scan, RETOUCH among them; others are read by SimpleITK."""

from pathlib import Path

import numpy as np

from lite_medsam.images.metaimage import header_spacing, read_metaimage
from lite_medsam.images.no_data import without_ground
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.raw_values import labels_of
from lite_medsam.scans.scale import OCT_AXES, Step, scale_from
from lite_medsam.scans.scan import Scan

_MICROSCOPIC_MM = 0.02  # no other volume has rows so fine


def is_oct_metaimage(path: Path) -> bool:
    """Whether a MetaImage is taken for OCT: it is called oct, as in RETOUCH, or its rows are finer than 20 um."""
    spacing = header_spacing(path)
    return path.stem.lower() == "oct" or (spacing is not None and len(spacing) == 3 and spacing[1] < _MICROSCOPIC_MM)


def load_metaimage(path: Path, max_voxels: int, is_label: bool = False) -> Scan:
    """Reads a .mhd or .mha file; slices along its third axis.

    It is taken for OCT where it is called oct, as in RETOUCH, or its rows are finer than 20 um; the axes of the scale are then
    B-scans, depth and A-scans. `is_label` as for `load_nifti`.

    Raises:
        CaseError: As `read_metaimage`.
    """
    read = read_metaimage(path, max_voxels)
    values, padded, note = (labels_of(read.values), 0, None) if is_label else without_ground(read.values)
    spacing, is_volume = read.spacing_mm, values.ndim == 3
    is_oct = is_volume and (path.stem.lower() == "oct" or (spacing is not None and spacing[1] < _MICROSCOPIC_MM))
    scale = scale_from(spacing, values.ndim, basis="ElementSpacing of the header")
    if is_oct:
        scale = tuple(Step(name, step.um, step.origin, step.basis) for name, step in zip(OCT_AXES, scale, strict=True))
    notes = [note] if note else []
    notes += [] if spacing else ["the header gives no ElementSpacing: measures are in px"]
    affine = np.eye(4)
    affine[:3, :3] = read.matrix * np.array((*(spacing or (1.0,) * values.ndim)[::-1], 1.0)[:3])
    affine[:3, 3] = read.origin_mm
    geometry = Geometry(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, (*values.shape[::-1], 1)[:3])
    return Scan(
        values,
        spacing,
        "OCT" if is_oct else None,
        geometry,
        "oct" if is_oct else path.stem,
        is_volume,
        notes=tuple(notes),
        padded=padded,
        scale=scale,
    )
