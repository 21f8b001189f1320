"""The page by a finger on a phone, by a screen reader, and by two people at once."""

import time

import numpy as np
import pytest

pytest.importorskip("gradio")
from editor import Editor


def test_a_phone_draws_with_a_finger_and_zooms_with_two(browser, server):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=3
    )
    page = context.new_page()
    editor = Editor(page, server[0])
    editor.sample("US")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")  # nothing sticks out
    page.locator("#lm-canvas").scroll_into_view_if_needed()
    session = context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    start, end = editor.on_page(150, 120), editor.on_page(350, 330)
    touch("touchStart", start)
    for step in (0.3, 0.7, 1):
        touch("touchMove", [a + step * (b - a) for a, b in zip(start, end, strict=True)])
    touch("touchEnd")
    editor.settle()
    assert np.abs(np.subtract(editor.objects()[0]["box"], [150, 120, 350, 330])).max() <= 1
    before = float(page.get_attribute("#lm-canvas", "data-scale"))
    x, y = editor.on_page(256, 256)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in (30, 50, 70):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    editor.settle()
    assert float(page.get_attribute("#lm-canvas", "data-scale")) > 2.5 * before
    assert len(editor.objects()) == 1 and editor.errors == []
    small = page.evaluate("""() => [...document.querySelectorAll('.lm-root button')].filter((b) => b.offsetParent)
        .filter((b) => b.getBoundingClientRect().height < 28).map((b) => b.textContent)""")
    assert small == []
    context.close()


# (light: axe looks at the same in test_page.py)
@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.slow), "dark"])
def test_every_control_has_a_name_and_texts_can_be_read(browser, server, scheme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    editor = Editor(page, server[0])
    editor.sample("US")
    editor.drag((150, 150), (300, 300))
    editor.unfold()
    nameless = page.evaluate("""() => ['button', 'input', 'select', 'canvas']
        .flatMap((tag) => [...document.querySelectorAll(`.lm-root ${tag}`)])
        .filter((n) => n.offsetParent && !(n.tagName === 'CANVAS' && n.closest('button')))
        .filter((n) => !(n.getAttribute('aria-label') || n.labels?.[0]?.textContent.trim() || n.textContent.trim()))
        .map((n) => n.outerHTML.slice(0, 120))""")
    assert nameless == []
    faint = page.evaluate("""() => {
      const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
      const ground = (n) => { for (; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor);
        if (c.length < 4 || c[3] > 0.9) return c; } return [255, 255, 255]; };
      return ['button:not(:disabled)', 'summary', 'td', 'th', 'p', 'h2', 'label > span', '.lm-score span', '.lm-toast']
        .flatMap((what) => [...document.querySelectorAll(`.lm-root ${what}`)])
        .filter((n) => n.offsetParent && n.textContent.trim() && !n.matches('.lm-swatch'))
        .map((n) => { const [a, b] = [light(parse(getComputedStyle(n).color)), light(ground(n))];
          return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), n.textContent.slice(0, 30)]; })
        .filter(([contrast]) => contrast < 4.5);
    }""")
    assert faint == []
    assert "Not a medical device" in page.get_by_role("note").inner_text()
    page.keyboard.press("?")
    page.get_by_text("How good it is").wait_for(timeout=20_000)  # the model card is what comes first
    page.get_by_role("tab", name="Keys").click()
    page.locator(".lm-keys").wait_for()
    assert {"undo", "new object", "Brush"} <= set(page.locator(".lm-keys td").all_inner_texts())
    for tab in ("Help", "Service"):
        page.get_by_role("tab", name=tab).click()
    page.get_by_text("are named endpoints of this page").wait_for()
    page.keyboard.press("Escape")
    assert not page.get_by_role("tab", name="Help").is_visible()
    editor.drag((320, 320), (400, 400))  # the page goes on
    assert len(editor.objects()) == 2
    assert editor.hosts == {"127.0.0.1"} and editor.errors == []
    context.close()


def test_two_pages_do_not_see_each_other(editor, context, server):
    first, second = Editor(context.new_page(), server[0]), editor
    first.sample("US")
    second.sample("Dermoscopy")
    first.drag((150, 150), (300, 300))
    assert second.objects() == []
    second.drag((100, 100), (200, 200))
    assert first.view()["image"]["name"] != second.view()["image"]["name"] and len(first.objects()) == 1
    tokens = [
        one.page.evaluate("document.querySelector('#lm-canvas').liteMedsam.state.token") for one in (first, second)
    ]
    assert tokens[0] != tokens[1] and min(map(len, tokens)) >= 40
    first.page.close()
    seats = server[1].seats._seats
    until = time.monotonic() + 30
    while not seats[tokens[0]].leaving and time.monotonic() < until:
        time.sleep(0.1)
    assert seats[tokens[0]].leaving and not seats[tokens[1]].leaving  # the server has seen which page is gone
