"""The plan of an image: which object is seen in which view, made before anything is encoded.

A view is a window of the image: all of it, or a crop. Each view of a plan is encoded once, and each object is decoded
from the view that the plan names. Objects that clicks alone have found get a second plan: only what the first look found
says where a crop around it lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import ModelSpec, Preprocessing, Zoom
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.compact_logits import CompactLogits
from lite_medsam.segment.pasting import mask_part
from lite_medsam.segment.sharing import fewer_crops
from lite_medsam.segment.zoom import Box, anchor_box, found_box, zoom_frame


@dataclass(frozen=True)
class View:
    """A window of the image, and the objects that are decoded from it.

    Attributes:
        frame: The window.
        objects: Indices of the objects that are decoded from it.
    """

    frame: Frame
    objects: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """What is encoded and decoded for N objects of one image.

    Attributes:
        prompts: One per object.
        boxes: What each crop is laid around, x0 y0 x1 y1 in image pixels; None for an object that is not zoomed to.
        frames: The window that each object is answered in.
        views: What is encoded, each once, and what is decoded from it; an object with a final mask is in none.
        image_hw: Shape of the image.
    """

    prompts: tuple[Prompt, ...]
    boxes: tuple[Box | None, ...]
    frames: tuple[Frame, ...]
    views: tuple[View, ...]
    image_hw: tuple[int, int]


def plan_views(prompts: Sequence[Prompt], image_hw: tuple[int, int], spec: ModelSpec, mode: str) -> Plan:
    """The views of the objects of an image: a crop where an object is small, else the whole image.

    Args:
        prompts: One per object, checked.
        image_hw: Shape of the image.
        spec: Of the model.
        mode: "auto", "always" or "off", see `Predictor`.
    """
    zooms = mode != "off" and spec.zoom.enabled
    boxes = [anchor_box(prompt) if zooms and not prompt.final else None for prompt in prompts]
    frames = plan_frames(boxes, image_hw, spec.zoom, spec.preprocessing, share=mode == "auto")
    views = _views(_asked(prompts), frames)
    return Plan(tuple(prompts), tuple(boxes), tuple(frames), views, image_hw)


def plan_second_look(plan: Plan, logits: np.ndarray | CompactLogits, spec: ModelSpec, mode: str) -> Plan | None:
    """The views of those objects that clicks alone have found so small that a crop around them is worth a second look.

    The prompts stay as they are: with what the first look found, the second would repeat its mistakes.

    Args:
        plan: The first look.
        logits: (N, M, M) what it led to.
        spec: Of the model.
        mode: "auto", "always" or "off", see `Predictor`.

    Returns:
        The plan with other views, and other boxes and frames for these objects; None where there are none.
    """
    if mode == "off" or not spec.zoom.enabled:
        return None
    found: dict[int, Box] = {}
    for i, prompt in enumerate(plan.prompts):
        if prompt.box is None and prompt.mask is None:
            place, values = mask_part(logits[i], plan.frames[i], spec.mask_threshold)
            box = found_box((place, values > spec.mask_threshold), prompt)
            if box is not None and _is_worth_a_look(box, plan.image_hw, spec, mode):
                found[i] = box
    if not found:
        return None
    boxes, frames = [found.get(i) for i in range(len(plan.prompts))], list(plan.frames)
    crops = plan_frames(list(found.values()), plan.image_hw, spec.zoom, spec.preprocessing, share=mode == "auto")
    for i, crop in zip(found, crops, strict=True):
        frames[i] = crop
    views = _views(list(found), frames)
    return replace(plan, boxes=tuple(boxes), frames=tuple(frames), views=views)


def plan_one_view(prompts: Sequence[Prompt], frame: Frame, image_hw: tuple[int, int], spec: ModelSpec) -> Plan:
    """All objects in one view; those with a final mask belong to the whole image.

    Args:
        prompts: One per object, checked.
        frame: The view.
        image_hw: Shape of the image.
        spec: Of the model.
    """
    whole = Frame.for_model(image_hw, spec.preprocessing)
    frames = tuple(whole if prompt.final else frame for prompt in prompts)
    view = View(frame, tuple(_asked(prompts)))
    return Plan(tuple(prompts), (None,) * len(prompts), frames, (view,), image_hw)


def plan_frames(
    boxes: Sequence[Box | None], image_hw: tuple[int, int], zoom: Zoom, settings: Preprocessing, share: bool = True
) -> list[Frame]:
    """The window of each object of an image: a crop of its own, a shared one, or the whole image.

    Up to `zoom.own_crops` crops every object has the crop that it would have alone; where more would be needed, small
    objects share. The plan depends on which objects are asked for, never on their order.

    Args:
        boxes: Around each object; None for the whole image.
        image_hw: Shape of the image.
        zoom: The model's policy.
        settings: Of the model, for its frames.
        share: Whether crops may be shared.
    """
    whole = Frame.for_model(image_hw, settings)
    own = [None if box is None else zoom_frame(box, image_hw, zoom, settings.image_size) for box in boxes]
    frames = fewer_crops(boxes, own, image_hw, zoom) if share else own
    return [whole if frame is None else replace(frame, fit=whole.fit, geometry=whole.geometry) for frame in frames]


def _views(chosen: Sequence[int], frames: Sequence[Frame]) -> tuple[View, ...]:
    """The views that the chosen objects need, each with its objects."""
    members: dict[Frame, list[int]] = {}
    for i in chosen:
        members.setdefault(frames[i], []).append(i)
    return tuple(View(frame, tuple(inside)) for frame, inside in members.items())


def _asked(prompts: Sequence[Prompt]) -> list[int]:
    """Indices of the prompts that ask something of the model; a final one has its answer."""
    return [i for i, prompt in enumerate(prompts) if not prompt.final]


def _is_worth_a_look(box: Box, image_hw: tuple[int, int], spec: ModelSpec, mode: str) -> bool:
    """Whether a crop around what clicks have found magnifies enough."""
    crop = zoom_frame(box, image_hw, spec.zoom, spec.preprocessing.image_size)
    gain = spec.zoom.chain_gain if mode == "auto" else spec.zoom.minimum_gain
    return crop is not None and max(image_hw) / max(crop.width, crop.height) >= gain
