"""A page of the demo in Chromium: what a hand does on it, and what comes of it in pixels. For tests that skip without a browser."""

import contextlib
import shutil
from pathlib import Path
from urllib.parse import urlparse

import pytest

from lite_medsam.cases.case import Case, save_case

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

READY = "document.querySelector('.lm-root[data-ready]') && !document.querySelector('.lm-busy')"


@contextlib.contextmanager
def chromium():
    """Yields a headless Chromium."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Editor:
    """A page with the editor, and what a hand does on it."""

    def __init__(self, page, url, hints=False):
        self.page, self.errors, self.hosts = page, [], set()
        page.on("request", lambda request: self.hosts.add(urlparse(request.url).hostname))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if not hints:  # those of the first visit
            page.add_init_script("localStorage.setItem('lm-hints', 'box mask')")
        page.goto(url)
        page.wait_for_selector(".lm-root[data-ready]", timeout=60_000)

    def settle(self):
        self.page.wait_for_function(READY, timeout=60_000)
        # the answer is drawn in the next frames
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def sample(self, title):
        self.settle()
        before = self.view()["opened"]
        self.page.click("#lm-sample")
        self.page.locator("#lm-samples").get_by_role("button", name=title, exact=True).click()
        self.replace()
        self.page.wait_for_function(f"{self._state('view?.image?.opened ?? 0')} > {before}", timeout=60_000)
        self.settle()

    def replace(self):
        """Says yes where the page asks whether unsaved work may be replaced."""
        asked = self.page.locator("#lm-replace-go")
        if not asked.count():
            return False
        asked.click()
        return True

    def _state(self, path):
        return f"document.querySelector('#lm-canvas').liteMedsam.state.{path}"

    def view(self):
        """What the page has of the server's last answer."""
        found = self.page.evaluate(
            f"() => ({{opened: {self._state('view?.image?.opened ?? 0')}, view: {self._state('view')}}})"
        )
        return {"opened": found["opened"], **(found["view"] or {})}

    def objects(self):
        return self.view()["objects"]

    def message(self):
        """What the page says, the newest first."""
        return self.page.inner_text("#lm-message")

    def error(self):
        """What it says is wrong; empty if nothing is."""
        return "\n".join(self.page.locator("#lm-message .lm-error .lm-toast-text").all_inner_texts())

    def on_page(self, x, y):
        """Where the middle of an image pixel is."""
        return self.page.evaluate(f"document.querySelector('#lm-canvas').liteMedsam.toClient({x}, {y})")

    def drag(self, start, end, steps=6):
        self.page.evaluate("document.querySelector('#lm-canvas').scrollIntoView({block: 'center'})")
        self.page.mouse.move(*self.on_page(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.on_page(*end), steps=steps)
        self.page.mouse.up()
        self.settle()

    def click(self, x, y, **options):
        self.page.evaluate("document.querySelector('#lm-canvas').scrollIntoView({block: 'center'})")
        self.page.mouse.click(*self.on_page(x, y), **options)
        self.settle()

    def tool(self, name):
        self.page.click(f"#lm-tool-{name}")

    def look(self):
        """Opens the popover "View"; a click elsewhere or Escape closes it."""
        if not self.page.locator("#lm-look").is_visible():
            self.page.click("#lm-view")

    def unfold(self):
        """Opens every section of the panel."""
        self.page.evaluate("document.querySelectorAll('.lm-root details').forEach((d) => { d.open = true; })")

    def upload(self, name, data):
        self.settle()  # else what is on its way would look like the upload
        before = self.view()["opened"]
        self.page.evaluate("document.querySelectorAll('.lm-toast').forEach((toast) => { toast.dataset.old = '1'; })")
        self.page.set_input_files("#lm-file", {"name": name, "mimeType": "application/octet-stream", "buffer": data})
        told = "document.querySelector('.lm-toast:not([data-old])')"  # that it opens, or why not
        begun = (
            f"{told} || document.querySelector('.lm-busy') || ({self._state('view?.image?.opened ?? 0')}) > {before}"
        )
        self.page.wait_for_function(f"document.querySelector('#lm-replace') || {begun}", timeout=60_000)
        if self.replace():
            self.page.wait_for_function(begun, timeout=60_000)
        self.settle()

    def download(self, what, folder):
        self.page.click("#lm-export")
        with self.page.expect_download() as caught:
            self.page.click(f"#lm-save-{what}")
        path = Path(folder) / caught.value.suggested_filename
        caught.value.save_as(path)
        return path


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def case_file(image, folder, **about):
    """The bytes of an npz case."""
    save_case(Path(folder) / "case.npz", Case(image=image, name="case", **about))
    return (Path(folder) / "case.npz").read_bytes()
