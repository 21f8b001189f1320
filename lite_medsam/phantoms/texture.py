"""Random textures that the phantoms share: band-limited noise and multi-look speckle.

All functions take a `numpy.random.Generator`, so a phantom is a function of its seed alone.
"""

import math

import cv2
import numpy as np


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], scale: float | tuple[float, float]) -> np.ndarray:
    """Gaussian noise whose features are about `scale` pixels wide.

    Args:
        rng: Source of randomness.
        shape: (H, W) of the result.
        scale: Feature size in pixels, one number or (y, x).

    Returns:
        (H, W) float32, mean about 0, standard deviation about 1 over many draws.
    """
    scale_yx = np.maximum(np.broadcast_to(np.asarray(scale, np.float64), 2), 1.0)
    coarse = [math.ceil(n / s) + 3 for n, s in zip(shape, scale_yx, strict=True)]
    grid = rng.standard_normal(coarse).astype(np.float32)
    fine_hw = [max(n + 1, round(c * s)) for n, c, s in zip(shape, coarse, scale_yx, strict=True)]
    fine = cv2.resize(grid, (fine_hw[1], fine_hw[0]), interpolation=cv2.INTER_CUBIC)
    top, left = ((f - n) // 2 for f, n in zip(fine_hw, shape, strict=True))
    return fine[top : top + shape[0], left : left + shape[1]] * np.float32(1.25)  # interpolation shrinks it


def fractal_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    octaves: int = 4,
    persistence: float = 0.55,
) -> np.ndarray:
    """Sum of `smooth_noise` at halving scales: clouds, parenchyma, stroma.

    Args:
        rng: Source of randomness.
        shape: (H, W) of the result.
        scale: Feature size of the coarsest octave in pixels.
        octaves: Number of scales.
        persistence: Weight of each octave relative to the one before.

    Returns:
        (H, W) float32, mean about 0, standard deviation about 1.
    """
    weights = persistence ** np.arange(octaves)
    total = np.zeros(shape, np.float32)
    for octave, weight in enumerate(weights):
        total += np.float32(weight) * smooth_noise(rng, shape, scale / 2**octave)
    return total / np.float32(np.sqrt((weights**2).sum()))


def smooth_stack(rng: np.random.Generator, shape: tuple[int, int, int], scale: tuple[float, ...]) -> np.ndarray:
    """`smooth_noise` for a stack of slices that changes smoothly along the first axis.

    Independent key slices are blended with cosine and sine weights, which keeps the variance constant.

    Args:
        rng: Source of randomness.
        shape: (D, H, W) of the result; D = 1 gives plain 2D noise.
        scale: Feature size in pixels, (z, y, x).

    Returns:
        (D, H, W) float32, mean about 0, standard deviation about 1.
    """
    positions = np.arange(shape[0]) / max(scale[0], 1.0)
    keys = [smooth_noise(rng, shape[1:], (scale[1], scale[2])) for _ in range(int(positions[-1]) + 2)]
    first = positions.astype(int)
    angle = (positions - first) * (np.pi / 2)
    return np.stack(
        [
            np.float32(np.cos(a)) * keys[k] + np.float32(np.sin(a)) * keys[k + 1]
            for k, a in zip(first, angle, strict=True)
        ]
    )


def ridges(noise: np.ndarray, width: float) -> np.ndarray:
    """Curved lines where the noise crosses zero: septa, folds, pigment networks.

    Args:
        noise: Any shape, standard deviation about 1.
        width: Half width of a line in units of the noise.

    Returns:
        float32 of the same shape in 0..1, 1 on the line.
    """
    return np.exp(-((noise / np.float32(width)) ** 2)).astype(np.float32)


def speckle(rng: np.random.Generator, shape: tuple[int, int], looks: float, psf_px: tuple[float, float]) -> np.ndarray:
    """Multiplicative speckle: the intensity of coherent light averaged over several exposures.

    Averaged speckle is gamma distributed with variance 1 / looks (Goodman, Speckle Phenomena in Optics,
    2007). A log-normal field of the same mean and variance stands in for it: it is smooth after the blur that
    gives the grain the size of the point-spread function, and never zero, which a logarithmic display would
    turn into black pepper. For raw speckle (looks about 1) use a squared complex Gaussian field instead.

    Args:
        rng: Source of randomness.
        shape: (H, W) of the result.
        looks: Number of averaged exposures, at least 2.
        psf_px: Standard deviation of the grain in pixels, (y, x).

    Returns:
        (H, W) float32, positive, mean about 1.
    """
    grain: np.ndarray = rng.standard_normal(shape, np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=max(psf_px[1], 0.1), sigmaY=max(psf_px[0], 0.1))
    sigma = np.sqrt(np.log1p(1 / looks))
    return np.exp(np.float32(sigma / max(float(grain.std()), 1e-6)) * grain - np.float32(sigma**2 / 2))
