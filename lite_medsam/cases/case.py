"""The one data contract: a Case is an image or volume with its labels; on disk it is the challenge's npz.

The CVPR 2024 MedSAM-on-Laptop challenge's key names (`imgs`, `gts`, `boxes`, `spacing`, `segs`) and its
order of spacings, x y z, live in this file and `challenge_arrays` only.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.cases.challenge_arrays import image_of, spacing_of, usable
from lite_medsam.cases.extra_keys import label_names_of, metadata_of, text_of
from lite_medsam.cases.fields import (
    MODALITIES,
    checked_boxes,
    checked_image,
    checked_label,
    checked_label_names,
    checked_metadata,
    checked_spacing,
    modality_from_name,
    smallest_unsigned,
)
from lite_medsam.cases.npz import MAX_ARCHIVE_BYTES, read_npz
from lite_medsam.errors import CaseError
from lite_medsam.images.intensity import to_uint8
from lite_medsam.images.reading import IMAGE_SUFFIXES, load_image
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.paths import shown_path

__all__ = [
    "IMAGE_SUFFIXES",
    "MODALITIES",
    "Case",
    "load_case",
    "load_image",
    "modality_from_name",
    "save_case",
    "save_segs",
    "slices",
    "to_uint8",
]


@dataclass(frozen=True, eq=False)
class Case:
    """An image or volume, and what is known about it.

    Attributes:
        image: (H, W) or (H, W, 3) uint8, RGB; a volume is (D, H, W) uint8.
        label: (H, W) or (D, H, W), 0 background, objects or classes above it; stored as the smallest of
            uint8, uint16, uint32 that holds it. None when unlabelled.
        boxes: (N, 4) float32 x0 y0 x1 y1 in pixels, last pixel inside; volumes (N, 6) x0 y0 z0 x1 y1 z1. None
            when there are none.
        spacing_mm: Pixel size in array order: (y, x), or (z, y, x) for volumes. None when unknown.
        name: The file's stem; no path separators.
        modality: One of `MODALITIES`, or None when unknown.
        group: The patient, eye, video or stack that the case belongs to; splits must not cut through it.
        is_volume: Whether `image` is (D, H, W).
        label_names: Names of label values.
        metadata: What else the source says of the case, as texts: a diagnosis, how a region was made.
        unread: Why optional arrays of its file were left out, by key: `boxes` that hold Python objects, say. Whoever needs
            one calls `require`.

    Raises:
        CaseError: If a field is not as described.
    """

    image: np.ndarray
    label: np.ndarray | None = None
    boxes: np.ndarray | None = None
    spacing_mm: tuple[float, ...] | None = None
    name: str = "case"
    modality: str | None = None
    group: str | None = None
    is_volume: bool = False
    label_names: Mapping[int, str] | None = None
    metadata: Mapping[str, str] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "image", checked_image(self.image, self.is_volume))
        if not isinstance(self.name, str) or not self.name or any(c in self.name for c in "/\\\0"):
            raise CaseError(f"name must be a non-empty text without path separators, got {self.name!r}")
        if self.modality is not None and self.modality not in MODALITIES:
            raise CaseError(f"modality must be one of {', '.join(MODALITIES)}, got {self.modality!r}")
        if self.group is not None and not isinstance(self.group, str):
            raise CaseError(f"group must be a text, got {self.group!r}")
        object.__setattr__(self, "label", checked_label(self.label, self.label_shape))
        object.__setattr__(self, "boxes", checked_boxes(self.boxes, 6 if self.is_volume else 4))
        object.__setattr__(self, "spacing_mm", checked_spacing(self.spacing_mm, 3 if self.is_volume else 2))
        object.__setattr__(self, "label_names", checked_label_names(self.label_names))
        object.__setattr__(self, "metadata", checked_metadata(self.metadata))

    @property
    def label_shape(self) -> tuple[int, ...]:
        """(H, W), or (D, H, W) for a volume: the shape of the label and of segmentations."""
        return self.image.shape if self.is_volume else self.image.shape[:2]

    @property
    def truth(self) -> np.ndarray:
        """The label map, for what can do nothing without one.

        Raises:
            CaseError: If the case has none.
        """
        self.require("gts")
        if self.label is None:
            raise CaseError(f"the case {self.name} must have a label map (gts), has none")
        return self.label

    def require(self, key: str) -> None:
        """Raises CaseError if an optional array is needed that is in the file, but could not be used.

        Args:
            key: As the file calls it: gts, boxes, spacing.
        """
        if key in self.unread:
            raise CaseError(f"{self.name}: {self.unread[key]}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: which arrays of the file were left out, and why."""
        return tuple(f"left unread: {reason}" for reason in self.unread.values())


