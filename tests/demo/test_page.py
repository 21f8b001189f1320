"""The page around the picture: its parts stay in the window, messages keep their place, samples, a phone, accessibility."""

import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from axe import grave_faults
from editor import Editor
from places import ROOT

from lite_medsam.phantoms import make_phantom

VIEWPORT = {"width": 1280, "height": 720}


def boxes_of(page, *what):
    return [page.locator(one).bounding_box() for one in what]


def draw_nuclei(editor, count):
    editor.sample("Microscopy")
    for box in make_phantom("microscopy", 1).boxes[:count].astype(int).tolist():
        editor.page.keyboard.down("Shift")
        editor.drag(box[:2], box[2:], steps=2)
        editor.page.keyboard.up("Shift")


def test_picture_and_slices_stay_in_the_window_while_the_panel_scrolls(editor):
    page = editor.page
    editor.sample("OCT volume")
    editor.drag((180, 80), (230, 120))
    editor.unfold()
    before = boxes_of(page, "#lm-canvas", "#lm-slicebar", "#lm-topbar")
    page.mouse.move(VIEWPORT["width"] - 100, 500)
    page.mouse.wheel(0, 3000)
    page.wait_for_function("document.querySelector('#lm-panel').scrollTop > 0")
    assert boxes_of(page, "#lm-canvas", "#lm-slicebar", "#lm-topbar") == before
    canvas, slices, top = before
    assert top["height"] == 48 and slices["y"] + slices["height"] <= VIEWPORT["height"]
    assert canvas["width"] > 750 and canvas["height"] > 550  # the picture has what is left
    assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
    lane = page.locator("#lm-lanes .lm-lane").bounding_box()
    page.mouse.click(lane["x"] + lane["width"] * 3.5 / 25, lane["y"] + 4)
    editor.settle()
    assert editor.view()["image"]["slice"] == 3


def test_messages_keep_their_place_and_times_are_of_this_request(editor):
    page = editor.page
    editor.sample("US")
    editor.drag((218, 128), (368, 244))
    assert "Mask in" in editor.message()
    page.evaluate("document.querySelector('#lm-exactpart').open = true")
    page.fill("#lm-exact", "1,2")
    page.press("#lm-exact", "Enter")
    assert "exact prompt" in editor.error()
    editor.drag((218, 128), (360, 240))
    assert "Mask in" in editor.message() and "exact prompt" in editor.error()  # beside it, not over it
    page.get_by_role("button", name="Dismiss the message").click()
    assert editor.error() == ""
    page.keyboard.press("o")
    editor.settle()
    assert "ms" not in editor.view() or "decode" not in editor.view()["ms"]  # nothing was decoded for that
    page.click("#lm-undo")
    editor.settle()
    assert "One step back" in editor.message()
    page.evaluate("document.querySelector('#lm-pixelsize').open = true")
    page.fill("#lm-spacing-y", "-1")
    page.press("#lm-spacing-y", "Tab")
    assert "above 0" in editor.error() and page.input_value("#lm-spacing-y") != "-1"
    editor.sample("US")
    assert editor.error() == ""  # it was about what is gone


def test_the_object_that_is_named_is_the_one_that_is_marked(editor):
    page = editor.page
    draw_nuclei(editor, 7)
    rows = page.locator(".lm-object")
    assert rows.count() == 7

    def marked():
        return [row for row in range(7) if "lm-selected" in rows.nth(row).get_attribute("class")]

    def in_sight(row):
        at, panel = rows.nth(row).bounding_box(), page.locator("#lm-panel").bounding_box()
        return panel["y"] <= at["y"] and at["y"] + 40 <= panel["y"] + panel["height"]

    assert marked() == [6] and in_sight(6)  # the newest is scrolled into view
    page.get_by_label("Name of object 2", exact=True).click()
    editor.settle()
    assert editor.view()["selected"] == editor.objects()[1]["id"] and marked() == [1]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Name of object 2"
    page.keyboard.type("b")
    page.keyboard.press("Enter")
    editor.settle()
    assert editor.objects()[1]["name"].endswith("b") and marked() == [1]
    words = page.locator(".lm-score").all_inner_texts()
    assert all(text.split()[0] in ("good", "usable", "start") and "0." in text for text in words), words


