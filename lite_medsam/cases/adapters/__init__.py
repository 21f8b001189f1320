"""Raw data of a source to cases: one file per source, what they share, checks, splits, writing.

    adapter = open_adapter("tjdr", Path("TJDR"), Options(instances=True))
    report = prepare_cases(adapter, adapter.settings, Path("cases"))

Nothing here downloads anything: the user brings the files, under the terms of their source (`lite-medsam datasets`).

- check: Reading one item to its end, and what only a look across files can tell: copies, leaks between parts
- cme_oct: CME-OCT: B-scans with cystoid macular edema and binary masks of the fluid
- image_folder: Any folder of images with label masks, or with Labelme's JSON beside them
- labelme: Labelme's JSON: shapes drawn as that tool draws them, so that its JSON and its PNG export agree
- lag: LAG: fundus images for glaucoma with the attention of ophthalmologists
- layer_sets: Sets of B-scans with masks of layers in folders of their own: AROI, GOALS, OCT5k, NR206
- layouts: How known sets lie on disk: words of folders, endings of names, and sets that are recognised but not read
- label_maps: Label maps: colours to values, objects, sizes
- mat_b_scans: B-scans of MATLAB files: Duke's DME and AMD sets, and the fluid of Minnesota (UMN)
- mask_meaning: What the mask values of a folder mean: decided once for all its files, by their stored numbers
- mask_survey: What one mask tells about the meaning of its values: which is the ground, which colours are mixtures
- medsam_npz: The files of the CVPR 2024 challenge "Segment Anything in Medical Images on Laptop": npz, npy pairs
- naming: What paths and names tell: the part of a split, the patient, a case's name
- npy_pairs: The challenge's npy layout for training: imgs/NAME.npy with gts/NAME.npy, one pair per image or slice
- pairing: Which mask belongs to which image: by folder, by prefix and suffix, or by a pattern
- retouch: RETOUCH: OCT volumes of three makers with three kinds of fluid
- side_by_side: Sets whose pictures hold the B-scan on the left and its coloured mask on the right: OIMHS, AMD-SD
- source: What an adapter is: files of one data set in, one case at a time out, and every doubt written down
- split: Dividing cases into train, val and test: by group, stratified, seeded
- split_file: Splits as files: written with their hash, refused where they leak or were changed
- tjdr: TJDR: 561 colour fundus images with four lesions of diabetic retinopathy
- unexpected_values: Values that no label map should have by itself: refused, with what to do about them
- write: From a listing to a folder of cases: checked, resumable, with a manifest, nothing half written
"""

import importlib
from dataclasses import fields
from pathlib import Path

from lite_medsam.cases.adapters.source import Adapter, Options
from lite_medsam.cases.case import MODALITIES
from lite_medsam.errors import CaseError

__all__ = ["ADAPTERS", "Adapter", "Options", "open_adapter"]

# name -> module, and the class where it is not Adapter; imported when it is used, so that one adapter's extra
# dependency is not everyone's
ADAPTERS = {
    "image-folder": "image_folder",
    "medsam-npz": "medsam_npz",
    "cme-oct": "cme_oct",
    "tjdr": "tjdr",
    "lag": "lag",
    "retouch": "retouch",
    "duke-dme": "mat_b_scans:DukeDme",
    "duke-amd": "mat_b_scans:DukeAmd",
    "umn": "mat_b_scans:Umn",
    "oimhs": "side_by_side:Oimhs",
    "amd-sd": "side_by_side:AmdSd",
    "aroi": "layer_sets:Aroi",
    "goals": "layer_sets:Goals",
    "oct5k": "layer_sets:Oct5k",
    "nr206": "layer_sets:Nr206",
    "oct": "lite_medsam.scans.oct.adapter",  # reads scans, so it stands above the cases
    "nifti": "lite_medsam.jobs.prepare_nifti",
    "dicom": "lite_medsam.jobs.prepare_dicom",
}
_FOR_ALL = {"group_regex", "unlabelled", "instances", "min_area_px", "resize_px"}


def adapter_class(name: str) -> type[Adapter]:
    """The class of an adapter.

    Raises:
        CaseError: If there is none of this name.
    """
    if name not in ADAPTERS:
        raise CaseError(f"an adapter must be one of {', '.join(ADAPTERS)}, got {name!r}")
    module, _, kind = ADAPTERS[name].partition(":")
    found = importlib.import_module(module if "." in module else f"lite_medsam.cases.adapters.{module}")
    return getattr(found, kind or "Adapter")


def open_adapter(name: str, root: Path, options: Options | None = None) -> Adapter:
    """Opens an adapter on a folder.

    Args:
        name: One of `ADAPTERS`.
        root: The data set's folder.
        options: What is asked of it.

    Raises:
        CaseError: If there is no such adapter or folder, or an option is set that the adapter does not know.
    """
    kind = adapter_class(name)
    root, options = Path(root), options or Options()
    takes = getattr(kind, "takes", None)  # adapters that read more than folders say so
    if not (takes(root) if takes else root.is_dir()):
        raise CaseError(f"the input must be a folder, {root} is {'a file' if root.exists() else 'not there'}")
    for field in fields(Options):
        is_set = getattr(options, field.name) != getattr(Options(), field.name)
        if is_set and field.name not in _FOR_ALL | kind.options:
            known = ", ".join(sorted(kind.options)) or "the general options only"
            raise CaseError(f"{field.name} is nothing for the adapter {name}; it knows {known}")
    if options.modality is not None and options.modality not in MODALITIES:
        raise CaseError(f"the modality must be one of {', '.join(MODALITIES)}, got {options.modality!r}")
    return kind(root, options)
