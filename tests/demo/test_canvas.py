"""The canvas under a hand: what a drag, a click, the wheel and the space bar mean, and lengths that are measured."""

import re

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from demo_desk import mask_of, png_of

STATE = "document.querySelector('#lm-canvas').liteMedsam.state"
CAMERA = "document.querySelector('#lm-canvas').liteMedsam.camera"
VIEWPORT = {"width": 1280, "height": 900}


def scroll(editor):
    return editor.page.evaluate("[window.scrollX, window.scrollY, document.querySelector('.lm-root').scrollTop]")


def drag_by_hand(editor, start, end, button="left"):
    """From one place of the page to another."""
    editor.page.mouse.move(*start)
    editor.page.mouse.down(button=button)
    editor.page.mouse.move(*end, steps=5)
    editor.page.mouse.up(button=button)
    editor.settle()


def test_the_space_bar_moves_the_picture_right_after_opening(editor):
    editor.sample("US")
    editor.page.evaluate("document.activeElement.blur()")
    before = (editor.page.evaluate(f"[{CAMERA}.cx, {CAMERA}.cy]"), scroll(editor))
    x, y = editor.on_page(200, 200)
    editor.page.mouse.move(x, y)
    editor.page.keyboard.down(" ")
    drag_by_hand(editor, (x, y), (x + 60, y + 40))
    editor.page.keyboard.up(" ")
    assert editor.objects() == [] and scroll(editor) == before[1]
    cx, cy = editor.page.evaluate(f"[{CAMERA}.cx, {CAMERA}.cy]")
    assert cx < before[0][0] - 10 and cy < before[0][1] - 10
    editor.page.keyboard.press("0")
    editor.drag((150, 150), (300, 300))  # and the tool is what it was
    assert editor.objects()[0]["box"] == [150, 150, 300, 300]


def test_a_drag_makes_a_new_object_unless_it_starts_on_the_edge(editor):
    editor.sample("Dermoscopy")
    editor.drag((100, 100), (400, 400))
    editor.drag((200, 200), (300, 300))  # an object inside another one
    editor.drag((420, 120), (480, 220))  # and one beside them
    boxes = [item["box"] for item in editor.objects()]
    assert boxes == [[100, 100, 400, 400], [200, 200, 300, 300], [420, 120, 480, 220]]
    editor.drag((420 - 0.5, 150), (430 - 0.5, 170))  # by the border
    assert editor.objects()[2]["box"] == [430, 140, 490, 240] and len(editor.objects()) == 3
    assert "was changed" in editor.message()
    editor.drag((491 - 0.5, 241 - 0.5), (501 - 0.5, 251 - 0.5))  # by a corner
    assert editor.objects()[2]["box"] == [430, 140, 500, 250]
    editor.page.keyboard.press("o")
    editor.settle()
    assert len(editor.objects()) == 4
    editor.drag((20, 20), (60, 60))  # nothing is said of it yet: this is its box
    assert len(editor.objects()) == 4 and editor.objects()[3]["box"] == [20, 20, 60, 60]
    editor.page.keyboard.down("Shift")
    editor.drag((60, 40), (80, 70))  # Shift: a new one, even from the border
    editor.page.keyboard.up("Shift")
    assert len(editor.objects()) == 5 and editor.objects()[3]["box"] == [20, 20, 60, 60]
    assert editor.errors == []


TEXTS = """() => new Promise((done) => {
  const [own, seen] = [CanvasRenderingContext2D.prototype.fillText, []];
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    seen.push([String(text), x, y]);
    own.call(this, text, x, y);
  };
  document.querySelector('#lm-canvas').liteMedsam.redraw();
  requestAnimationFrame(() => requestAnimationFrame(() => { CanvasRenderingContext2D.prototype.fillText = own; done(seen); }));
})"""


def test_numbers_of_objects_do_not_cover_one_another(editor):
    editor.upload("plain.png", png_of(np.zeros((200, 300), np.uint8)))
    for box in ([50, 50, 150, 150], [51, 51, 152, 152], [52, 52, 153, 153]):
        editor.page.evaluate(
            f"document.querySelector('#lm-canvas').liteMedsam.act({{op: 'box', box: {box}, new: true}})"
        )
    editor.settle()
    places = {text: (x, y) for text, x, y in editor.page.evaluate(TEXTS) if text.isdigit()}
    assert set(places) == {"1", "2", "3"}
    for one in places.values():
        assert sum(abs(one[0] - x) < 10 and abs(one[1] - y) < 13 for x, y in places.values()) == 1