def test_samples_open_by_a_choice_and_not_by_passing_over_them(editor):
    page = editor.page
    editor.sample("Dermoscopy")
    editor.drag((230, 112), (446, 305))
    page.focus("#lm-sample")
    for key in ("ArrowDown", "ArrowDown", "u"):
        page.keyboard.press(key)
    editor.settle()
    assert editor.view()["image"]["name"].startswith("2D_Dermoscopy") and len(editor.objects()) == 1
    page.keyboard.press("Enter")  # opens the list
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    editor.settle()
    assert len(editor.objects()) == 1
    page.keyboard.press("Escape")
    assert not page.locator("#lm-samples").is_visible()


def test_the_first_visit(browser, server):
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    editor = Editor(page, server[0], hints=True)
    cards = page.locator("button.lm-card")
    cards.first.wait_for(timeout=30_000)
    assert 6 <= cards.count() <= 8 and page.get_by_text("Drop a picture").is_visible()
    cards.first.click()
    page.wait_for_function(f"{editor._state('opened')} > 0")
    editor.settle()
    hint = page.locator("#lm-hint")
    assert not page.get_by_text("Drop a picture").is_visible() and "Drag a box" in hint.inner_text()
    x0, y0, x1, y1 = page.evaluate(editor._state("suggested.box"))
    editor.drag((x0, y0), (x1, y1))
    assert editor.objects()[0]["words"] == "good"  # the sample that is offered first succeeds
    assert "Point +" in hint.inner_text()
    page.click("#lm-hint-seen")
    assert not hint.is_visible()
    page.reload()
    page.wait_for_selector(".lm-root[data-ready]")
    assert page.evaluate("localStorage.getItem('lm-hints')") == "mask"
    page.click("#lm-theme")
    dark = page.evaluate("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector(".lm-root[data-ready]")
    assert page.evaluate("document.body.classList.contains('dark')") == dark
    context.close()


# (dark: what can be read there is held by test_every_control_has_a_name_and_texts_can_be_read of test_browser.py)
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious(browser, server, scheme):
    context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme=scheme)
    page = context.new_page()
    editor = Editor(page, server[0])
    ground = page.evaluate("getComputedStyle(document.querySelector('.lm-root')).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light"), ground
    page.locator("button.lm-card").first.wait_for(timeout=30_000)
    assert grave_faults(page) == []
    editor.sample("OCT volume")
    editor.drag((180, 80), (230, 120))
    editor.unfold()
    assert grave_faults(page) == []
    page.click("#lm-export")
    assert grave_faults(page, "#lm-export-list") == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    for tab in ("Model card", "Keys", "Help", "Service"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        assert grave_faults(page, "#lm-about") == [], tab
    # what a button is called is what stands on it
    unlike = page.evaluate("""() => [...document.querySelectorAll('.lm-root button[aria-label]')]
        .map((b) => [b.innerText.trim().toLowerCase(), b.getAttribute('aria-label').toLowerCase()])
        .filter(([label, name]) => label.length > 1 && !name.includes(label))""")
    assert unlike == []
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 768, "height": 1024})
    page.click("#lm-sheet")
    assert grave_faults(page) == []
    page.goto((ROOT / "demo/page/login.html").as_uri())
    assert grave_faults(page) == []
    context.close()


def test_on_a_phone_the_picture_comes_first(browser, server):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    editor = Editor(page, server[0])
    editor.sample("CT volume")
    seen = page.locator("#lm-rail .lm-tool:visible")
    assert [name.strip() for name in seen.all_inner_texts()] and seen.count() == 7  # five tools, More, Objects
    canvas, slices, rail = boxes_of(page, "#lm-canvas", "#lm-slicebar", "#lm-rail")
    assert canvas["y"] < 90 and canvas["height"] > 480 and slices["y"] >= canvas["y"] + canvas["height"] - 1
    assert rail["y"] + rail["height"] <= 844 and rail["y"] >= slices["y"] + slices["height"] - 1
    assert not page.locator("#lm-panel").is_visible()
    page.click("#lm-sheet")
    assert page.get_by_role("button", name="New object").is_visible()
    page.click("#lm-sheet")
    page.click("#lm-all-tools")
    page.click("#lm-tool-hand")  # puts the others away again
    assert seen.count() == 7 and page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.click("#lm-view")
    popover = page.locator("#lm-look").bounding_box()
    assert popover["x"] >= 0 and popover["x"] + popover["width"] <= 390
    page.keyboard.press("Escape")
    # no message and no hint lies under a button
    message, zoom = boxes_of(page, "#lm-message", ".lm-zoom")
    assert message["y"] >= zoom["y"] + zoom["height"]
    assert grave_faults(page) == [] and editor.errors == []
    context.close()
