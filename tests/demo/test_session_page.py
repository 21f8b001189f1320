"""The session behind the page in Chromium: numbers, paint, lanes of slices, steps of model and window, what is refused."""

import io
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from demo_desk import mask_of

from lite_medsam.phantoms import make_phantom_volume

DEPTH, SIDE = 12, 96


def volume_file():
    """A CT phantom in Hounsfield units, so that it has a window."""
    case = make_phantom_volume("ct", 5, (DEPTH, SIDE, SIDE))
    file = io.BytesIO()
    np.savez_compressed(file, imgs=case.image, spacing=np.array([0.8, 0.8, 2.0]))
    return file.getvalue()


def session_of(editor, server):
    return server[1].seats.find(editor.page.evaluate(editor._state("token"))).session


def place_of(editor, slice_, lane=0):
    box = editor.page.locator(".lm-lane").nth(lane).bounding_box()
    return box["x"] + box["width"] * (slice_ + 0.5) / DEPTH, box["y"] + box["height"] / 2


def test_numbers_paint_and_the_eraser(editor):
    page = editor.page
    editor.sample("Microscopy")
    editor.tool("eraser")
    editor.drag((40, 40), (60, 60))
    assert "erased must meet" in editor.error() and editor.objects() == []
    editor.tool("box")
    editor.drag((40, 40), (90, 90))
    editor.drag((150, 150), (200, 200))
    first, second = editor.objects()
    page.get_by_role("button", name=f"Remove object 1, {first['name']}").click()
    editor.settle()
    (kept,) = editor.objects()
    assert (kept["number"], kept["colour"]) == (2, second["colour"]) and page.inner_text(".lm-swatch") == "2"
    page.keyboard.press("o")
    editor.settle()
    assert editor.view()["selected"] != kept["id"]
    page.keyboard.press("2")  # by its number, not by its place in the list
    editor.settle()
    assert editor.view()["selected"] == kept["id"]
    editor.tool("brush")
    editor.drag((240, 240), (246, 240))
    painted = mask_of(editor.objects()[0], (editor.view()["image"]["height"], editor.view()["image"]["width"]))
    assert painted[240, 243]
    editor.tool("click")
    editor.click(170, 170)
    after = mask_of(editor.objects()[0], painted.shape)
    assert after[240, 243] and after[170, 170]


def test_a_volume_has_lanes_that_lead_to_slices(editor, server):
    page = editor.page
    editor.upload("ct.npz", volume_file())
    assert editor.view()["image"]["slices"] == DEPTH
    editor.drag((34, 38), (40, 48))  # ends on both sides within the volume
    page.click("#lm-follow")
    page.wait_for_function("document.querySelector('#lm-message').innerText.includes('slices ')", timeout=60_000)
    editor.settle()
    (item,) = editor.objects()
    said = editor.message()
    assert f"slices {item['slices'][0] + 1} to {item['slices'][-1] + 1}" in said and "below" in said and "above" in said
    lane = page.locator(".lm-lane")
    assert "ended below" in lane.get_attribute("aria-label") and page.locator(".lm-lane-prompted").count() == 1
    page.mouse.click(*place_of(editor, 2))
    editor.settle()
    assert editor.view()["image"]["slice"] == 2
    session = session_of(editor, server)
    state = session.now.objects[0]
    weak = {item["slices"][0]: "contrast", item["slices"][-1]: "jump"}
    session.commit(session.now.with_object(replace(state, weak=weak, ended=())))
    page.mouse.click(*place_of(editor, 5))
    editor.settle()
    assert page.inner_text("#lm-next-look") == "Look at 2" and page.locator(".lm-lane-weak").count() == 2
    page.keyboard.press("Shift+PageDown")
    editor.settle()
    assert editor.view()["image"]["slice"] == item["slices"][-1] and "lies elsewhere" in editor.message()
    page.click("#lm-next-look")  # around the end
    editor.settle()
    assert editor.view()["image"]["slice"] == item["slices"][0] and "stands out much less" in editor.message()
    page.click("#lm-clear-slice")
    editor.settle()
    assert "its other slices stay" in editor.message() and len(editor.objects()[0]["slices"]) == len(item["slices"]) - 1
    page.click("#lm-clear")
    editor.settle()
    assert "on all slices" in editor.message() and editor.objects()[0]["slices"] == []


def test_a_window_is_a_step_and_masks_are_asked_for_anew_on_request(editor):
    page = editor.page
    editor.upload("ct.npz", volume_file())
    editor.drag((25, 30), (45, 60))
    mask = editor.objects()[0]["mask"]
    editor.unfold()
    page.fill("#lm-centre", "90")
    page.fill("#lm-width", "60")
    page.keyboard.press("Tab")
    editor.settle()
    view = editor.view()
    assert view["stale"]["here"] == 1 and view["objects"][0]["mask"] == mask and view["undo"]
    page.get_by_role("button", name="Ask anew").click()
    editor.settle()
    assert editor.view()["stale"]["all"] == 0 and "from before" not in editor.message()
    page.click("#lm-undo")
    editor.settle()
    assert "from before" in editor.message()
    page.click("#lm-undo")
    editor.settle()
    view = editor.view()
    assert (
        view["image"]["window"] is None and view["objects"][0]["mask"] == mask and "from before" not in editor.message()
    )


def test_a_pixel_size_of_nothing_is_refused_and_the_old_one_stands(editor):
    editor.unfold()
    for wrong in ("0", "-1"):
        editor.page.fill("#lm-spacing-x", wrong)
        editor.page.keyboard.press("Enter")
        editor.page.keyboard.press("Tab")
        editor.settle()
        assert "above 0" in editor.error() and editor.page.input_value("#lm-spacing-x") == "0.8"
    assert editor.view()["image"]["spacing_mm"][-1] == pytest.approx(0.8)
    assert editor.errors == []
