"""The challenge's npy layout for training: imgs/NAME.npy with gts/NAME.npy, one pair per image or slice.

The reference writes `imgs` as float64 (H, W, 3) stretched to 0..1, slice by slice (24 bytes a pixel). Written here:
uint8 (H, W, 3), the same picture in an eighth of the space, which its loader stretches all the same; `gts` as the
smallest unsigned integer type; slices numbered NAME-000 as there, empty ones included, so that no gap closes; and
beside them info/NAME.json with what the layout has no place for (spacing, patient, names), from which a volume is put
together again. Both kinds are read.
"""

import json
import math
import re
from pathlib import Path

import numpy as np

from lite_medsam.cases.adapters.source import ItemError
from lite_medsam.cases.case import Case, modality_from_name, to_uint8
from lite_medsam.cases.fields import smallest_unsigned
from lite_medsam.cases.npz import MAX_VALUES
from lite_medsam.errors import CaseError
from lite_medsam.storage.files import atomic_write
from lite_medsam.storage.paths import shown_path
from lite_medsam.storage.strict_json import read_json

__all__ = ["info_path", "pair_paths", "read_info", "read_npy_case", "volume_name", "write_npy_pairs"]

MAX_INFO_BYTES = 1_000_000


def write_npy_pairs(folder: Path, case: Case) -> list[Path]:
    """Writes a labelled case as npy pairs, the info file last (its presence says that the pairs are complete).

    Returns:
        The image files written.

    Raises:
        CaseError: If the case has no label: the layout has pairs only.
        OSError: If a file can't be written.
    """
    if case.label is None:
        raise CaseError(f"{case.name}: the npy layout needs a label")
    images = case.image if case.is_volume else case.image[None]
    labels = case.label if case.is_volume else case.label[None]
    paths = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = f"{case.name}-{number:03d}.npy" if case.is_volume else f"{case.name}.npy"
        colour = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        _save(folder / "gts" / name, smallest_unsigned(label, "the label map"))
        paths.append(_save(folder / "imgs" / name, colour))
    info = {
        "version": 1,
        "slices": len(images) if case.is_volume else None,
        "spacing_xyz_mm": list(case.spacing_mm[::-1]) if case.spacing_mm else None,
        "modality": case.modality,
        "group": case.group,
        "label_names": {str(k): v for k, v in (case.label_names or {}).items()},
        "metadata": case.metadata or {},
    }
    with atomic_write(info_path(folder, case.name)) as path:
        path.write_text(json.dumps(info, indent=1, ensure_ascii=False), encoding="utf-8")
    return paths


def info_path(folder: Path, name: str) -> Path:
    """Where the info file of a case lies."""
    return folder / "info" / f"{name}.json"


def pair_paths(folder: Path, name: str) -> list[Path]:
    """The arrays of a case that are there: imgs/NAME.npy and gts/NAME.npy, or those of its slices."""
    number = re.compile(re.escape(name) + r"(-\d{3,})?$")
    files = [path for kind in ("imgs", "gts") for path in (folder / kind).glob("*.npy")]
    return sorted(path for path in files if number.match(path.stem))


def volume_name(stem: str) -> str:
    """The volume that a slice comes from, NAME for NAME-012; other stems are their own."""
    return re.sub(r"-\d{3,}$", "", stem)


def read_info(folder: Path, name: str) -> dict:
    """The info file of a case; empty when there is none, as in the reference's layout.

    Raises:
        CaseError: If it is damaged.
    """
    path = info_path(folder, name)
    if not path.is_file():
        return {}
    info = read_json(path, CaseError, MAX_INFO_BYTES)
    is_ours = isinstance(info, dict) and isinstance(info.get("label_names", {}), dict)
    is_ours = is_ours and isinstance(info.get("spacing_xyz_mm"), list | None)
    if not is_ours or not isinstance(info.get("slices"), int | None) or isinstance(info.get("slices"), bool):
        raise CaseError(f"{shown_path(path)}: must be an info file as written beside npy pairs")
    return info


