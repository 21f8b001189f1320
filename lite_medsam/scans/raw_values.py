"""What NIfTI, NRRD and MetaImage share: one of several volumes, numbers that are none, CT by its values."""

import numpy as np

from lite_medsam.cases.fields import modality_from_name
from lite_medsam.errors import CaseError
from lite_medsam.scans.scan import SOFT_TISSUE


def check_frame(frame: int | None, several: int, shape: tuple[int, ...]) -> None:
    """Raises CaseError if a file of several volumes is read without saying which, or one that it has not."""
    if several > 1 and frame is None:
        raise CaseError(
            f"must be one volume, holds {several} (shape {shape}); choose one from 0 to {several - 1} (--frame), "
            "or save the wanted one as a file of its own"
        )
    if frame is not None and not 0 <= frame < several:
        raise CaseError(f"holds {several} volumes, counted from 0; got frame {frame}")


def labels_of(values: np.ndarray) -> np.ndarray:
    """Numbers as labels: NaN is background.

    Raises:
        CaseError: If one is infinite.
    """
    if values.dtype.kind != "f":
        return values
    if np.isinf(values).any():
        raise CaseError("labels must be integers from 0, got an infinite one")
    return np.where(np.isnan(values), values.dtype.type(0), values)


def frame_note(frame: int, several: int) -> str:
    """What a user should know of a volume that is one of several."""
    return f"volume {frame} of {several}, counted from 0"


def finite(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """The values with NaN and infinity replaced by the smallest value.

    Raises:
        CaseError: If there is no other value.
    """
    if values.dtype.kind != "f":
        return values
    good = np.isfinite(values)
    bad = values.size - np.count_nonzero(good)
    if bad == values.size:
        raise CaseError("must hold numbers, all values are NaN or infinite")
    if bad:
        notes.append(f"{bad} of {values.size} values are NaN or infinite and count as the smallest")
        values = np.where(good, values, values[good].min())
    return values


def modality_and_window(name: str, values: np.ndarray) -> tuple[str | None, tuple[float, float] | None]:
    """The modality that a file's name says, or CT where the values can be nothing else; and the window of CT."""
    modality = modality_from_name(name)
    if modality != "CT" and not (modality is None and looks_like_hounsfield(values)):
        return modality, None
    return "CT", SOFT_TISSUE if values.min() < -100 else None


def looks_like_hounsfield(values: np.ndarray) -> bool:
    """Air and soft tissue or bone, as no other modality has them."""
    return values.dtype.kind in "if" and -4096 <= values.min() <= -800 and 100 <= values.max() <= 32767
