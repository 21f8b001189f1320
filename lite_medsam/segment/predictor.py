"""Predictor: an image and prompts in, masks at image resolution out; it keeps no state between calls."""

import os
from collections.abc import Iterable

import numpy as np

from lite_medsam.model.encoding_cache import EncodingCache, Features
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.published import find_weights
from lite_medsam.model.runtime import Backend, Recipe, open_backend, recipe_of, reopen_backend
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.answers import Answers
from lite_medsam.segment.checks import Prompts, checked_prompts
from lite_medsam.segment.decoding import decode_view
from lite_medsam.segment.encoding import EncodedImage, ImageEncoder
from lite_medsam.segment.plan import Plan, View, plan_one_view, plan_second_look, plan_views
from lite_medsam.segment.prediction import Prediction
from lite_medsam.segment.refinement import REFINE_MODES, can_refine, refine_borders

ZOOM_MODES = ("auto", "off", "always")

# of more objects than this, only the surroundings of each mask are kept: S x S logits each would be 256 kB
FULL_LOGITS = 64


class Predictor:
    """A loaded model. Calls do not depend on each other, so one predictor serves many users and threads.

    It can be pickled, and opens its model directory again in a worker process. A model that is in memory only cannot.

    Example:
        >>> predictor = Predictor.open()
        >>> prediction = predictor.segment(image, [[120, 80, 260, 190]])
        >>> labels = prediction.label_map()
    """

    def __init__(self, backend: Backend, zoom: str = "auto", cache: EncodingCache | None = None, refine: str = "off"):
        """Wraps a backend.

        Args:
            backend: The engine with a model.
            zoom: "auto" segments objects that are small in the image from a crop, as the model's spec says: its own, or
                one that near objects share where many are asked for. Clicks are segmented on the whole image first, then
                from a crop around what they found. "always" never shares, so that what is found for an object does not
                depend on the others, and zooms to what clicks found whenever that magnifies. "off" always shows the
                model the whole image.
            cache: Where encodings are kept from call to call; None for nowhere.
            refine: "auto" takes a second look at the border of an object where the picture has clearly more pixels than the
                model's view of it, as the model's spec says; "always" at every border, "off" at none. It costs several views
                per object.

        Raises:
            ValueError: If there is no such mode, or it is "always" and the model was not trained on crops; to refine, also on
                masks so far.
        """
        if zoom not in ZOOM_MODES:
            raise ValueError(f"zoom must be one of {', '.join(ZOOM_MODES)}, got {zoom!r}")
        if zoom == "always" and not backend.spec.zoom.enabled:
            raise ValueError(
                f"zoom must be auto or off for {backend.spec.name}, which was not trained on crops, got always"
            )
        if refine not in REFINE_MODES:
            raise ValueError(f"refine must be one of {', '.join(REFINE_MODES)}, got {refine!r}")
        if refine == "always" and not can_refine(backend.spec):
            raise ValueError(
                f"refine must be auto or off for {backend.spec.name}, which was not trained on crops with masks so far, "
                "got always"
            )
        self.backend, self.zoom, self.cache, self.refine = backend, zoom, cache, refine

    @classmethod
    def open(
        cls,
        weights: str | os.PathLike | None = None,
        engine: str = "auto",
        threads: int | None = None,
        zoom: str = "auto",
        cache: EncodingCache | None = None,
        refine: str = "off",
    ) -> "Predictor":
        """Opens a model directory.

        Args:
            weights: The directory, or the name of a published model that was got on this machine (`lite-medsam weights
                get`); None for the model that comes with the package.
            engine: See `lite_medsam.model.runtime.open_backend`.
            threads: CPU threads; None for as many as physical cores.
            zoom: "auto", "off" or "always".
            cache: Where encodings are kept from call to call; None for nowhere.
            refine: "off", "auto" or "always".
        """
        return cls(open_backend(find_weights(weights), engine, threads), zoom, cache, refine)

    def __reduce__(self):
        """Pickled, it opens its model directory again, with an empty cache: send it to worker processes."""
        return _reopened, (type(self), recipe_of(self.backend), self.zoom, self.cache, self.refine)

    def for_slices(self) -> "Predictor":
        """The predictor for slice after slice of a volume: there "auto" refines no border, for the time that it takes."""
        return Predictor(self.backend, self.zoom, self.cache, "off") if self.refine == "auto" else self

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
        return ImageEncoder(self.backend, image, self.cache).encode(frame)

    def decode(self, encoded: EncodedImage, prompts: Prompts) -> Prediction:
        """Segments objects from an encoded image, without any zoom of its own.

        Args:
            encoded: From `encode`.
            prompts: (N, 4) boxes, or prompts.

        Raises:
            PromptError: If a prompt does not fit the image, is of a kind that the model was not trained on, or has a target
                that the model does not know.
        """
        asked = checked_prompts(prompts, encoded.image_hw, self.spec)
        plan = plan_one_view(asked, encoded.frame, encoded.image_hw, self.spec)
        answers = Answers(len(asked), self.spec)
        self._decode(((view, encoded.features) for view in plan.views), plan, answers)
        return answers.prediction(plan)

    def segment(self, image: np.ndarray, prompts: Prompts) -> Prediction:
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
        encoder = ImageEncoder(self.backend, image, self.cache)
        asked = checked_prompts(prompts, encoder.image_hw, self.spec)
        answers = Answers(len(asked), self.spec, compact=len(asked) > FULL_LOGITS)

        plan = plan_views(asked, encoder.image_hw, self.spec, self.zoom)
        self._decode(encoder.encode_views(plan.views), plan, answers)

        closer = plan_second_look(plan, answers.logits, self.spec, self.zoom)
        if closer is not None:
            plan = closer
            self._decode(encoder.encode_views(plan.views), plan, answers)
        prediction = answers.prediction(plan)
        return refine_borders(self.backend, encoder, prediction, asked, self.refine)

    def _decode(self, encoded: Iterable[tuple[View, Features]], plan: Plan, answers: Answers) -> None:
        """Decodes the objects of each view as it comes from the encoder."""
        for view, features in encoded:
            for i, logits, score in decode_view(self.backend, features, view, plan):
                answers.keep(i, logits, score)


def _reopened(kind: type[Predictor], recipe: Recipe, zoom: str, cache: EncodingCache | None, refine: str) -> Predictor:
    return kind(reopen_backend(recipe), zoom, cache, refine)
