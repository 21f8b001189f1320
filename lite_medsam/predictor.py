"""Predictor: an image and prompts in, masks at image resolution out. It keeps no state between calls."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lite_medsam.bundled import DEFAULT_WEIGHTS
from lite_medsam.errors import CaseError, PromptError
from lite_medsam.preprocessing import (
    Frame,
    boxes_to_model,
    intensity_range,
    logits_to_window,
    mask_to_model,
    points_to_model,
    to_model,
)
from lite_medsam.prompts import Prompt, as_prompts, box_from_mask, validate
from lite_medsam.runtime import Backend, open_backend
from lite_medsam.spec import ModelSpec
from lite_medsam.zoom import zoom_frame

ZOOM_MODES = ("auto", "off")
OVERLAPS = ("best", "first", "last")

# bounds of one call of a graph: more gains no speed on a CPU and costs memory in proportion
ENCODE_CHUNK, DECODE_CHUNK = 4, 16
# a yes-no mask as logits, for refining a mask that comes without them; training showed the same value
MASK_LOGIT = 6.0
# beyond what a decoder answers: where objects overlap, a mask that a user has settled wins
FINAL_LOGIT = 1e4
# prompts with clicks are padded to as many tokens as in training; without the padding a single click loses a Dice point
POINT_TOKENS = 5


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """What the encoder made of one frame of an image; prompts are decoded from it as often as wanted.

    Attributes:
        features: One array per feature, leading dimension 1.
        frame: The window of the image that was encoded.
        image_hw: Shape of the whole image.
    """

    features: tuple[np.ndarray, ...]
    frame: Frame
    image_hw: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Masks of N objects, kept at the model's resolution until they are asked for.

    Attributes:
        logits: (N, S, S) float32, each in its own model frame; coarser than the frame for models of that kind.
        scores: (N,) float32, the model's estimate of each mask's IoU, 0..1; NaN for final masks.
        frames: The frame of each object.
        image_hw: Shape of the image.
        threshold: A pixel belongs to the object where its logit is above this.
        names: The prompts' names, None where they have none.
        final: Per object (H, W), the mask that its prompt settled, None where the model answered; () for none at all.
    """

    logits: np.ndarray
    scores: np.ndarray
    frames: tuple[Frame, ...]
    image_hw: tuple[int, int]
    threshold: float
    names: tuple[str | None, ...]
    final: tuple[np.ndarray | None, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    def window_logits(self, index: int) -> np.ndarray:
        """(h, w) float32 logits of one object at image resolution, for its frame's window; outside there is none."""
        if self.final and self.final[index] is not None:
            inside = self.final[index][self.frames[index].window] > 0
            return np.where(inside, np.float32(FINAL_LOGIT), np.float32(-FINAL_LOGIT))
        return logits_to_window(self.logits[index], self.frames[index])

    def image_logits(self, index: int) -> np.ndarray:
        """(H, W) float32 logits of one object; outside its window as low as its lowest. Fit for `Prompt.mask`."""
        window = self.window_logits(index)
        full = np.full(self.image_hw, min(float(window.min()), self.threshold - 1), np.float32)
        full[self.frames[index].window] = window
        return full

    def mask(self, index: int) -> np.ndarray:
        """(H, W) bool mask of one object."""
        full = np.zeros(self.image_hw, bool)
        np.greater(self.window_logits(index), self.threshold, out=full[self.frames[index].window])
        return full

    def masks(self) -> np.ndarray:
        """(N, H, W) bool; N times the image in memory, so prefer `mask` or `label_map` for many objects."""
        stack = np.zeros((len(self), *self.image_hw), bool)
        for i in range(len(self)):
            np.greater(self.window_logits(i), self.threshold, out=stack[i][self.frames[i].window])
        return stack

    def label_map(self, overlap: str = "best") -> np.ndarray:
        """One map for all objects; object i has the value i + 1.

        Args:
            overlap: Who gets a pixel that several objects claim: "best" the highest logit, "first" or "last" the prompt
                that came first or last.

        Returns:
            (H, W) uint8 for up to 255 objects, uint16 up to 65535, else uint32.

        Raises:
            ValueError: If there is no such policy.
        """
        if overlap not in OVERLAPS:
            raise ValueError(
                f"overlap must be one of {', '.join(OVERLAPS)}, got {overlap!r}; masks() keeps all of them"
            )
        count = len(self)
        dtype = np.uint8 if count <= 255 else np.uint16 if count <= 65535 else np.uint32
        labels = np.zeros(self.image_hw, dtype)
        best = np.full(self.image_hw, -np.inf, np.float32) if overlap == "best" and count > 1 else None
        for i in range(count):
            window = self.frames[i].window
            logits = self.window_logits(i)
            claimed = logits > self.threshold
            if best is not None:
                claimed &= logits > best[window]
                np.copyto(best[window], logits, where=claimed)
            elif overlap == "first":
                claimed &= labels[window] == 0
            np.copyto(labels[window], dtype(i + 1), where=claimed)
        return labels


class Predictor:
    """A loaded model. Calls do not depend on each other, so one predictor serves many users and threads.

    Example:
        >>> predictor = Predictor.open()
        >>> prediction = predictor.segment(image, [[120, 80, 260, 190]])
        >>> labels = prediction.label_map()
    """

    def __init__(self, backend: Backend, zoom: str = "auto"):
        """Wraps a backend.

        Args:
            backend: The engine with a model.
            zoom: "auto" segments objects that are small in the image from a crop of their own, as the model's spec says;
                "off" always shows the model the whole image.
        """
        if zoom not in ZOOM_MODES:
            raise ValueError(f"zoom must be one of {', '.join(ZOOM_MODES)}, got {zoom!r}")
        self.backend, self.zoom = backend, zoom

    @classmethod
    def open(
        cls,
        weights: str | os.PathLike | None = None,
        engine: str = "auto",
        threads: int | None = None,
        zoom: str = "auto",
    ) -> "Predictor":
        """Opens a model directory.

        Args:
            weights: The directory; None for the model that comes with the package.
            engine: See `lite_medsam.runtime.open_backend`.
            threads: CPU threads; None for as many as physical cores.
            zoom: "auto" or "off".
        """
        return cls(open_backend(DEFAULT_WEIGHTS if weights is None else weights, engine, threads), zoom)

    @property
    def spec(self) -> ModelSpec:
        """What the model is and what it was trained on."""
        return self.backend.spec

    def encode(self, image: np.ndarray, frame: Frame | None = None) -> EncodedImage:
        """Encodes an image, or one window of it, once for any number of prompts.

        Args:
            image: (H, W) or (H, W, 3) uint8, RGB.
            frame: The window; None for the whole image.
        """
        check_image(image)
        frame = frame or Frame.for_model(image.shape[:2], self.spec.preprocessing)
        return EncodedImage(self._features(image, [frame], intensity_range(image)), frame, image.shape[:2])

    def decode(self, encoded: EncodedImage, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray") -> Prediction:
        """Segments objects from an encoded image, without any zoom of its own.

        Args:
            encoded: From `encode`.
            prompts: (N, 4) boxes, or prompts.

        Raises:
            PromptError: If a prompt does not fit the image, or is of a kind that the model was not trained on.
        """
        checked = self._check(prompts, encoded.image_hw)
        side = self.spec.preprocessing.mask_size
        logits = np.zeros((len(checked), side, side), np.float32)
        scores = np.full(len(checked), np.nan, np.float32)
        whole = Frame.for_model(encoded.image_hw, self.spec.preprocessing)
        frames = [whole if prompt.final else encoded.frame for prompt in checked]
        asked = [i for i, prompt in enumerate(checked) if not prompt.final]
        if asked:
            chosen = [checked[i] for i in asked]
            part = self._prediction(chosen, [encoded.frame] * len(asked), encoded.image_hw, encoded.features)
            logits[asked], scores[asked] = part.logits, part.scores
        return self._answer(checked, logits, scores, frames, encoded.image_hw)

    def segment(self, image: np.ndarray, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray") -> Prediction:
        """Segments objects, each from the view that suits it: a crop of its own where it is small, else the whole image.

        Args:
            image: (H, W) or (H, W, 3) uint8, RGB.
            prompts: (N, 4) boxes x0 y0 x1 y1 in pixels, last pixel inside; or prompts.

        Raises:
            CaseError: If the image has another type or shape.
            PromptError: If a prompt does not fit the image, or is of a kind that the model was not trained on.
        """
        check_image(image)
        image_hw = image.shape[:2]
        checked = self._check(prompts, image_hw)
        value_range = intensity_range(image)
        whole = Frame.for_model(image_hw, self.spec.preprocessing)
        frames = [whole if prompt.final else self._frame(prompt, image_hw) or whole for prompt in checked]
        by_frame: dict[Frame, list[int]] = {}
        for i, frame in enumerate(frames):
            if not checked[i].final:
                by_frame.setdefault(frame, []).append(i)
        shared = [frame for frame, members in by_frame.items() if len(members) > 1]
        single = [frame for frame, members in by_frame.items() if len(members) == 1]
        groups = [[frame] for frame in shared]
        groups += [single[i : i + ENCODE_CHUNK] for i in range(0, len(single), ENCODE_CHUNK)]

        side = self.spec.preprocessing.mask_size
        logits = np.zeros((len(checked), side, side), np.float32)
        scores = np.full(len(checked), np.nan, np.float32)
        for group in groups:
            features = self._features(image, group, value_range)
            members = [i for frame in group for i in by_frame[frame]]
            part = self._prediction([checked[i] for i in members], [frames[i] for i in members], image_hw, features)
            logits[members], scores[members] = part.logits, part.scores
        return self._answer(checked, logits, scores, frames, image_hw)

    def _answer(self, prompts: list[Prompt], logits, scores, frames: list[Frame], image_hw) -> Prediction:
        names = tuple(prompt.name for prompt in prompts)
        final = tuple(prompt.mask if prompt.final else None for prompt in prompts)
        return Prediction(logits, scores, tuple(frames), image_hw, self.spec.mask_threshold, names, final)

    def _check(self, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray", image_hw) -> list[Prompt]:
        given, checked = as_prompts(prompts), []
        known = set(self.spec.prompts)
        for i, prompt in enumerate(given):
            try:
                checked.append(validate(prompt, image_hw))
            except PromptError as error:
                raise PromptError(f"object {i + 1}: {error}" if len(given) > 1 else str(error)) from None
            missing = prompt_kinds(prompt) - known
            if missing:
                raise PromptError(
                    f"prompts must be of the kinds that {self.spec.name} was trained on ({', '.join(sorted(known))}), "
                    f"got {', '.join(sorted(missing))}; use other weights"
                )
        return checked

    def _frame(self, prompt: Prompt, image_hw: tuple[int, int]) -> Frame | None:
        """The crop for one prompt, None for the whole image: around its box, else around its previous mask."""
        if self.zoom == "off" or not self.spec.zoom.enabled:
            return None
        box = prompt.box
        if box is None and prompt.mask is not None and (prompt.mask > 0).any():
            box = box_from_mask(prompt.mask > 0)
        if box is None:
            return None
        points = prompt.points[prompt.point_labels == 1]
        if len(points):  # a click on the object may lie outside the box that was drawn
            low, high = points.min(0), points.max(0)
            box = (min(box[0], low[0]), min(box[1], low[1]), max(box[2], high[0]), max(box[3], high[1]))
        return zoom_frame(box, image_hw, self.spec.zoom, self.spec.preprocessing.image_size)

    def _features(
        self, image: np.ndarray, frames: list[Frame], value_range: tuple[float, float]
    ) -> tuple[np.ndarray, ...]:
        settings = self.spec.preprocessing
        return self.backend.encode(np.stack([to_model(image, frame, settings, value_range) for frame in frames]))

    def _prediction(
        self, prompts: list[Prompt], frames: list[Frame], image_hw: tuple[int, int], features: tuple[np.ndarray, ...]
    ) -> Prediction:
        """Decodes prompts in bounded chunks; `features` hold one image for all prompts or one for each.

        Only prompts with equally many tokens share a call, so an answer does not depend on what else is asked.
        """
        settings = self.spec.preprocessing
        logits = np.empty((len(prompts), settings.mask_size, settings.mask_size), np.float32)
        scores = np.empty(len(prompts), np.float32)
        by_tokens: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            by_tokens.setdefault(token_count(prompt), []).append(i)
        for alike in by_tokens.values():
            for start in range(0, len(alike), DECODE_CHUNK):
                part = alike[start : start + DECODE_CHUNK]
                chosen = [prompts[i] for i in part], [frames[i] for i in part]
                inputs = decoder_inputs(*chosen, settings.image_size, settings.mask_size)
                mine = features if len(features[0]) == 1 else tuple(feature[part] for feature in features)
                masks, ious = self.backend.decode(mine, *inputs)
                logits[part], scores[part] = masks[:, 0], ious[:, 0]
        names = tuple(prompt.name for prompt in prompts)
        scores = np.clip(scores, 0, 1)
        return Prediction(logits, scores, tuple(frames), image_hw, self.spec.mask_threshold, names)


def prompt_kinds(prompt: Prompt) -> set[str]:
    """What a prompt asks of a model, in the words of `ModelSpec.prompts`; a final one asks nothing."""
    if prompt.final:
        return set()
    has_box, has_points = prompt.box is not None, len(prompt.points) > 0
    kinds = {"box+points"} if has_box and has_points else {"box"} if has_box else {"points"} if has_points else set()
    return kinds | ({"mask"} if prompt.mask is not None else set())


def check_image(image: np.ndarray) -> None:
    """Raises CaseError unless the image is (H, W) or (H, W, 3) uint8 and not empty."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise CaseError(f"image must be a uint8 array, got {kind}; convert it with lite_medsam.to_uint8")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise CaseError(f"image must be (H, W) or (H, W, 3) and not empty, got shape {image.shape}")


def token_count(prompt: Prompt) -> int:
    """Tokens that a prompt is given to the decoder with: two for a box alone, else padded to POINT_TOKENS at least."""
    used = 2 * (prompt.box is not None) + len(prompt.points)
    box_alone = prompt.box is not None and not len(prompt.points) and prompt.mask is None
    return used if box_alone else max(used, POINT_TOKENS)


def decoder_inputs(
    prompts: Sequence[Prompt], frames: Sequence[Frame], size: int, mask_size: int | None = None
) -> tuple[np.ndarray, ...]:
    """Prompts in image coordinates as the decoder's inputs.

    Args:
        prompts: N prompts that fit the image.
        frames: The model frame of each.
        size: Side S of the model frame.
        mask_size: Side M of previous masks; S by default.

    Returns:
        coords (N, P, 2), labels (N, P), previous (N, 1, M, M), has_previous (N,), float32; P is the largest
        `token_count`, shorter prompts are padded.
    """
    mask_size = mask_size or size
    count = len(prompts)
    tokens = max(token_count(prompt) for prompt in prompts)
    coords = np.zeros((count, tokens, 2), np.float32)
    labels = np.full((count, tokens), -1, np.float32)
    previous = np.zeros((count, 1, mask_size, mask_size), np.float32)
    has_previous = np.zeros(count, np.float32)
    for i, (prompt, frame) in enumerate(zip(prompts, frames, strict=True)):
        used = 0
        if prompt.box is not None:
            # a previous, wider box may reach over a crop's edge: the model has only seen boxes inside its frame
            corners = boxes_to_model(prompt.box, frame).reshape(2, 2)
            if frame.geometry == "edges":
                corners = np.clip(corners, -0.5, size - 0.5)
            coords[i, :2], labels[i, :2] = corners, (2, 3)
            used = 2
        points = points_to_model(prompt.points, frame)
        # a background click outside a crop says nothing about it
        inside = ((points >= -0.5) & (points <= size - 0.5)).all(1) | (prompt.point_labels == 1)
        end = used + np.count_nonzero(inside)
        coords[i, used:end], labels[i, used:end] = points[inside], prompt.point_labels[inside]
        if prompt.mask is not None:
            previous[i, 0], has_previous[i] = _previous(prompt.mask, replace(frame, size=mask_size)), 1
    return coords, labels, previous, has_previous


def _previous(mask: np.ndarray, frame: Frame) -> np.ndarray:
    if mask.dtype == bool:
        return (mask_to_model(mask, frame) * 2 - 1) * MASK_LOGIT
    return np.clip(mask_to_model(mask, frame, outside=-MASK_LOGIT), -2 * MASK_LOGIT, 2 * MASK_LOGIT)
