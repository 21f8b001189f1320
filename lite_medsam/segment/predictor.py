"""Predictor: an image and prompts in, masks at image resolution out; it keeps no state between calls."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.calibration import calibrated
from lite_medsam.model.encoding_cache import EncodingCache, Features, image_key
from lite_medsam.model.preprocessing import Frame, intensity_range, to_model
from lite_medsam.model.prompt_tokens import POINT_TOKENS, decoder_inputs, prompt_kinds, share_a_call
from lite_medsam.model.runtime import Backend, decode_first, open_backend
from lite_medsam.model.spec import ModelSpec
from lite_medsam.prompts.prompt_set import Prompt, as_prompts, validate
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.segment.mask_support import CompactLogits
from lite_medsam.segment.prediction import OVERLAPS, Prediction
from lite_medsam.segment.recentring import recentre, restore, shifts
from lite_medsam.segment.zoom import anchor_box, found_box, plan_frames, zoom_frame
from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

__all__ = ["OVERLAPS", "POINT_TOKENS", "ZOOM_MODES", "EncodedImage", "Prediction", "Predictor", "check_image"]

ZOOM_MODES = ("auto", "off", "always")

# most images and prompts in one call of a graph: more were slower per piece on two cores, and take memory in proportion
ENCODE_CHUNK, DECODE_CHUNK = 2, 8
# where each prompt has features of its own, of 7 MB
MOVED_CHUNK = 4
# of more objects than this, only the surroundings of each mask are kept: S x S logits each would be 256 kB
FULL_LOGITS = 64


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


class Predictor:
    """A loaded model. Calls do not depend on each other, so one predictor serves many users and threads.

    Example:
        >>> predictor = Predictor.open()
        >>> prediction = predictor.segment(image, [[120, 80, 260, 190]])
        >>> labels = prediction.label_map()
    """

    def __init__(self, backend: Backend, zoom: str = "auto", cache: EncodingCache | None = None):
        """Wraps a backend.

        Args:
            backend: The engine with a model.
            zoom: "auto" segments objects that are small in the image from a crop, as the model's spec says: its own, or
                one that near objects share where many are asked for. Clicks are segmented on the whole image first, then
                from a crop around what they found. "always" never shares, so that what is found for an object does not
                depend on the others, and zooms to what clicks found whenever that magnifies. "off" always shows the
                model the whole image.
            cache: Where encodings are kept from call to call; None for nowhere.

        Raises:
            ValueError: If there is no such mode, or it is "always" and the model was not trained on crops.
        """
        if zoom not in ZOOM_MODES:
            raise ValueError(f"zoom must be one of {', '.join(ZOOM_MODES)}, got {zoom!r}")
        if zoom == "always" and not backend.spec.zoom.enabled:
            raise ValueError(
                f"zoom must be auto or off for {backend.spec.name}, which was not trained on crops, got always"
            )
        self.backend, self.zoom, self.cache = backend, zoom, cache

    @classmethod
    def open(
        cls,
        weights: str | os.PathLike | None = None,
        engine: str = "auto",
        threads: int | None = None,
        zoom: str = "auto",
        cache: EncodingCache | None = None,
    ) -> "Predictor":
        """Opens a model directory.

        Args:
            weights: The directory; None for the model that comes with the package.
            engine: See `lite_medsam.model.runtime.open_backend`.
            threads: CPU threads; None for as many as physical cores.
            zoom: "auto", "off" or "always".
            cache: Where encodings are kept from call to call; None for nowhere.
        """
        return cls(open_backend(DEFAULT_WEIGHTS if weights is None else weights, engine, threads), zoom, cache)

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
        source = _Source(self, image)
        frame = frame or source.whole
        return EncodedImage(source.features([frame])[0], frame, source.hw)

    def decode(self, encoded: EncodedImage, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray") -> Prediction:
        """Segments objects from an encoded image, without any zoom of its own.

        Args:
            encoded: From `encode`.
            prompts: (N, 4) boxes, or prompts.

        Raises:
            PromptError: If a prompt does not fit the image, is of a kind that the model was not trained on, or has a target
                that the model does not know.
        """
        checked = self._check(prompts, encoded.image_hw)
        side = self.spec.preprocessing.mask_size
        logits = np.zeros((len(checked), side, side), np.float32)
        scores = np.full(len(checked), np.nan, np.float32)
        whole = Frame.for_model(encoded.image_hw, self.spec.preprocessing)
        self._decode(encoded.features, encoded.frame, checked, _asked(checked), logits, scores)
        frames = [whole if prompt.final else encoded.frame for prompt in checked]
        return self._prediction(checked, logits, scores, frames, encoded.image_hw)

    def segment(self, image: np.ndarray, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray") -> Prediction:
        """Segments objects, each from the view that suits it: a crop where it is small, else the whole image.

        The order of the prompts changes nothing. Which others are asked for matters only where more than
        `spec.zoom.own_crops` crops would be needed, because near objects then share them.

        Args:
            image: (H, W) or (H, W, 3) uint8, RGB.
            prompts: (N, 4) boxes x0 y0 x1 y1 in pixels, last pixel inside; or prompts.

        Raises:
            CaseError: If the image has another type or shape.
            PromptError: If a prompt does not fit the image, is of a kind that the model was not trained on, or has a target
                that the model does not know.
        """
        source = _Source(self, image)
        checked = self._check(prompts, source.hw)
        zooms = self.zoom != "off" and self.spec.zoom.enabled
        boxes = [anchor_box(prompt) if zooms and not prompt.final else None for prompt in checked]
        frames = self._plan(boxes, source.hw)
        side = self.spec.preprocessing.mask_size
        logits = (
            CompactLogits(len(checked), side, self.spec.mask_threshold)
            if len(checked) > FULL_LOGITS
            else np.zeros((len(checked), side, side), np.float32)
        )
        scores = np.full(len(checked), np.nan, np.float32)
        self._run(source, checked, boxes, frames, _asked(checked), logits, scores)
        prediction = self._prediction(checked, logits, scores, frames, source.hw)
        if not zooms:
            return prediction
        again = {i: box for i, box in self._found(checked, prediction) if box is not None}
        if again:  # in the crop the click stands alone: with what the first look found, it repeats its mistakes
            boxes = [again.get(i) for i in range(len(checked))]
            for i, frame in zip(again, self._plan(list(again.values()), source.hw), strict=True):
                frames[i] = frame
            self._run(source, checked, boxes, frames, list(again), logits, scores)
        return self._prediction(checked, logits, scores, frames, source.hw) if again else prediction

    def _plan(self, boxes: list, image_hw: tuple[int, int]) -> list[Frame]:
        return plan_frames(boxes, image_hw, self.spec.zoom, self.spec.preprocessing, share=self.zoom == "auto")

    def _found(self, prompts: list[Prompt], prediction: Prediction) -> Iterator[tuple[int, tuple | None]]:
        """Per object that was asked for by clicks alone: the box to look at again, None where no crop magnifies enough."""
        zoom, size = self.spec.zoom, self.spec.preprocessing.image_size
        gain = zoom.chain_gain if self.zoom == "auto" else zoom.minimum_gain
        for i, prompt in enumerate(prompts):
            if prompt.box is None and prompt.mask is None and (prompt.point_labels == 1).any():
                box = found_box(prediction.mask_part(i), prompt)
                frame = None if box is None else zoom_frame(box, prediction.image_hw, zoom, size)
                magnified = frame is not None and max(prediction.image_hw) / max(frame.width, frame.height) >= gain
                yield i, box if magnified else None

    def _check(self, prompts: "Iterable[Prompt | Sequence[float]] | np.ndarray", image_hw) -> list[Prompt]:
        given, checked = as_prompts(prompts), []
        known = set(self.spec.prompts)
        for i, prompt in enumerate(given):
            try:
                checked.append(validate(prompt, image_hw))
                if prompt.target is not None and not prompt.final:
                    check_target(prompt.target, self.spec.targets, self.spec.name)
            except PromptError as error:
                raise PromptError(f"object {i + 1}: {error}" if len(given) > 1 else str(error)) from None
            missing = prompt_kinds(prompt) - known
            if missing:
                raise PromptError(
                    f"prompts must be of the kinds that {self.spec.name} was trained on ({', '.join(sorted(known))}), "
                    f"got {', '.join(sorted(missing))}; use other weights"
                )
        return checked

    def _run(self, source: "_Source", prompts, boxes, frames, chosen: Sequence[int], logits, scores) -> None:
        """Encodes the frames of the chosen objects, each once, and decodes the objects into `logits` and `scores`."""
        by_frame: dict[Frame, list[int]] = {}
        for i in chosen:
            by_frame.setdefault(frames[i], []).append(i)
        distinct = list(by_frame)
        for start in range(0, len(distinct), ENCODE_CHUNK):
            chunk = distinct[start : start + ENCODE_CHUNK]
            for frame, features in zip(chunk, source.features(chunk), strict=True):
                plain, moved = [], []
                for i in by_frame[frame]:
                    # a crop of its own is what training showed, also at the image's border where it is off the middle
                    crop = frame != source.whole and boxes[i] is not None
                    own = zoom_frame(boxes[i], source.hw, self.spec.zoom, frame.size) if crop else None
                    (moved if own is not None and own.window != frame.window else plain).append(i)
                self._decode(features, frame, prompts, plain, logits, scores)
                self._decode_recentred(features, frame, prompts, boxes, moved, logits, scores)

    def _decode(self, features: Features, frame: Frame, prompts, chosen: Sequence[int], logits, scores) -> None:
        """Decodes prompts of one frame in bounded chunks.

        Only prompts with equally many tokens of the same kind share a call, so an answer does not depend on what else is
        asked.
        """
        for part in _alike(prompts, chosen):
            masks, ious = decode_first(self.backend, features, *self._inputs(prompts, part, frame))
            for place, i in enumerate(part):
                logits[i], scores[i] = masks[place, 0], ious[place, 0]

    def _decode_recentred(self, features: Features, frame: Frame, prompts, boxes, chosen, logits, scores) -> None:
        """As `_decode`, for objects that the decoder is shown in the middle of the frame wherever they are in it."""
        size, side = self.spec.preprocessing.image_size, self.spec.preprocessing.mask_size
        for part in _alike(prompts, chosen, MOVED_CHUNK):
            moves = shifts([boxes[i] for i in part], frame, features, side)
            if not moves.any():
                self._decode(features, frame, prompts, part, logits, scores)
                continue
            coords, labels, previous, has_previous = self._inputs(prompts, part, frame)
            shown, coords, previous = recentre(features, coords, previous, moves, size)
            masks, ious = decode_first(self.backend, shown, coords, labels, previous, has_previous)
            for place, i in enumerate(part):
                logits[i] = restore(masks[place, 0], moves[place], size)
                scores[i] = ious[place, 0]

    def _inputs(self, prompts, part: Sequence[int], frame: Frame) -> tuple[np.ndarray, ...]:
        settings, chosen = self.spec.preprocessing, [prompts[i] for i in part]
        frames = [frame] * len(part)
        return decoder_inputs(chosen, frames, settings.image_size, settings.mask_size, self.spec.targets)

    def _prediction(self, prompts, logits, scores, frames, image_hw: tuple[int, int]) -> Prediction:
        names = tuple(prompt.name for prompt in prompts)
        final = tuple(prompt.mask if prompt.final else None for prompt in prompts)
        final = final if any(mask is not None for mask in final) else ()
        scores = calibrated(np.clip(scores, 0, 1), self.spec)
        return Prediction(logits, scores, tuple(frames), image_hw, self.spec.mask_threshold, names, final)


class _Source:
    """An image while its frames are encoded: what they have in common is computed once."""

    def __init__(self, predictor: Predictor, image: np.ndarray):
        check_image(image)
        self.backend, self.cache, self.image = predictor.backend, predictor.cache, image
        self.hw = image.shape[:2]
        self.whole = Frame.for_model(self.hw, predictor.spec.preprocessing)
        self._range = intensity_range(image)
        self._key = None if self.cache is None else image_key(image)

    def features(self, frames: list[Frame]) -> list[Features]:
        """Per frame, one array per feature with leading dimension 1; the unknown ones are encoded in one call."""
        if self.cache is None:
            return self._encode(frames)
        found = [self.cache.get(self.backend, self._key, frame) for frame in frames]
        missing = [frame for frame, known in zip(frames, found, strict=True) if known is None]
        fresh = {}
        for frame, features in zip(missing, self._encode(missing) if missing else (), strict=True):
            if len(missing) > 1:  # a view would keep the whole batch in memory
                features = tuple(feature.copy() for feature in features)
            self.cache.put(self.backend, self._key, frame, features)
            fresh[frame] = features
        return [fresh[frame] if known is None else known for frame, known in zip(frames, found, strict=True)]

    def _encode(self, frames: list[Frame]) -> list[Features]:
        settings = self.backend.spec.preprocessing
        pixels = np.stack([to_model(self.image, frame, settings, self._range) for frame in frames])
        batch = self.backend.encode(pixels)
        return [tuple(feature[i : i + 1] for feature in batch) for i in range(len(frames))]


def _asked(prompts: Sequence[Prompt]) -> list[int]:
    """Indices of the prompts that ask something of the model; a final one has its answer."""
    return [i for i, prompt in enumerate(prompts) if not prompt.final]


def _alike(prompts: Sequence[Prompt], chosen: Sequence[int], most: int = DECODE_CHUNK) -> Iterator[list[int]]:
    """Indices of prompts with equally many tokens, all or none of them with a target, in chunks."""
    by_tokens: dict[tuple[int, bool], list[int]] = {}
    for i in chosen:
        by_tokens.setdefault(share_a_call(prompts[i]), []).append(i)
    for alike in by_tokens.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]


def check_image(image: np.ndarray) -> None:
    """Raises CaseError unless the image is (H, W) or (H, W, 3) uint8 and not empty."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise CaseError(f"image must be a uint8 array, got {kind}; convert it with lite_medsam.to_uint8")
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise CaseError(f"image must be (H, W) or (H, W, 3) and not empty, got shape {image.shape}")
