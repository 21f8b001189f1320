"""The core path in Firefox: a sample, a box, the mask, the ZIP; and the work that is kept there."""

import time
import zipfile

import pytest

pytest.importorskip("gradio")
from demo_server import running
from firefox import FIREFOX, firefox

from lite_medsam.phantoms import make_phantom

if FIREFOX is None:
    pytest.skip("no Firefox on this machine", allow_module_level=True)

STATE = "document.querySelector('#lm-canvas').liteMedsam.state"

KEPT = """new Promise((done) => { indexedDB.open('lite-medsam').onsuccess = ({ target }) => {
  target.result.transaction("work").objectStore("work")
    .getAll().onsuccess = (e) => done(e.target.result.map((one) => one.objects)); }; })"""


@pytest.mark.slow
def test_a_sample_a_box_and_the_results(tmp_path):
    x0, y0, x1, y1 = make_phantom("us", 2).boxes[0].astype(int).tolist()
    with running() as (url, _), firefox(tmp_path) as browser:
        browser.size(1366, 768)
        browser.goto(url)
        browser.wait_for("Boolean(document.querySelector('.lm-root[data-ready]'))")
        browser.click("#lm-sample")
        browser.evaluate(
            "[...document.querySelectorAll('#lm-samples button')].find((b) => b.textContent === 'US').click()"
        )
        browser.wait_for(f"{STATE}.view?.image?.name === '2D_US_us-0002'")
        browser.wait_for("!document.querySelector('.lm-busy')")
        corners = [
            browser.evaluate(f"document.querySelector('#lm-canvas').liteMedsam.toClient({x}, {y})")
            for x, y in ((x0, y0), (x1, y1))
        ]
        middle = [(a + b) / 2 for a, b in zip(*corners, strict=True)]
        browser.drag(corners[0], middle, corners[1])
        browser.wait_for(f"{STATE}.view.objects[0]?.mask?.runs.length > 1 && !document.querySelector('.lm-busy')")
        box = browser.evaluate(f"{STATE}.view.objects[0].box")
        assert all(abs(a - b) <= 1 for a, b in zip(box, (x0, y0, x1, y1), strict=True))
        browser.screenshot(tmp_path / "page.png")
        browser.click("#lm-export")
        browser.click("#lm-save-zip")
        until = time.monotonic() + 30
        while not (found := list(tmp_path.glob("*_lite-medsam.zip"))) or found[0].stat().st_size == 0:
            assert time.monotonic() < until
            time.sleep(0.2)
        with zipfile.ZipFile(found[0]) as archive:
            assert archive.testzip() is None and "2D_US_us-0002_label.png" in archive.namelist()
        kept = browser.evaluate(KEPT)
        assert kept == [1]