def test_what_lies_outside_the_picture_is_refused_with_a_word(editor):
    editor.upload("wide.png", png_of(np.zeros((60, 400), np.uint8)))
    left, top = editor.on_page(10, -40)
    right, bottom = editor.on_page(90, -20)
    drag_by_hand(editor, (left, top), (right, bottom))
    assert editor.objects() == [] and "outside the picture" in editor.error()
    editor.tool("click")
    editor.page.mouse.click(left, top)
    editor.settle()
    assert editor.objects() == [] and "click lies outside" in editor.error()
    editor.tool("box")
    drag_by_hand(editor, (left, top), editor.on_page(90, 30))  # one that reaches in is cut
    assert editor.objects()[0]["box"] == [10, 0, 90, 30]


def test_the_wheel_zooms_in_pictures_and_turns_the_slices_of_volumes(editor):
    scale = f"{CAMERA}.scale"
    editor.sample("US")
    before = editor.page.evaluate(scale)
    editor.page.mouse.move(*editor.on_page(200, 200))
    editor.page.mouse.wheel(0, -240)
    assert editor.page.evaluate(scale) > 1.2 * before
    editor.sample("OCT volume")
    z, before = editor.view()["image"]["slice"], editor.page.evaluate(scale)
    editor.page.mouse.move(*editor.on_page(100, 100))
    for step in (1, 1, -1):
        editor.page.mouse.wheel(0, 120 * step)
        editor.settle()
    assert editor.view()["image"]["slice"] == z + 1 and editor.page.evaluate(scale) == before
    editor.page.keyboard.down("Control")
    editor.page.mouse.wheel(0, -240)
    editor.page.keyboard.up("Control")
    assert editor.view()["image"]["slice"] == z + 1 and editor.page.evaluate(scale) > 1.2 * before


def test_rulers_and_calipers_stay_on_their_slice_until_they_are_removed(editor):
    editor.sample("OCT volume")
    z = editor.view()["image"]["slice"]
    um_y, um_x = (1000 * mm for mm in editor.view()["image"]["spacing_mm"][1:])
    editor.tool("ruler")
    editor.drag((50, 60), (150, 60))
    editor.drag((50, 90), (50, 190))
    shown = editor.page.evaluate("[...document.querySelectorAll('#lm-rulers li')].map((n) => n.textContent)")
    assert len(shown) == 2 and all(text.startswith(f"slice {z + 1}: ") for text in shown)
    editor.drag((150, 60), (170, 60))  # an end is drawn along
    ends = editor.page.evaluate(f"{STATE}.rulers.map((ruler) => ruler.to)")
    assert len(ends) == 2 and ends[0] == pytest.approx([170.5, 60.5], abs=0.7)
    editor.tool("caliper")
    editor.drag((200, 100), (300, 150))
    editor.click(200, 150)  # on the other edge
    words = re.match(r"Caliper: ([\d.]+) µm", editor.message().split("\n")[0])
    along = np.array([100 * um_x, 50 * um_y])
    away = np.array([0, 50 * um_y])
    expected = abs(along[0] * away[1] - along[1] * away[0]) / np.hypot(*along)
    assert float(words[1]) == pytest.approx(expected, rel=0.03)
    assert editor.objects() == []
    editor.page.keyboard.press("PageDown")
    editor.settle()
    editor.page.keyboard.press("Escape")  # those of another slice stay
    assert editor.page.evaluate(f"{STATE}.rulers.length") == 3
    editor.page.keyboard.press("PageUp")
    editor.settle()
    editor.page.keyboard.press("Escape")
    assert editor.page.evaluate(f"{STATE}.rulers.map((ruler) => ruler.kind)") == ["ruler", "ruler"]
    editor.page.evaluate("document.querySelector('#lm-rulers button[title=Remove]').click()")
    assert editor.page.evaluate(f"{STATE}.rulers.length") == 1
    editor.settle()
    editor.page.click("#lm-undo")  # each is a step
    editor.settle()
    assert editor.page.evaluate(f"{STATE}.rulers.map((ruler) => ruler.to)") == ends
    assert editor.errors == []


