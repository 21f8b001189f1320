"""A view of an image for training: the whole of it or a crop, which of its objects, and how it is changed."""

from dataclasses import dataclass, field, replace

import numpy as np

from lite_medsam.learning.data.augmentation import BY_MODALITY, Augmentation, augment_geometry, augment_intensity
from lite_medsam.learning.data.labelled_image import LabelledImage
from lite_medsam.model.preprocessing import Frame, intensity_range, mask_to_model, normalise, resample
from lite_medsam.model.spec import Preprocessing
from lite_medsam.segment.zoom import crop_frame


@dataclass(frozen=True)
class Sampling:
    """How training samples are drawn.

    Attributes:
        objects_per_image: Objects per sample; repeated with other prompts where the image has fewer.
        crop_share: Share of samples that show a crop around an object instead of the whole image.
        crop_context: Smallest and largest side of the crop over the longer side of the object's box, log-uniform.
        crop_shift: How far from the middle of its crop an object may lie, as a share of the room that it has there.
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
    crop_shift: float = 0.4
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
    wanted = [mask_to_model(source.label == source.ids[i], frame) for i in chosen]
    masks: np.ndarray = np.stack([*wanted, mask_to_model(source.label > 0, frame)])
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
    slack = (context - 1) * sampling.crop_shift * max(box[2] - box[0], box[3] - box[1])
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
    inside = np.asarray((source.boxes[:, :2] >= window[:2]).all(1) & (source.boxes[:, 2:] <= window[2:]).all(1))
    inside[anchor] = False
    others = rng.permutation(np.flatnonzero(inside))[: wanted - 1]
    return frame, np.concatenate([[anchor], others]).astype(int)
