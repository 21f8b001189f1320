"""A demo server for tests: in this process, on a free port of this machine, gone at the end."""

import contextlib

from lite_medsam.cli.demo_loading import load_demo


@contextlib.contextmanager
def running(**options):
    """Yields (address, desk)."""
    service = load_demo()
    options = {"port": 0, "settings": service.Settings(max_upload_mb=20, max_pixels=5_000_000)} | options
    page, desk, url = service.serve(block=False, **options)
    try:
        yield url.rstrip("/"), desk
    finally:
        page.close(verbose=False)
        desk.seats.close()