def test_a_lasso_is_dragged_or_clicked_and_paints_what_lies_inside(editor):
    editor.upload("plain.png", png_of(np.zeros((200, 300), np.uint8)))
    editor.tool("lasso")
    corners = [(50, 40), (150, 40), (150, 120), (50, 120)]
    for x, y in (*corners, corners[0]):
        editor.click(x, y)
    (item,) = editor.objects()
    mask = mask_of(item, (200, 300))
    assert mask[60:100, 70:130].all() and abs(mask.sum() - 100 * 80) < 400 and not mask[:38].any()
    editor.tool("unlasso")
    editor.page.mouse.move(*editor.on_page(100, 20))
    editor.page.mouse.down()
    for x, y in ((200, 20), (200, 180), (100, 180), (100, 20)):
        editor.page.mouse.move(*editor.on_page(x, y), steps=4)
    editor.page.mouse.up()
    editor.settle()
    cut = mask_of(editor.objects()[0], (200, 300))
    assert not cut[:, 102:].any() and cut[60:100, 70:98].all()
    editor.click(10, 10)  # a corner that is given up
    editor.page.keyboard.press("Escape")
    editor.click(20, 10)
    editor.click(40, 10)
    editor.page.keyboard.press("Backspace")  # takes the corner back, and clears nothing
    editor.page.keyboard.press("Enter")
    editor.settle()
    assert "three corners" in editor.message() and np.array_equal(mask_of(editor.objects()[0], (200, 300)), cut)


def test_the_mask_under_the_pointer_is_seen_before_a_click_and_goes_with_the_pointer(editor):
    preview = "document.querySelector('#lm-canvas').liteMedsam.preview"
    editor.sample("US")
    editor.tool("click")
    x, y = editor.on_page(240, 220)
    editor.page.mouse.move(x, y)
    editor.page.wait_for_function(f"{preview}.shape !== null && {preview}.exact", timeout=20_000)
    seen = editor.page.evaluate(f"[{preview}.shape.x, {preview}.shape.y, {preview}.shape.w, {preview}.shape.h]")
    assert editor.objects() == [] and not editor.view()["undo"]
    editor.page.mouse.click(x, y)
    editor.settle()
    mask = editor.objects()[0]["mask"]
    assert seen == [mask["x"], mask["y"], mask["w"], mask["h"]]  # the pointer has rested: it is the click's own
    assert editor.page.evaluate(f"{preview}.shape") is None
    editor.page.mouse.move(x + 30, y)
    editor.page.mouse.move(5, 5)  # it has left
    editor.page.wait_for_timeout(300)
    assert editor.page.evaluate(f"{preview}.shape") is None
    editor.page.evaluate("document.querySelector('#lm-hover').click()")
    editor.page.mouse.move(x - 20, y)
    editor.page.wait_for_timeout(300)
    assert editor.page.evaluate(f"{preview}.shape") is None
    editor.page.evaluate("document.querySelector('#lm-hover').click()")


def test_a_map_shows_which_part_is_seen_and_leads_there(editor):
    editor.sample("US")
    for _ in range(5):
        editor.page.keyboard.press("+")
    box = editor.page.locator("#lm-canvas").bounding_box()
    # the picture is square, and so is its map: a sixth from its lower left corner
    editor.page.mouse.click(box["x"] + 8 + 20, box["y"] + box["height"] - 36 - 20)
    width = editor.view()["image"]["width"]
    assert editor.page.evaluate(f"{CAMERA}.cx") == pytest.approx(width * 20 / 120, rel=0.1) and editor.objects() == []
    editor.page.keyboard.press("0")


def test_hidden_and_locked_objects_are_left_alone_and_prompts_can_be_hidden(editor):
    editor.sample("Dermoscopy")
    editor.drag((100, 100), (300, 300))
    first = editor.objects()[0]["id"]
    ask = "document.querySelector('#lm-canvas').liteMedsam.act"
    editor.page.evaluate(f"{ask}({{op: 'lock', object: {first}, locked: true}})")
    editor.settle()
    editor.drag((100 - 0.5, 150), (60 - 0.5, 150))  # from its border: it does not move
    assert editor.objects()[0]["box"] == [100, 100, 300, 300] and len(editor.objects()) == 2
    editor.page.evaluate(f"{ask}({{op: 'select', object: {first}}})")
    editor.settle()
    editor.tool("click")
    editor.click(200, 200)
    assert "locked" in editor.error() and editor.objects()[0]["points"] == []
    editor.page.keyboard.press("m")
    assert not editor.page.evaluate(f"{STATE}.look.prompts")
    editor.page.keyboard.press("m")
    assert editor.errors == []
