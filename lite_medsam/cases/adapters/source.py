"""What an adapter is: files of one data set in, one case at a time out, and every doubt written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from lite_medsam.cases.case import Case, to_uint8
from lite_medsam.errors import CaseError
from lite_medsam.images.masks import MaskError
from lite_medsam.images.reading import read_pixels
from lite_medsam.storage.paths import shown_path

__all__ = [
    "Adapter",
    "Drop",
    "Item",
    "ItemError",
    "Listing",
    "Options",
    "Problem",
    "Reading",
    "error_kind",
    "read_image",
]


@dataclass(frozen=True)
class Options:
    """What the user asks for. The first block holds for every adapter, the others for those that name them.

    Attributes:
        group_regex: Searched in each file's path below the root, without its suffix; the group `group`, else
            the first group, else the match is the patient (eye, video) that the case belongs to.
        unlabelled: Also take images that have no mask; their cases have no label.
        instances: Give every connected component (8 neighbours; 26 in a volume) of a class its own label value.
        min_area_px: Remove objects of fewer pixels, and say so; 0 removes nothing.
        resize_px: Shrink images whose longer side exceeds this; None keeps every pixel.

        dataset: Name of the data set in the cases' names; the root folder's name by default.
        modality: One of `case.MODALITIES`.
        images: Folder of the images, below the root or absolute.
        masks: Folder of the masks, below the root or absolute.
        mask_prefix: What a mask's name has before the image's.
        mask_suffix: What a mask's name has behind the image's.
        image_regex: Searched in an image's stem for the key that pairs it; groups as in `group_regex` ("id").
        mask_regex: The same for masks.
        labels: How mask values are meant: "auto", "binary", "values" or "colours".
        mask_threshold: Values above it are the object, others the background (binary masks stored as JPEG).
        expect: The only label values that may occur; others are an error.
        order: Mask values from the outside in, with names, ((255, "ground"), (128, "disc"), (0, "cup")): the first is the
            background, the others become labels 1, 2, ...
        ignore_label: A "don't care" value that becomes background, and is counted.
        colours: Colour of each class, in the order of their label values from 1, with names; ((r, g, b), name).
        names: Names of label values.

        annotation: "png", "json" or "auto": which of a data set's two kinds of label is used.
        frame: Which volume of files of several (time, channels), from 0.
        attention_threshold: Where an attention map's region begins, as a share of the map's maximum.
    """

    group_regex: str | None = None
    unlabelled: bool = False
    instances: bool = False
    min_area_px: int = 0
    resize_px: int | None = None

    dataset: str | None = None
    modality: str | None = None
    images: str | None = None
    masks: str | None = None
    mask_prefix: str = ""
    mask_suffix: str = ""
    image_regex: str | None = None
    mask_regex: str | None = None
    labels: str = "auto"
    mask_threshold: int | None = None
    expect: tuple[int, ...] | None = None
    order: tuple[tuple[int, str], ...] = ()
    ignore_label: int | None = None
    colours: tuple[tuple[tuple[int, int, int], str], ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)

    frame: int | None = None
    annotation: str = "auto"
    attention_threshold: float = 0.5


class Problem(NamedTuple):
    """Something a person should know of a file.

    `kind` is one of a fixed set of words (see `check.KINDS`); `path` is below the root, with slashes.
    """

    kind: str
    path: str
    message: str


class Drop(NamedTuple):
    """Objects that are in the source and not in the case."""

    label: str
    count: int  # type: ignore[assignment]  # hides a method of tuples that nobody calls
    reason: str


@dataclass(frozen=True)
class Item:
    """One case to be: where it comes from and what is known before its files are opened.

    Attributes:
        name: Name of the case, unique in the listing.
        image: The image file.
        labels: Files that its label is made of; empty when it has none.
        others: Further files that it is made of.
        split: The part of the data set's own split that it belongs to: "train", "val", "test", or None.
        group: Patient, eye, video or volume; None when the source does not tell.
        shown: What outputs call it in place of its path, which may hold a name; None: the path.
    """

    name: str
    image: Path
    labels: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    split: str | None = None
    group: str | None = None
    shown: str | None = None


@dataclass(frozen=True)
class Listing:
    """What an adapter found: items to read, and problems of pairing that no item can carry."""

    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, eq=False)
class Reading:
    """One item read.

    Attributes:
        case: The case as the source has it: its own size, its own label values.
        problems: What is odd about it.
        drops: Objects of the source that are not in the label.
        twin: A key that copies of one original share although their bytes differ; copies are never split.
        has_objects: Whether each label value is one object already, so that asking for instances changes nothing.
    """

    case: Case
    problems: tuple[Problem, ...] = ()
    drops: tuple[Drop, ...] = ()
    twin: str | None = None
    has_objects: bool = False


class ItemError(CaseError):
    """An item that cannot become a case; `kind` is one of `check.KINDS`."""

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind


class Adapter(Protocol):
    """One data set's files as cases. `options` names the fields of `Options` that it understands beyond the first
    block; `title` and `tree` are for people."""

    name: str
    title: str
    tree: str
    options: frozenset[str]
    root: Path
    settings: Options
    decision: str  # what `find` read off all files together; a case has to be made again when it changes

    def __init__(self, root: Path, options: Options): ...

    def find(self) -> Listing:
        """Lists the items without decoding images.

        Raises:
            CaseError: If the root does not look like this data set; says what was looked for.
        """
        ...

    def read(self, item: Item) -> Reading:
        """Reads one item.

        Raises:
            CaseError: If its files are damaged or contradict each other.
        """
        ...


def read_image(path: Path) -> np.ndarray:
    """An image file as (H, W) or (H, W, 3) uint8; values that are no numbers are told apart from other damage.

    Raises:
        ItemError: "nan" when it holds NaN or infinity.
        CaseError: As for `case.load_image`.
    """
    pixels = read_pixels(path)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        bad = pixels.size - np.count_nonzero(np.isfinite(pixels))
        raise ItemError("nan", f"the image must hold numbers, {bad} of {pixels.size} values are NaN or infinite")
    try:
        return to_uint8(pixels)
    except CaseError as error:
        raise CaseError(f"{shown_path(path)}: {error}") from None


def error_kind(error: Exception) -> str:
    """Which of `check.KINDS` an error is; those of `case.py` tell by their words only."""
    if isinstance(error, ItemError | MaskError):
        return error.kind
    text = str(error)
    # in this order: the label map's own message speaks of shapes or of NaN too
    for words, kind in (("image's shape", "size-mismatch"), ("label map", "unexpected-labels"), ("NaN", "nan")):
        if words in text:
            return kind
    return "unreadable"
