"""Label maps of classes: the same pixels as those of the objects, their values the numbers of the classes."""

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np

from lite_medsam.errors import MissingExtraError
from lite_medsam.images.png_writing import palette_png_bytes
from lite_medsam.prompts.class_list import ObjectClass, class_list_json
from lite_medsam.results.annotations import Names
from lite_medsam.results.overlay import label_colours
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.nifti import nifti_bytes


def class_map(labels: np.ndarray, named: Names) -> np.ndarray:
    """Which class each pixel belongs to.

    Args:
        labels: (H, W) or (D, H, W) integers, an object has the value `named.number(i)`.
        named: The objects.

    Returns:
        Of the same shape, uint8 or uint16: 0 background, else the place of the class in `named.class_names`, from 1.
    """
    values = {name: value for value, name in enumerate(named.class_names, start=1)}
    table = np.zeros(int(np.max(labels, initial=0)) + 1, np.uint8 if len(values) <= 255 else np.uint16)
    for index, name in enumerate(named.classes):
        if named.number(index) < len(table):
            table[named.number(index)] = values[name]
    return table[labels]


def class_colours(names: Iterable[str], classes: Sequence[ObjectClass]) -> np.ndarray:
    """(256, 3) uint8 RGB: the colour of each class number, black for 0; classes without a colour have those of objects."""
    colours, known = label_colours(), {one.name: one.rgb for one in classes}
    for value, name in enumerate(names, start=1):
        if name in known and value < len(colours):
            colours[value] = known[name]
    return colours


def class_png(labels: np.ndarray, named: Names, classes: Sequence[ObjectClass] = ()) -> bytes:
    """`class_map` of a picture as PNG: the stored numbers are those of the classes, the palette shows their colours.

    Args:
        labels: (H, W) integers.
        named: The objects.
        classes: The class list, for its colours.
    """
    numbers = class_map(labels, named).astype(np.uint8)
    return palette_png_bytes(numbers, class_colours(named.class_names, classes), 4)


def class_values_csv(named: Names, classes: Sequence[ObjectClass] = ()) -> str:
    """What the numbers of a class map mean: `value,name,colour`, a line for each class."""
    colours = class_colours(named.class_names, classes)
    lines = ["value,name,colour"]
    for value, name in enumerate(named.class_names, start=1):
        quoted = '"' + name.replace('"', '""') + '"' if any(sign in name for sign in ',"') else name
        lines.append(f"{value},{quoted},#{''.join(f'{part:02x}' for part in colours[min(value, 255)])}")
    return "\n".join(lines) + "\n"


def class_files(
    stem: str, labels: np.ndarray, geometry: Geometry, named: Names, classes: Sequence[ObjectClass]
) -> dict[str, bytes]:
    """The label map of classes and what its numbers mean, by file name; none where there is no class list.

    Args:
        stem: First part of the file names.
        labels: (H, W) or (D, H, W), of the objects.
        geometry: For NIfTI, which is left out where nibabel is missing.
        named: The objects.
        classes: The class list.
    """
    if not classes:
        return {}
    files = {"classes.json": class_list_json(classes).encode()}
    files[f"{stem}_classes.csv"] = class_values_csv(named, classes).encode()
    if labels.ndim == 2:
        files[f"{stem}_classes.png"] = class_png(labels, named, classes)
    with contextlib.suppress(MissingExtraError):
        files[f"{stem}_classes.nii.gz"] = nifti_bytes(class_map(labels, named), geometry)
    return files
