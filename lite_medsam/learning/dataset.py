"""Cases to training batches: which image, which view of it, which objects, which prompts."""

import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lite_medsam.case import Case, load_case, slices
from lite_medsam.learning.augmentation import BY_MODALITY, Augmentation, augment_geometry, augment_intensity
from lite_medsam.learning.model import OBJECT, PADDING
from lite_medsam.learning.prompting import simulate_tokens
from lite_medsam.preprocessing import Frame, intensity_range, mask_to_model, normalise, resample
from lite_medsam.prompt_tokens import FIRST_TARGET
from lite_medsam.spec import Preprocessing
from lite_medsam.targets import Targets, target_of
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
        stroke_share: Share of the mixed prompts that are points along a stroke.
        slices_per_volume: Labelled slices taken from a volume.
        minimum_area_px: Smallest object in the model frame; smaller ones in a view are not asked for.
        named_share: Share of batches whose prompts say what the object is called, for models that know names.
        modality_name_share: Share of the prompts there that give the modality's name instead of the object's.
        dataset_weights: Factor by data set for how often it is drawn within its modality; 1 for others.
        named_weights: Further factors in batches that say names, by data set within its modality and by modality, so that
            names that settle something are drawn more often.
    """

    objects_per_image: int = 3
    crop_share: float = 0.65
    crop_context: tuple[float, float] = (1.25, 2.6)
    crop_minimum_px: int = 48
    jitter: tuple[float, float] = (-0.04, 0.12)
    mixed_share: float = 0.5
    stroke_share: float = 0.0
    slices_per_volume: int = 6
    minimum_area_px: float = 6.0
    named_share: float = 0.4
    modality_name_share: float = 0.2
    dataset_weights: dict[str, float] = field(default_factory=dict)
    named_weights: dict[str, float] = field(default_factory=dict)


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
        targets: What each object is called, "" where that is unknown.
    """

    image: np.ndarray
    label: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray
    value_range: tuple[float, float]
    modality: str
    dataset: str
    name: str
    targets: tuple[str, ...] = ()

    @classmethod
    def from_case(cls, case: Case, names: Targets | None = None) -> "LabelledImage | None":
        """None if the case has no object.

        Args:
            case: A labelled picture.
            names: From `lite_medsam.targets.read_targets`.
        """
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
            targets=tuple(target_of(names or {}, case, label) for label in windows),
        )


def load_images(
    paths: Sequence[Path],
    slices_per_volume: int,
    names: Targets | None = None,
    check: Callable[[Case], None] | None = None,
) -> list[LabelledImage]:
    """All labelled 2D images of npz cases, in the order of the paths; volumes give a few of their labelled slices.

    Args:
        paths: The cases.
        slices_per_volume: At most so many.
        names: What labels are called, from `lite_medsam.targets.read_targets`.
        check: Called with each labelled case; raises if it must not be used.
    """
    images = []
    for path in paths:
        case = load_case(path)
        if case.label is None:
            continue
        if check is not None:
            check(case)
        for flat in slices(case, slices_per_volume) if case.is_volume else [case]:
            image = LabelledImage.from_case(flat, names)
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

    def share(self, rank: int, count: int) -> "Batch":
        """The views of one of `count` processes, with their prompts.

        Raises:
            ValueError: If the views cannot be divided evenly.
        """
        views = len(self.pixels)
        if views % count:
            raise ValueError(f"batch_size must be a multiple of the number of processes {count}, got {views}")
        return self._map(lambda x: x.chunk(count)[rank])

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return self._map(lambda x: x.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))


