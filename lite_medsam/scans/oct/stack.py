"""B-scans as pictures in a folder, or as pages of one TIFF: a volume whose scale is known only where a TIFF says it."""

from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.naming import natural
from lite_medsam.errors import CaseError
from lite_medsam.images.reading import IMAGE_SUFFIXES, read_pixels
from lite_medsam.images.silence import quiet
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.oct.vendor import checked_size, one_line_errors
from lite_medsam.scans.scale import Scale, Step, spacing_of
from lite_medsam.scans.scan import Scan

TIFF_SUFFIXES = (".tif", ".tiff")
_AXES = ("slices", "rows", "columns")
_MM = {"mm": 1.0, "millimeter": 1.0, "um": 1e-3, "micron": 1e-3, "micrometer": 1e-3, "\\u00b5m": 1e-3, "µm": 1e-3,
       "μm": 1e-3, "cm": 10.0, "centimeter": 10.0, "nm": 1e-6}  # fmt: skip
_UNSAID = "pictures have no size of a voxel"


def is_tiff_stack(path: Path) -> bool:
    """Whether a file is a TIFF of several full pages."""
    import tifffile

    if not path.name.lower().endswith(TIFF_SUFFIXES):
        return False
    try:
        with quiet(), tifffile.TiffFile(path) as file:
            return len(_pages(file)) > 1 or _imagej_images(file) > 1
    except (OSError, ValueError, KeyError, IndexError, TypeError, tifffile.TiffFileError):
        return False  # whatever else it is, the reader of pictures says it


def load_tiff_stack(path: Path, max_voxels: int) -> Scan:
    """Reads the pages of a grey TIFF as the slices of a volume.

    The scale is what ImageJ wrote into the file (unit, resolution, spacing); without a unit it is unknown.

    Raises:
        CaseError: If it is damaged, the pages differ, or they are in colour.
    """
    import tifffile

    with one_line_errors(path, "TIFF"), tifffile.TiffFile(path) as file:
        pages = _pages(file)
        first = pages[0]
        count = max(len(pages), _imagej_images(file))
        if first.samplesperpixel != 1 or any(page.shape != first.shape for page in pages):
            raise CaseError("the pages of a stack must be grey pictures of one size")
        checked_size((count, first.imagelength, first.imagewidth), max_voxels)
        values = file.asarray() if count > len(pages) else np.stack([page.asarray() for page in pages])
        values = values.reshape(-1, first.imagelength, first.imagewidth)
        return _stack_scan(_plain(values), _imagej_scale(file, first), path.stem)


def load_folder_stack(folder: Path, max_voxels: int) -> Scan:
    """Reads the pictures of a folder as B-scans, in the natural order of their names: 2 before 10.

    Raises:
        CaseError: If there are fewer than two pictures, or they differ in size.
    """
    with one_line_errors(folder, "B-scan"):
        paths = pictures_of(folder)
        if len(paths) < 2:
            raise CaseError(
                f"must be a folder of two B-scans or more, or of one DICOM series; holds {len(paths)} pictures"
            )
        values: np.ndarray = np.empty(0, np.uint8)
        for k, path in enumerate(paths):
            picture = _grey(read_pixels(path, max_voxels), path)
            if not k:
                values = np.empty(checked_size((len(paths), *picture.shape), max_voxels), picture.dtype)
            if picture.shape != values.shape[1:] or picture.dtype != values.dtype:
                raise CaseError(
                    f"B-scans must be alike, {path.name} is {picture.dtype} {picture.shape}, others are not"
                )
            values[k] = picture
        return _stack_scan(values, tuple(Step(name, basis=_UNSAID) for name in _AXES), folder.name)


def pictures_of(folder: Path) -> list[Path]:
    """The picture files of a folder, not of those in it, in natural order."""
    found = [p for p in folder.iterdir() if p.is_file() and p.name.lower().endswith(IMAGE_SUFFIXES)]
    return sorted((p for p in found if not p.name.startswith(".")), key=lambda path: natural(path.name))


def _stack_scan(values: np.ndarray, scale: Scale, name: str) -> Scan:
    spacing = spacing_of(scale)
    notes = (
        ()
        if spacing and len(spacing) == 3
        else ("the size of a voxel is not known: give --spacing-um, or measure in px",)
    )
    geometry = Geometry.from_spacing(values.shape, spacing)
    return Scan(values, spacing, None, geometry, name, is_volume=True, notes=notes, scale=scale)


def _pages(file) -> list:
    return [page for page in file.pages if not page.is_reduced]


def _imagej_images(file) -> int:
    return int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1


def _imagej_scale(file, page) -> Scale:
    said = file.imagej_metadata or {} if file.is_imagej else {}
    unit = _MM.get(str(said.get("unit", "")).strip().lower())
    if unit is None:
        return tuple(Step(name, basis=_UNSAID) for name in _AXES)
    sizes = {"slices": said.get("spacing")}
    for name, tag in (("rows", "YResolution"), ("columns", "XResolution")):
        resolution = page.tags.get(tag)
        above, below = resolution.value if resolution is not None else (0, 1)
        sizes[name] = below / above if above else None
    basis = f"ImageJ's {said['unit']}"
    return tuple(
        Step(name, 1000 * unit * float(size), "file", basis) if size and size > 0 else Step(name, basis=_UNSAID)
        for name, size in ((name, sizes[name]) for name in _AXES)
    )


def _grey(picture: np.ndarray, path: Path) -> np.ndarray:
    if picture.ndim == 2:
        return _plain(picture)
    if (np.ptp(picture[..., :3].astype(np.int32), axis=2) > 8).any():
        raise CaseError(f"B-scans must be grey, {path.name} is in colour")
    return np.ascontiguousarray(picture[..., 1])


def _plain(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.kind == "f" else values
