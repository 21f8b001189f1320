"""Image to model input and back: the one definition for training, runtimes, evaluation and demo.

A `Frame` says which window of the image fills the model's square input. The window is resized so that its longest side
is S pixels, placed at the top left, and the rest is padded. Continuous coordinates put pixel i on [i, i + 1); a pixel
index p is the continuous coordinate p + 0.5. Nothing is truncated to integers, so the way back is exact.

Published models keep what they were trained with: other resize filters, a square stretch, or segment_anything's "indices"
geometry, which multiplies pixel indices by the scale. `Preprocessing` says which.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from lite_medsam.model.spec import Preprocessing


@dataclass(frozen=True)
class Frame:
    """A window of an image and the model frame that it fills.

    Attributes:
        x0: First column of the window, image pixels.
        y0: First row.
        width: Columns of the window, >= 1.
        height: Rows, >= 1.
        size: Side S of the square model frame.
        fit: "pad" keeps the window's aspect and pads, "stretch" fills the frame.
        geometry: "edges" or "indices", see `Preprocessing`.
    """

    x0: int
    y0: int
    width: int
    height: int
    size: int
    fit: str = "pad"
    geometry: str = "edges"

    @classmethod
    def whole(cls, image_hw: tuple[int, int], size: int) -> "Frame":
        """The frame that shows the whole image of shape (H, W)."""
        return cls(0, 0, int(image_hw[1]), int(image_hw[0]), size)

    @classmethod
    def for_model(cls, image_hw: tuple[int, int], settings: Preprocessing) -> "Frame":
        """The frame that shows the whole image the way a model was trained."""
        return replace(cls.whole(image_hw, settings.image_size), fit=settings.fit, geometry=settings.geometry)

    @property
    def scaled_hw(self) -> tuple[int, int]:
        """Rows and columns that the window takes in the model frame; the longer one is S."""
        if self.fit == "stretch":
            return self.size, self.size
        # halves are rounded up and the scale comes first, as in every published pre-processing of the family
        scale = self.size / max(self.width, self.height)
        return max(1, int(self.height * scale + 0.5)), max(1, int(self.width * scale + 0.5))

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Model pixels per image pixel along x and y; they differ a little where a side was rounded."""
        scaled_h, scaled_w = self.scaled_hw
        return scaled_w / self.width, scaled_h / self.height

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the window in an (H, W, ...) array."""
        return slice(self.y0, self.y0 + self.height), slice(self.x0, self.x0 + self.width)


def intensity_range(image: np.ndarray) -> tuple[float, float]:
    """The image's smallest and largest value over all channels; they are mapped to 0 and 1.

    Taken from the whole image, also for crops, so that a structure looks the same at every zoom.

    Args:
        image: (H, W) or (H, W, 3) uint8.
    """
    low, high, _, _ = cv2.minMaxLoc(np.ascontiguousarray(image).reshape(image.shape[0], -1))
    return float(low), float(high)


def resample(image: np.ndarray, frame: Frame, resampling: str = "area-or-linear") -> np.ndarray:
    """The frame's window at the model's scale, without padding.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        frame: Where to look.
        resampling: See `Preprocessing`; by default pixel areas are averaged where the window shrinks, and interpolated
            linearly where it grows.

    Returns:
        (h', w') or (h', w', 3) uint8 with (h', w') = frame.scaled_hw.
    """
    window = image[frame.window]
    if resampling == "area-or-linear":
        return _resize(window, frame.scaled_hw)
    return _RESAMPLERS[resampling](window, *frame.scaled_hw)


def normalise(
    resampled: np.ndarray, frame: Frame, value_range: tuple[float, float], settings: Preprocessing
) -> np.ndarray:
    """Model input from a resampled window: range to 0..1, mean and std, channels first, padding with zeros.

    Args:
        resampled: (h', w') or (h', w', 3) uint8, from `resample`.
        frame: The frame that it was made for.
        value_range: `intensity_range` of the whole image.
        settings: Mean and std; padding has the value 0 after them, that is the mean colour.

    Returns:
        (3, S, S) float32.
    """
    low, high = value_range
    span = high - low if high > low else 1.0
    pixels = np.zeros((3, frame.size, frame.size), np.float32)
    scaled_h, scaled_w = resampled.shape[:2]
    for channel, (mean, std) in enumerate(zip(settings.mean, settings.std, strict=True)):
        source = resampled if resampled.ndim == 2 else resampled[:, :, channel]
        gain = 1.0 / (span * std)
        np.multiply(source, np.float32(gain), out=pixels[channel, :scaled_h, :scaled_w], casting="unsafe")
        pixels[channel, :scaled_h, :scaled_w] -= np.float32(low * gain + mean / std)
    return pixels


def to_model(image: np.ndarray, frame: Frame, settings: Preprocessing, value_range=None) -> np.ndarray:
    """Model input for one frame of an image: `resample`, then `normalise`.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        frame: Where to look.
        settings: Pre-processing of the model.
        value_range: `intensity_range` of the whole image, if it is known already.

    Returns:
        (3, S, S) float32.
    """
    resampled = resample(image, frame, settings.resampling)
    if settings.value_range == "uint8":
        value_range = (0.0, 255.0)
    elif settings.value_range == "resized":
        value_range = intensity_range(resampled)
    elif value_range is None:
        value_range = intensity_range(image)
    return normalise(resampled, frame, value_range, settings)


def points_to_model(points: np.ndarray, frame: Frame) -> np.ndarray:
    """Pixel indices of the image as pixel indices of the model frame: p -> (p + 0.5 - origin) * scale - 0.5.

    Args:
        points: (..., 2) x, y; pixel centres are whole numbers.
        frame: The model frame.

    Returns:
        (..., 2) float32.
    """
    points = np.asarray(points, np.float64)
    centre = _centre(frame)
    return ((points + centre - (frame.x0, frame.y0)) * frame.scale_xy - centre).astype(np.float32)


def points_to_image(points: np.ndarray, frame: Frame) -> np.ndarray:
    """The exact inverse of `points_to_model`, float64."""
    points = np.asarray(points, np.float64)
    centre = _centre(frame)
    return (points + centre) / frame.scale_xy - centre + (frame.x0, frame.y0)


def boxes_to_model(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """Boxes of the image as boxes of the model frame, by their outer edges, so that no resize shrinks a box.

    A box holds its last pixel: it covers [x0, x1 + 1). The edges are scaled as continuous coordinates and returned less
    0.5, because the prompt encoder adds 0.5 to what it takes for a pixel index.

    Args:
        boxes: (..., 4) x0 y0 x1 y1 in image pixels, last pixel inside.
        frame: The model frame.

    Returns:
        (..., 4) float32.
    """
    centre = _centre(frame)
    edges = np.asarray(boxes, np.float64) + np.array((0, 0, 2 * centre, 2 * centre))
    origin = (frame.x0, frame.y0) * 2
    return ((edges - origin) * (frame.scale_xy * 2) - centre).astype(np.float32)


def boxes_to_image(boxes: np.ndarray, frame: Frame) -> np.ndarray:
    """The exact inverse of `boxes_to_model`, float64."""
    centre = _centre(frame)
    edges = (np.asarray(boxes, np.float64) + centre) / (frame.scale_xy * 2)
    return edges + np.array((frame.x0, frame.y0) * 2) - (0, 0, 2 * centre, 2 * centre)


def mask_to_model(mask: np.ndarray, frame: Frame, outside: float = 0.0) -> np.ndarray:
    """A mask or a logit map of the image in the model frame.

    A bool mask becomes the share of each model pixel that it covers, so that thin structures fade but never vanish.

    Args:
        mask: (H, W) bool, or float32 logits.
        frame: The model frame.
        outside: Value of the padding.

    Returns:
        (S, S) float32: 0..1 for a mask, logits for logits.
    """
    window = np.ascontiguousarray(mask[frame.window])
    if window.dtype == bool:
        window = window.view(np.uint8) * np.uint8(255)
        scaled = _resize(window, frame.scaled_hw).astype(np.float32) / 255
    else:
        scaled = _resize(window.astype(np.float32, copy=False), frame.scaled_hw)
    out = np.full((frame.size, frame.size), outside, np.float32)
    out[: scaled.shape[0], : scaled.shape[1]] = scaled
    return out


def logits_to_window(logits: np.ndarray, frame: Frame) -> np.ndarray:
    """Logits of a model frame at image resolution, for the frame's window; the inverse of the resize.

    Args:
        logits: (S, S) float32, or a coarser square, which is brought to the frame's scale first.
        frame: The model frame.

    Returns:
        (frame.height, frame.width) float32, by linear interpolation between model pixel centres.
    """
    scaled_h, scaled_w = frame.scaled_hw
    if frame.fit == "stretch":
        scaled_h, scaled_w = logits.shape
    elif logits.shape[0] != frame.size:
        logits = cv2.resize(logits, (frame.size, frame.size), interpolation=cv2.INTER_LINEAR)
    valid = np.ascontiguousarray(logits[:scaled_h, :scaled_w])
    return cv2.resize(valid, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)


def _centre(frame: Frame) -> float:
    """Where a pixel's index lies in it: at its middle, or nowhere in particular in the "indices" geometry."""
    return 0.5 if frame.geometry == "edges" else 0.0