def load_case(path: str | os.PathLike, max_bytes: int = MAX_ARCHIVE_BYTES) -> Case:
    """Loads a challenge-style npz: `imgs`, and `gts`, `boxes`, `spacing` where they are there.

    A three-axis `imgs` can be colour (H, W, 3) or a volume (D, H, W). In this order: the key `is_volume` that
    `save_case` writes; a file name that starts with 3D or 2D, as in the challenge; then the last axis: 1, 3
    or 4 is an image, 5 and more a volume. Images of another type than uint8 go through `to_uint8`;
    a volume as a whole, so that its slices stay comparable. Pickled arrays are never loaded. Optional arrays that hold Python
    objects, and boxes and spacings that are not what they must be, are left out and noted in `Case.unread`.

    Args:
        path: The npz file; its stem becomes the case's name, and gives the modality where the file holds
            none.
        max_bytes: Limit of the unpacked size; larger claims are refused before anything is unpacked.

    Raises:
        CaseError: If the file is missing, damaged, too large, or `imgs` or `gts` is not what it must be; the message
            names the file and is a single line.
    """
    shown = shown_path(path)
    optional = ("gts", "boxes", "spacing", "is_volume", "modality", "group", "label_ids", "label_names",
                "metadata")  # fmt: skip
    unread: dict[str, str] = {}
    arrays = read_npz(path, ("imgs",), optional, max_bytes, unread)
    name = Path(path).stem
    try:
        image, is_volume = image_of(arrays["imgs"], name, arrays.get("is_volume"))
        dims = 3 if is_volume else 2
        label = arrays.get("gts")
        if label is not None and label.ndim == dims + 1 and label.shape[-1] == 1:
            label = label[..., 0]
        return Case(
            image=image,
            label=label,
            boxes=usable("boxes", unread, lambda: checked_boxes(arrays.get("boxes"), 6 if is_volume else 4)),
            spacing_mm=usable(
                "spacing", unread, lambda: checked_spacing(spacing_of(arrays.get("spacing"), dims), dims)
            ),
            name=name,
            modality=modality_from_name(text_of(arrays.get("modality")) or "") or modality_from_name(name),
            group=text_of(arrays.get("group")),
            is_volume=is_volume,
            label_names=label_names_of(arrays.get("label_ids"), arrays.get("label_names")),
            metadata=metadata_of(arrays.get("metadata")),
            unread=unread,
        )
    except CaseError as error:
        raise CaseError(f"{shown}: {error}") from None


def save_case(path: str | os.PathLike, case: Case) -> None:
    """Writes a case as npz with the challenge's keys; `load_case` gives it back, named after the file.

    Extra keys, all plain arrays: `is_volume`, `modality`, `group`, `label_ids` with `label_names`,
    `metadata` (a text, JSON).

    Raises:
        OSError: If the file can't be written; nothing is left behind.
    """
    arrays = {"imgs": case.image}
    if case.label is not None:
        arrays["gts"] = case.label
    if case.boxes is not None:
        arrays["boxes"] = case.boxes
    if case.spacing_mm is not None:
        arrays["spacing"] = np.array(case.spacing_mm[::-1], np.float64)  # the challenge's order is x, y, z
    if case.is_volume:
        arrays["is_volume"] = np.array(True)
    if case.modality is not None:
        arrays["modality"] = np.array(case.modality)
    if case.group is not None:
        arrays["group"] = np.array(case.group)
    if case.label_names:
        arrays["label_ids"] = np.array(list(case.label_names), np.int64)
        arrays["label_names"] = np.array(list(case.label_names.values()))
    if case.metadata:
        arrays["metadata"] = np.array(json.dumps(case.metadata, sort_keys=True))  # ASCII: survives any platform
    _write_npz(path, arrays)


def save_segs(path: str | os.PathLike, segs: np.ndarray) -> None:
    """Writes a segmentation as the challenge does: an npz with the one array `segs`.

    Args:
        path: The npz file to write.
        segs: (H, W) or (D, H, W) integers, 0 background; stored as the smallest of uint8, uint16, uint32.

    Raises:
        CaseError: If `segs` is not such an array.
        OSError: If the file can't be written; nothing is left behind.
    """
    segs = np.asarray(segs)
    if segs.ndim not in (2, 3):
        raise CaseError(f"segs must be (H, W) or (D, H, W), got shape {segs.shape}")
    _write_npz(path, {"segs": smallest_unsigned(segs, "segs")})


def slices(case: Case, maximum: int) -> list[Case]:
    """Takes labelled slices of a volume as 2D cases, evenly spaced over the slices that hold a label.

    Args:
        case: A labelled volume.
        maximum: At most this many slices, at least 1.

    Returns:
        2D cases in order of z, named `<name>_z<index>`; their group is the volume's (its name where it has
        none), so that a split by group keeps a volume's slices together. Empty when no slice holds a label.

    Raises:
        CaseError: If the case is no labelled volume.
    """
    if not case.is_volume or case.label is None:
        raise CaseError(f"{case.name}: slices need a labelled volume")
    if maximum < 1:
        raise CaseError(f"maximum must be at least 1, got {maximum}")
    labelled = np.flatnonzero(case.label.any(axis=(1, 2)))
    count = min(maximum, len(labelled))
    chosen = labelled[((np.arange(count) + 0.5) * len(labelled) / max(count, 1)).astype(int)]
    return [
        Case(
            image=case.image[z],
            label=case.label[z],
            spacing_mm=case.spacing_mm[1:] if case.spacing_mm else None,
            name=f"{case.name}_z{z:03d}",
            modality=case.modality,
            group=case.group or case.name,
            label_names=case.label_names,
            metadata=case.metadata,
        )
        for z in chosen.tolist()
    ]


def _write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    # a file object, because numpy would add a suffix to a name
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))
