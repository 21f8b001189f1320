"""What tests of commands share: one model for all of them, opened once."""

import pytest

from lite_medsam.storage.bundled import DEFAULT_WEIGHTS

CACHE = []


@pytest.fixture
def one_model(monkeypatch):
    """Opens the bundled model once for all tests that ask for it; whole processes open it themselves."""
    import lite_medsam.segment.predictor

    original = lite_medsam.segment.predictor.open_backend

    def cached(weights, engine, threads):
        if weights != DEFAULT_WEIGHTS or engine != "auto" or threads is not None:
            return original(weights, engine, threads)
        if not CACHE:
            CACHE.append(original(weights, engine, 1))
        return CACHE[0]

    monkeypatch.setattr("lite_medsam.segment.predictor.open_backend", cached)
