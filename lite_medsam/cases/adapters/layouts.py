"""How known sets lie on disk: words of folders, endings of names, and sets that are recognised but not read."""

import re
from pathlib import Path

from lite_medsam.errors import CaseError
from lite_medsam.storage.strict_json import read_json

__all__ = [
    "bare_stems",
    "channel_names",
    "folder_kind",
    "nnunet_channel",
    "nnunet_document",
    "nnunet_labels",
    "place_of",
    "unread_layout",
    "without_channel",
]

_IMAGE_WORDS = {"image", "images", "img", "imgs", "scans", "original", "originals", "imagestr", "imagests", "imagesval"}
_MASK_WORDS = {"mask", "masks", "label", "labels", "annotation", "annotations", "gt", "gts", "groundtruth", "groundtruths",
               "segmentation", "segmentations", "seg", "labelstr", "labelsts", "labelsval", "json", "labelme"}  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
# what follows an image's name in its mask's: x_mask.png, x_mask_1.png, x_segmentation.png
_ENDING = re.compile(r"[_-](?:masks?|seg|segmentation|labels?|gt|annotation)(?:[_-]?\d+)?$", re.IGNORECASE)
_CHANNEL = re.compile(r"_(\d{4})$")
NNUNET_FOLDERS = {"imagestr", "imagests", "imagesval"}


def _split_words(name: str) -> tuple[str, str | None]:
    """What a folder's name begins with, and what its last two words, or the last, say: "image", "mask" or None.

    ISIC2018_Task1_Training_GroundTruth and "Ground Truth" say mask, imagesTr image.
    """
    words = list(_WORD.finditer(name))
    for count in (2, 1):
        last = "".join(word[0] for word in words[-count:]).lower()
        kind = "mask" if last in _MASK_WORDS else "image" if last in _IMAGE_WORDS else None
        if kind and words[-1].end() == len(name):
            return name[: words[-count:][0].start()], kind
    return name, None


def folder_kind(name: str) -> str | None:
    """Whether a folder's name says "image" or "mask": as a whole, or by its last word (trainval-mask, Disc_Cup_Masks)."""
    return _split_words(name)[1]


def place_of(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Folders without what says image or mask, so that train_images and train_masks are the same place."""
    kept = (re.sub(r"[^A-Za-z0-9]+$", "", _split_words(folder)[0]) for folder in folders)
    return tuple(folder for folder in kept if folder)


def bare_stems(stem: str) -> list[str]:
    """What a mask's name may be without a usual ending, the ending's number too; empty where it has none."""
    match = _ENDING.search(stem)
    return [stem[: match.start()]] if match and match.start() else []


def nnunet_channel(path: Path) -> int | None:
    """The channel of an image in a folder of nnU-Net or the Medical Segmentation Decathlon (NAME_0000), or None."""
    match = _CHANNEL.search(path.stem)
    return int(match[1]) if match and NNUNET_FOLDERS & {folder.lower() for folder in path.parts[:-1]} else None


def without_channel(stem: str) -> str:
    """An image's name without nnU-Net's channel."""
    return _CHANNEL.sub("", stem)


def nnunet_document(image: Path) -> Path | None:
    """The dataset.json beside the folder of an nnU-Net image; None if there is none."""
    places = (folder.parent / "dataset.json" for folder in image.parents if folder.name.lower() in NNUNET_FOLDERS)
    return next((path for path in places if path.is_file()), None)


def _nnunet_document(image: Path) -> dict:
    path = nnunet_document(image)
    found = read_json(path, CaseError, 2**24) if path else None
    return found if isinstance(found, dict) else {}


def nnunet_labels(image: Path) -> tuple[dict[int, str], int | None]:
    """Names of the label values by the data set's dataset.json, and the value to be ignored; both orders of its versions.

    Raises:
        CaseError: If the file is there and no JSON.
    """
    names, ignored = {}, None
    labels = _nnunet_document(image).get("labels")
    for key, value in labels.items() if isinstance(labels, dict) else ():
        number, name = (int(key), value) if str(key).isdecimal() else (value, key)
        if not isinstance(number, int) or not isinstance(name, str) or number < 1:
            continue  # the background, or a region of several labels
        if name == "ignore":
            ignored = number
        else:
            names[number] = name
    return names, ignored


def channel_names(image: Path) -> tuple[str, ...]:
    """Names of the channels by dataset.json, in lower case; empty where it does not say.

    Raises:
        CaseError: If the file is there and no JSON.
    """
    document = _nnunet_document(image)
    names = document.get("channel_names") or document.get("modality") or {}
    ordered = sorted(names.items(), key=lambda pair: str(pair[0]).zfill(4)) if isinstance(names, dict) else ()
    return tuple(str(name).lower() for _, name in ordered)


def unread_layout(root: Path) -> str | None:
    """What a folder without pictures seems to be, and what to do with it; None if that is not known."""
    found: dict[str, list[Path]] = {"nii": [], "mhd": [], "mat": [], "dcm": []}
    for path in root.rglob("*"):
        name = path.name.lower()
        if name.startswith("."):
            continue
        for ending in found:
            if name.endswith((f".{ending}", f".{ending}.gz")) and len(found[ending]) < 1000:
                found[ending].append(path)
    if any(path.parent.name.lower() in {*NNUNET_FOLDERS, "labelstr"} for path in found["nii"]):
        return _MESSAGES["msd"]
    if any(path.stem.lower() in ("oct", "reference") for path in found["mhd"]):
        return _MESSAGES["retouch"]
    if any(re.fullmatch(r"subject_\d+", path.stem.lower()) for path in found["mat"]):
        return _MESSAGES["duke"]
    return next((_MESSAGES[ending] for ending in ("nii", "mhd", "mat", "dcm") if found[ending]), None)


_MESSAGES = {
    "msd": "looks like the Medical Segmentation Decathlon or nnU-Net with NIfTI volumes, which image-folder does not read: "
    "take the adapter nifti",
    "retouch": "looks like RETOUCH, folders with oct.mhd and reference.mhd: take the adapter retouch",
    "duke": "looks like Duke's DME set, Subject_NN.mat: take the adapter duke-dme",
    "nii": "holds NIfTI volumes, which image-folder does not read: take the adapter nifti",
    "mhd": "holds MetaImage volumes, which image-folder does not read: take the adapter nifti, or oct for OCT",
    "mat": "holds MATLAB files, which image-folder does not read; duke-dme, duke-amd and umn are adapters of such sets, of "
    "others save images and masks as PNG",
    "dcm": "holds DICOM files, which image-folder does not read: take the adapter dicom",
}
