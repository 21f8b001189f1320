"""The registry of data sets: where each comes from, what it holds, under which terms; nothing is downloaded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NOT_ESTABLISHED", "Dataset", "find_datasets", "load_registry"]

NOT_ESTABLISHED = "not established"
_FILE = Path(__file__).with_name("datasets.json")


@dataclass(frozen=True)
class Dataset:
    """A data set, as its source or the list that names it prints it.

    Attributes:
        id: Short name, as in `lite-medsam datasets ID`.
        name: Full name.
        source: Page that it comes from; None when none is known.
        modality: One of `case.MODALITIES`, or "several".
        pathology: Diseases or targets, with counts where printed.
        size: Number of images or volumes, as printed.
        has: Kinds of annotation; empty when not established.
        terms: Licence or conditions of use, or `NOT_ESTABLISHED`.
        terms_source: Where the terms were read; None when they are not established.
        adapter: Adapter of `lite-medsam prepare` that reads it as published; None: convert it, or `image-folder`.
        citation: What to cite.
        source_as_printed: The link as its list prints it, where that does not work or there was none.
        listed_in: The list that the entry was taken from.
        notes: Contradictions, overlaps with other sets, what to look out for.
    """

    id: str
    name: str
    modality: str
    pathology: str
    size: str
    source: str | None = None
    has: tuple[str, ...] = ()
    terms: str = NOT_ESTABLISHED
    terms_source: str | None = None
    adapter: str | None = None
    citation: str | None = None
    source_as_printed: str | None = None
    listed_in: str | None = None
    notes: tuple[str, ...] = ()


def load_registry() -> dict[str, Dataset]:
    """All known data sets by id, those with an adapter first."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    registry = {}
    for row in document["datasets"]:
        dataset = Dataset(**row | {"has": tuple(row.get("has", ())), "notes": tuple(row.get("notes", ()))})
        registry[dataset.id] = dataset
    return registry


def find_datasets(words: Sequence[str] = (), modality: str | None = None, adapter: str | None = None) -> list[Dataset]:
    """Data sets whose entry holds all the words, in any case; of one modality, or read by one adapter.

    Args:
        words: Looked for in name, pathology, annotations, terms and notes; an id is found by itself.
        modality: As in `Dataset.modality`, in any case.
        adapter: As in `Dataset.adapter`; "any" for those that have one.
    """
    registry = load_registry()
    if len(words) == 1 and words[0].lower() in registry:
        return [registry[words[0].lower()]]
    return [
        dataset
        for dataset in registry.values()
        if (modality is None or dataset.modality.lower() == modality.lower())
        and (adapter is None or dataset.adapter == adapter or (adapter == "any" and dataset.adapter))
        and all(word.lower() in _text(dataset) for word in words)
    ]


def _text(dataset: Dataset) -> str:
    parts = (dataset.id, dataset.name, dataset.pathology, *dataset.has, dataset.terms, *dataset.notes)
    return " ".join(parts).lower()
