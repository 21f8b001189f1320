"""Masks: the one reader, by the numbers that a file stores.

`prepare`, masks in prompt files and predictions all read here, so that a file means the same everywhere. The rules:

* Numbers count, not how a viewer shows them. WhiteIsZero and inverting look-up tables (ImageJ, tifffile's bool arrays) are
  ignored, gamma and a transparent grey value are too; 1, 2 and 4 bits give 0 to 1, 3 and 15.
* A palette gives its indices; its colours only make them visible. Only where index 0 is a visible colour and another one
  is wholly transparent is the palette taken as a picture with transparency, as if it had an alpha channel.
* Equal channels are grey. Other colours are colours: what they mean is for the caller, with 8 bits a channel.
* Alpha: opaque everywhere says nothing. Else it must tell inside from outside (two levels, softened edges are cut at
  half): outside is 0. Where the visible part has one colour, alpha is the mask, in white (255): a white, black or red
  picture that is transparent outside.
* JPEG is never taken by its values. Where they crowd at 0 and at a bright level, the mask is cut at half; else refused.
* Softened edges (resized, anti-aliased) of a mask in 0 and 255, 65535 or 1.0 are cut at half as well (`Mask.half`).
* The orientation that a file states is applied, as for its picture.
"""

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.images.reading import MAX_PIXELS, read_stored
from lite_medsam.images.softness import half_of_lossy, half_of_soft
from lite_medsam.images.stored import STRAIGHT, Stored
from lite_medsam.storage.paths import shown_path

__all__ = ["Mask", "MaskError", "object_of", "read_mask", "stored_mask", "whole_numbers"]

_NEAR_GREY = 24  # channels of a grey JPEG that was saved as colour differ by less


class MaskError(CaseError):
    """A mask that can't be taken as it is; `kind` says why: "unexpected-labels" or "nan"."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, eq=False)
class Mask:
    """What a mask file holds.

    Attributes:
        values: (H, W) numbers; or (H, W, 3) uint8 where it shows colours.
        is_lossy: Whether they are only near those that were meant (JPEG).
    """

    values: np.ndarray
    is_lossy: bool = False

    @property
    def is_colour(self) -> bool:
        """Whether the values are colours."""
        return self.values.ndim == 3

    @cached_property
    def grey(self) -> np.ndarray:
        """(H, W): the values, of colours the brightest channel."""
        return self.values.max(axis=2) if self.is_colour else self.values

    @cached_property
    def half(self) -> float | None:
        """Where to cut, if this is one object with soft edges or from a JPEG; None if its numbers are to be taken.

        Raises:
            MaskError: "unexpected-labels" for a JPEG whose values do not crowd at 0 and at a bright level.
        """
        if not self.is_lossy:
            return half_of_soft(self.grey)
        if not self.grey.any():
            return 0.5
        half = half_of_lossy(self.grey)
        if half is None:
            raise MaskError(
                "unexpected-labels",
                f"the mask is a JPEG, which changes numbers, and its values (0 to {self.grey.max():g}) do not crowd at 0 "
                "and one bright level: save it as PNG, or cut it with --mask-threshold",
            )
        return half


def read_mask(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads the numbers of one mask by the rules above, by itself; what a folder of them means, `mask_meaning` decides.

    Args:
        path: A picture file.
        max_pixels: Larger ones are refused by their header.

    Returns:
        (H, W) integers; 0 and 255 for a JPEG and for softened edges; (H, W, 3) uint8 for colours.

    Raises:
        MaskError: "unexpected-labels" for a JPEG that can't be cut, fractions, half-transparent or 16-bit colour masks, "nan"
            for NaN or infinity.
        CaseError: If the file cannot be read.
    """
    mask = stored_mask(path, max_pixels)
    try:
        if mask.half is not None:
            return object_of(mask).astype(np.uint8) * np.uint8(255)
    except MaskError as error:
        raise MaskError(error.kind, f"{shown_path(path)}: {error}") from None
    return mask.values if mask.is_colour else whole_numbers(mask, path)


def stored_mask(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> Mask:
    """Reads what a mask file holds; see the rules above.

    Raises:
        MaskError: "unexpected-labels" for half-transparent or 16-bit colour masks, "nan" for NaN or infinity.
        CaseError: If the file cannot be read.
    """
    stored = read_stored(path, max_pixels)
    values = stored.values
    if stored.palette is not None and _hides_others(stored):
        values, stored = stored.shown(), Stored(values, alpha=STRAIGHT)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MaskError("nan", f"{shown_path(path)}: the mask must hold numbers, has NaN or infinity")
    if stored.alpha is not None:
        values = _without_alpha(values, path)
    if values.ndim == 3:
        values = _grey_if_equal(values, stored.is_lossy)
    if values.ndim == 3 and values.dtype != np.uint8:
        raise MaskError("unexpected-labels", f"{shown_path(path)}: colour masks must have 8 bits, has {values.dtype}")
    return Mask(np.ascontiguousarray(values), stored.is_lossy)


def object_of(mask: Mask) -> np.ndarray:
    """(H, W) bool: the one object that a mask shows; everything above 0, or above half where edges are soft.

    Raises:
        MaskError: As `Mask.half`.
    """
    return mask.grey > (0 if mask.half is None else mask.half)


def whole_numbers(mask: Mask, path: str | os.PathLike) -> np.ndarray:
    """The values of a grey mask as integers.

    Raises:
        MaskError: "unexpected-labels" for fractions.
    """
    values = mask.values
    if values.dtype.kind != "f":
        return values
    if (values != np.rint(values)).any():
        message = "the mask must hold whole numbers, has fractions; cut it with --mask-threshold"
        raise MaskError("unexpected-labels", f"{shown_path(path)}: {message}")
    return values.astype(np.int64)


def _hides_others(stored: Stored) -> bool:
    palette = stored.palette
    if palette is None or palette.shape[1] < 4 or palette[0, 3] == 0:
        return False
    used = np.unique(stored.values)
    return bool((palette[used[used < len(palette)], 3] == 0).any())


def _without_alpha(values: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    colour, alpha = values[..., :-1], values[..., -1]
    colour = colour[..., 0] if colour.shape[2] == 1 else colour
    opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    if (alpha == opaque).all():
        return colour
    visible = _visible(alpha)
    if visible is None:
        message = "the mask must not be half-transparent; flatten it, or save the mask alone"
        raise MaskError("unexpected-labels", f"{shown_path(path)}: {message}")
    seen = colour[visible]
    if not len(seen) or (seen == seen[0]).all():  # one colour: its shape is the mask
        return visible.astype(np.uint8) * np.uint8(255)
    return np.where(visible if colour.ndim == 2 else visible[..., None], colour, 0).astype(colour.dtype)


def _visible(alpha: np.ndarray) -> np.ndarray | None:
    """(H, W) bool, inside by alpha; None if its levels do not tell."""
    levels = np.unique(alpha)
    if levels[0] == 0 and len(levels) <= 2:
        return alpha > 0
    half = half_of_lossy(alpha) if levels[0] == 0 else None
    return None if half is None else alpha > half


def _grey_if_equal(values: np.ndarray, is_lossy: bool) -> np.ndarray:
    if (values[..., :1] == values).all():
        return values[..., 0]
    if is_lossy and np.ptp(values.astype(np.int16), axis=2).max() <= _NEAR_GREY:
        return values[..., 1]
    return values
