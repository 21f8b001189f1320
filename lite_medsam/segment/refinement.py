"""A second look at the border of a large object: crops along it, closer, with the mask so far as prompt.

An object that fills a large picture is drawn on the model's grid, where a pixel stands for several of the picture. The
crops lie along the border that was found. Near it, what they say is averaged with the first answer, because two views err
less than one. A crop that contradicts the first answer has lost sight of the object as a whole, and is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from lite_medsam.model.preprocessing import Frame, logits_to_window
from lite_medsam.model.runtime import Backend
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.decoding import decode_view
from lite_medsam.segment.encoding import ImageEncoder
from lite_medsam.segment.plan import Plan, View
from lite_medsam.segment.prediction import Place, Prediction
from lite_medsam.segment.zoom import span_around

REFINE_MODES = ("off", "auto", "always")

# what the card tries for a model whose spec names no `Zoom.refine_scale`
TRIED_SCALE = 1.15
# how much closer a crop is than the first look
GAIN = 2.0
# share of a crop's side, in its middle, where it is the one that must see the border
CORE = 0.6
# crops begin at multiples of side / GRID: borders that differ by a pixel then mostly see the same ones
GRID = 16
# how far from the first border a second look counts, in model pixels of the first: wholly, and at all
NEAR, FAR = 8.0, 16.0
# Dice of a crop's mask with the first one there, below which it is left out
AGREEMENT = 0.8
# of the second look beside the first, near the border
SHARE = 0.5


def can_refine(spec: ModelSpec) -> bool:
    """Whether a model was trained on crops and on masks so far, which a second look needs."""
    return spec.zoom.enabled and "mask" in spec.prompts


def refine_borders(
    backend: Backend,
    encoder: ImageEncoder,
    prediction: Prediction,
    prompts: Sequence[Prompt],
    mode: str,
    scale: float | None = None,
) -> Prediction:
    """Takes a second look at the borders of those objects that a mode names; the others stay as they are.

    Scores stay: a crop's own says nothing about the whole object. An object's result does not depend on the others.

    Args:
        backend: The model.
        encoder: Of the image.
        prediction: The first answer.
        prompts: What led to it, one per object.
        mode: "off", "auto" (where the picture has clearly more pixels than the model's view, see `Zoom.refine_scale`) or
            "always".
        scale: In place of `Zoom.refine_scale`.
    """
    least = backend.spec.zoom.refine_scale if scale is None else scale
    refined = dict(prediction.refined)
    for i, prompt in enumerate(prompts):
        auto = mode == "auto" and 0 < least <= _scale(prediction.frames[i])
        if prompt.final or not (auto or mode == "always") or not can_refine(backend.spec):
            continue
        border = _Border.of(prediction, i)
        if border is None or (mode == "auto" and border.crosses_picture):
            continue
        plan = _plan(border, prompt, prediction.image_logits(i))
        if plan is None:
            continue
        for view, features in encoder.encode_views(plan.views):
            for _, logits, _ in decode_view(backend, features, view, plan):
                border.add(logits, view.frame)
        refined[i] = border.place, border.logits()
    return replace(prediction, refined=refined)


def _scale(frame: Frame) -> float:
    """Image pixels in a model pixel."""
    return max(frame.width, frame.height) / frame.size


@dataclass(eq=False)
class _Border:
    """What the looks along one object's border add up to.

    Attributes:
        place: Rows and columns of the image that hold the mask and all that a look may change.
        first: (h, w) float32 logits of the first answer there.
        mask: (h, w) bool, the first mask.
        frame: That it was found in.
        image_hw: Shape of the image.
        threshold: Of masks.
        sums: (h, w) weighted logits of the looks.
        weights: (h, w) sum of the weights.
    """

    place: Place
    first: np.ndarray
    mask: np.ndarray
    frame: Frame
    image_hw: tuple[int, int]
    threshold: float
    sums: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, prediction: Prediction, index: int) -> "_Border | None":
        """None for an empty mask, and for one without a border in the image."""
        frame, margin = prediction.frames[index], int(FAR * _scale(prediction.frames[index])) + 1
        spans = []
        for span, start, length in zip(
            prediction.place(index), (frame.y0, frame.x0), (frame.height, frame.width), strict=True
        ):
            spans.append(slice(max(start, span.start - margin), min(start + length, span.stop + margin)))
        rows, columns = spans
        first = prediction.window_logits(index)[
            rows.start - frame.y0 : rows.stop - frame.y0, columns.start - frame.x0 : columns.stop - frame.x0
        ].copy()
        mask = first > prediction.threshold
        if not mask.any() or mask.all():
            return None
        zeros = np.zeros_like(first), np.zeros_like(first)
        return cls((rows, columns), first, mask, frame, prediction.image_hw, prediction.threshold, *zeros)

    @property
    def crosses_picture(self) -> bool:
        """Whether the object runs from one side of the picture to the other, as a retina does: no crop shows where it ends."""
        (rows, columns), (height, width) = self.place, self.image_hw
        down = rows == slice(0, height) and self.mask[0].any() and self.mask[-1].any()
        across = columns == slice(0, width) and self.mask[:, 0].any() and self.mask[:, -1].any()
        return bool(down or across)

    def pixels(self) -> np.ndarray:
        """(n, 2) x, y of the image: the mask's outermost pixels; the image's own border is none of it."""
        inside = self.mask.astype(np.uint8)
        rows, columns = np.nonzero(inside - cv2.erode(inside, np.ones((3, 3), np.uint8)))
        return np.stack([columns + self.place[1].start, rows + self.place[0].start], 1)

    def add(self, logits: np.ndarray, frame: Frame) -> None:
        """Takes the answer of one crop, which counts most in its middle, unless it contradicts the first one."""
        window = logits_to_window(logits, frame)
        weights = np.outer(
            _fade(frame.y0, frame.height, self.image_hw[0]), _fade(frame.x0, frame.width, self.image_hw[1])
        )
        rows, columns = (
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self.place, frame.window, strict=True)
        )
        here = _within((rows, columns), self.place)
        there = _within((rows, columns), frame.window)
        found, known = window > self.threshold, self.mask[here]
        both = weights[there][found[there] & known].sum()
        if 2 * both < AGREEMENT * (weights[found].sum() + weights[there][known].sum()):
            return
        self.sums[here] += weights[there] * window[there]
        self.weights[here] += weights[there]

    def logits(self) -> np.ndarray:
        """(h, w) float32: the looks near the first border, the first answer away from it."""
        sides = self.mask.astype(np.uint8), (~self.mask).astype(np.uint8)
        away = np.maximum(*(cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in sides))
        near = np.clip((FAR - away / _scale(self.frame)) / (FAR - NEAR), 0, 1)
        # where only the edge of a crop reaches, the first answer has seen more
        share = SHARE * near * np.minimum(1, 2 * self.weights)
        return self.first + share * (self.sums / np.maximum(self.weights, np.float32(1e-6)) - self.first)


def _plan(border: _Border, prompt: Prompt, so_far: np.ndarray) -> Plan | None:
    """Each crop once, with the part of the prompt that lies in it; None where the border needs none."""
    frames = list(_crops(border))
    if not frames:
        return None
    prompts = tuple(_inside(prompt, frame, so_far) for frame in frames)
    views = tuple(View(frame, (k,)) for k, frame in enumerate(frames))
    return Plan(prompts, (None,) * len(frames), tuple(frames), views, border.image_hw)


def _crops(border: _Border) -> Iterator[Frame]:
    """Square crops whose middles cover the border: each goes where it takes the most of what the first pixel left needs."""
    side = round(border.frame.size * _scale(border.frame) / GAIN)
    step = max(1, side // GRID)
    left = border.pixels()
    while len(left):
        near = left[(np.abs(left - left[0]) <= CORE * side / 2).all(1)]
        x, y = near.mean(0)
        x0, width = span_around(x + 0.5, side, border.image_hw[1], step)
        y0, height = span_around(y + 0.5, side, border.image_hw[0], step)
        seen = (np.abs(left - (x, y)) <= CORE * side / 2).all(1)
        seen[0] = True
        left = left[~seen]
        yield replace(border.frame, x0=x0, y0=y0, width=width, height=height)


def _inside(prompt: Prompt, frame: Frame, so_far: np.ndarray) -> Prompt:
    """The prompt as a crop shows it: the part of the box, the clicks in it, and the mask so far."""
    x1, y1 = frame.x0 + frame.width - 1, frame.y0 + frame.height - 1
    box = prompt.box
    if box is not None:
        box = max(box[0], frame.x0), max(box[1], frame.y0), min(box[2], x1), min(box[3], y1)
        if box[0] > box[2] or box[1] > box[3]:  # what was found reaches beyond the box
            box = None
    kept = ((prompt.points >= (frame.x0, frame.y0)) & (prompt.points <= (x1, y1))).all(1)
    return replace(prompt, box=box, points=prompt.points[kept], point_labels=prompt.point_labels[kept], mask=so_far)


def _fade(start: int, length: int, limit: int) -> np.ndarray:
    """(length,) weights of a crop along an axis: 1 in the middle, 0 at its ends, except where the image ends there."""
    weights = np.sin(np.pi * (np.arange(length, dtype=np.float32) + 0.5) / length) ** 2
    if start == 0:
        weights[: length // 2] = 1
    if start + length == limit:
        weights[length // 2 :] = 1
    return weights


def _within(place: Place, outer: Place) -> Place:
    """A rectangle of the image counted from the corner of another."""
    rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(place, outer, strict=True))
    return rows, columns
