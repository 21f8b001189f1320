"""Soft values: whether the numbers of a mask are brightness (JPEG, softened edges, smooth resizing) or labels."""

import numpy as np

__all__ = ["half_of_lossy", "half_of_soft", "looks_like_brightness", "resampled_values"]

# shares of the bright level; what lies outside counts as the ground or the object
_EDGE = (0.25, 0.75)  # between: no more than a soft edge of the object
_CLEAR = (0.15, 0.85)  # between: too far from both to be the noise of JPEG or of sharpening filters
_NOISE = (0.03, 0.97)  # between: neither nearly 0 nor nearly the level
_LEVELS = (0.08, 0.92)  # between: a level of its own in a JPEG, where it covers an area
_FLAT = 0.06  # of the level: how much the values of a flat 3 x 3 area differ in a JPEG


def half_of_lossy(grey: np.ndarray) -> float | None:
    """Where to cut the mask of a JPEG: half its bright level; None if the values do not crowd at 0 and there.

    Refused are a third level that covers an area (classes, not an object), and values that are mostly in between (a
    picture). A mask of one level is taken if it is nearly white.

    Args:
        grey: (H, W) numbers that are not all 0.
    """
    from scipy import ndimage

    level = _bright_level(grey)
    if level < 16 or _in_between(grey, level) or (grey.min() > level / 2 and level < 200):
        return None
    smooth = ndimage.maximum_filter(grey, 3).astype(np.float32) - ndimage.minimum_filter(grey, 3) <= _FLAT * level
    odd = ((grey > _LEVELS[0] * level) & (grey < _LEVELS[1] * level)) | (grey > (2 - _LEVELS[1]) * level)
    areas = ndimage.label(odd & smooth)[0]
    largest = int(np.bincount(areas.ravel())[1:].max(initial=0))
    return None if largest >= 9 and largest > 0.02 * np.count_nonzero(grey > level / 2) else level / 2


def half_of_soft(grey: np.ndarray) -> float | None:
    """Where to cut a losslessly stored mask with softened edges; None if its numbers are labels, or can't be told.

    Soft is a mask whose values crowd at 0 and at white (255, 65535, or 1.0 for fractions), with only edges between: no area
    of one value, and nearly every pixel between has a darker and a brighter neighbour; or only the noise of a JPEG that was
    saved anew, near 0 and near white. 254 beside 255 is white as well.

    Args:
        grey: (H, W) numbers.
    """
    top = float(grey.max(initial=0))
    has_fractions = grey.dtype.kind == "f" and bool((grey != np.rint(grey)).any())
    is_white = 250 <= top <= 255 or 64250 <= top <= 65535 or (has_fractions and 0.9 <= top <= 1)
    if not is_white or grey.min() < 0:
        return None
    if np.count_nonzero(grey) == np.count_nonzero(grey == grey.dtype.type(top)):
        return top / 2
    level = _bright_level(grey)
    if level < 0.9 * top:
        return None
    between = (grey > 0) & (grey < _NOISE[1] * level)
    if not between.any():
        return level / 2
    clear = (grey > _CLEAR[0] * level) & (grey < _CLEAR[1] * level)
    if _in_between(grey, level):
        return None
    if len(np.unique(grey[clear])) < 2:  # no edges: a JPEG that was saved again leaves its noise on both sides
        dark, bright = np.unique(grey[between & ~clear & (grey < level / 2)]), np.unique(grey[grey > level / 2])
        return level / 2 if not clear.any() and min(len(dark), len(bright)) > 2 else None
    from scipy import ndimage

    darkest, brightest = ndimage.minimum_filter(grey, 3), ndimage.maximum_filter(grey, 3)
    # areas of 1 or 2 are labels, unless white is just as noisy
    lowest = 0 if len(np.unique(grey[grey > _NOISE[1] * level])) < 3 else _NOISE[0] * level
    areas = between & (grey > lowest) & (darkest == brightest)
    edges = clear & (darkest < grey) & (grey < brightest)
    if areas.sum() > 0.01 * np.count_nonzero(grey > level / 2) or edges.sum() < 0.8 * clear.sum():
        return None
    return level / 2


def resampled_values(label: np.ndarray) -> tuple[int, ...]:
    """The values of a label map that occur on edges only, as smooth resizing leaves them; empty for a proper label map.

    A real label covers an area somewhere, or stands alone; a value of smooth resizing lies, wherever it occurs, between a
    smaller and a larger one. Maps of few consecutive numbers can't be judged so (a thin layer lies between two others).

    Args:
        label: (H, W) integers.
    """
    values = np.unique(label)
    if len(values) < 5 or int(values[-1]) < min(64, 2 * len(values)):
        return ()
    from scipy import ndimage

    darkest, brightest = ndimage.minimum_filter(label, 3), ndimage.maximum_filter(label, 3)
    flat = darkest == brightest
    if 2 * np.count_nonzero(flat) < label.size:
        return ()
    real = np.unique(label[flat])
    index = np.searchsorted(values, label)
    among = np.bincount(index[(darkest < label) & (label < brightest)], minlength=len(values))
    share = among / np.bincount(index.ravel(), minlength=len(values))
    spurious = values[(share > 0.8) & ~np.isin(values, real)]
    return tuple(map(int, spurious)) if len(spurious) >= max(3, len(real) - 1) else ()


def looks_like_brightness(mask: np.ndarray) -> bool:
    """Whether many 8-bit values are no labels: mostly nearly white, or changing from pixel to pixel."""
    if mask.max() > 255 or len(np.unique(mask)) <= 64:
        return False
    inside = mask > 0
    nearly_white = 2 * np.count_nonzero(mask >= 250) > np.count_nonzero(inside)
    pairs = inside[:, 1:] & inside[:, :-1]
    changes = np.count_nonzero((mask[:, 1:] != mask[:, :-1]) & pairs)
    return bool(nearly_white or changes > 0.3 * np.count_nonzero(pairs))


def _bright_level(grey: np.ndarray) -> float:
    return float(np.median(grey[grey > float(grey.max()) / 2])) if grey.max() > 0 else 0.0


def _in_between(grey: np.ndarray, level: float) -> bool:
    """Whether more values lie between 0 and the level than soft edges explain."""
    between = np.count_nonzero((grey > _EDGE[0] * level) & (grey < _EDGE[1] * level))
    return between > 3 * np.count_nonzero(grey >= _EDGE[1] * level) or between > 0.2 * grey.size
