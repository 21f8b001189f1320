"""The classes that scripts for Segment Anything and MobileSAM use, over any model directory.

Change the import and the path, keep the script:

    from lite_medsam.segment.sam_predictor import SamPredictor, sam_model_registry

    sam = sam_model_registry["vit_b"](checkpoint="models/sam-vit-b")   # a directory made by lite-medsam convert
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    masks, scores, low_res = predictor.predict(box=box, multimask_output=False)

New code does better with `Predictor`, which takes many objects at once and keeps no state.
"""

import os

import numpy as np

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.calibration import calibrated
from lite_medsam.model.preprocessing import (
    Frame,
    boxes_to_model,
    intensity_range,
    logits_to_window,
    normalise,
    points_to_model,
    to_model,
)
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.checks import check_image
from lite_medsam.segment.decoding import DECODE_CHUNK
from lite_medsam.segment.predictor import Predictor
from lite_medsam.segment.sam_model import SamModel, open_sam_model, sam_model_registry
from lite_medsam.segment.sam_prompts import SamPrompts, checked_sam_prompts, sam_tokens
from lite_medsam.segment.sam_transform import Array, ResizeLongestSide, as_numpy, is_tensor, like

__all__ = ["SamModel", "SamPredictor", "open_sam_model", "sam_model_registry"]

IMAGE_FORMATS = ("RGB", "BGR")


