"""Images, points and boxes in the model frame, with the methods of segment_anything's ResizeLongestSide."""

import sys
from typing import Any

import numpy as np

from lite_medsam.model.preprocessing import Frame, boxes_to_model, points_to_model, resample
from lite_medsam.model.spec import Preprocessing
from lite_medsam.segment.checks import check_image

# a numpy array, or a torch tensor where a script passes one: nothing here imports torch
Array = Any


class ResizeLongestSide:
    """Brings what `SamPredictor.predict_torch` takes into the frame of a model.

    The geometry is the model's: of a model of our own a box keeps its outer edges, so a box must come by `apply_boxes`, as
    its corners are not quite what `apply_coords` makes of them. A model that was trained on squares is given squares.

    Args:
        settings: Pre-processing of the model.

    Attributes:
        target_length: Side of the model frame.
    """

    def __init__(self, settings: Preprocessing):
        self.settings, self.target_length = settings, settings.image_size

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) or (H, W) uint8 at the model's scale, without padding."""
        check_image(image)
        return resample(image, self.frame(image.shape[:2]), self.settings.resampling)

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """(..., 2) x, y in pixels of an image of original size (H, W) as (..., 2) float32 in the model frame."""
        return points_to_model(coords, self.frame(original_size))

    def apply_boxes(self, boxes: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """(N, 4) x0 y0 x1 y1 in pixels of an image of original size (H, W) as (N, 4) float32 in the model frame."""
        return boxes_to_model(np.asarray(boxes).reshape(-1, 4), self.frame(original_size))

    def apply_image_torch(self, image: Array) -> Array:
        """(B, C, H, W) float tensor at the model's scale, interpolated by torch: not exactly as `apply_image`."""
        height, width = self.frame(image.shape[-2:]).scaled_hw
        resize = sys.modules["torch"].nn.functional.interpolate
        return resize(image, (height, width), mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Array, original_size: tuple[int, ...]) -> Array:
        """`apply_coords` of a tensor."""
        return like(self.apply_coords(as_numpy(coords), original_size), coords)

    def apply_boxes_torch(self, boxes: Array, original_size: tuple[int, ...]) -> Array:
        """`apply_boxes` of a tensor."""
        return like(self.apply_boxes(as_numpy(boxes), original_size), boxes)

    def frame(self, original_size: tuple[int, ...]) -> Frame:
        """The model frame of an image of shape (H, W)."""
        return Frame.for_model((int(original_size[0]), int(original_size[1])), self.settings)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """(h, w) of an image of (oldh, oldw) whose longer side becomes so long."""
        return Frame.whole((oldh, oldw), long_side_length).scaled_hw


def is_tensor(value: Array) -> bool:
    """Whether a value is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_numpy(value: Array) -> np.ndarray:
    """A tensor, or whatever numpy takes, as an array."""
    return value.detach().cpu().numpy() if is_tensor(value) else np.asarray(value)


def like(array: np.ndarray, example: Array) -> Array:
    """An array as what the example is: a tensor on its device, or the array itself."""
    return sys.modules["torch"].from_numpy(array).to(example.device) if is_tensor(example) else array
