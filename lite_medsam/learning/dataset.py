"""Cases to training batches: which image, which view of it, which objects, which prompts."""

import concurrent.futures
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lite_medsam.case import Case, load_case, slices
from lite_medsam.learning.augmentation import BY_MODALITY, Augmentation, augment_geometry, augment_intensity
from lite_medsam.learning.model import BACKGROUND, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, OBJECT, PADDING
from lite_medsam.preprocessing import Frame, intensity_range, mask_to_model, normalise, resample
from lite_medsam.spec import Preprocessing
from lite_medsam.zoom import crop_frame


@dataclass(frozen=True)
class Sampling:
    """How training samples are drawn.

    Attributes:
        objects_per_image: Objects per sample; repeated with other prompts where the image has fewer.
        crop_share: Share of samples that show a crop around an object instead of the whole image.
        crop_context: Smallest and largest side of the crop over the longer side of the object's box, log-uniform.
        crop_minimum_px: Smallest side of a crop, image pixels.
        jitter: How far a box's sides move, as a share of its width or height: inward and outward limit.
        mixed_share: Share of batches whose prompts are mixed: clicks, boxes with clicks, boxes.
        slices_per_volume: Labelled slices taken from a volume.
        minimum_area_px: Smallest object in the model frame; smaller ones in a view are not asked for.
    """

    objects_per_image: int = 3
    crop_share: float = 0.65
    crop_context: tuple[float, float] = (1.25, 2.6)
    crop_minimum_px: int = 48
    jitter: tuple[float, float] = (-0.04, 0.12)
    mixed_share: float = 0.5
    slices_per_volume: int = 6
    minimum_area_px: float = 6.0


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image in memory with what sampling needs to know of its objects.

    Attributes:
        image: (H, W) or (H, W, 3) uint8.
        label: (H, W) integers, 0 background.
        ids: (N,) label values.
        boxes: (N, 4) x0 y0 x1 y1, last pixel inside.
        value_range: Smallest and largest value of the image.
        modality: Name of the modality.
        dataset: Name of the data set, for balance.
        name: Name of the case.
    """

    image: np.ndarray
    label: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    value_range: tuple[float, float]
    modality: str
    dataset: str
    name: str

    @classmethod
    def from_case(cls, case: Case) -> "LabelledImage | None":
        """None if the case has no object."""
        from scipy import ndimage

        label = case.label
        windows = {i: w for i, w in enumerate(ndimage.find_objects(label), 1) if w is not None}
        if not windows:
            return None
        boxes = [(w[1].start, w[0].start, w[1].stop - 1, w[0].stop - 1) for w in windows.values()]
        # names follow 2D_<modality>_<data set>_<rest>
        parts = case.name.split("_")
        return cls(
            image=np.ascontiguousarray(case.image),
            label=label,
            ids=np.array(list(windows)),
            boxes=np.array(boxes, np.float32),
            value_range=intensity_range(case.image),
            modality=case.modality or "unknown",
            dataset=parts[2] if len(parts) > 2 else "",
            name=case.name,
        )


def load_images(paths: Sequence[Path], slices_per_volume: int) -> list[LabelledImage]:
    """All labelled 2D images of npz cases, in the order of the paths; volumes give a few of their labelled slices."""
    images = []
    for path in paths:
        case = load_case(path)
        if case.label is None:
            continue
        for flat in slices(case, slices_per_volume) if case.is_volume else [case]:
            image = LabelledImage.from_case(flat)
            if image is not None:
                images.append(image)
    return images


@dataclass(frozen=True)
class Batch:
    """B views with K prompts each.

    Attributes:
        pixels: (B, 3, S, S) float32.
        targets: (B * K, S, S) float32, share of each pixel that the object covers.
        valid: (B * K, S, S) bool, False in the padding.
        coords: (B * K, P, 2) float32 prompt tokens in model pixels.
        labels: (B * K, P) float32 their kinds.
        ambiguous: (B * K,) bool, True where the prompt is nothing but clicks on the object.
    """

    pixels: Tensor
    targets: Tensor
    valid: Tensor
    coords: Tensor
    labels: Tensor
    ambiguous: Tensor


class BatchSource:
    """Endless batches; batch number n is a function of the seed and n alone, so a run can continue anywhere."""

    def __init__(
        self, images: Sequence[LabelledImage], settings: Preprocessing, sampling: Sampling, batch_size: int, seed: int
    ):
        if not images:
            raise ValueError("training needs at least one labelled image, got none; check --cases")
        self.images, self.settings, self.sampling = images, settings, sampling
        self.batch_size, self.seed = batch_size, seed
        self.by_modality = _index_by_modality(images)

    def batch(self, number: int) -> Batch:
        """Batch `number`, counted from 0."""
        rng = np.random.default_rng([self.seed, number])
        mixed = rng.random() < self.sampling.mixed_share
        views = [self._view(rng, mixed) for _ in range(self.batch_size)]
        pixels, targets, valid, coords, labels = (np.stack(part) for part in zip(*views, strict=True))
        objects = targets.shape[1]
        labels = labels.reshape(-1, labels.shape[-1])
        return Batch(
            pixels=torch.from_numpy(pixels),
            targets=torch.from_numpy(targets).flatten(0, 1),
            valid=torch.from_numpy(valid).repeat_interleave(objects, 0).bool(),
            coords=torch.from_numpy(coords).flatten(0, 1),
            labels=torch.from_numpy(labels),
            ambiguous=torch.from_numpy((labels == OBJECT).sum(1) == (labels != PADDING).sum(1)),
        )

    def from_number(self, start: int) -> Iterator[Batch]:
        """Batches start, start + 1, ...; the next one is made in the background."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self.batch, start)
            while True:
                start += 1
                batch, upcoming = upcoming.result(), pool.submit(self.batch, start)
                yield batch

    def _view(self, rng: np.random.Generator, mixed: bool) -> tuple[np.ndarray, ...]:
        while True:
            view = self._try_view(rng, mixed)
            if view is not None:
                return view

    def _try_view(self, rng: np.random.Generator, mixed: bool) -> tuple[np.ndarray, ...] | None:
        """One view with its prompts, or None if no object in it is large enough."""
        modality = rng.choice(list(self.by_modality))
        members, weights = self.by_modality[modality]
        source = self.images[rng.choice(members, p=weights)]
        frame, chosen = self._choose(source, rng)
        masks = np.stack([mask_to_model(source.label == source.ids[i], frame) for i in chosen])
        image = resample(source.image, frame)
        scaled_h, scaled_w = image.shape[:2]
        size = frame.size
        padded = np.zeros((size, size, *image.shape[2:]), np.uint8)
        padded[:scaled_h, :scaled_w] = image
        valid = np.zeros((size, size), np.uint8)
        valid[:scaled_h, :scaled_w] = 1

        settings = BY_MODALITY.get(modality, Augmentation())
        padded, masks, valid = augment_geometry(padded, masks, valid, settings, rng)
        masks = masks[masks.sum((1, 2)) >= self.sampling.minimum_area_px]
        if not len(masks):
            return None
        padded = augment_intensity(padded, source.value_range, settings, rng)
        pixels = normalise(padded, frame, source.value_range, self.settings) * valid

        wanted = self.sampling.objects_per_image
        masks = masks[np.arange(wanted) % len(masks)]
        prompts = [simulate_tokens(mask, self.sampling.jitter, mixed, rng) for mask in masks]
        coords, labels = (np.stack(part) for part in zip(*prompts, strict=True))
        return pixels, masks, valid, coords, labels

    def _choose(self, source: LabelledImage, rng: np.random.Generator) -> tuple[Frame, np.ndarray]:
        """A view and the indices of the objects to ask for in it."""
        count = len(source.ids)
        wanted = self.sampling.objects_per_image
        if rng.random() >= self.sampling.crop_share:
            frame = Frame.whole(source.label.shape, self.settings.image_size)
            return frame, rng.permutation(count)[:wanted]
        anchor = rng.integers(count)
        low, high = np.log(self.sampling.crop_context)
        context = float(np.exp(rng.uniform(low, high)))
        box = source.boxes[anchor]
        slack = (context - 1) * 0.4 * max(box[2] - box[0], box[3] - box[1])
        shift = rng.uniform(-0.5, 0.5, 2) * slack
        frame = crop_frame(
            tuple(box + np.tile(shift, 2)),
            source.label.shape,
            context,
            self.sampling.crop_minimum_px,
            self.settings.image_size,
        )
        window = (frame.x0, frame.y0, frame.x0 + frame.width - 1, frame.y0 + frame.height - 1)
        inside = (source.boxes[:, :2] >= window[:2]).all(1) & (source.boxes[:, 2:] <= window[2:]).all(1)
        inside[anchor] = False
        others = rng.permutation(np.flatnonzero(inside))[: wanted - 1]
        return frame, np.concatenate([[anchor], others]).astype(int)


