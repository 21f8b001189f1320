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
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lite_medsam.errors import PromptError, WeightsError
from lite_medsam.model.calibration import calibrated
from lite_medsam.model.preprocessing import Frame, boxes_to_model, logits_to_window, points_to_model, to_model
from lite_medsam.model.prompt_tokens import FIRST_TARGET, POINT_TOKENS
from lite_medsam.model.runtime import Backend
from lite_medsam.model.spec import OWN_FAMILY
from lite_medsam.prompts.vocabulary import check_target
from lite_medsam.segment.checks import check_image
from lite_medsam.segment.predictor import Predictor

IMAGE_FORMATS = ("RGB", "BGR")
PADDING, PADDING_POINT = -1, -2


class SamModel:
    """An opened model directory with the few attributes of segment_anything's `Sam` that scripts touch.

    Attributes:
        backend: What runs the model.
        mask_threshold: A pixel belongs to the object where its logit is above this.
        image_format: Order of the colours.
        device: Always "cpu".
    """

    image_format = "RGB"
    device = "cpu"

    def __init__(self, backend: Backend):
        self.backend = backend
        self.mask_threshold = backend.spec.mask_threshold

    def to(self, device: object = None) -> "SamModel":
        """The model itself: it runs on the CPU, wherever a script wants it."""
        return self

    def eval(self) -> "SamModel":
        """The model itself."""
        return self


def open_sam_model(
    checkpoint: str | os.PathLike | None = None, engine: str = "auto", threads: int | None = None
) -> SamModel:
    """Opens a model directory for `SamPredictor`.

    Args:
        checkpoint: The directory; None for the model that comes with the package.
        engine: See `lite_medsam.model.runtime.open_backend`.
        threads: CPU threads; None for as many as physical cores.

    Raises:
        WeightsError: If it is no model directory.
    """
    if checkpoint is not None and Path(checkpoint).is_file():
        raise WeightsError(
            f"checkpoint must be a model directory, got the file {checkpoint}; run: lite-medsam convert {checkpoint} "
            "--out DIR"
        )
    return SamModel(Predictor.open(checkpoint, engine, threads).backend)


# every name opens whatever the directory holds: its spec.json says what that is
sam_model_registry: dict[str, Callable[..., SamModel]] = dict.fromkeys(
    ("default", "vit_h", "vit_l", "vit_b", "vit_t"), open_sam_model
)


