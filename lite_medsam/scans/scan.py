"""What a medical file holds: raw numbers, voxel size, modality, geometry; and how it becomes an 8-bit picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import stretch_to_uint8
from lite_medsam.images.value_counts import pieces
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scale import Scale, scale_from, user_scale

SOFT_TISSUE = (40.0, 400.0)  # centre and width in HU


@dataclass(frozen=True, eq=False)
class Enface:
    """The picture of the fundus that lies beside an OCT scan: SLO, infrared, a colour photograph.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        kind: What it is, such as "SLO".
        spacing_mm: Pixel size (y, x); None when unknown.
        b_scans_px: (D, 2, 2) float64: x, y of the first and the last A-scan of each B-scan in the picture; None when unknown.
    """

    image: np.ndarray
    kind: str = "en face"
    spacing_mm: tuple[float, float] | None = None
    b_scans_px: np.ndarray | None = None


@dataclass(frozen=True)
class DicomSource:
    """Which DICOM instances a scan was made of, so that results can refer to them; they are not opened here.

    Attributes:
        path: What was read: a file, a folder, a DICOMDIR, a ZIP.
        instances: SOPInstanceUID of each slice in the order of the voxels' k; a single one for a file of several frames.
        frames: For k the index of the frame in that file; empty where each slice has a file of its own.
        heights_mm: For k how far the slice lies along their normal; empty where that is not known.
        headers: The data sets without pixels, as `results.dicom_seg.source_headers` gives them; kept where the files will be
            gone when a result is written.
    """

    path: Path
    instances: tuple[str, ...]
    frames: tuple[int, ...] = ()
    heights_mm: tuple[float, ...] = ()
    headers: tuple[Any, ...] = ()


@dataclass(frozen=True, eq=False)
class Scan:
    """A picture or volume as its file holds it, in the order in which it is shown.

    Attributes:
        values: (H, W), (H, W, 3), (D, H, W) or (D, H, W, 3); raw numbers such as HU, or uint8 colours.
        spacing_mm: Voxel size in array order, (y, x) or (z, y, x); (y, x) of a volume whose slice distance is unknown; None
            when unknown.
        modality: One of `case.MODALITIES`, None when unknown.
        geometry: For writing results back.
        name: What outputs are called; never a patient's name.
        is_volume: Whether the first axis of `values` are slices.
        default_window: Centre and width for CT, None for the automatic mapping.
        notes: What a user should know: missing spacing, uneven slices, values that were replaced.
        boxes: (N, 4) or (N, 6) of an npz case, None when there are none.
        label: The label map of an npz case, None when there is none.
        label_names: Names of label values of an npz case.
        padded: How many values are the smallest one because nothing was measured there (padding, marks of no data); they
            have no part in the automatic mapping.
        unread: Why optional arrays of an npz case were left out, by key, as `Case.unread`.
        scale: `spacing_mm` with its origin, one step per axis in array order; empty: `steps` takes it as the file's.
        laterality: "R" or "L" of an eye, None when unknown.
        device: Maker and model as the file names them, None when unknown.
        visit_date: Day of the scan as YYYY-MM-DD, None when unknown.
        fovea: Slice and column (z, x) of the fovea, fractions allowed; None when unknown.
        enface: The picture of the fundus beside it, None when there is none.
        surfaces: Rows of the surfaces that the device drew, (D, W) float32 with NaN where there is none, by its names.
        dicom: The DICOM files that it was made of, None for other formats.
    """

    values: np.ndarray
    spacing_mm: tuple[float, ...] | None
    modality: str | None
    geometry: Geometry
    name: str = "scan"
    is_volume: bool = False
    default_window: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    boxes: np.ndarray | None = None
    label: np.ndarray | None = None
    label_names: Mapping[int, str] | None = None
    padded: int = 0
    unread: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = ()
    laterality: str | None = None
    device: str | None = None
    visit_date: str | None = None
    fovea: tuple[float, float] | None = None
    enface: Enface | None = None
    surfaces: Mapping[str, np.ndarray] = field(default_factory=dict)
    dicom: DicomSource | None = None

    @property
    def steps(self) -> Scale:
        """The size of a voxel and its origin by axis, in array order; a spacing without a stated origin is the file's."""
        return self.scale or scale_from(self.spacing_mm, len(self.label_shape))

    def with_spacing_um(self, spacing_um: Sequence[float]) -> "Scan":
        """The same scan with the voxel size that a user says, in micrometres in array order.

        Raises:
            CaseError: If there are not as many numbers as axes, or one is not above 0.
        """
        scale = user_scale(spacing_um, self.steps)
        spacing_mm = tuple(um / 1000 for um in spacing_um)
        return replace(self, scale=scale, spacing_mm=spacing_mm, geometry=self.geometry.resized(spacing_mm))

    @property
    def label_shape(self) -> tuple[int, ...]:
        """(H, W) or (D, H, W): the shape of segmentations."""
        return self.values.shape[: 3 if self.is_volume else 2]

    def to_uint8(self, centre: float | None = None, width: float | None = None) -> np.ndarray:
        """The 8-bit picture that the model takes: by window where one is given or known, else by percentiles.

        A volume is mapped as a whole, so its slices stay comparable. 8-bit values are kept where no window is given.

        Args:
            centre: Middle of the window; None for `default_window`.
            width: Width of the window; None for `default_window`.

        Raises:
            CaseError: If only one of them is given, or the width is not positive.
        """
        if (centre is None) != (width is None):
            raise CaseError(f"a window must have a centre and a width, got {centre} and {width}")
        if centre is None and self.default_window is not None:
            centre, width = self.default_window
        if centre is None or width is None:
            return stretch_to_uint8(self.values, padded=self.padded)
        return window(self.values, centre, width)

    def across(self, axis: int) -> "Scan":
        """The same voxels cut into slices along another axis of the file; without what lies in the slices: boxes, labels,
        surfaces, the fovea, the picture of the fundus.

        Raises:
            CaseError: If it is no volume.
        """
        if not self.is_volume:
            raise CaseError(f"{self.name}: only volumes can be cut along another axis, this is a picture")
        if axis == self.geometry.axes[0]:
            return self
        geometry = self.geometry.across(axis)
        turned = geometry.cut(self.geometry.uncut(self.values))
        spacing = self.spacing_mm
        if spacing is not None:
            spacing = (np.nan, *spacing)[-3:]
            by_axis = dict(zip(self.geometry.axes, spacing, strict=True))
            spacing = tuple(by_axis[a] for a in geometry.axes)
            spacing = spacing if np.isfinite(spacing).all() else None
        steps = dict(zip(self.geometry.axes, self.scale, strict=True)) if self.scale else {}
        return replace(
            self,
            values=np.ascontiguousarray(turned),
            geometry=geometry,
            spacing_mm=spacing,
            boxes=None,
            label=None,
            scale=tuple(steps[a] for a in geometry.axes) if steps else (),
            fovea=None,
            enface=None,
            surfaces={},
        )

    def to_case(self, centre: float | None = None, width: float | None = None) -> Case:
        """The scan as a case, with its window applied.

        Raises:
            CaseError: If it is a volume in colour, which cases do not hold.
        """
        if self.values.ndim == 4:
            raise CaseError(f"{self.name}: a case holds grey volumes, this one is in colour; take its slices")
        return Case(
            image=self.to_uint8(centre, width),
            label=self.label,
            boxes=self.boxes,
            spacing_mm=None if self.is_volume and len(self.spacing_mm or ()) == 2 else self.spacing_mm,
            name=self.name,
            modality=self.modality,
            is_volume=self.is_volume,
            label_names=self.label_names,
        )


def window(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """Maps centre - width / 2 to 0 and centre + width / 2 to 255, linear between, rounded, clipped beyond.

    This is LINEAR_EXACT of DICOM PS3.3 C.11.2.1.3.2.

    Args:
        values: Any shape, integers or floats; NaN becomes 0.
        centre: Middle of the window, in the unit of the values.
        width: Its width, above 0.

    Returns:
        uint8 of the same shape.

    Raises:
        CaseError: If the centre is not finite or the width not positive and finite.
    """
    values = np.asarray(values)
    if not (np.isfinite(centre) and np.isfinite(width) and width > 0):
        raise CaseError(f"a window must have a finite centre and a width above 0, got {centre} and {width}")
    if values.dtype.kind not in "buif":
        raise CaseError(f"values must be numbers, got {values.dtype}")
    low, high = float(centre) - float(width) / 2, float(centre) + float(width) / 2
    mapped, done = np.empty(values.size, np.uint8), 0
    for piece in pieces(values):
        part = piece.astype(np.float64)
        np.clip(np.nan_to_num(part, nan=low, posinf=high, neginf=low), low, high, out=part)
        mapped[done : done + piece.size] = np.rint((part - low) * 255 / (high - low))
        done += piece.size
    return mapped.reshape(values.shape)
