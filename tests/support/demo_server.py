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


def save_png(path, image):
    from PIL import Image

    Image.fromarray(image).save(path)
    return str(path)


def read_png(path):
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path))


def ask(url, number, request, **options):
    """What the page's own function answers."""
    import httpx

    body = {"data": request, "component_id": number, "fn_name": "answer", "session_hash": "x" * 10}
    return httpx.post(f"{url}/gradio_api/component_server/", json=body, timeout=60, **options)
