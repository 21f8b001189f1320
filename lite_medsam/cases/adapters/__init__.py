"""Raw data of a source -> cases: one file per source, what they share, checks, splits and the writing of cases.

    adapter = open_adapter("tjdr", Path("TJDR"), Options(instances=True))
    report = prepare_cases(adapter, adapter.settings, Path("cases"))

Nothing here downloads anything: the user brings the files, under the terms of their source (`lite-medsam datasets`).
"""

import importlib
from dataclasses import fields
from pathlib import Path

from lite_medsam.adapters.source import Adapter, Options
from lite_medsam.case import MODALITIES
from lite_medsam.errors import CaseError

__all__ = ["ADAPTERS", "Adapter", "Options", "open_adapter"]

# name -> module; imported when it is used, so that one adapter's extra dependency is not everyone's
ADAPTERS = {
    "image-folder": "image_folder",
    "medsam-npz": "medsam_npz",
    "cme-oct": "cme_oct",
    "tjdr": "tjdr",
    "lag": "lag",
}
_FOR_ALL = {"group_regex", "unlabelled", "instances", "min_area_px", "resize_px"}


def adapter_class(name: str) -> type[Adapter]:
    """The class of an adapter.

    Raises:
        CaseError: If there is none of this name.
    """
    if name not in ADAPTERS:
        raise CaseError(f"an adapter must be one of {', '.join(ADAPTERS)}, got {name!r}")
    return importlib.import_module(f"lite_medsam.adapters.{ADAPTERS[name]}").Adapter


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
    if not root.is_dir():
        raise CaseError(f"the input must be a folder, {root} is {'a file' if root.exists() else 'not there'}")
    for field in fields(Options):
        is_set = getattr(options, field.name) != getattr(Options(), field.name)
        if is_set and field.name not in _FOR_ALL | kind.options:
            known = ", ".join(sorted(kind.options)) or "the general options only"
            raise CaseError(f"{field.name} is nothing for the adapter {name}; it knows {known}")
    if options.modality is not None and options.modality not in MODALITIES:
        raise CaseError(f"the modality must be one of {', '.join(MODALITIES)}, got {options.modality!r}")
    return kind(root, options)
