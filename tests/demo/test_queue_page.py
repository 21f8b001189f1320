"""Files one after another in the page: a folder of the server, and files that were dropped."""

import io
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")
from demo_desk import png_of
from demo_server import running
from editor import Editor

from lite_medsam.cli.demo_loading import load_demo
from lite_medsam.images.masks import read_mask

PICTURE = np.add.outer(np.arange(120), np.arange(160)).astype(np.uint8)


def named(editor, name):
    editor.page.wait_for_function(f"({editor._state('view?.image?.name')}) === '{name}'", timeout=30_000)
    editor.settle()


def states(editor):
    return [text.split("\n")[0] for text in editor.page.locator("#lm-queue-list li").all_inner_texts()]


@pytest.mark.slow  # two servers, three pages; what is done with a folder is held by test_queue.py, the list by the test below
def test_a_folder_of_the_server(context, tmp_path):
    for k in range(3):
        (tmp_path / f"p{k}.png").write_bytes(png_of(PICTURE + k))
    with running(settings=load_demo().Settings(folder=str(tmp_path))) as (url, _):
        editor = Editor(context.new_page(), url)
        named(editor, "p0")  # the first that is not finished opens by itself
        editor.drag((20, 20), (80, 90))
        assert (tmp_path / "lite-medsam/p0.lite-medsam.zip").is_file()
        editor.page.click("#lm-queue-done")
        named(editor, "p1")
        assert read_mask(tmp_path / "lite-medsam/p0_label.png").any()
        editor.page.keyboard.press(".")
        named(editor, "p2")
        editor.page.keyboard.press(",")
        named(editor, "p1")
        editor.page.click("#lm-queue-skip")
        named(editor, "p2")
        assert editor.page.inner_text("#lm-queue-count") == "2 of 3 finished" and states(editor) == ["✓", "–", "○"]
        editor.page.click("#lm-queue-list li:nth-child(1) button")
        named(editor, "p0")
        assert len(editor.objects()) == 1
        other = Editor(context.new_page(), url)
        named(other, "p2")  # the one that is left
        assert editor.errors == [] and other.errors == []
    with running(settings=load_demo().Settings(folder=str(tmp_path))) as (url, _):  # tomorrow
        editor = Editor(context.new_page(), url)
        named(editor, "p2")
        editor.page.click("#lm-queue-done")
        editor.page.wait_for_function("document.querySelector('#lm-message').innerText.includes('All 3 are finished')")


def test_files_that_were_dropped(context, server):
    page = context.new_page()
    editor = Editor(page, server[0])
    files = [{"name": f"q{k}.png", "mimeType": "image/png", "buffer": png_of(PICTURE + k)} for k in range(3)]
    page.set_input_files("#lm-file", files)
    page.click("#lm-several-queue")
    named(editor, "q0")
    editor.drag((20, 20), (80, 90))
    before = editor.objects()[0]["mask"]
    page.click("#lm-queue-done")
    named(editor, "q1")
    editor.drag((10, 10), (60, 60))
    page.wait_for_timeout(400)  # it is kept beside the work
    page.close()
    page = context.new_page()
    editor = Editor(page, server[0])
    page.get_by_role("button", name="Go on", exact=True).click()  # tomorrow
    named(editor, "q1")
    page.wait_for_function("document.querySelector('#lm-message').innerText.includes('Your work is back')")
    editor.settle()
    assert len(editor.objects()) == 1 and states(editor) == ["✓", "◐", "○"]
    page.click("#lm-queue-previous")
    named(editor, "q0")
    page.wait_for_function("document.querySelector('#lm-message').innerText.includes('Your work is back')")
    editor.settle()
    assert editor.objects()[0]["mask"] == before
    with page.expect_download() as caught:
        page.click("#lm-queue-save")
    with zipfile.ZipFile(caught.value.path()) as archive:
        (inner,) = [name for name in archive.namelist() if name.endswith(".zip")]
        assert inner == "0001_q0_lite-medsam.zip" and "queue.json" in archive.namelist()
        with zipfile.ZipFile(io.BytesIO(archive.read(inner))) as results:
            assert "q0_label.png" in results.namelist()
    editor.sample("US")
    page.click("#lm-queue-done")  # of something else
    page.wait_for_function("document.querySelector('#lm-message').innerText.includes('q0.png is not what is open')")
    page.set_input_files("#lm-file", files)
    page.click("#lm-several-stack")
    page.wait_for_timeout(200)
    editor.replace()
    page.wait_for_function(f"({editor._state('view?.image?.slices')}) === 3")
    assert editor.errors == []
