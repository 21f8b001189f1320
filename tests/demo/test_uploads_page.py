"""Files on their way into the page: behind a proxy, with progress and cancel, in folders, of kinds that are not read."""

import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")
from demo_desk import png_of
from demo_server import running
from dicom_files import write_series
from editor import Editor
from proxy import limited

from lite_medsam.cli.demo_loading import load_demo


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)


def drop(page, tree):
    """Drops a folder of {name: text of base64 or tree} on the page, as a file manager would."""
    page.evaluate(
        """(tree) => {
      const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const entry = (name, what) => typeof what === 'string'
        ? { isFile: true, isDirectory: false, name, file: (done) => done(new File([bytes(what)], name)) }
        : { isFile: false, isDirectory: true, name, createReader: () => {
            const all = Object.entries(what).map(([n, w]) => entry(n, w));
            return { readEntries: (done) => done(all.splice(0, 2)) }; } };  // some at a time, as browsers do
      const items = Object.entries(tree).map(([name, what]) => ({ kind: 'file', webkitGetAsEntry: () => entry(name, what) }));
      const event = new Event('drop', { bubbles: true, cancelable: true });
      event.dataTransfer = { items, files: [], types: ['Files'] };
      document.querySelector('.lm-root').dispatchEvent(event);
    }""",
        tree,
    )


def text64(data):
    import base64

    return base64.b64encode(data).decode()


def test_a_proxy_with_a_limit_of_a_megabyte_lets_files_through(browser, server):
    data = png_of(noise(1400, 1500))
    assert len(data) > 2 * 2**20
    with limited(server[0]) as proxy:
        context = browser.new_context(viewport={"width": 1366, "height": 768})
        editor = Editor(context.new_page(), proxy.address)
        editor.upload("large.png", data)
        assert editor.view()["image"]["name"] == "large" and editor.error() == ""
        sizes = [size for path, size, _ in proxy.log if "component_server" in path]
        assert max(sizes) < 2**20 and sum(sizes) > len(data) and {status for *_, status in proxy.log} <= {200, 304}
        proxy.max_body = 100_000  # one that lets even less through
        editor.upload("small.png", png_of(noise(500, 500)))
        assert editor.view()["image"]["name"] == "small" and 413 in {status for *_, status in proxy.log}
        proxy.max_body = 4_000
        editor.upload("other.png", png_of(noise(500, 500)))
        editor.page.wait_for_selector("#lm-message .lm-error")
        assert "proxy" in editor.error() and "client_max_body_size" in editor.error()
        context.close()


def test_progress_from_the_first_byte_and_a_cancel(editor):
    page, gate = editor.page, []

    def slow(route):
        if '"op":"piece"' in (route.request.post_data or ""):
            gate.append(route)  # answered when the test says so
        else:
            route.continue_()

    page.route("**/component_server/", slow)
    before = editor.view()["opened"]
    page.set_input_files("#lm-file", {"name": "slow.png", "mimeType": "image/png", "buffer": png_of(noise(800, 800))})
    page.wait_for_selector("#lm-transfer")
    assert page.inner_text("#lm-transfer").replace("\n", " ").startswith("Sending slow.png 0 %")
    while not gate:
        page.wait_for_timeout(10)
    gate.pop().continue_()
    page.wait_for_function("document.querySelector('#lm-transfer progress').value > 0")
    assert 0 < page.evaluate("document.querySelector('#lm-transfer progress').value") < 640_000
    page.click("#lm-cancel")
    page.wait_for_selector("#lm-transfer", state="detached")
    assert "Nothing was opened" in editor.message() and editor.view()["opened"] == before
    page.unroute("**/component_server/")
    editor.upload("after.png", png_of(noise(60, 80)))
    assert editor.view()["image"]["name"] == "after"


def test_what_cannot_be_opened_says_what_it_is_and_what_to_do(editor):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pictures/a.png", png_of(noise(9, 9)))
    for name, data, words in (
        ("notes.pdf", b"%PDF-1.7 and so on", "PDF; its pages are not read, save or export its pictures as PNG"),
        ("pictures.zip", packed.getvalue(), "this one holds a.png: unpack it and open its files"),
        ("empty.png", b"", "empty.png: the file is empty (0 bytes)"),
        ("large.nii", bytes(3 * 2**20 + 300_000), "This is too large: 3.3 MB, at most 3.0 MB"),
        ("words.txt", b"no picture at all", "words.txt: must be"),
    ):
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        editor.page.set_input_files("#lm-file", file)
        editor.page.wait_for_function(
            "(words) => document.querySelector('#lm-message').innerText.includes(words)", arg=words, timeout=10_000
        )
        assert words in editor.error(), name
    for kind in ("WEBP", "GIF"):
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(noise(50, 70)).save(file, kind)
        editor.upload(f"web.{kind.lower()}", file.getvalue())
        assert (editor.view()["image"]["width"], editor.view()["image"]["height"]) == (70, 50), kind


