"""A backend whose right answer is known: it fills the box, or a disc around the first click.

The i-th of its targets makes that smaller by i + 1 model pixels on every side.
"""

import numpy as np

from lite_medsam.model.spec import ModelSpec, Preprocessing, Zoom

DISC_RADIUS = 20.0


class FakeBackend:
    """Logits are the distance to the prompt's edge in model pixels, so the zero crossing is exactly there."""

    name = "fake"

    def __init__(
        self,
        size: int = 64,
        zoom: Zoom | None = None,
        prompts: tuple[str, ...] | None = None,
        targets: tuple[str, ...] = (),
    ):
        settings = Preprocessing(image_size=size)
        spec = ModelSpec(name="fake", preprocessing=settings, zoom=zoom or Zoom(), targets=targets)
        self.spec = spec if prompts is None else ModelSpec(**{**vars(spec), "prompts": prompts})
        self.encoded, self.decoded = [], []

    def encode(self, pixels):
        assert pixels.dtype == np.float32 and pixels.shape[1:] == (3, self.size, self.size)
        self.encoded.append(pixels)
        return (pixels[:, :1],)

    def decode(self, features, coords, labels, previous, has_previous):
        count = len(coords)
        assert count % len(features[0]) == 0
        assert coords.shape[:2] == labels.shape and previous.shape == (count, 1, self.size, self.size)
        self.decoded.append((coords, labels, previous, has_previous))
        logits = np.stack([self._answer(c, k) for c, k in zip(coords, labels, strict=True)])
        return logits[:, None].astype(np.float32), np.full((count, 1), 0.9, np.float32)

    def _answer(self, coords, labels):
        # the label of target i is 4 + i
        return self._shape(coords, labels) - max(0.0, float(labels.max()) - 3)

    def _shape(self, coords, labels):
        y, x = np.mgrid[: self.size, : self.size]
        if (labels == 2).any():
            (x0, y0), (x1, y1) = coords[labels == 2][0], coords[labels == 3][0]
            return np.minimum(np.minimum(x - x0, x1 - x), np.minimum(y - y0, y1 - y))
        cx, cy = coords[labels == 1][0]
        return DISC_RADIUS - np.hypot(x - cx, y - cy)

    @property
    def size(self) -> int:
        return self.spec.preprocessing.image_size
