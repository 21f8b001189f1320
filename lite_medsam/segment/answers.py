"""What the decoder has answered about the objects of an image, collected view by view."""

import numpy as np

from lite_medsam.model.calibration import calibrated
from lite_medsam.model.spec import ModelSpec
from lite_medsam.segment.compact_logits import CompactLogits
from lite_medsam.segment.plan import Plan
from lite_medsam.segment.prediction import Prediction


class Answers:
    """Logits in the model frame and scores of N objects; a later answer of an object replaces an earlier one.

    Args:
        count: N.
        spec: Of the model.
        compact: Keep only the surroundings of each mask; masks are the same.

    Attributes:
        logits: (N, M, M) float32.
        scores: (N,) float32 as the model gives them, NaN where nothing was asked.
    """

    def __init__(self, count: int, spec: ModelSpec, compact: bool = False):
        side = spec.preprocessing.mask_size
        self.logits: np.ndarray | CompactLogits = (
            CompactLogits(count, side, spec.mask_threshold) if compact else np.zeros((count, side, side), np.float32)
        )
        self.scores = np.full(count, np.nan, np.float32)
        self._spec = spec

    def keep(self, index: int, logits: np.ndarray, score: float) -> None:
        """Takes the answer of one object."""
        self.logits[index], self.scores[index] = logits, score

    def prediction(self, plan: Plan) -> Prediction:
        """The masks, each in the window that the plan says."""
        final = tuple(prompt.mask if prompt.final else None for prompt in plan.prompts)
        return Prediction(
            self.logits,
            calibrated(np.clip(self.scores, 0, 1), self._spec),
            plan.frames,
            plan.image_hw,
            self._spec.mask_threshold,
            names=tuple(prompt.name for prompt in plan.prompts),
            final=final if any(mask is not None for mask in final) else (),
        )