def test_a_folder_can_be_dropped_and_nothing_in_it_vanishes(editor, tmp_path):
    series = {p.name: text64(p.read_bytes()) for p in sorted(write_series(tmp_path / "s").iterdir())}
    photo = text64(png_of(noise(40, 50)))
    tree = {"patient": {"ct": series, "photo.jpg": photo, "notes.txt": text64(b"x"), ".DS_Store": text64(b"x")}}
    drop(editor.page, tree)
    editor.page.wait_for_selector("#lm-several")
    told = editor.page.inner_text("#lm-several")
    assert "2 to open" in told and f"patient ({len(series)} DICOM files)" in told and "patient/photo.jpg" in told
    assert "1 file left out" in told and "notes.txt" in told
    editor.page.click("#lm-several-queue")
    editor.page.wait_for_function("document.querySelectorAll('#lm-queue-list li').length === 2")
    editor.page.wait_for_function(f"({editor._state('view?.image?.name')}) === 'patient'")
    assert editor.view()["image"]["slices"] == len(series)
    editor.page.click("#lm-queue-next")
    editor.page.wait_for_function(f"({editor._state('view?.image?.name')}) === 'photo'")
    editor.page.click("#lm-queue-end")
    editor.page.wait_for_selector("#lm-queue", state="hidden")
    drop(editor.page, {"one": {"deep": {"deeper": {"a.png": text64(png_of(noise(33, 44)))}}}})
    editor.page.wait_for_function(f"({editor._state('view?.image?.name')}) === 'a'")
    drop(editor.page, {"nothing": {}})
    editor.page.wait_for_function("document.querySelector('#lm-message').innerText.includes('no file')")


def test_a_study_of_several_series_lets_choose(editor, tmp_path):
    from pydicom.uid import generate_uid

    (tmp_path / "s").mkdir()
    for number, words, count in ((3, "Thorax Doe^Jane soft", 4), (5, "Scout", 3)):
        about = {
            "SeriesInstanceUID": generate_uid(),
            "SeriesNumber": number,
            "SeriesDescription": words,
            "PatientName": "Doe^Jane",
        }
        write_series(tmp_path / "s" / str(number), count, **about)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted((tmp_path / "s").rglob("*.dcm")):
            archive.write(file, str(file.relative_to(tmp_path)))
    page = editor.page
    page.set_input_files("#lm-file", {"name": "study.zip", "mimeType": "application/zip", "buffer": packed.getvalue()})
    page.wait_for_selector("#lm-series")
    rows = page.locator("#lm-series .lm-seriesrow")
    assert (
        rows.count() == 2 and "3 CT Thorax soft" in rows.nth(0).inner_text() and "4 slices" in rows.nth(0).inner_text()
    )
    assert "Doe" not in page.inner_text("#lm-series") and rows.nth(0).locator("img").count() == 1
    rows.nth(1).click()
    page.wait_for_function(f"({editor._state('view?.image?.slices')}) === 3")
    assert "series 5" in json.dumps(editor.view()["image"]["notes"]) and editor.errors == []


def test_a_full_server_says_so_and_lets_in_when_there_is_room(context):
    with running(settings=load_demo().Settings(max_users=1, idle_minutes=30)) as (url, desk):
        seat = desk.seats.take(desk.models.default, desk.models.engine, "another page")
        seat.used -= 300  # pauses for five minutes
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("#lm-full")
        told = page.inner_text("#lm-full")
        assert "No room" in told and "its only place is in use" in told and "25 minutes" in told
        page.click("#lm-full-again")
        page.wait_for_timeout(200)
        assert page.locator("#lm-full").is_visible()
        assert desk.seats.find(seat.token) is seat  # nobody was thrown out
        desk.seats.release(seat)
        page.click("#lm-full-again")
        page.wait_for_selector(".lm-root[data-ready]")
        assert page.locator("#lm-full").count() == 0
        page.click("#lm-sample")
        page.locator("#lm-samples").get_by_role("button", name="US", exact=True).click()
        page.wait_for_function("document.querySelector('#lm-canvas').liteMedsam.state.view?.image?.name")