def simulate_tokens(
    mask: np.ndarray, jitter: tuple[float, float], mixed: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Prompt tokens for one object.

    Args:
        mask: (S, S) float32, share of each pixel covered, not empty.
        jitter: Inward and outward limit of each side's move, as a share of the box.
        mixed: False: a box alone. True: a box (30 %), 1 to 3 clicks (45 %), or a box with clicks (25 %).
        rng: Source of randomness.

    Returns:
        (P, 2) float32 coordinates and (P,) float32 labels; P = 2 for boxes alone, else 5 with padding.
    """
    core = mask > min(0.5, 0.5 * mask.max())
    rows, columns = np.flatnonzero(core.any(1)), np.flatnonzero(core.any(0))
    low = np.array([columns[0], rows[0]], np.float32)
    high = np.array([columns[-1], rows[-1]], np.float32)
    extent = high - low + 1
    box = np.stack([low - extent * rng.uniform(*jitter, 2) - 0.5, high + extent * rng.uniform(*jitter, 2) + 0.5])
    box = np.clip(box, -0.5, mask.shape[0] - 0.5).astype(np.float32)
    box_labels = np.array([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], np.float32)
    if not mixed:
        return box, box_labels
    coords = np.zeros((5, 2), np.float32)
    labels = np.full(5, PADDING, np.float32)
    kind = rng.random()
    if kind < 0.55:
        coords[:2], labels[:2] = box, box_labels
    if kind >= 0.30:
        clicks = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
        for i in range(clicks):
            coords[2 + i], labels[2 + i] = _random_click(core, i == 0 or rng.random() < 0.5, rng)
    return coords, labels


def _random_click(core: np.ndarray, on_object: bool, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A click on the object, at its middle in half of the cases, or on the background close to it."""
    region = core
    if not on_object:
        near = cv2.dilate(core.view(np.uint8), np.ones((25, 25), np.uint8)).view(bool)
        region = near & ~core if (near & ~core).any() else ~core
    if not region.any():
        region, on_object = core, True
    if on_object and rng.random() < 0.5:
        distance = cv2.distanceTransform(np.pad(region, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(distance.argmax(), distance.shape)
    else:
        ys, xs = np.nonzero(region)
        pick = rng.integers(len(ys))
        y, x = ys[pick], xs[pick]
    return np.array([x, y], np.float32), OBJECT if on_object else BACKGROUND


def _index_by_modality(images: Sequence[LabelledImage]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Members and draw weights by modality; a data set's share grows with the square root of its size."""
    members: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        members.setdefault(image.modality, []).append(i)
    result = {}
    for modality in sorted(members):
        indices = np.array(members[modality])
        names, sizes = np.unique([images[i].dataset for i in indices], return_counts=True)
        per_image = dict(zip(names, 1 / np.sqrt(sizes), strict=True))
        weights = np.array([per_image[images[i].dataset] for i in indices])
        result[modality] = indices, weights / weights.sum()
    return result


def error_click(
    logits: np.ndarray, targets: np.ndarray, valid: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One click per prompt where the answer is wrong; on the object where nothing is.

    Half of the clicks go to the middle of the largest wrong region, as a user would do; the others anywhere in it.

    Args:
        logits: (N, S, S) float32.
        targets: (N, S, S) float32.
        valid: (N, S, S) bool.
        rng: Source of randomness.

    Returns:
        (N, 1, 2) float32 coordinates and (N, 1) float32 kinds.
    """
    coords = np.zeros((len(logits), 1, 2), np.float32)
    kinds = np.zeros((len(logits), 1), np.float32)
    for i, (logit, target, exists) in enumerate(zip(logits, targets, valid, strict=True)):
        truth = target > min(0.5, 0.5 * target.max())
        wrong = ((logit > 0) != truth) & exists
        region = _largest_component(wrong) if wrong.any() else truth
        distance = cv2.distanceTransform(np.pad(region, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        if rng.random() < 0.5:
            distance = distance * rng.random(distance.shape, np.float32)
        y, x = np.unravel_index(distance.argmax(), distance.shape)
        coords[i, 0] = x, y
        kinds[i, 0] = OBJECT if truth[y, x] else BACKGROUND
    return coords, kinds


def _largest_component(mask: np.ndarray) -> np.ndarray:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
