"""Every function that reads a file from outside, with small limits, so that no right input takes much time or memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import seeds

MAX_PIXELS = 2**20


class Reader(NamedTuple):
    """A reader under test.

    Attributes:
        read: Reads a file.
        seeds: Makes the whole files that are damaged.
        suffix: The file's ending.
        share: How many of a million inputs it gets, in thousands.
    """

    read: Callable[[Path], Any]
    seeds: Callable[[], list[bytes]]
    suffix: str
    share: int


def _image(path: Path):
    from lite_medsam.images.intensity import to_uint8
    from lite_medsam.images.reading import read_pixels

    pixels = read_pixels(path, MAX_PIXELS)
    return pixels, to_uint8(pixels)


def _mask(path: Path):
    from lite_medsam.images.masks import object_of, read_mask, stored_mask

    mask = stored_mask(path, MAX_PIXELS)
    return mask.values, object_of(mask), read_mask(path, MAX_PIXELS)


def _case(path: Path):
    from lite_medsam.cases.case import load_case

    return load_case(path, max_bytes=2**24)


def _npz_scan(path: Path):
    from lite_medsam.scans.reading import load_volume

    scan = load_volume(path, max_voxels=MAX_PIXELS)
    return scan, scan.to_uint8()


def _npy_pair(path: Path):
    """The pair's picture; the file as both picture and label map."""
    from lite_medsam.cases.adapters.npy_pairs import read_npy_case

    folder = path.parent
    for name in ("imgs", "gts"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "x.npy").write_bytes(path.read_bytes())
    return read_npy_case(folder, "x", ["x"], {})


def _npy_info(path: Path):
    from lite_medsam.cases.adapters.npy_pairs import info_path, read_info, read_npy_case

    target = info_path(path.parent, "x")
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes())
    for name in ("imgs", "gts"):
        file = path.parent / name / "x.npy"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.ones((4, 5), np.uint8))
    return read_npy_case(path.parent, "x", ["x"], read_info(path.parent, "x"))


def _with_masks(path: Path) -> None:
    """The masks that prompt files name lie beside them."""
    if not (path.parent / "mask.png").exists():
        (path.parent / "mask.png").write_bytes(seeds.images()[0])
        import cv2

        cv2.imwrite(str(path.parent / "logits.tif"), np.linspace(-3, 3, 108, dtype=np.float32).reshape(9, 12))


def _prompts(path: Path):
    from lite_medsam.prompts.prompt_set import load_prompts

    _with_masks(path)
    return load_prompts(path)


def _volume_prompts(path: Path):
    from lite_medsam.prompts.volume_prompt_set import load_volume_prompts

    _with_masks(path)
    return load_volume_prompts(path)


def _protocol(path: Path):
    from lite_medsam.prompts.protocol import load_protocol

    return load_protocol(path)


def _vocabulary(path: Path):
    from lite_medsam.prompts.vocabulary import load_vocabulary

    return load_vocabulary(path)


def _labelme(path: Path):
    from lite_medsam.cases.adapters.labelme import read_shapes

    return read_shapes(path, (10, 12), {"a": 1, "b": 2})


def _targets(path: Path):
    from lite_medsam.prompts.targets import read_targets

    return read_targets(path)


def _groups(path: Path):
    from lite_medsam.cases.groups import read_groups

    return read_groups(path, ("a", "b", "c"))


def _spec(path: Path):
    from lite_medsam.model.spec import load_spec

    return load_spec(path.parent)


def _manifest(path: Path):
    from lite_medsam.model.manifest import load_manifest

    return load_manifest(path)


def _split(path: Path):
    from lite_medsam.cases.adapters.split_file import load_split

    return load_split(path)


def _scan(path: Path):
    from lite_medsam.scans.reading import load_volume

    scan = load_volume(path, max_voxels=MAX_PIXELS, first_volume=True)
    return scan, scan.to_uint8()


def _checkpoint(path: Path):
    from lite_medsam.learning.published.checkpoint_file import read_state

    return read_state(path)


def _recipe(path: Path):
    from lite_medsam.learning.training.recipe import load_recipe

    return load_recipe(path)


def _finetune_settings(path: Path):
    from lite_medsam.learning.finetuning.settings import load_settings

    return load_settings(path)


READERS = {
    "image": Reader(_image, seeds.images, "", 180),
    "mask": Reader(_mask, seeds.images, "", 100),
    "case": Reader(_case, seeds.cases, ".npz", 80),
    "npz-scan": Reader(_npz_scan, seeds.cases, ".npz", 50),
    "npy-pair": Reader(_npy_pair, seeds.npy, ".npy", 30),
    "npy-info": Reader(_npy_info, seeds.npy_infos, ".json", 20),
    "prompts": Reader(_prompts, seeds.prompts, ".json", 80),
    "volume-prompts": Reader(_volume_prompts, seeds.volume_prompts, ".json", 60),
    "protocol": Reader(_protocol, seeds.protocols, ".json", 40),
    "vocabulary": Reader(_vocabulary, seeds.vocabularies, ".json", 20),
    "labelme": Reader(_labelme, seeds.labelme, ".json", 50),
    "targets-csv": Reader(_targets, seeds.target_tables, ".csv", 30),
    "groups-csv": Reader(_groups, seeds.group_tables, ".csv", 20),
    "spec": Reader(_spec, seeds.specs, "/spec.json", 40),
    "manifest": Reader(_manifest, seeds.manifests, ".json", 20),
    "split": Reader(_split, seeds.splits, ".json", 30),
    "nifti": Reader(_scan, seeds.nifti, ".nii", 60),
    "nifti-gz": Reader(_scan, seeds.nifti_gz, ".nii.gz", 20),
    "dicom": Reader(_scan, seeds.dicom, ".dcm", 40),
    "checkpoint": Reader(_checkpoint, seeds.checkpoints, ".pt", 20),
    "recipe": Reader(_recipe, seeds.recipes, ".json", 5),
    "finetune-settings": Reader(_finetune_settings, seeds.finetune_settings, ".json", 5),
}
