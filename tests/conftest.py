"""Shared fixtures; what tests import from one another lies in `tests/support`, which pytest puts on the path."""

import re

import pytest

# what makes a test differ between the base environment and the full one: extras, processes, what is loaded
_DEPENDS = re.compile(r"skip|subprocess|sys\.modules|find_spec")


def pytest_addoption(parser):
    parser.addoption(
        "--after-base",
        action="store_true",
        help="leave out what ran in the base environment just now and would do the same here: files of tests that name no "
        "extra and start no process, and blocks of the documentation that need no extra",
    )


def pytest_ignore_collect(collection_path, config):
    if not config.getoption("--after-base") or not collection_path.name.startswith("test_"):
        return None
    if "learning" in collection_path.parts or collection_path.suffix != ".py":
        return None
    return None if _DEPENDS.search(collection_path.read_text(encoding="utf-8")) else True


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