def _area(window: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA)


def _bilinear(window: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pillow's bilinear filter, which widens where it shrinks: what torchvision applies to a Pillow image."""
    from PIL import Image

    return np.asarray(Image.fromarray(window).resize((width, height), Image.Resampling.BILINEAR))


def _cubic(window: np.ndarray, height: int, width: int) -> np.ndarray:
    """A spline of order 3 after a Gaussian where it shrinks, cut to integers: scikit-image's resize in MedSAM's demo."""
    from scipy import ndimage

    source = np.repeat(window[:, :, None], 3, axis=2) if window.ndim == 2 else window
    values = source.astype(np.float64)
    low, high = values.min(), values.max()
    target = np.array([height, width, 3])
    sigma = np.maximum(0, (np.divide(values.shape, target) - 1) / 2)
    if sigma.any():
        values = ndimage.gaussian_filter(values, sigma, mode="mirror")
    zoomed = ndimage.zoom(values, target / values.shape, order=3, mode="mirror", grid_mode=True)
    return np.clip(zoomed, low, high).astype(np.uint8)


_RESAMPLERS = {"area": _area, "bilinear": _bilinear, "cubic": _cubic}


def _resize(array: np.ndarray, target_hw: tuple[int, int]) -> np.ndarray:
    if array.shape[:2] == tuple(target_hw):
        return array
    shrinks = target_hw[0] * target_hw[1] < array.shape[0] * array.shape[1]
    # OpenCV averages 2 x 2 pixels several times faster than any other area, and a large picture spends most of its time
    # outside the graphs here. Nothing moves; only where an area ends inside such a pair is the pair counted as even.
    while all(n % 2 == 0 and n >= 4 * target for n, target in zip(array.shape[:2], target_hw, strict=True)):
        array = cv2.resize(array, (array.shape[1] // 2, array.shape[0] // 2), interpolation=cv2.INTER_AREA)
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(array, (target_hw[1], target_hw[0]), interpolation=interpolation)
