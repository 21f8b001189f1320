"""What an object is called: names by data set and label, and the families that the card shows apart."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lite_medsam.cases.case import Case
from lite_medsam.cases.fields import dataset_from_name
from lite_medsam.errors import CaseError
from lite_medsam.prompts.prompt_set import Prompt

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


def read_targets(path: Path | None) -> Targets:
    """Names of labels from a CSV with the columns dataset, label and target.

    `label` is a number or * for every label; a data set may name the end of the file name in brackets: raspnet(_retina).

    Args:
        path: The file; None for no names.

    Returns:
        Name by (data set, end of the case's name, label).

    Raises:
        CaseError: If a column is missing.
    """
    if path is None:
        return {}
    names = {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if not {"dataset", "label", "target"} <= set(rows.fieldnames or ()):
            raise CaseError(f"{path} must be a CSV with the columns dataset, label and target, got {rows.fieldnames}")
        for row in rows:
            dataset, _, ending = row["dataset"].strip().partition("(")
            names[dataset, ending.rstrip(")"), row["label"].strip()] = row["target"].strip()
    return names


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
    name = re.sub(r"_z\d+$", "", case_name)  # as `case.slices` calls slices
    dataset = dataset_from_name(case_name)
    for (known, ending, value), target in targets.items():
        if known == dataset and name.endswith(ending) and value in (ANY, str(label)):
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