class SamPredictor:
    """Keeps one encoded image and answers prompts on it, as segment_anything's class of the same name.

    With a converted SAM or MobileSAM the results are those of the original within rounding. Arrays are numpy, except that
    `predict_torch` and `transform` answer tensors with tensors.

    Attributes:
        transform: Brings images, points and boxes into the model frame, for `predict_torch`.
        is_image_set: Whether there is an image.
        original_size: (H, W) of the image.
        input_size: (h, w) that it takes in the model frame.
    """

    def __init__(self, sam_model: "SamModel | Predictor | str | os.PathLike", allow_untrained: bool = False):
        """Takes a model.

        Args:
            sam_model: From `sam_model_registry`, a `Predictor`, or a model directory.
            allow_untrained: Answer kinds of prompt that the weights were not trained on, instead of refusing them.
        """
        if isinstance(sam_model, (str, os.PathLike)):
            sam_model = open_sam_model(sam_model)
        elif isinstance(sam_model, Predictor):
            sam_model = SamModel(sam_model.backend)
        self.model = sam_model
        self.transform = ResizeLongestSide(self._spec.preprocessing)
        self._allow_untrained = allow_untrained
        self.reset_image()

    @property
    def _spec(self) -> ModelSpec:
        return self.model.backend.spec

    @property
    def device(self) -> str:
        """Always "cpu"."""
        return self.model.device

    def reset_image(self) -> None:
        """Forgets the image."""
        self.is_image_set = False
        self.features: tuple[np.ndarray, ...] | None = None
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None
        self._frame: Frame | None = None

    def set_image(self, image: np.ndarray, image_format: str = "RGB") -> None:
        """Encodes an image for the following prompts.

        Args:
            image: (H, W, 3) or (H, W) uint8.
            image_format: "RGB" or "BGR".

        Raises:
            CaseError: If the image has another type or shape.
            ValueError: If there is no such format.
        """
        if image_format not in IMAGE_FORMATS:
            raise ValueError(f"image_format must be one of {', '.join(IMAGE_FORMATS)}, got {image_format!r}")
        check_image(image)
        if image_format == "BGR" and image.ndim == 3:
            image = np.ascontiguousarray(image[..., ::-1])
        frame = self.transform.frame(image.shape[:2])
        self._encode(to_model(image, frame, self._spec.preprocessing), frame)

    def set_torch_image(self, transformed_image: Array, original_image_size: tuple[int, ...]) -> None:
        """Encodes an image that `transform` has brought to the model's scale.

        The grey values are scaled by the range of this small image, which may be a little narrower than the original's; with
        `set_image` they are scaled as in training.

        Args:
            transformed_image: (1, 3, h, w), values 0 to 255, a tensor or an array.
            original_image_size: (H, W) before the transform.

        Raises:
            CaseError: If the image has another shape.
        """
        frame = self.transform.frame(original_image_size)
        shape = (1, 3, *frame.scaled_hw)
        pixels = as_numpy(transformed_image)
        if pixels.shape != shape:
            raise CaseError(
                f"transformed_image must be {shape} of an image of {original_image_size}, got {pixels.shape}"
            )
        resampled = np.ascontiguousarray(pixels[0].transpose(1, 2, 0), np.float32)  # (h, w, 3)
        settings = self._spec.preprocessing
        span = (0.0, 255.0) if settings.value_range == "uint8" else intensity_range(resampled)
        self._encode(normalise(resampled, frame, span, settings), frame)

    def _encode(self, pixels: np.ndarray, frame: Frame) -> None:
        self.reset_image()
        self.features = self.model.backend.encode(pixels[None])
        self.original_size, self.input_size = (frame.height, frame.width), frame.scaled_hw
        self._frame, self.is_image_set = frame, True

    def get_image_embedding(self) -> np.ndarray:
        """(1, C, h, w) float32 embedding of the image."""
        return self._current()[0][0]

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        target: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks of one object, or of several by several boxes or lists of points.

        Args:
            point_coords: (K, 2) x, y in image pixels; (N, K, 2) for several objects.
            point_labels: (K,) 1 object, 0 background, -1 a padding point; (N, K) for several objects.
            box: (4,) x0 y0 x1 y1 in image pixels; (N, 4) for several objects.
            mask_input: (1, L, L) logits of an earlier answer, the third value that it returned; (N, 1, L, L) for several
                objects.
            multimask_output: Three alternatives, for prompts that can mean several things; else one answer.
            return_logits: Logits in place of masks.
            target: What the objects are, for models that know names; segment_anything has no such argument.

        Returns:
            (C, H, W) bool masks, or float32 logits; (C,) predicted IoU; (C, L, L) logits for `mask_input`. For several
            objects (N, C, H, W), (N, C) and (N, C, L, L).

        Raises:
            PromptError: If a prompt has another shape, is of a kind that the weights were not trained on, or the model does
                not know the target.
            RuntimeError: If no image is set.
        """
        _, frame = self._current()
        side = self._spec.preprocessing.mask_size
        given = checked_sam_prompts(point_coords, point_labels, box, mask_input, side)
        points = None if given.points is None else points_to_model(given.points, frame)
        boxes = None if given.boxes is None else boxes_to_model(given.boxes, frame)
        prompts = SamPrompts(points, given.labels, boxes, given.masks)
        answer = self._answer(prompts, multimask_output, return_logits, target)
        masks, scores, low_res = (part[0] for part in answer) if len(prompts) == 1 else answer
        return masks, scores, low_res

    def predict_torch(
        self,
        point_coords: Array | None,
        point_labels: Array | None,
        boxes: Array | None = None,
        mask_input: Array | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Array, Array, Array]:
        """Masks of N objects, by prompts that `transform` has brought into the model frame.

        Args:
            point_coords: (N, K, 2) x, y in the model frame, or None.
            point_labels: (N, K) 1 object, 0 background, -1 a padding point, or None.
            boxes: (N, 4) x0 y0 x1 y1 in the model frame, or None.
            mask_input: (N, 1, L, L) logits of an earlier answer, or None.
            multimask_output: Three alternatives, for prompts that can mean several things; else one answer.
            return_logits: Logits in place of masks.

        Returns:
            (N, C, H, W) bool masks, or float32 logits; (N, C) predicted IoU; (N, C, L, L) logits. Tensors where a prompt is
            one, else arrays.

        Raises:
            PromptError: As `predict`.
            RuntimeError: If no image is set.
        """
        given = (point_coords, point_labels, boxes, mask_input)
        points, labels, corners, maps = (None if part is None else as_numpy(part) for part in given)
        prompts = checked_sam_prompts(points, labels, corners, maps, self._spec.preprocessing.mask_size)
        example = next((part for part in given if is_tensor(part)), None)
        masks, scores, low_res = self._answer(prompts, multimask_output, return_logits)
        return like(masks, example), like(scores, example), like(low_res, example)

    def _current(self) -> tuple[tuple[np.ndarray, ...], Frame]:
        if self.features is None or self._frame is None:
            raise RuntimeError("no image is set; call set_image first")
        return self.features, self._frame

    def _answer(
        self, prompts: SamPrompts, multimask: bool, return_logits: bool, target: str | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of N objects in the model frame: (N, C, H, W) masks or logits, (N, C) scores, (N, C, L, L) logits."""
        (features, frame), spec = self._current(), self._spec
        self._refuse_untrained(prompts.kinds)
        coords, labels = sam_tokens(prompts, spec, target)
        side, chosen = spec.preprocessing.mask_size, slice(1, None) if multimask else slice(0, 1)
        count = spec.architecture.mask_tokens - 1 if multimask else 1
        low_res: list[np.ndarray] = [np.zeros((0, count, side, side), np.float32)]
        scores: list[np.ndarray] = [np.zeros((0, count), np.float32)]
        for start in range(0, len(prompts), DECODE_CHUNK):
            part = slice(start, start + DECODE_CHUNK)
            size = len(coords[part])
            previous = np.zeros((size, 1, side, side), np.float32) if prompts.masks is None else prompts.masks[part]
            has_previous = np.full(size, prompts.masks is not None, np.float32)
            logits, ious = self.model.backend.decode(features, coords[part], labels[part], previous, has_previous)
            low_res.append(logits[:, chosen])
            scores.append(calibrated(ious[:, chosen], spec))
        all_logits = np.concatenate(low_res[1:] or low_res)
        masks = np.zeros((*all_logits.shape[:2], frame.height, frame.width), np.float32 if return_logits else bool)
        for place in np.ndindex(all_logits.shape[:2]):
            values = logits_to_window(all_logits[place], frame)
            masks[place] = values if return_logits else values > self.model.mask_threshold
        return masks, np.concatenate(scores[1:] or scores), all_logits

    def _refuse_untrained(self, kinds: set[str]) -> None:
        missing = kinds - set(self._spec.prompts)
        if missing and not self._allow_untrained:
            raise PromptError(
                f"prompts must be of the kinds that {self._spec.name} was trained on ({', '.join(self._spec.prompts)}), "
                f"got {', '.join(sorted(missing))}; pass allow_untrained=True to try"
            )
