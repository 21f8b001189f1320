"""Nothing lost: the tab is closed, the page reloaded, the server killed, the network cut, another file opened."""

import contextlib
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")
from demo_desk import png_of
from demo_server import running
from editor import Editor
from proxy import free_port

KEPT = """async (least) => {
  for (let k = 0; k < 100; k++) {
    const base = await new Promise((done) => { indexedDB.open('lite-medsam').onsuccess = (e) => done(e.target.result); });
    const all = base.objectStoreNames.contains('work') ? await new Promise((done) => {
      base.transaction('work').objectStore('work').getAll().onsuccess = (e) => done(e.target.result); }) : [];
    base.close();
    if (all.some(({ objects }) => objects >= least)) {
      return all.map(({ name, objects, hasFiles, isSaved }) => ({ name, objects, hasFiles, isSaved }));
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return [];
}"""


def seen(editor):
    keys = ("id", "number", "name", "box", "points", "mask", "score")
    return [{key: item[key] for key in keys} for item in editor.objects()]


def noise():
    return np.random.default_rng(0).integers(0, 256, (120, 160), np.uint8)


def wait_for(editor, words):
    told = "(words) => document.querySelector('#lm-message').innerText.includes(words)"
    editor.page.wait_for_function(told, arg=words, timeout=30_000)


def button(editor, name):
    return editor.page.get_by_role("button", name=name, exact=True)


def test_work_is_there_after_the_tab_was_closed(context, server, tmp_path):
    editor = Editor(context.new_page(), server[0])
    editor.upload("noise.png", png_of(noise()))
    editor.drag((20, 20), (80, 90))
    editor.page.keyboard.press("o")
    editor.drag((90, 30), (140, 100))
    editor.tool("ruler")
    editor.drag((10, 110), (90, 110))
    before, (ruler,) = seen(editor), editor.view()["lengths"]
    assert len(before) == 2
    assert editor.page.evaluate(KEPT, 2) == [{"name": "noise", "objects": 2, "hasFiles": True, "isSaved": False}]
    editor.page.close()  # without a question, as a crash does
    again = Editor(context.new_page(), server[0])
    wait_for(again, "Continue where you were? noise, 2 objects, 1 length")
    button(again, "Continue").click()
    wait_for(again, "Your work is back: 2 objects")
    again.settle()
    assert seen(again) == before and again.view()["image"]["name"] == "noise"
    assert again.page.evaluate("document.querySelector('#lm-canvas').liteMedsam.state.rulers") == [ruler]
    again.page.click("#lm-undo")  # the steps from before can still be taken back
    again.settle()
    assert again.view()["lengths"] == [] and seen(again) == before
    again.page.keyboard.press("Control+z")
    again.settle()
    assert seen(again)[0] == before[0] and seen(again) != before
    for _ in range(2):
        again.page.keyboard.press("Control+Shift+z")
        again.settle()
    assert seen(again) == before and again.view()["lengths"] == [ruler]
    # leaving and replacing ask, until it is saved
    asked = []
    again.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    again.page.evaluate("setTimeout(() => location.reload())")
    again.page.wait_for_timeout(500)
    assert asked == ["beforeunload"] and seen(again) == before  # it stays
    asked.clear()
    again.page.click("#lm-sample")
    again.page.locator("#lm-samples").get_by_role("button", name="US", exact=True).click()
    assert "noise is not saved" in again.page.inner_text("#lm-replace")
    button(again, "Stay here").click()
    assert again.view()["image"]["name"] == "noise"
    again.page.click("#lm-export")
    with again.page.expect_download() as caught:
        again.page.click("#lm-save-session")
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    assert path.name == "noise.lite-medsam.zip"
    again.page.reload()
    again.page.wait_for_selector(".lm-root[data-ready]")
    assert asked == []  # it was saved
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"session.json", "record.json", "masks.bin", "files/00000"}
        assert json.loads(archive.read("session.json"))["source"]["files"][0]["name"] == "noise.png"
    again.upload(path.name, path.read_bytes())
    assert seen(again) == before and "2 objects" in again.message()
    assert again.errors == []


def test_the_server_is_killed_and_comes_back(context):
    port = free_port()
    with contextlib.ExitStack() as first:
        url, _ = first.enter_context(running(port=port))
        editor = Editor(context.new_page(), url)
        editor.upload("noise.png", png_of(noise()))
        editor.drag((20, 20), (80, 90))
        before = seen(editor)
        assert editor.page.evaluate(KEPT, 1)
    editor.page.keyboard.press("o")  # there is no server to hear it
    wait_for(editor, "this page tries again by itself")
    with running(port=port):
        wait_for(editor, "Your work is back")
        editor.settle()
        assert seen(editor)[:1] == before and len(editor.objects()) == 2  # what was asked meanwhile is done, once
        editor.drag((90, 30), (140, 100))
        assert len(editor.objects()) == 2 and editor.objects()[1]["mask"]["runs"]


def test_the_network_is_cut(context, server):
    editor = Editor(context.new_page(), server[0])
    editor.sample("US")
    context.set_offline(True)
    editor.page.mouse.move(*editor.on_page(150, 150))
    editor.page.mouse.down()
    editor.page.mouse.move(*editor.on_page(300, 300))
    editor.page.mouse.up()
    wait_for(editor, "cannot be reached")
    context.set_offline(False)
    wait_for(editor, "The server is back; nothing was lost.")
    editor.settle()
    assert [item["box"] for item in editor.objects()] == [[150, 150, 300, 300]]
    # a login that is over, as after a new start of a server that asks for one
    editor.page.route("**/component_server/", lambda route: route.fulfill(status=401))
    editor.page.keyboard.press("o")
    wait_for(editor, "You are not logged in any more")
    assert "Log in again; what you have done is kept" in editor.error()
    editor.page.unroute("**/component_server/")
    editor.settle()  # logged in elsewhere: the page goes on
    assert len(editor.objects()) == 2
    editor.page.keyboard.press("Control+z")
    editor.settle()
    for seat in list(server[1].seats._seats.values()):  # a place that was given away
        server[1].seats.release(seat)
        seat.used -= 1000
    server[1].seats.sweep()
    editor.page.keyboard.press("o")
    wait_for(editor, "Your work is back")
    editor.settle()
    assert [item["box"] for item in editor.objects()] == [[150, 150, 300, 300], None]


def test_kept_work_can_be_chosen_and_forgotten(context, server):
    editor = Editor(context.new_page(), server[0])
    editor.upload("noise.png", png_of(noise()))
    editor.drag((20, 20), (80, 90))
    before = seen(editor)
    editor.page.evaluate(KEPT, 1)
    editor.sample("US")  # the question is answered: open the other
    editor.page.click("#lm-open-more")
    editor.page.click("#lm-open-kept")
    rows = editor.page.locator("#lm-kept li")
    rows.first.wait_for()
    assert rows.count() == 1 and "noise" in rows.first.inner_text()
    rows.first.get_by_role("button").first.click()
    wait_for(editor, "Your work is back")
    editor.settle()
    assert seen(editor) == before
    editor.sample("US")
    editor.page.click("#lm-open-more")
    editor.page.click("#lm-open-kept")
    button(editor, "Forget noise").click()
    rows.first.wait_for(state="detached")
    button(editor, "Close").click()
    editor.page.reload()
    editor.page.wait_for_selector(".lm-root[data-ready]")
    editor.page.wait_for_timeout(300)
    assert "Continue" not in editor.message() and editor.errors == []
