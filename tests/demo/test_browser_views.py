"""What is looked at in the page: side by side, true aspect, the ruler, the view from above."""

import re

import numpy as np
import pytest
from editor import case_file

pytest.importorskip("gradio")
from demo_desk import mask_of, png_of


def test_side_by_side_keeps_prompts_exact(editor):
    editor.sample("US")
    editor.page.keyboard.press("k")
    editor.drag((150, 140), (300, 310))
    editor.page.keyboard.press("k")
    assert np.abs(np.subtract(editor.objects()[0]["box"], [150, 140, 300, 310])).max() <= 1
    editor.unfold()
    if editor.page.locator("#lm-other-engine option").count() > 1:
        editor.page.click("#lm-compare")
        editor.page.wait_for_function(
            "document.querySelector('#lm-compared').textContent.includes('ms for')", timeout=60_000
        )
        assert float(editor.page.inner_text("#lm-compared tbody td:nth-child(2)")) > 0.99


def seen_ratio(editor):
    """How much longer a pixel is shown across than down."""
    (x0, y0), (x1, _), (_, y1) = (editor.on_page(*place) for place in ((0, 0), (100, 0), (0, 100)))
    return (x1 - x0) / (y1 - y0)


def test_true_aspect_is_a_switch_and_follows_the_pixel_size(editor, tmp_path):
    switch = editor.page.get_by_label("True aspect")

    def toggle(on):
        editor.look()
        switch.set_checked(on)
        editor.page.keyboard.press("Escape")

    editor.sample("Dermoscopy")
    editor.upload("plain.png", png_of(np.zeros((120, 160), np.uint8)))
    editor.unfold()
    assert switch.is_disabled() and seen_ratio(editor) == pytest.approx(1)  # the size is not known
    editor.page.fill("#lm-spacing-y", "0.1")
    editor.page.fill("#lm-spacing-x", "0.4")
    editor.page.press("#lm-spacing-x", "Tab")
    editor.settle()
    assert switch.is_checked() and seen_ratio(editor) == pytest.approx(4)
    assert editor.page.inner_text("#lm-scale") == "Scale: rows 100 µm (user); columns 400 µm (user)"
    toggle(False)
    assert seen_ratio(editor) == pytest.approx(1)
    toggle(True)
    assert seen_ratio(editor) == pytest.approx(4)
    image = np.zeros((120, 160), np.uint8)
    editor.upload("near.npz", case_file(image, tmp_path, spacing_mm=(0.1, 0.103), modality="US"))
    assert not switch.is_checked() and switch.is_enabled() and seen_ratio(editor) == pytest.approx(1)


def test_handles_and_brush_are_exact_in_true_aspect(editor, tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (150, 100), np.uint8)
    editor.upload("oct.npz", case_file(image, tmp_path, spacing_mm=(0.004, 0.012), modality="OCT"))
    assert seen_ratio(editor) == pytest.approx(3)
    editor.tool("box")
    editor.drag((20, 30), (60, 80))
    assert editor.objects()[0]["box"] == [20, 30, 60, 80]
    editor.drag((30, 29.6), (35, 49.6))  # its border moves it
    assert editor.objects()[0]["box"] == [25, 50, 65, 100]
    editor.drag((65.5, 100.5), (75.5, 110.5))  # its corner
    assert np.abs(np.subtract(editor.objects()[0]["box"], [25, 50, 75, 110])).max() <= 1
    editor.page.keyboard.press("o")
    editor.tool("brush")
    editor.drag((50, 20), (50, 20))
    ys, xs = np.nonzero(mask_of(editor.objects()[1], image.shape))
    brush = int(editor.page.input_value("#lm-brush-size"))
    assert np.ptp(ys) == np.ptp(xs) and abs(np.ptp(xs) + 1 - brush) <= 1  # round in pixels of the file
    assert abs(xs.mean() - 50) <= 0.5 and abs(ys.mean() - 20) <= 0.5


def test_the_ruler_measures_and_is_no_prompt(editor, tmp_path):
    image = np.zeros((150, 100), np.uint8)
    editor.upload("oct.npz", case_file(image, tmp_path, spacing_mm=(0.004, 0.012), modality="OCT"))
    editor.tool("ruler")
    editor.drag((10, 20), (40, 110))
    # 30 px of 12 um across and 90 px of 4 um down are as long; the pointer is exact to a part of a pixel
    um, px, across, down = (
        float(number)
        for number in re.fullmatch(
            r"Ruler: ([\d.]+) µm, ([\d.]+) px \(([\d.]+) µm across, ([\d.]+) µm down\)", editor.message()
        ).groups()
    )
    assert um == pytest.approx(360 * 2**0.5, abs=4) and px == pytest.approx(np.hypot(30, 90), abs=1)
    assert across == pytest.approx(360, abs=6) and down == pytest.approx(360, abs=4)
    (drawn,) = editor.page.evaluate(f"{editor._state('rulers')}")
    assert drawn["from"] == pytest.approx([10.5, 20.5], abs=0.6) and editor.objects() == []
    editor.page.keyboard.press("Escape")
    assert editor.page.evaluate(f"{editor._state('rulers')}") == []
    editor.upload("plain.png", png_of(image))
    editor.page.keyboard.press("r")
    editor.drag((10, 20), (40, 60))
    assert editor.message().startswith("Ruler: 50") and "not known" in editor.message() and "µm" not in editor.message()
    editor.sample("US")
    assert editor.page.evaluate(f"{editor._state('rulers')}") == []  # of another picture
    assert editor.errors == []


def test_the_en_face_view_leads_to_b_scans(editor):
    view = editor.page.locator("#lm-enface")
    editor.sample("US")
    assert not view.is_visible()
    editor.sample("CT volume")
    assert not view.is_visible()  # its slices have no depth
    editor.sample("OCT volume")
    view.wait_for(state="visible")
    view.scroll_into_view_if_needed()
    at = view.bounding_box()
    # 25 B-scans at 120 um, 384 columns at 23.4375 um
    assert at["width"] / at["height"] == pytest.approx(384 * 23.4375 / (25 * 120), rel=0.02)
    for z in (3, 20):
        editor.page.mouse.click(at["x"] + 50, at["y"] + at["height"] * (z + 0.5) / 25)
        editor.settle()
        assert editor.view()["image"]["slice"] == z and view.get_attribute("aria-valuenow") == str(z + 1)
    editor.page.mouse.down()
    editor.page.mouse.move(at["x"] + 60, at["y"] + at["height"] * 8.5 / 25, steps=4)
    editor.page.mouse.up()
    editor.settle()
    assert editor.view()["image"]["slice"] == 8
    for key, z in (("ArrowDown", 9), ("ArrowUp", 8), ("End", 24), ("ArrowDown", 24), ("Home", 0)):
        view.press(key)
        editor.settle()
        assert editor.view()["image"]["slice"] == z, key
    assert view.get_attribute("aria-valuetext") == "B-scan 1 of 25"
    seen = view.evaluate(
        "(n) => [...n.getContext('2d').getImageData(0, n.height >> 1, n.width, 1).data].filter((_, i) => i % 4 === 0)"
    )
    assert np.ptp(seen) > 50  # the picture is there
    assert editor.errors == []
