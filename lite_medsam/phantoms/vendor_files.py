"""A phantom as a Heidelberg .vol file, by the published layout of that export: to try what reads the clinic's files."""

import os
import struct
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.storage.files import atomic_write

_NO_SURFACE = 3.4028235e38
_SURFACES = ("ILM", "BM", "RNFL", "GCL", "IPL", "INL", "OPL", "ONL", "ELM", "IOS", "OPT", "CHO", "VIT", "ANT", "PR1",
             "PR2", "RPE")  # fmt: skip
_EPOCH, _DAY_ONE = datetime(1601, 1, 1), datetime(1899, 12, 30)


def write_vol(
    path: str | os.PathLike,
    volume: np.ndarray,
    spacing_um: tuple[float, float, float],
    laterality: str = "R",
    surfaces: Mapping[str, np.ndarray] | None = None,
    visit: datetime = datetime(2026, 1, 15),
) -> None:
    """Writes B-scans as a .vol file with an SLO picture made of their mean, and no patient.

    Args:
        path: Where to write.
        volume: (D, H, W) uint8 B-scans, vitreous at the top.
        spacing_um: Distance of the B-scans, size of a pixel in depth and along the A-scans.
        laterality: "R" or "L".
        surfaces: Rows (D, W) by the names of the export: ILM, BM, RPE, ...; NaN where there is none.
        visit: Day of the exam.

    Raises:
        CaseError: If the volume is not (D, H, W) uint8, or a surface has no name of the format.
    """
    volume = np.asarray(volume)
    if volume.ndim != 3 or volume.dtype != np.uint8:
        raise CaseError(f"a .vol file holds (D, H, W) uint8, got {volume.dtype} {volume.shape}")
    unknown = [name for name in surfaces or {} if name not in _SURFACES]
    if unknown:
        raise CaseError(f"surfaces must be some of {', '.join(_SURFACES)}, got {unknown[0]!r}")
    count, height, width = volume.shape
    between, depth, along = (um / 1000 for um in spacing_um)
    slo = volume.mean(axis=1).astype(np.uint8)
    slo_scale = (along, between)
    ticks = int((visit - _EPOCH).total_seconds() * 1e7)
    days = (visit - _DAY_ONE).total_seconds() / 86400
    header_bytes = 256 + 4 * len(_SURFACES) * width
    head = struct.pack(
        "<12s3I3d2I2dId4sQiI16s16sI24sdI24sd4I34s1790x",
        b"HSF-OCT-103", width, count, height, along, between, depth, slo.shape[1], slo.shape[0], *slo_scale, 30, 0.0,
        b"OD" if laterality == "R" else b"OS", ticks, 3, header_bytes, b"1", b"", 0, b"", 0.0, 0, b"", days, 0, 0, 0, 0, b"",
    )  # fmt: skip
    values = np.exp(volume.astype(np.float32) / 255 * 8.285 - 8.3) - 2.44e-4  # the way back of what Heyex shows
    with atomic_write(Path(path)) as temporary, open(temporary, "wb") as file:
        file.write(head + slo.tobytes())
        for k in range(count):
            place = (0.0, k * between, (width - 1) * along, k * between)
            file.write(struct.pack(
                "<12sI4d2IfI6f168x", b"HSF-BS-103", header_bytes, *place, len(_SURFACES), 256, 30.0, 0, *[0.0] * 6
            ))  # fmt: skip
            for name in _SURFACES:
                rows = np.full(width, np.nan) if surfaces is None or name not in surfaces else surfaces[name][k]
                file.write(np.nan_to_num(np.asarray(rows, "<f4"), nan=_NO_SURFACE).astype("<f4").tobytes())
            file.write(values[k].astype("<f4").tobytes())
