"""How like the examples a mask is: 0 to 1, from the rule's answers in and around it, its features, size and score."""

from collections.abc import Sequence

import cv2
import numpy as np

from lite_medsam.segment.region import Region
from lite_medsam.session.likeness import FeatureMap

RIM = 0.2  # width of what is looked at around a mask, as a share of the root of its area
QUANTILE = 0.35  # of the answers there: a neighbour of the same kind may touch the mask
PROFILE_PX = 48  # pixels whose features stand for a mask
GROUND_PX = 1500  # and for the picture

# a logistic regression on 785 masks that this search found: 404 real nuclei and fluids of training images, the others phantoms
# (microscopy, exudates, haemorrhages, cysts; seeds 20 and up), each source weighted by the root of its number
WEIGHTS = {"gap": 5.0, "smaller": -0.4, "larger": -1.2, "score": 3.7, "stable": 4.3, "deep": 2.0, "grey": 1.9}
BIAS = -12.6


class Alike:
    """Compares masks with examples.

    Args:
        features: Of the picture.
        answer: (H, W) float32, the rule that tells the examples from what is around them.
        examples: Masks.
        area_px: Of an example.
    """

    def __init__(self, features: FeatureMap, answer: np.ndarray, examples: Sequence[Region], area_px: float):
        self._features, self._answer, self._area = features, answer, area_px
        rng = np.random.default_rng(0)
        rows, columns = (rng.integers(0, length, GROUND_PX) for length in answer.shape)
        ground = features.at(rows, columns)
        self._mean, self._spread = ground.mean(0), ground.std(0) + 1e-6
        self._profile = np.mean([self._profile_of(region) for region in examples], axis=0)
        self._gap = max(float(np.median([self._gap_of(region) for region in examples])), 1e-3)

    def of(self, region: Region, score: float, stable: float = 0.85) -> float:
        """How like the examples a mask is.

        Args:
            region: The mask.
            score: The model's estimate of its IoU.
            stable: IoU with the mask that the model gave when it was asked with another box.
        """
        size = float(np.log(region.area_px / self._area))
        own = self._profile_of(region)
        parts = self._features.parts
        facts = {
            "gap": float(np.clip(self._gap_of(region) / self._gap, -0.2, 1.3)),
            "smaller": min(size, 0.0) ** 2,
            "larger": max(size, 0.0) ** 2,
            "score": float(score),
            "stable": stable,
            "deep": _cosine(own[parts[1]], self._profile[parts[1]]),
            "grey": _cosine(own[parts[-1]], self._profile[parts[-1]]),
        }
        return float(1 / (1 + np.exp(-BIAS - sum(WEIGHTS[name] * value for name, value in facts.items()))))

    def _profile_of(self, region: Region) -> np.ndarray:
        """(C,) mean features of a mask, in spreads of the picture's."""
        places = np.argwhere(region.inside)
        places = places[:: max(1, len(places) // PROFILE_PX)]
        values = self._features.at(places[:, 0] + region.y0, places[:, 1] + region.x0)
        return (values.mean(0) - self._mean) / self._spread

    def _gap_of(self, region: Region) -> float:
        """How much higher the rule answers in a mask than around it."""
        pad = max(2, round(RIM * np.sqrt(region.area_px)))
        inside = np.pad(region.inside, pad).astype(np.uint8)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pad + 1, 2 * pad + 1))
        around = (cv2.dilate(inside, disc) > 0) & (cv2.dilate(inside, np.ones((3, 3), np.uint8)) == 0)
        y0, x0 = region.y0 - pad, region.x0 - pad
        height, width = self._answer.shape
        rows, columns = slice(max(0, -y0), height - y0), slice(max(0, -x0), width - x0)
        seen = inside[rows, columns] > 0, around[rows, columns]
        values = self._answer[max(0, y0) : y0 + inside.shape[0], max(0, x0) : x0 + inside.shape[1]]
        outside = float(np.quantile(values[seen[1]], QUANTILE)) if seen[1].any() else -1.0
        return float(values[seen[0]].mean()) - outside


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-6))
