"""Shared fixtures; what tests import from one another lies in `tests/support`, which pytest puts on the path."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory):
    """No test reads or writes the caches of the user who runs it: what is measured there would change results here."""
    patch = pytest.MonkeyPatch()
    folder = str(tmp_path_factory.mktemp("caches"))
    patch.setenv("XDG_CACHE_HOME", folder)
    patch.setenv("LOCALAPPDATA", folder)
    yield
    patch.undo()


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, empty, whatever the system."""
    folder = tmp_path / "cache"
    for module in ("engines", "engine_choice"):
        monkeypatch.setattr(f"lite_medsam.model.{module}.cache_folder", lambda: folder)
    return folder
