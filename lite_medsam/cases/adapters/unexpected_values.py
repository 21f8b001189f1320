"""Values that no label map should have by itself: refused, with what to do about them."""

import numpy as np

from lite_medsam.cases.adapters.source import ItemError
from lite_medsam.images.softness import looks_like_brightness, resampled_values

__all__ = ["refuse_brightness", "refuse_values"]


def refuse_values(odd: list, advice: str) -> None:
    """Refuses a mask that holds these values, if there are any.

    Raises:
        ItemError: "unexpected-labels", with the first of them and the advice.
    """
    if odd:
        shown = ", ".join(f"{value:g}" for value in odd[:8]) + (", ..." if len(odd) > 8 else "")
        raise ItemError("unexpected-labels", f"the mask holds the values {shown}; {advice}")


def refuse_brightness(label: np.ndarray, values: set[int]) -> None:
    """Refuses values that no label map should have by itself.

    255 beside class numbers is a "don't care" mark, the ground, or a stray binary mask; values on edges only are a map that
    was resized smoothly, and many that change like brightness a picture.

    Args:
        label: (H, W) integers.
        values: Those of its values that are not to be ignored.

    Raises:
        ItemError: "unexpected-labels".
    """
    if spurious := resampled_values(label):
        refuse_values(
            list(spurious),
            "which lie on edges between others only: resized smoothly, or softened edges? resize masks with nearest "
            "neighbour, cut one object with --mask-threshold 127, or list the values in --expect",
        )
    if looks_like_brightness(label):
        refuse_values(
            sorted(values), "a picture or softened edges? cut it with --mask-threshold 127, or list them in --expect"
        )
    if 255 not in values or (254 in values and len(values) > 128):
        return
    edge = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
    if 2 * np.count_nonzero(edge == 255) > edge.size:
        inner = ",".join(f"{value}=NAME" for value in sorted(values - {255}, reverse=True))
        refuse_values([255], f"255 is the ground here? say --values 255=ground,{inner}, from the outside in")
    refuse_values(
        [255], "--ignore-label 255 if it means don't care, --expect if it is a class, --labels binary if 0/255"
    )
