"""A line drawn across a lesion, as its longest diameter is measured (RECIST): what a model is asked with."""

import numpy as np

from lite_medsam.errors import PromptError
from lite_medsam.prompts.prompt_object import Box

# of the long axis: what the short axis is taken for, which the line does not tell. Measured, see `line_study`
SHORT_AXIS = 0.7
_AT = (0.25, 0.5, 0.75)  # of the line: where points on it say that this is the object

RULES = ("circle box", "ellipse box", "points", "circle box + points", "ellipse box + points", "ellipse box + middle")


def prompt_of_line(line: np.ndarray, rule: str = "ellipse box") -> tuple[Box | None, np.ndarray]:
    """The box and the points that stand for a line.

    Args:
        line: (2, 2) both ends, x y in pixels.
        rule: One of `RULES`. The circle has the line as its diameter; the ellipse has it as its long axis and `SHORT_AXIS`
            of that across; points lie at a quarter, the half and three quarters of the line, the middle at its half.

    Returns:
        x0 y0 x1 y1, or None; (K, 2) points on the object.

    Raises:
        PromptError: If the ends are not finite or the same.
    """
    ends = np.asarray(line, np.float64)
    if ends.shape != (2, 2) or not np.isfinite(ends).all() or (ends[0] == ends[1]).all():
        raise PromptError("a line must have two different ends [[x, y], [x, y]]")
    middle, half = ends.mean(axis=0), (ends[1] - ends[0]) / 2
    share = 1.0 if rule.startswith("circle") else SHORT_AXIS
    # of an ellipse the reach along each axis is the root of the squares of both half axes' parts
    reach = np.hypot(half, share * half[::-1])
    box = None if rule == "points" else (*(middle - reach).tolist(), *(middle + reach).tolist())
    at = (0.5,) if rule.endswith("middle") else _AT if rule.endswith("points") else ()
    points = np.array([ends[0] + share * (ends[1] - ends[0]) for share in at]).reshape(-1, 2)
    return box, points


def longest_line(mask: np.ndarray) -> np.ndarray:
    """(2, 2) the ends of the longest diameter of a mask, x y: what a reader measures.

    Args:
        mask: (H, W) bool, not empty.
    """
    import cv2
    from scipy.spatial.distance import pdist, squareform

    places = np.argwhere(mask)[:, ::-1].astype(np.int32)
    hull = cv2.convexHull(places)[:, 0].astype(np.float64)
    if len(hull) < 2:
        return np.repeat(hull, 2, axis=0)
    far = squareform(pdist(hull))
    return hull[list(np.unravel_index(far.argmax(), far.shape))]
