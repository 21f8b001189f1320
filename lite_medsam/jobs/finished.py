"""How finished work is recognised: what decides a result, and whose results lie there already."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lite_medsam.errors import CaseError
from lite_medsam.jobs.listing import Job, SegmentOptions
from lite_medsam.jobs.naming import source_id
from lite_medsam.jobs.outputs import record_path
from lite_medsam.jobs.references import Reference, add_reference
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor
from lite_medsam.storage.json_text import path_of_name
from lite_medsam.storage.paths import shown_path

# window and frame are in the pixels already, target and masks in the prompts, the type with what is referred to
_NOT_IN_FINGERPRINT = ("overwrite", "window", "target", "max_voxels", "refine_masks", "frame", "seg_type")


def fingerprint(
    image: np.ndarray,
    prompts: list[Prompt],
    predictor: Predictor,
    options: SegmentOptions,
    reference: Reference | None = None,
) -> str:
    """SHA-256 of all that decides a result, so that finished work is recognised and changed work is done again."""
    digest = begin_fingerprint(image, predictor, options)
    add_reference(digest, options, reference)
    for prompt in prompts:
        add_prompt(digest, prompt)
    return digest.hexdigest()


def begin_fingerprint(image: np.ndarray, predictor: Predictor, options: SegmentOptions) -> Any:
    """The hash of the model, the settings and the pixels; prompts are to be added."""
    digest = hashlib.sha256(predictor.spec.to_json().encode())
    chosen = {k: v for k, v in asdict(options).items() if k not in _NOT_IN_FINGERPRINT}
    digest.update(
        json.dumps([[predictor.zoom, predictor.refine, predictor.backend.name, chosen], image.shape]).encode()
    )
    digest.update(np.ascontiguousarray(image).data)
    return digest


def add_prompt(digest: Any, prompt: Prompt) -> None:
    """Adds all that a prompt says to a hash."""
    points = [prompt.points.tolist(), prompt.point_labels.tolist()]
    more = [*(["final"] if prompt.final else []), *([["target", prompt.target]] if prompt.target is not None else [])]
    more += [] if prompt.number is None else [["number", str(prompt.number)]]
    digest.update(json.dumps([prompt.box, points, prompt.name, *more]).encode())
    if prompt.mask is not None:
        digest.update(np.ascontiguousarray(prompt.mask))


def finished_record(path: Path, expected: str) -> dict | None:
    """The record of finished work whose outputs all exist, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["fingerprint"] != expected:
            return None
        if all((path.parent / path_of_name(name)).is_file() for name in record["outputs"]):
            return record | {"skipped": True}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or one of another program: the work is done anew
    return None


def check_source(job: Job) -> None:
    """Raises CaseError if the results there are those of another input of the same name, which would be lost."""
    path = record_path(job)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        other = record["source"] if isinstance(record["source"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return  # nothing there, or a record that does not say whose it is
    if other is not None and other != source_id(job.path, job.url):
        raise CaseError(
            f"{shown_path(path)} holds the results of another input of this name, not of {shown_path(job.path)}; name another "
            "folder with -o, or give --overwrite"
        )
