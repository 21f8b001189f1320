"""Label maps: colours to values, objects, sizes."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from scipy import ndimage

from lite_medsam.cases.adapters.source import Drop, ItemError
from lite_medsam.errors import CaseError

__all__ = [
    "colours_of",
    "count_objects",
    "drop_small",
    "label_from_colours",
    "resize_label",
    "split_instances",
]

Names = Mapping[int, str] | None


def _packed(rgb: np.ndarray) -> np.ndarray:
    wide = rgb.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def colours_of(rgb: np.ndarray) -> set[tuple[int, int, int]]:
    """All colours of an (H, W, 3) uint8 picture."""
    return {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in np.unique(_packed(rgb))}


def label_from_colours(rgb: np.ndarray, table: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Colours -> label values: black is 0, the n-th colour of the table is n.

    Args:
        rgb: (H, W, 3) uint8.
        table: Colours of the labels 1, 2, ...

    Returns:
        (H, W) int32.

    Raises:
        ItemError: "unexpected-labels" if a colour is neither black nor in the table.
    """
    packed = _packed(rgb)
    label = np.zeros(packed.shape, np.int32)
    known = packed == 0
    for value, (red, green, blue) in enumerate(table, 1):
        here = packed == (red << 16 | green << 8 | blue)
        label[here] = value
        known |= here
    if not known.all():
        odd = packed[~known]
        red, green, blue = int(odd[0]) >> 16, int(odd[0]) >> 8 & 255, int(odd[0]) & 255
        raise ItemError(
            "unexpected-labels",
            f"the mask must hold black and the known colours only, {odd.size} pixels have others, such as "
            f"{red},{green},{blue}",
        )
    return label


def _components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    # every neighbour counts, diagonal ones too: 8 in a picture, 26 in a volume
    return ndimage.label(mask, np.ones((3,) * mask.ndim, bool))


def _objects(label: np.ndarray):
    """Yields (value, window, components in the window, their number) for every label value."""
    for value, window in enumerate(ndimage.find_objects(label), 1):
        if window is not None:
            parts, count = _components(label[window] == value)
            yield value, window, parts, count


def _narrow(label: np.ndarray) -> np.ndarray:
    # find_objects wants a signed type that is not wasteful in a loop over the largest value
    return label.astype(np.int32, copy=False)


def _called(value: int, names: Names) -> str:
    return (names or {}).get(value, str(value))


def count_objects(label: np.ndarray, names: Names = None) -> dict[str, int]:
    """Connected components per label (8 neighbours; 26 in a volume), under the label's name or its number."""
    counts: dict[str, int] = {}
    for value, _, _, count in _objects(_narrow(label)):
        counts[_called(value, names)] = counts.get(_called(value, names), 0) + count
    return counts


def split_instances(label: np.ndarray, names: Names = None) -> tuple[np.ndarray, dict[int, str] | None]:
    """Gives every connected component a value of its own.

    Args:
        label: (H, W) or (D, H, W) integers.
        names: Names of the label values.

    Returns:
        int32 label map with values 1..N, in order of the old value and then of the first pixel, row by row; and
        the new names, each component called as its class was (None where no class has a name).
    """
    label = _narrow(label)
    instances = np.zeros(label.shape, np.int32)
    new_names: dict[int, str] = {}
    total = 0
    for value, window, parts, count in _objects(label):
        inside = parts > 0
        instances[window][inside] = parts[inside] + total
        if names and value in names:
            new_names.update({i: names[value] for i in range(total + 1, total + count + 1)})
        total += count
    return instances, new_names or None


def drop_small(label: np.ndarray, min_area_px: int, names: Names = None) -> tuple[np.ndarray, list[Drop]]:
    """Removes components of fewer pixels than `min_area_px`, and counts them."""
    label = _narrow(label).copy()
    drops: dict[str, int] = {}
    for value, window, parts, _ in _objects(label):
        small = np.bincount(parts.ravel()) < min_area_px
        small[0] = False
        if small.any():
            label[window][small[parts]] = 0
            drops[_called(value, names)] = drops.get(_called(value, names), 0) + int(small.sum())
    return label, [Drop(name, count, f"smaller than {min_area_px} px") for name, count in drops.items()]


def resize_label(label: np.ndarray, size_hw: tuple[int, int], names: Names = None) -> tuple[np.ndarray, list[Drop]]:
    """Shrinks a label map by nearest neighbour and brings back the objects that fell between the samples.

    An object without a pixel left gets one, the smallest first, where its most central pixel lands, if that place is
    background. Objects that found no place are counted, and so are those that merged with a neighbour of their class.

    Args:
        label: (H, W) integers.
        size_hw: Rows and columns, not larger than the label's.
        names: Names of the label values, for the report.
    """
    height, width = label.shape
    rows, columns = size_hw
    label = _narrow(label)
    instances, _ = split_instances(label)
    small = cv2.resize(label, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
    kept = cv2.resize(instances, (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
    areas = np.bincount(instances.ravel())
    present = np.zeros(len(areas), bool)
    present[np.unique(kept)] = True
    lost = [int(i) for i in np.flatnonzero(~present) if i and areas[i]]
    windows = ndimage.find_objects(instances)
    crowded: dict[str, int] = {}
    for i in sorted(lost, key=lambda i: (areas[i], i)):
        y, x = _central_pixel(instances, windows[i - 1], i)
        row, column = min(rows - 1, y * rows // height), min(columns - 1, x * columns // width)
        if small[row, column] == 0:
            small[row, column], kept[row, column] = label[y, x], i
        else:
            name = _called(int(label[y, x]), names)
            crowded[name] = crowded.get(name, 0) + 1
    drops = [Drop(name, count, f"no pixel of its own at {columns} x {rows}") for name, count in crowded.items()]
    for name, count in _merged(small, kept, names).items():
        drops.append(Drop(name, count, f"merged with a neighbour at {columns} x {rows}"))
    return small, drops


def _merged(label: np.ndarray, instances: np.ndarray, names: Names) -> dict[str, int]:
    """How many former objects are no longer apart, per label."""
    merged: dict[str, int] = {}
    for value, window, parts, count in _objects(label):
        inside = parts > 0
        pairs = np.unique(np.stack([parts[inside], instances[window][inside]]), axis=1)
        if pairs.shape[1] > count:
            merged[_called(value, names)] = pairs.shape[1] - count
    return merged


def _central_pixel(instances: np.ndarray, window: tuple[slice, ...], value: int) -> tuple[int, int]:
    ys, xs = np.nonzero(instances[window] == value)
    nearest = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return int(ys[nearest]) + window[0].start, int(xs[nearest]) + window[1].start


def largest_label(label: np.ndarray) -> int:
    """The largest value, refused when a loop over all values up to it would never end.

    Raises:
        ItemError: "unexpected-labels" above 1,000,000: that is no label, it is a grey value or an error.
    """
    if label.size == 0:
        raise CaseError("the mask must have pixels")
    low, high = int(label.min()), int(label.max())
    if low < 0 or high > 1_000_000:
        raise ItemError("unexpected-labels", f"label values must lie in 0..1000000, got {low} to {high}")
    return high