class BatchSource:
    """Endless batches; batch number n is a function of the seed and n alone, so a run can continue anywhere."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        settings: Preprocessing,
        sampling: Sampling,
        batch_size: int,
        seed: int,
        vocabulary: Sequence[str] = (),
    ):
        if not images:
            raise ValueError("training needs at least one labelled image, got none; check --cases")
        self.images, self.settings, self.sampling = images, settings, sampling
        self.batch_size, self.seed = batch_size, seed
        self.by_modality = index_by_modality(images, sampling.dataset_weights)
        self.number_of = {name: i for i, name in enumerate(vocabulary)}
        self.can_name = [m for m in self.by_modality if m in self.number_of]
        usual = sampling.dataset_weights
        more = {name: factor * usual.get(name, 1.0) for name, factor in sampling.named_weights.items()}
        self.by_modality_named = index_by_modality(images, usual | more)
        factors = np.array([sampling.named_weights.get(m, 1.0) for m in self.can_name])
        self.named_shares = factors / factors.sum() if len(factors) else None

    def batch(self, number: int) -> Batch:
        """Batch `number`, counted from 0."""
        rng = np.random.default_rng([self.seed, number])
        mixed = rng.random() < self.sampling.mixed_share
        # a batch as a whole, because prompts without a name have no token for it, neither here nor in use
        named = bool(self.can_name) and rng.random() < self.sampling.named_share
        views = [self._view(rng, mixed, named) for _ in range(self.batch_size)]
        pixels, targets, valid, coords, labels = (np.stack(part) for part in zip(*views, strict=True))
        objects = targets.shape[1]
        labels = labels.reshape(-1, labels.shape[-1])
        # copied, because numpy's memory is aligned by chance, and matrix products round differently with it
        return Batch(
            pixels=torch.from_numpy(pixels),
            targets=torch.from_numpy(targets).flatten(0, 1),
            valid=torch.from_numpy(valid).repeat_interleave(objects, 0).bool(),
            coords=torch.tensor(coords).flatten(0, 1),
            labels=torch.tensor(labels),
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

    def _view(self, rng: np.random.Generator, mixed: bool, named: bool) -> tuple[np.ndarray, ...]:
        """One view with its prompts; views without an object that is large enough are passed over."""
        view = None
        while view is None:
            modality = rng.choice(self.can_name, p=self.named_shares) if named else rng.choice(list(self.by_modality))
            members, weights = (self.by_modality_named if named else self.by_modality)[modality]
            source = self.images[rng.choice(members, p=weights)]
            view = draw_view(source, self.settings, self.sampling, rng)
        wanted = self.sampling.objects_per_image
        masks = view.masks[np.arange(wanted) % len(view.masks)]
        settings = self.sampling
        prompts = [simulate_tokens(mask, settings.jitter, mixed, rng, settings.stroke_share) for mask in masks]
        coords, labels = (np.stack(part) for part in zip(*prompts, strict=True))
        if named:
            names = [view.targets[i % len(view.targets)] for i in range(wanted)]
            tokens = [self._name_token(name, source.modality, rng) for name in names]
            coords = np.concatenate([coords, np.zeros((wanted, 1, 2), np.float32)], 1)
            labels = np.concatenate([labels, np.array(tokens, np.float32)[:, None]], 1)
        return view.pixels, masks, view.valid, coords, labels

    def _name_token(self, name: str, modality: str, rng: np.random.Generator) -> int:
        by_modality = name not in self.number_of or rng.random() < self.sampling.modality_name_share
        return FIRST_TARGET + self.number_of[modality if by_modality else name]


@dataclass(frozen=True, eq=False)
class View:
    """One look at an image.

    Attributes:
        pixels: (3, S, S) float32 model input.
        masks: (K, S, S) float32, share of each pixel that each object covers.
        valid: (S, S) uint8, 1 where the image is, 0 in the padding.
        occupied: (S, S) float32, share of each pixel that any labelled object covers, asked for or not.
        targets: What each object is called, "" where that is unknown.
    """

    pixels: np.ndarray
    masks: np.ndarray
    valid: np.ndarray
    occupied: np.ndarray
    targets: tuple[str, ...] = ()


def draw_view(
    source: LabelledImage, settings: Preprocessing, sampling: Sampling, rng: np.random.Generator, augment: bool = True
) -> View | None:
    """A random view of an image with up to `sampling.objects_per_image` of its objects.

    Args:
        source: The image.
        settings: Pre-processing of the model.
        sampling: How views are drawn.
        rng: Source of randomness.
        augment: Whether geometry and intensity change, as far as the image's modality allows.

    Returns:
        None if no object in the view is large enough.
    """
    frame, chosen = _choose(source, settings, sampling, rng)
    masks = [mask_to_model(source.label == source.ids[i], frame) for i in chosen]
    masks = np.stack([*masks, mask_to_model(source.label > 0, frame)])
    image = resample(source.image, frame, settings.resampling)
    value_range = {"uint8": (0.0, 255.0), "resized": intensity_range(image)}.get(
        settings.value_range, source.value_range
    )
    scaled_h, scaled_w = image.shape[:2]
    size = frame.size
    padded = np.zeros((size, size, *image.shape[2:]), np.uint8)
    padded[:scaled_h, :scaled_w] = image
    valid = np.zeros((size, size), np.uint8)
    valid[:scaled_h, :scaled_w] = 1

    changes = BY_MODALITY.get(source.modality, Augmentation())
    if augment:
        padded, masks, valid = augment_geometry(padded, masks, valid, changes, rng)
    masks, occupied = masks[:-1], masks[-1]
    large = masks.sum((1, 2)) >= sampling.minimum_area_px
    masks, chosen = masks[large], chosen[large]
    if not len(masks):
        return None
    if augment:
        padded = augment_intensity(padded, value_range, changes, rng)
    targets = tuple(source.targets[i] for i in chosen) if source.targets else ("",) * len(chosen)
    return View(normalise(padded, frame, value_range, settings) * valid, masks, valid, occupied, targets)


def _choose(
    source: LabelledImage, settings: Preprocessing, sampling: Sampling, rng: np.random.Generator
) -> tuple[Frame, np.ndarray]:
    """A view and the indices of the objects to ask for in it."""
    count = len(source.ids)
    wanted = sampling.objects_per_image
    if rng.random() >= sampling.crop_share:
        frame = Frame.for_model(source.label.shape, settings)
        return frame, rng.permutation(count)[:wanted]
    anchor = rng.integers(count)
    low, high = np.log(sampling.crop_context)
    context = float(np.exp(rng.uniform(low, high)))
    box = source.boxes[anchor]
    slack = (context - 1) * 0.4 * max(box[2] - box[0], box[3] - box[1])
    shift = rng.uniform(-0.5, 0.5, 2) * slack
    frame = crop_frame(
        tuple(box + np.tile(shift, 2)),
        source.label.shape,
        context,
        sampling.crop_minimum_px,
        settings.image_size,
    )
    frame = replace(frame, fit=settings.fit, geometry=settings.geometry)
    window = (frame.x0, frame.y0, frame.x0 + frame.width - 1, frame.y0 + frame.height - 1)
    inside = (source.boxes[:, :2] >= window[:2]).all(1) & (source.boxes[:, 2:] <= window[2:]).all(1)
    inside[anchor] = False
    others = rng.permutation(np.flatnonzero(inside))[: wanted - 1]
    return frame, np.concatenate([[anchor], others]).astype(int)


def index_by_modality(
    images: Sequence[LabelledImage], dataset_weights: Mapping[str, float] | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Members and draw weights by modality; a data set's share grows with the square root of its size.

    Args:
        images: The images.
        dataset_weights: Factors for the shares of data sets, 1 where there is none.
    """
    members: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        members.setdefault(image.modality, []).append(i)
    result = {}
    for modality in sorted(members):
        indices = np.array(members[modality])
        names, sizes = np.unique([images[i].dataset for i in indices], return_counts=True)
        factors = [(dataset_weights or {}).get(str(name), 1.0) for name in names]
        per_image = dict(zip(names, factors / np.sqrt(sizes), strict=True))
        weights = np.array([per_image[images[i].dataset] for i in indices])
        result[modality] = indices, weights / weights.sum()
    return result