class SamPredictor:
    """Keeps one encoded image and answers prompts on it, as segment_anything's class of the same name.

    With a converted SAM or MobileSAM the results are those of the original within rounding. Arrays are numpy throughout.

    Attributes:
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
        self._backend, self._spec = sam_model.backend, sam_model.backend.spec
        self._allow_untrained = allow_untrained
        self.reset_image()

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
        self.reset_image()
        settings = self._spec.preprocessing
        frame = Frame.for_model(image.shape[:2], settings)
        self.features = self._backend.encode(to_model(image, frame, settings)[None])
        self.original_size, self.input_size = image.shape[:2], frame.scaled_hw
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
        """Masks of one object.

        Args:
            point_coords: (K, 2) x, y in image pixels.
            point_labels: (K,) 1 object, 0 background, -1 a padding point.
            box: (4,) x0 y0 x1 y1 in image pixels.
            mask_input: (1, L, L) logits of an earlier answer, the third value that it returned.
            multimask_output: Three alternatives, for prompts that can mean several things; else one answer.
            return_logits: Logits in place of masks.
            target: What the object is, for models that know names; segment_anything has no such argument.

        Returns:
            (C, H, W) bool masks, or float32 logits; (C,) predicted IoU; (C, L, L) logits for `mask_input`.

        Raises:
            PromptError: If a prompt has another shape, is of a kind that the weights were not trained on, or the model does
                not know the target.
            RuntimeError: If no image is set.
        """
        features, frame = self._current()
        coords, labels = self._tokens(frame, point_coords, point_labels, box)
        side = self._spec.preprocessing.mask_size
        previous = np.zeros((1, 1, side, side), np.float32)
        if mask_input is not None:
            previous[0, 0] = _numbers(mask_input, (1, side, side), "mask_input", "logits of an earlier answer")[0]
        given = point_coords is not None, box is not None, mask_input is not None
        self._refuse_untrained(*given)
        if target is not None:
            coords, labels = self._with_target(coords, labels, target, any(given))
        has_previous = np.array([mask_input is not None], np.float32)
        all_logits, all_scores = self._backend.decode(features, coords, labels, previous, has_previous)
        chosen = slice(1, None) if multimask_output else slice(0, 1)
        low_res, scores = all_logits[0, chosen], calibrated(all_scores[0, chosen], self._spec)
        masks = np.stack([logits_to_window(logits, frame) for logits in low_res])  # (C, H, W)
        return masks if return_logits else masks > self.model.mask_threshold, scores, low_res

    def _current(self) -> tuple[tuple[np.ndarray, ...], Frame]:
        if self.features is None or self._frame is None:
            raise RuntimeError("no image is set; call set_image first")
        return self.features, self._frame

    def _tokens(self, frame: Frame, point_coords, point_labels, box) -> tuple[np.ndarray, np.ndarray]:
        """Prompt tokens of one object: coords (1, P, 2) and labels (1, P), float32."""
        if (point_coords is None) != (point_labels is None):
            raise PromptError("point_coords and point_labels must come together, got one of them")
        coords, labels = [np.zeros((0, 2), np.float32)], [np.zeros(0, np.float32)]
        if point_coords is not None:
            points = _numbers(point_coords, (None, 2), "point_coords", "x y per point")
            marks = _numbers(point_labels, (len(points),), "point_labels", "one per point").astype(np.float32)
            if not np.isin(marks, (-1, 0, 1)).all():
                raise PromptError("point_labels must be 1 (object), 0 (background) or -1 (padding), got others")
            if self._spec.architecture.family != OWN_FAMILY:
                marks[marks == PADDING] = PADDING_POINT  # published models: PADDING would be no token at all
            coords.append(points_to_model(points, frame))
            labels.append(marks)
        if box is not None:
            corners = np.asarray(box)
            corners = _numbers(corners[0] if corners.shape == (1, 4) else corners, (4,), "box", "x0 y0 x1 y1")
            coords.append(boxes_to_model(corners, frame).reshape(2, 2))
            labels.append(np.array([2, 3], np.float32))
        if sum(map(len, labels)) == 0:  # a graph wants at least one token; this one says nothing
            return np.zeros((1, 1, 2), np.float32), np.full((1, 1), PADDING, np.float32)
        used = sum(map(len, labels))
        if point_coords is not None and self._spec.architecture.family == OWN_FAMILY and used < POINT_TOKENS:
            coords.append(np.zeros((POINT_TOKENS - used, 2), np.float32))  # as in training
            labels.append(np.full(POINT_TOKENS - used, PADDING, np.float32))
        return np.concatenate(coords)[None], np.concatenate(labels)[None]

    def _with_target(self, coords: np.ndarray, labels: np.ndarray, target: str, beside: bool) -> tuple[np.ndarray, ...]:
        """The tokens with that of a name behind them."""
        check_target(target, self._spec.targets, self._spec.name)
        if not beside:
            raise PromptError(f"target must come with a box, points or a mask, got {target!r} alone")
        kind = np.full((1, 1), FIRST_TARGET + self._spec.targets.index(target), np.float32)
        return np.concatenate([coords, np.zeros((1, 1, 2), np.float32)], 1), np.concatenate([labels, kind], 1)

    def _refuse_untrained(self, points: bool, box: bool, mask: bool) -> None:
        asked = {"box+points"} if points and box else {"points"} if points else {"box"} if box else set()
        missing = asked | ({"mask"} if mask else set())
        missing -= set(self._spec.prompts)
        if missing and not self._allow_untrained:
            raise PromptError(
                f"prompts must be of the kinds that {self._spec.name} was trained on ({', '.join(self._spec.prompts)}), "
                f"got {', '.join(sorted(missing))}; pass allow_untrained=True to try"
            )


def _numbers(values, shape: tuple[int | None, ...], name: str, meaning: str) -> np.ndarray:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise PromptError(f"{name} must be numbers, {meaning}, got {type(values).__name__}") from None
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        wanted = ", ".join("K" if n is None else str(n) for n in shape)
        raise PromptError(f"{name} must be ({wanted}) finite numbers, {meaning}, got shape {array.shape}")
    return array
