"""A backend that gives the network's own scores, whatever the spec makes of them."""

from dataclasses import replace

from lite_medsam.model.runtime import Backend
from lite_medsam.model.spec import ScoreCalibration


class RawBackend:
    """Wraps a backend for measuring: its scores are not calibrated.

    Args:
        backend: The engine with a model.
        refine_scale: In place of what its spec says; None: as it says.
    """

    def __init__(self, backend: Backend, refine_scale: float | None = None):
        self.backend = backend
        self.spec = replace(backend.spec, score_calibration=ScoreCalibration())
        if refine_scale is not None:
            self.spec = replace(self.spec, zoom=replace(self.spec.zoom, refine_scale=refine_scale))

    def __getattr__(self, name: str):
        return getattr(self.backend, name)
