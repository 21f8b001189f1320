"""What tests of the demo share: desks; for the browser a server for all files of a process, a Chromium and a page for each file.

A file sets `VIEWPORT` or `PERMISSIONS` for its page. A sample or file that a test opens ends what the one before left.
"""

import pytest


@pytest.fixture(scope="session")
def server():
    """(address, desk) of a demo that takes small files only."""
    pytest.importorskip("gradio")
    from demo_server import running

    from lite_medsam.cli.demo_loading import load_demo

    with running(settings=load_demo().Settings(max_upload_mb=3, max_pixels=5_000_000)) as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    """A Chromium. (One for a whole process would keep Playwright's event loop running in tests that start their own.)"""
    from editor import chromium

    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def opened(browser, server, request):
    from editor import Editor

    about = {"viewport": getattr(request.module, "VIEWPORT", {"width": 1366, "height": 768})}
    context = browser.new_context(**about, permissions=getattr(request.module, "PERMISSIONS", None))
    yield Editor(context.new_page(), server[0])
    context.close()


@pytest.fixture
def editor(opened):
    """The file's one page; whatever its console calls an error fails the test."""
    opened.errors.clear()
    yield opened
    assert opened.errors == []


@pytest.fixture
def context(browser):
    """A browser that nobody has used, for tests of what is kept in it."""
    made = browser.new_context(viewport={"width": 1366, "height": 768})
    yield made
    made.close()


@pytest.fixture
def fake_desk():
    """A desk with a model that is none."""
    from demo_desk import OneModel, desk_with
    from fakes import FakeBackend

    from lite_medsam.segment.predictor import Predictor

    return desk_with(OneModel(Predictor(FakeBackend(64))))


@pytest.fixture(scope="module")
def real_desk():
    """A desk with the bundled model."""
    from demo_desk import desk_with

    from lite_medsam.cli.demo_loading import load_demo

    return desk_with(load_demo("models").Models())
