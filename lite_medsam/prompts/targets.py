"""What an object is called: names by data set and label, and the families that the card shows apart."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lite_medsam.cases.case import Case
from lite_medsam.cases.fields import dataset_from_name
from lite_medsam.errors import CaseError
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.storage.paths import shown_path
from lite_medsam.storage.tables import read_table

ANY = "*"
Targets = Mapping[tuple[str, str, str], str]

# family -> modality and what its targets' names hold
FAMILIES = {
    "OCT layers": ("OCT", r"layer|segment|band"),
    "OCT fluid and lesions": ("OCT", r"fluid|lesion|cyst|drusen"),
    "fundus: optic disc rim": ("Fundus", r"disc|rim"),
    "fundus: optic cup": ("Fundus", r"cup"),
    "fundus: vessels": ("Fundus", r"vessel|arter|vein"),
}


def read_targets(path: str | os.PathLike | None) -> Targets:
    """Names of labels from a CSV with the columns dataset, label and target.

    `label` is a number or * for every label; a data set may name the end of the file name in brackets: raspnet(_retina).

    Args:
        path: The file; None for no names.

    Returns:
        Name by (data set, end of the case's name, label).

    Raises:
        CaseError: If it is no such table, see `storage.tables.read_table`, or a row contradicts another.
    """
    if path is None:
        return {}
    table = read_table(path, ("dataset", "label", "target"))
    names: dict[tuple[str, str, str], str] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        dataset, _, ending = row["dataset"].partition("(")
        key = dataset.strip(), ending.rstrip(") "), _label(row["label"], f"{table.path}: line {line}")
        if names.get(key, row["target"]) != row["target"]:
            raise CaseError(f"{table.path}: line {line} calls it {row['target']!r}, an earlier one {names[key]!r}")
        names[key] = row["target"]
    return names


def unfit_rows(targets: Targets, names: Collection[str], path: str | os.PathLike) -> tuple[str, ...]:
    """Notes on the rows of a table that are of no data set in the cases.

    Args:
        targets: From `read_targets`.
        names: Of the cases that are there.
        path: The table, for messages.

    Raises:
        CaseError: If that is so for all rows.
    """
    keys = {(dataset, ending) for dataset, ending, _ in targets}
    unfit = [key for key in keys if not any(_is_of(name, *key) for name in names)]
    shown, here = shown_path(path), sorted({dataset_from_name(name) for name in names} - {""})
    if len(unfit) == len(keys):
        own = (
            f"the cases are of {', '.join(here[:8])}"
            if here
            else "names of cases must be 2D_<modality>_<data set>_<rest>"
        )
        raise CaseError(f"{shown}: no row is of a data set of the {len(names)} cases; {own}")
    rows = sum((dataset, ending) in unfit for dataset, ending, _ in targets)
    such = min((f"{dataset}({ending})" if ending else dataset for dataset, ending in unfit), default="")
    return (f"{shown}: {rows} of {len(targets)} rows are of no data set here, such as {such!r}",) if rows else ()


def _label(text: str, place: str) -> str:
    """A label of a table as `known_target` compares it: * or a whole number; some programs write 1 as 1.0."""
    if text == ANY:
        return ANY
    try:
        if float(text).is_integer() and float(text) >= 0:
            return str(int(float(text)))
    except ValueError:
        pass
    raise CaseError(f"{place}: label must be a label value such as 1, or {ANY} for all, got {text!r}")


def _is_of(name: str, dataset: str, ending: str) -> bool:
    return dataset_from_name(name) == dataset and _without_slice(name).endswith(ending)


def _without_slice(name: str) -> str:
    return re.sub(r"_z\d+$", "", name)  # as `case.slices` calls slices


def target_of(targets: Targets, case: Case, label: int) -> str:
    """What a label of a case is called: by the table, else by the case's own names; "" where neither knows.

    Args:
        targets: From `read_targets`.
        case: A picture, or a slice of a volume.
        label: Its value in the label map.
    """
    return known_target(targets, case.name, label) or (case.label_names or {}).get(label, "")


def known_target(targets: Targets, case_name: str, label: int) -> str:
    """What the table calls a label of a case; "" where it does not know it."""
    for (dataset, ending, value), target in targets.items():
        if value in (ANY, str(label)) and _is_of(case_name, dataset, ending):
            return target
    return ""


def named_prompts(
    objects: Sequence[tuple[int, Prompt]], case: Case, targets: Targets, known: Sequence[str]
) -> list[tuple[int, Prompt]]:
    """Simulated prompts that say what their object is.

    Args:
        objects: (label value, prompt), as `prompts.SimulatedPrompts.objects`.
        case: The picture that they are for.
        targets: From `read_targets`.
        known: Names that the model knows, `ModelSpec.targets`; where a label's name is not among them, or it has none, the
            prompt stays as it is.
    """
    named = []
    for label, prompt in objects:
        target = target_of(targets, case, label)
        named.append((label, replace(prompt, target=target) if target in known else prompt))
    return named


def family_of(modality: str, target: str) -> str:
    """The family out of `FAMILIES` that a target belongs to; "" for none."""
    for family, (of_modality, pattern) in FAMILIES.items():
        if modality == of_modality and re.search(pattern, target, re.IGNORECASE):
            return family
    return ""
