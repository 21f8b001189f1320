"""Sessions without a browser for tests: a fake model on a picture or volume."""

import numpy as np
from fakes import FakeBackend

from lite_medsam.model.encoding_cache import EncodingCache
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan
from lite_medsam.segment.predictor import Predictor
from lite_medsam.session.interactive import Session


def disc(hw, x, y, radius):
    """(H, W) bool, the pixels of a disc."""
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    return np.hypot(rows - y, columns - x) <= radius


def scan_of(image, is_volume=False, spacing=None, **more):
    """An array as an opened scan."""
    shape = image.shape[: 3 if is_volume else 2]
    return Scan(image, spacing, None, Geometry.from_spacing(shape, spacing), "test", is_volume, **more)


def fake_session(hw=(90, 120), **more):
    """A session with a fake model on noise, and the fake."""
    backend = FakeBackend(64)
    image = np.random.default_rng(0).integers(0, 256, hw, np.uint8)
    return Session(Predictor(backend, "off", EncodingCache()), scan_of(image, **more)), backend
