"""First prompts made from label maps, as a protocol's user gives them."""

from typing import NamedTuple

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import Prompt
from lite_medsam.prompts.protocol import Protocol, box_from_mask, next_click, rng_for, simulate_box, simulate_stroke

__all__ = ["SimulatedPrompts", "first_prompt", "simulate_prompts"]


class SimulatedPrompts(NamedTuple):
    """What a simulated user says about a label map, and what was left out.

    Attributes:
        objects: (label value, prompt), by label value.
        too_small: Label values with fewer pixels than the protocol's `min_area_px`.
        over_limit: Label values beyond the protocol's `max_objects`.
    """

    objects: list[tuple[int, Prompt]]
    too_small: int
    over_limit: int


def simulate_prompts(label: np.ndarray, protocol: Protocol, case_name: str) -> SimulatedPrompts:
    """The first prompts that the protocol's user gives for a label map: one object per label value.

    For kind "clicks" that is one click; later clicks answer predictions, see `next_click`. For "box+clicks"
    the box, for "scribble" the whole stroke.

    Args:
        label: (H, W) integers, 0 background.
        protocol: What to prompt.
        case_name: Seeds the draws together with the label value and the protocol's seed.

    Raises:
        PromptError: If the label map is not (H, W) integers from 0.
    """
    label = np.asarray(label)
    if label.ndim != 2 or label.size == 0 or label.dtype.kind not in "bui":
        got = f"shape {label.shape} of {label.dtype}"
        raise PromptError(f"label must be (H, W) integers, got {got}; take case.slices of a volume")
    label = label.astype(np.uint8) if label.dtype == bool else label
    values, areas = np.unique(label, return_counts=True)
    if values[0] < 0:
        raise PromptError(f"label must hold integers from 0, got {values[0]}")
    values, areas = values[values > 0], areas[values > 0]
    large = values[areas >= protocol.min_area_px]
    chosen = _evenly(large, protocol.max_objects, rng_for(protocol, case_name, 0))
    objects = []
    for value in chosen.tolist():
        prompt = first_prompt(label == value, protocol, rng_for(protocol, case_name, value), str(value))
        objects.append((int(value), prompt))
    return SimulatedPrompts(objects, len(values) - len(large), len(large) - len(chosen))


def first_prompt(mask: np.ndarray, protocol: Protocol, rng: np.random.Generator, name: str | None = None) -> Prompt:
    """What the protocol's user says about an object before seeing a segmentation.

    Args:
        mask: (H, W) bool, not empty.
        protocol: Who prompts.
        rng: Source of randomness.
        name: Name of the prompt.

    Raises:
        PromptError: If the mask is empty.
    """
    if protocol.kind == "clicks":
        click = next_click(mask, np.zeros_like(mask), rng)
        if click is None:
            box_from_mask(mask)  # says what is wrong
        assert click is not None
        return Prompt(points=np.array([click[:2]]), point_labels=np.array([1]), name=name)
    if protocol.kind == "scribble":
        stroke = simulate_stroke(mask, protocol.clicks, rng)
        return Prompt(points=stroke, point_labels=np.ones(len(stroke)), name=name)
    return Prompt(box=simulate_box(mask, protocol, rng), name=name)


def _evenly(values: np.ndarray, maximum: int | None, rng: np.random.Generator) -> np.ndarray:
    if maximum is None or len(values) <= maximum:
        return values
    # steps of n/maximum >= 1 from a drawn start: spread over all label values, none twice
    return values[((np.arange(maximum) + rng.random()) * len(values) / maximum).astype(int)]
