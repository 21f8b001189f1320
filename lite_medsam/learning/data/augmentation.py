"""Random changes of a training sample, by modality: what would still be a plausible image of that kind."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and ranges for one modality.

    Attributes:
        mirror: Probability of a left-right flip.
        upend: Probability of an upside-down flip; 0 where gravity, anatomy or the device decide what is up.
        turn_degrees: Largest rotation either way.
        gamma: Largest factor of the exponent, drawn log-uniformly from 1/gamma..gamma.
        gain: Largest relative change of contrast.
        offset: Largest shift of brightness, in units of the full range.
        noise: Largest standard deviation of added Gaussian noise, in units of the full range.
        speckle: Whether the noise multiplies instead of adding, as in coherent imaging.
        blur: Largest standard deviation of a Gaussian blur, model pixels.
        scale: Smallest and largest factor of size, drawn with every rotation.
    """

    mirror: float = 0.5
    upend: float = 0.0
    turn_degrees: float = 12.0
    gamma: float = 1.4
    gain: float = 0.2
    offset: float = 0.1
    noise: float = 0.05
    speckle: bool = False
    blur: float = 1.2
    scale: tuple[float, float] = (0.8, 1.1)


# The layers of a retina lie from top to bottom and lungs hang from the shoulders: no upside-down flip there.
BY_MODALITY = {
    "CT": Augmentation(),
    "MR": Augmentation(upend=0.2),
    "PET": Augmentation(),
    "XRay": Augmentation(turn_degrees=8.0),
    "US": Augmentation(turn_degrees=8.0, speckle=True),
    "Mammography": Augmentation(),
    "OCT": Augmentation(turn_degrees=8.0, speckle=True),
    "Endoscopy": Augmentation(upend=0.5, turn_degrees=45.0),
    "Fundus": Augmentation(upend=0.5, turn_degrees=20.0),
    "Dermoscopy": Augmentation(upend=0.5, turn_degrees=45.0),
    "Microscopy": Augmentation(upend=0.5, turn_degrees=45.0),
}


def augment_geometry(
    image: np.ndarray, masks: np.ndarray, valid: np.ndarray, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same flip, rotation and scale for an image, its masks and the map of pixels that exist.

    Args:
        image: (S, S) or (S, S, 3) uint8.
        masks: (K, S, S) float32, share of each pixel covered.
        valid: (S, S) uint8, 1 where the image is, 0 in the padding.
        settings: What the modality allows.
        rng: Source of randomness.
    """
    flips = [axis for axis, chance in ((1, settings.mirror), (0, settings.upend)) if rng.random() < chance]
    matrix = None
    if rng.random() < 0.4:
        angle = rng.uniform(-1, 1) * settings.turn_degrees
        scale = rng.uniform(*settings.scale)
        centre = (image.shape[1] / 2 - 0.5, image.shape[0] / 2 - 0.5)
        matrix = cv2.getRotationMatrix2D(centre, angle, scale)

    def move(array: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        for axis in flips:
            array = np.flip(array, axis)
        if matrix is None:
            return np.ascontiguousarray(array)
        size = (array.shape[1], array.shape[0])
        return cv2.warpAffine(np.ascontiguousarray(array), matrix, size, flags=interpolation)

    return move(image), np.stack([move(mask) for mask in masks]), move(valid, cv2.INTER_NEAREST)


def augment_intensity(
    image: np.ndarray, value_range: tuple[float, float], settings: Augmentation, rng: np.random.Generator
) -> np.ndarray:
    """Gamma, gain, offset, noise and blur within the image's own value range.

    Args:
        image: (h, w) or (h, w, 3) uint8.
        value_range: The values that mean black and white.
        settings: What the modality allows.
        rng: Source of randomness.
    """
    low, high = value_range
    if high <= low:
        return image
    if rng.random() < 0.7:
        ramp = np.clip((np.arange(256) - low) / (high - low), 0, 1)
        ramp = ramp ** (settings.gamma ** rng.uniform(-1, 1))
        ramp = ramp * (1 + settings.gain * rng.uniform(-1, 1)) + settings.offset * rng.uniform(-1, 1)
        image = cv2.LUT(image, np.clip(low + ramp * (high - low), 0, 255).astype(np.uint8))
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(min(0.4, settings.blur), settings.blur))
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape[:2], np.float32) * (rng.uniform(0, settings.noise) * (high - low))
        noise = noise if image.ndim == 2 else noise[:, :, None]
        if settings.speckle:
            noise = noise * (image / max(high, 1.0) + 0.1) * 2
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return image
