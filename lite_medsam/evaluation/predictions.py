"""Finished segmentations beside their cases: which file belongs to which, and whether numbers meet."""

import os
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case
from lite_medsam.cases.npz import read_npz
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import read_mask
from lite_medsam.images.reading import IMAGE_SUFFIXES
from lite_medsam.images.softness import looks_like_brightness
from lite_medsam.scans.nifti import NIFTI_SUFFIXES
from lite_medsam.scans.reading import load_volume
from lite_medsam.storage.names import writable_name
from lite_medsam.storage.paths import shown_path


class PredictionFiles:
    """Finds the file of each case, and refuses one file for two cases.

    Args:
        folder: Where the segmentations are, `segs` in NAME.npz, as `lite-medsam segment` writes them: in the same subfolders
            as the cases, and for cases of one name with the folder's name in front. Where no npz is, a picture counts:
            NAME_label.png or NAME.png, tif, bmp, jpg; then NIfTI of the same names.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self._taken: dict[Path, str] = {}

    def of(self, item: Case | str | os.PathLike) -> Path:
        """The file of a case; one that is not there if there is none.

        Raises:
            CaseError: If it is another case's already.
        """
        choices = self._choices(item)
        pictures = (path for choice in choices for path in _pictures(choice))
        path = next((path for path in (*choices, *pictures) if path.is_file()), choices[-1])
        shown = item.name if isinstance(item, Case) else shown_path(item)
        if self._taken.setdefault(path, shown) != shown:
            raise CaseError(
                f"{shown}: {shown_path(path)} is taken for {self._taken[path]} already; put predictions of cases of one name "
                "into folders called as theirs"
            )
        return path

    def _choices(self, item: Case | str | os.PathLike) -> list[Path]:
        if isinstance(item, Case):
            return [self.folder / f"{item.name}.npz"]
        path = Path(item)
        parts = [part for part in path.parts if part not in (path.anchor, "..")]
        mirrored = [self.folder.joinpath(*parts[-count:]) for count in range(len(parts), 1, -1)]
        stem, parent = path.stem, path.absolute().parent.name
        names = [f"{parent}_{stem}", f"{parent}_{stem}_npz", f"{stem}_npz", writable_name(stem, 242), stem]
        return mirrored + [self.folder / f"{name}.npz" for name in names]


def _pictures(archive: Path) -> list[Path]:
    """The pictures and NIfTI files that may take the place of an npz."""
    return [
        archive.with_name(archive.stem + mark + suffix)
        for suffixes in (IMAGE_SUFFIXES, NIFTI_SUFFIXES)
        for mark in ("_label", "")
        for suffix in suffixes
    ]


def read_prediction(path: Path) -> np.ndarray:
    """A finished segmentation: `segs` of an npz, the stored numbers of a picture (`images.masks`), or a NIfTI label map.

    Returns:
        (H, W) or (D, H, W). Of a picture with 0 and 255 alone, white is 1.

    Raises:
        CaseError: If it cannot be read, or is no label map.
        MissingExtraError: If nibabel is needed and not installed.
    """
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        return _read_nifti(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return read_npz(path, ("segs",))["segs"]
    segs = read_mask(path)
    if segs.ndim == 3 or looks_like_brightness(segs):
        raise CaseError(f"{shown_path(path)}: must hold label numbers, looks like a picture")
    return (segs > 0).astype(np.uint8) if set(np.unique(segs).tolist()) == {0, 255} else segs


def _read_nifti(path: Path) -> np.ndarray:
    """Labels with slices, rows and columns as `scans` shows them; a single slice is (H, W)."""
    values = load_volume(path, is_label=True).values
    if values.dtype.kind == "f" and (values == np.rint(values)).all():
        values = values.astype(np.int64)  # labels that a program stored as floats
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    return (values > 0).astype(np.uint8) if set(np.unique(values).tolist()) == {0, 255} else values


class LabelNumbers:
    """Notices objects that are there under another number than their label: their Dice is 0 whatever the mask is."""

    def __init__(self):
        self._cases = self._objects = self._elsewhere = 0
        self._example = ""

    def add(self, name: str, label: np.ndarray, segs: np.ndarray) -> None:
        """Looks at one case.

        Args:
            name: Of the case.
            label: Its label map.
            segs: What was predicted, of the same shape.
        """
        here, there = ([value for value in np.unique(array).tolist() if value] for array in (label, segs))
        self._objects += len(here)
        met = [value for value in here if ((label == value) & (segs == value)).any()]
        if not here or not there or (met and set(here) == set(there)):
            return  # numbers are meant alike; what has another one then is a mistake of the prediction
        if not set(here) & set(there):
            elsewhere = here
        else:
            elsewhere = [value for value in here if value not in met and _is_elsewhere(segs[label == value])]
        if elsewhere:
            self._cases += 1
            self._elsewhere += len(elsewhere)
            self._example = self._example or f"{name} has the labels {_listed(here)}, segs {_listed(there)}"

    def notes(self) -> tuple[str, ...]:
        """What to tell of them."""
        if not self._cases:
            return ()
        return (
            f"{self._elsewhere} of {self._objects} objects, in {self._cases} cases, have a number that meets none of segs or "
            f"another object, so their Dice is 0 whatever the mask: {self._example}. Objects are compared by number; segment "
            "numbers them 1, 2, ... in the order of the prompts, so give labels the same numbers",
        )


def _is_elsewhere(values: np.ndarray) -> bool:
    """Whether most pixels of an object carry other numbers."""
    return np.count_nonzero(values) > 0.5 * values.size


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:6])) + (", ..." if len(values) > 6 else "")