def read_npy_case(folder: Path, name: str, stems: list[str], info: dict) -> Case:
    """Puts a case together from its pairs.

    Args:
        folder: Holds imgs and gts.
        name: The case's name.
        stems: One stem, or a volume's slices in order.
        info: From `read_info`.

    Raises:
        ItemError: "size-mismatch", "nan".
        CaseError: If an array is missing, damaged, or not what it must be.
    """
    images = [_image(folder / "imgs" / f"{stem}.npy") for stem in stems]
    labels = [_label(folder / "gts" / f"{stem}.npy") for stem in stems]
    for image, label, stem in zip(images, labels, stems, strict=True):
        if label is not None and label.shape != image.shape[:2]:
            sizes = f"{image.shape[1]} x {image.shape[0]} and {label.shape[1]} x {label.shape[0]}"
            raise ItemError("size-mismatch", f"image and label of {stem} must have one size, have {sizes}")
    is_volume = info.get("slices") is not None
    if len({image.shape for image in images}) > 1:
        raise ItemError("size-mismatch", f"the slices of {name} must have one size")
    spacing = info.get("spacing_xyz_mm")
    names = {int(k): v for k, v in info.get("label_names", {}).items() if str(k).isdecimal() and len(str(k)) < 20}
    known = [label for label in labels if label is not None]
    has_label = len(known) == len(labels)
    return Case(
        image=np.stack(images) if is_volume else images[0],
        label=(np.stack(known) if is_volume else known[0]) if has_label else None,
        spacing_mm=tuple(spacing[::-1]) if spacing else None,
        name=name,
        modality=info.get("modality") or modality_from_name(name),
        group=info.get("group"),
        is_volume=is_volume,
        label_names=names or None,
        metadata=info.get("metadata") or None,
    )


def _save(path: Path, array: np.ndarray) -> Path:
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)
    return path


def _load(path: Path) -> np.ndarray:
    shown = shown_path(path)
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            shape, _, dtype = reader[version](file)
            if dtype.hasobject:
                raise CaseError(f"{shown}: must be a plain array, holds Python objects (pickle), never loaded")
            if any(side < 0 for side in shape) or math.prod(shape) > MAX_VALUES:
                raise CaseError(f"{shown}: must have at most {MAX_VALUES} values, its header says {shape}")
            rest = path.stat().st_size - file.tell()
            if math.prod(shape) * dtype.itemsize != rest:
                raise CaseError(f"{shown}: cut off or damaged, shape {shape} of {dtype} does not make {rest} bytes")
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except CaseError:
        raise
    except FileNotFoundError:
        raise CaseError(f"{shown}: no such file") from None
    except OSError as error:
        raise CaseError(f"{shown}: could not be read ({error.strerror or error})") from None
    except Exception as error:  # hostile headers raise anything
        raise CaseError(f"{shown}: damaged npy file ({type(error).__name__})") from None


def _image(path: Path) -> np.ndarray:
    array = _load(path)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise CaseError(f"{shown_path(path)}: must be (H, W) or (H, W, 3), got shape {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ItemError("nan", f"{shown_path(path)}: the image must hold numbers, has NaN or infinity")
        if array.min() >= 0 and array.max() <= 1:  # as the reference stretches them
            array = np.rint(array * 255).astype(np.uint8)
    image = to_uint8(array)
    if image.ndim == 3 and (image[..., :1] == image).all():
        image = image[..., 0]  # grey, tripled for the network
    return image


def _label(path: Path) -> np.ndarray | None:
    if not path.exists():
        return None
    label = _load(path)
    if label.ndim == 3 and label.shape[2] == 1:
        label = label[..., 0]
    if label.ndim != 2:
        raise CaseError(f"{shown_path(path)}: must be (H, W), got shape {label.shape}")
    return smallest_unsigned(label, "the label map")
