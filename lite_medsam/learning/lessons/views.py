"""What teacher and student look at: the same windows of the same images, with the same prompts.

Both see a window resized by its longest side and padded, each at its own input size with its own normalisation. Neither
ever sees a stretched square, also where the teacher was trained on those: a student that learns on one geometry and is used
on another has to learn twice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lite_medsam.cases.case import Case, load_case, slices
from lite_medsam.learning.data.augmentation import BY_MODALITY, Augmentation, augment_intensity
from lite_medsam.learning.lessons.settings import ViewSettings
from lite_medsam.model.preprocessing import Frame, intensity_range
from lite_medsam.model.spec import Preprocessing
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.zoom import crop_frame

Window = tuple[int, int, int, int]  # first column, first row, columns, rows; image pixels


@dataclass(frozen=True, eq=False)
class Scene:
    """An image in memory, with its objects if they are known.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        label: (H, W) integers, 0 background; None if only boxes are known, or nothing.
        ids: (N,) label value of each object; empty without a label.
        boxes: (N, 4) float32 x0 y0 x1 y1, last pixel inside; may be empty.
        modality: Decides the augmentation and the balance.
        name: Name of the case.
        group: What must not be torn apart: patient, volume.
        sha256: Of all that views are made from.
    """

    image: np.ndarray
    label: np.ndarray | None
    ids: np.ndarray
    boxes: np.ndarray
    modality: str
    name: str
    group: str
    sha256: str

    @classmethod
    def from_case(cls, case: Case) -> "Scene":
        """The scene of a 2D case. Without a label the case's own boxes are the objects."""
        from scipy import ndimage

        ids: np.ndarray = np.zeros(0, int)
        boxes: np.ndarray = np.zeros((0, 4), np.float32)
        if case.label is not None:
            found = {i: w for i, w in enumerate(ndimage.find_objects(case.label), 1) if w is not None}
            ids = np.array(list(found), int)
            corners = [(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in found.values()]
            boxes = np.array(corners, np.float32).reshape(-1, 4)
        elif case.boxes is not None:
            boxes = np.asarray(case.boxes, np.float32)
        digest = hashlib.sha256(f"{case.modality}|{case.image.shape}|{case.image.dtype}".encode())
        for array in (case.image, boxes, *([] if case.label is None else [case.label])):
            digest.update(np.ascontiguousarray(array).tobytes())
        image = np.ascontiguousarray(case.image)
        modality, group = case.modality or "unknown", case.group or case.name
        return cls(image, case.label, ids, boxes, modality, case.name, group, digest.hexdigest())


def load_scenes(paths: Sequence[Path], slices_per_volume: int) -> list[Scene]:
    """All 2D images of npz cases in the order of the paths, labelled or not; volumes give a few of their slices.

    Raises:
        CaseError: If a case is damaged.
    """
    return [Scene.from_case(flat) for path in paths for flat in _flat(load_case(path), slices_per_volume)]


def _flat(case: Case, maximum: int) -> list[Case]:
    if not case.is_volume:
        return [case]
    if case.label is not None:
        return slices(case, maximum)
    count = min(maximum, len(case.image))
    places = ((np.arange(count) + 0.5) * len(case.image) / count).astype(int).tolist()
    return [
        Case(
            image=case.image[z], label=None, boxes=None, spacing_mm=None, name=f"{case.name}_z{z:03d}",
            modality=case.modality, group=case.group or case.name,
        )
        for z in places
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class View:
    """A window of an image and what is asked about it.

    Attributes:
        image: (H, W) or (H, W, 3) uint8, the whole image, flipped and changed in intensity.
        window: The part that is seen.
        prompts: Boxes, or clicks, in pixels of `image`, within the window.
    """

    image: np.ndarray
    window: Window
    prompts: tuple[Prompt, ...]

    def frame(self, settings: Preprocessing) -> Frame:
        """The window in a model's frame: longest side resized, padded, in the model's way of counting coordinates."""
        return Frame(*self.window, settings.image_size, fit="pad", geometry=settings.geometry)


def make_view(scene: Scene, number: int, settings: ViewSettings, clicks: bool, seed: int) -> View:
    """View `number` of an image; the same arguments give the same view.

    Args:
        scene: The image.
        number: Counted from 0, which is the whole image as it is.
        settings: How views are drawn.
        clicks: Whether some views are asked with clicks.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng([seed, number, int(scene.sha256[:16], 16)])
    image, label, boxes = scene.image, scene.label, scene.boxes
    if number > 0 and settings.augment:
        changes = BY_MODALITY.get(scene.modality, Augmentation())
        image, label, boxes = _flip(image, label, boxes, changes, rng)
        image = augment_intensity(image, intensity_range(image), changes, rng)
    height, width = image.shape[:2]
    window = (0, 0, width, height)
    anchor = None
    if number > 0 and rng.random() < settings.crop_share:
        anchor = int(rng.integers(len(boxes))) if len(boxes) else None
        box = boxes[anchor] if anchor is not None else _random_box(window, rng)
        window = _crop(box, (height, width), settings, rng)
    chosen = _objects_within(boxes, window, anchor, settings.objects_per_view, rng)
    prompts = []
    clicked = clicks and rng.random() < settings.click_share
    for i in range(settings.objects_per_view):
        index = chosen[i % len(chosen)] if len(chosen) else None
        if settings.random_share and rng.random() < settings.random_share:
            index = None
        box = boxes[index] if index is not None else _random_box(window, rng)
        if clicked:
            mask = None if label is None or index is None else label == scene.ids[index]
            prompts.append(_click(mask, box, rng))
        else:
            prompts.append(Prompt(box=_jittered(box, window, settings.jitter, rng)))
    return View(image, window, tuple(prompts))


def _flip(
    image: np.ndarray, label: np.ndarray | None, boxes: np.ndarray, changes: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    for axis, chance in ((1, changes.mirror), (0, changes.upend)):
        if rng.random() >= chance:
            continue
        image = np.ascontiguousarray(np.flip(image, axis))
        label = None if label is None else np.flip(label, axis)
        columns = [0, 2] if axis == 1 else [1, 3]
        boxes = boxes.copy()
        boxes[:, columns] = image.shape[axis] - 1 - boxes[:, columns[::-1]]
    return image, label, boxes


def _crop(box: np.ndarray, image_hw: tuple[int, int], settings: ViewSettings, rng: np.random.Generator) -> Window:
    """A square around a box, off its middle by as much as leaves the box inside."""
    context = float(np.exp(rng.uniform(*np.log(settings.crop_context))))
    slack = (context - 1) * 0.4 * max(box[2] - box[0], box[3] - box[1])
    shifted = np.asarray(box) + np.tile(rng.uniform(-0.5, 0.5, 2) * slack, 2)
    frame = crop_frame(tuple(shifted), image_hw, context, settings.crop_minimum_px, size=1)
    return frame.x0, frame.y0, frame.width, frame.height


def _objects_within(
    boxes: np.ndarray, window: Window, anchor: int | None, wanted: int, rng: np.random.Generator
) -> list[int]:
    x0, y0, width, height = window
    last = x0 + width - 1, y0 + height - 1
    inside = np.asarray((boxes[:, :2] >= (x0, y0)).all(1) & (boxes[:, 2:] <= last).all(1))
    if anchor is None:
        return rng.permutation(np.flatnonzero(inside))[:wanted].tolist()
    inside[anchor] = False
    return [anchor, *rng.permutation(np.flatnonzero(inside))[: wanted - 1].tolist()]


def _random_box(window: Window, rng: np.random.Generator) -> np.ndarray:
    """A box of a tenth to seven tenths of the window's sides: a question, where nobody has marked an object."""
    x0, y0, width, height = window
    side = np.maximum(1, np.exp(rng.uniform(np.log(0.1), np.log(0.7), 2)) * (width, height))
    corner = (x0, y0) + rng.uniform(0, 1, 2) * ((width, height) - side)
    return np.concatenate([corner, corner + side - 1]).astype(np.float32)


def _jittered(
    box: np.ndarray, window: Window, limits: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A box as a hand would draw it, cut to the window."""
    x0, y0, width, height = window
    extent = box[2:] - box[:2] + 1
    low = np.clip(box[:2] - extent * rng.uniform(*limits, 2), (x0, y0), (x0 + width - 1, y0 + height - 1))
    high = np.clip(box[2:] + extent * rng.uniform(*limits, 2), low, (x0 + width - 1, y0 + height - 1))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _click(mask: np.ndarray | None, box: np.ndarray, rng: np.random.Generator) -> Prompt:
    """A click anywhere on an object, or around the middle of its box where there is no mask."""
    if mask is None:
        point = (box[:2] + box[2:]) / 2 + rng.uniform(-0.2, 0.2, 2) * (box[2:] - box[:2])
    else:
        ys, xs = np.nonzero(mask)
        pick = rng.integers(len(ys))
        point = np.array([xs[pick], ys[pick]])
    return Prompt(points=np.asarray(point, np.float32)[None], point_labels=np.ones(1, np.int64))
