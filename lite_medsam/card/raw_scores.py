"""A backend that gives the network's own scores, whatever the spec makes of them."""

from dataclasses import replace

from lite_medsam.model.runtime import Backend
from lite_medsam.model.spec import ScoreCalibration


class RawBackend:
    """Wraps a backend for measuring: its scores are not calibrated.

    Args:
        backend: The engine with a model.
    """

    def __init__(self, backend: Backend):
        self.backend = backend
        self.spec = replace(backend.spec, score_calibration=ScoreCalibration())

    def __getattr__(self, name: str):
        return getattr(self.backend, name)
