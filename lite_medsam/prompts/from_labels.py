"""Existing masks opened as objects to be corrected: prompts of a picture or of a volume."""

import os

import numpy as np

from lite_medsam.prompts.label_files import read_label_objects
from lite_medsam.prompts.label_objects import LabelObject, picture_prompts
from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.prompts.volume_objects import VolumeObject
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import DicomSource


def prompts_from_labels(
    path: str | os.PathLike,
    shape: tuple[int, ...],
    geometry: Geometry | None = None,
    *,
    final: bool = True,
    stem: str = "",
    source: DicomSource | None = None,
) -> list[Prompt] | list[VolumeObject]:
    """The objects of a label file as prompts, in display coordinates.

    An object of a volume is where its masks are and nowhere else: it is not followed beyond them.

    Args:
        path: See `read_label_objects`.
        shape: (H, W) of a picture, (D, H, W) of a volume.
        geometry: Of the scan.
        final: The masks are taken as they are; else the model refines them.
        stem: The picture's name, for COCO of several pictures.
        source: The DICOM images of the scan, `scan.dicom`.

    Raises:
        PromptError: If the file can't be read or is for something else.
        MissingExtraError: If nibabel or highdicom is needed and not installed.
    """
    objects = read_label_objects(path, shape, geometry, stem, source)
    if len(shape) == 2:
        return picture_prompts(objects, final)
    return [volume_object_of(item, (shape[1], shape[2]), final) for item in objects]


def volume_object_of(item: LabelObject, image_hw: tuple[int, int], final: bool = True) -> VolumeObject:
    """An object of a label volume; slices without it between others say that it is not there."""
    prompts = item.prompts(final)
    first, last = min(prompts), max(prompts)
    gone = Prompt(mask=np.zeros(image_hw, bool), name=item.name, final=True)
    return VolumeObject(
        {z: prompts.get(z, gone) for z in range(first, last + 1)}, item.name, (first, last), number=item.number
    )
