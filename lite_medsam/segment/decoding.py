"""Features and prompts to logits in the model frame: only prompts that are alike share a call of the decoder."""

from collections.abc import Iterator, Sequence

import numpy as np

from lite_medsam.model.encoding_cache import Features
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.prompt_tokens import decoder_inputs, share_a_call
from lite_medsam.model.runtime import Backend, decode_first
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.plan import Plan, View

# most prompts in one call of a graph: more were slower per piece on two cores, and take memory in proportion
DECODE_CHUNK = 8

# index of an object, its (M, M) float32 logits in the frame that it was decoded in, its score as the model gives it
Decoded = tuple[int, np.ndarray, float]


def decode_view(backend: Backend, features: Features, view: View, plan: Plan) -> Iterator[Decoded]:
    """Decodes the objects of one view.

    An answer does not depend on what else is asked: prompts share a call only where none gets a token for that.

    Args:
        backend: The model.
        features: Of the view, leading dimension 1.
        view: Whose objects.
        plan: That the view belongs to.
    """
    for part in _alike(plan.prompts, view.objects):
        yield from _decode(backend, features, view.frame, plan, part)


def decode_all(backend: Backend, features: Features, frame: Frame, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
    """All masks that the decoder has for one prompt, (K, M, M) logits and (K,) scores; the first is its answer."""
    logits, scores = backend.decode(features, *_inputs([prompt], frame, backend.spec))
    return logits[0], scores[0]


def _decode(backend: Backend, features: Features, frame: Frame, plan: Plan, part: Sequence[int]) -> Iterator[Decoded]:
    prompts = [plan.prompts[i] for i in part]
    masks, ious = decode_first(backend, features, *_inputs(prompts, frame, backend.spec))
    for place, i in enumerate(part):
        yield i, masks[place, 0], ious[place, 0]


def _inputs(prompts: Sequence[Prompt], frame: Frame, spec: ModelSpec) -> tuple[np.ndarray, ...]:
    settings = spec.preprocessing
    frames = [frame] * len(prompts)
    return decoder_inputs(prompts, frames, settings.image_size, settings.mask_size, spec.targets)


def _alike(prompts: Sequence[Prompt], chosen: Sequence[int]) -> Iterator[list[int]]:
    """Indices of prompts with equally many tokens, all or none of them with a target, in chunks."""
    by_tokens: dict[tuple[int, bool], list[int]] = {}
    for i in chosen:
        by_tokens.setdefault(share_a_call(prompts[i]), []).append(i)
    for alike in by_tokens.values():
        for start in range(0, len(alike), DECODE_CHUNK):
            yield alike[start : start + DECODE_CHUNK]
