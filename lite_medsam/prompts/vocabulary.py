"""The names that an object may be given beside its prompt: `prompts/targets.json`."""

import difflib
import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lite_medsam.errors import PromptError
from lite_medsam.storage.bundled import PROMPTS_DIR
from lite_medsam.storage.strict_json import Checker, read_json

VOCABULARY_FILE = PROMPTS_DIR / "targets.json"
MAX_TARGETS, MAX_BYTES = 10_000, 5_000_000
OTHER = "other"


@dataclass(frozen=True)
class Target:
    """One name of the vocabulary.

    Attributes:
        name: What is written in prompts; the name of a modality stands for any object in such an image.
        modalities: Where it occurs.
    """

    name: str
    modalities: tuple[str, ...]


def load_vocabulary(path: str | os.PathLike = VOCABULARY_FILE) -> tuple[Target, ...]:
    """The vocabulary, in its order.

    Raises:
        PromptError: If the file is missing or not valid, or a name occurs twice.
    """
    check = Checker(path, PromptError)
    document = check.mapping(read_json(path, PromptError, MAX_BYTES), "", ("version", "targets"), ("description",))
    if document["version"] != 1 or isinstance(document["version"], bool):
        raise check.fail("version", "be 1", document["version"])
    targets = []
    for i, item in enumerate(check.array(document["targets"], "targets", maximum=MAX_TARGETS)):
        place = f"targets[{i}]"
        item = check.mapping(item, place, ("name", "modalities"), ())
        named = check.array(item["modalities"], f"{place}.modalities", maximum=100)
        modalities = tuple(check.text(m, f"{place}.modalities[{k}]", 100) for k, m in enumerate(named))
        targets.append(Target(check.text(item["name"], f"{place}.name", 200), modalities))
    names = [target.name for target in targets]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise PromptError(f"{Path(path)}: each target must have a name of its own, got {twice!r} twice")
    return tuple(targets)


@functools.lru_cache
def by_modality(names: tuple[str, ...], first: str | None = None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Names in groups for a menu: by modality, sorted, the name of a modality itself in front of its group.

    Args:
        names: Of a model; those that the vocabulary does not have are under "other", last.
        first: The modality whose group comes first.

    Returns:
        (modality, its names) pairs; a name of several modalities is under `first` if that is one of them, else under the
        first that the vocabulary lists.
    """
    if not names:
        return ()
    vocabulary = [target for target in load_vocabulary() if target.modalities]
    modality_of = {t.name: first if first in t.modalities else t.modalities[0] for t in vocabulary}
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (name != modality_of.get(name), name.lower())):
        groups.setdefault(modality_of.get(name, OTHER), []).append(name)
    order = sorted(groups, key=lambda group: (group != first, group == OTHER, group))
    return tuple((group, tuple(groups[group])) for group in order)


def check_target(name: str, known: Sequence[str], model: str) -> None:
    """Checks the name of an object against those that a model knows.

    Args:
        name: From a prompt.
        known: `ModelSpec.targets`.
        model: What to call the model in errors.

    Raises:
        PromptError: If the model does not know it; the message lists what comes closest.
    """
    if name in known:
        return
    if not known:
        raise PromptError(f"target must be left out for {model}, which knows no names, got {name!r}; use other weights")
    lower = {k.lower(): k for k in known}
    near = [lower[k] for k in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    near = near or [k for k in known if name.lower() in k.lower()][:3]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"it knows {', '.join(known)}"
    raise PromptError(f"target must be one of the {len(known)} names that {model} knows, got {name!r}; {hint}")
