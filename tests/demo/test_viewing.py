"""What is seen of a picture, apart from what the model is given: windows, gamma, channels, zoom with a map."""

import base64
import io

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright.sync_api")

from demo_desk import OneModel, Page, desk_with
from fakes import FakeBackend

from lite_medsam.phantoms import make_phantom
from lite_medsam.segment.predictor import Predictor

BOARD = "document.querySelector('#lm-canvas').liteMedsam"
VIEWPORT = {"width": 1280, "height": 900}


def seen(editor):
    """The picture as it is drawn, before it is zoomed: (H, W, 3)."""
    url = editor.page.evaluate(f"""() => {{
        const bitmap = {BOARD}.state.bitmap;
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
        canvas.getContext('2d').drawImage(bitmap, 0, 0);
        return canvas.toDataURL(); }}""")
    return decoded(url)[..., :3]


def decoded(url):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))


def until(editor, condition):
    editor.page.wait_for_function(condition, timeout=10_000)
    editor.settle()


def steps_of_16_bits():
    import tifffile

    values = np.linspace(0, 4000, 60 * 80).reshape(60, 80).astype(np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, values)
    return values, file.getvalue()


def test_the_window_that_is_seen_is_not_the_one_that_the_model_is_given(editor):
    values, data = steps_of_16_bits()
    editor.upload("steps.tif", data)
    given = seen(editor)[..., 0]
    editor.drag((20, 15), (60, 45))
    before = editor.objects()
    x, y = editor.on_page(40, 30)
    editor.page.mouse.move(x, y)
    editor.page.mouse.down(button="right")
    editor.page.mouse.move(x - 200, y + 20, steps=4)
    editor.page.mouse.up(button="right")
    until(editor, f"{BOARD}.state.bitmap instanceof HTMLCanvasElement")
    narrow = seen(editor)[..., 0]
    assert (narrow == 0).sum() > (given == 0).sum() + 100 and (narrow == 255).sum() > (given == 255).sum() + 100
    # typed in: exactly the values between, also those that the model's picture has cut off
    editor.look()
    editor.page.fill("#lm-view-centre", "3990")
    editor.page.fill("#lm-view-width", "20")
    editor.page.press("#lm-view-width", "Tab")
    until(editor, "document.querySelector('#lm-view-width').value === '20'")
    low, high = 3980, 4000
    assert np.array_equal(
        seen(editor)[..., 0], np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)
    )
    assert editor.view()["image"]["window"] is None and editor.objects() == before  # the model was not asked
    editor.page.check("#lm-invert")
    editor.settle()
    assert seen(editor)[0, 0, 0] == 255
    editor.page.click("#lm-looks-reset")
    editor.settle()
    assert np.array_equal(seen(editor)[..., 0], given)
    assert editor.page.is_enabled("#lm-undo")
    assert editor.errors == []


def test_colour_pictures_have_channels_brightness_contrast_and_gamma(editor):
    image = make_phantom("fundus", 0).image
    editor.sample("Fundus")
    editor.look()
    editor.page.select_option("#lm-channel", "green")
    editor.settle()
    assert np.array_equal(seen(editor), np.repeat(image[..., 1:2], 3, axis=2))
    editor.page.select_option("#lm-channel", "all")
    editor.page.evaluate(
        "const n = document.querySelector('#lm-brightness'); n.value = 40; n.dispatchEvent(new Event('input'))"
    )
    editor.settle()
    brighter = seen(editor).astype(int)
    assert (brighter >= image).all() and np.median(brighter[..., 0] - image[..., 0]) > 30
    editor.page.click("#lm-looks-reset")
    editor.page.evaluate(
        "const n = document.querySelector('#lm-gamma'); n.value = 50; n.dispatchEvent(new Event('input'))"
    )
    editor.settle()
    assert np.abs(seen(editor) - np.sqrt(image / 255) * 255).max() <= 0.51  # gamma 2
    editor.sample("US")
    editor.look()
    assert not editor.page.is_visible("#lm-channel") and editor.page.input_value("#lm-gamma") == "0"
    assert editor.errors == []


def test_values_of_a_slice_come_exactly():
    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    values, data = steps_of_16_bits()
    assert page.upload(("steps.tif", data))["ok"]
    answer = page.ask("values", slice=0)
    rgb = decoded(answer["png"]).astype(int)
    assert np.array_equal(answer["low"] + answer["step"] * (256 * rgb[..., 0] + rgb[..., 1]), values)
    assert "view" not in answer
    centre, width = answer["window"]  # what the model's own mapping comes to
    pixels = np.clip((values - (centre - width / 2)) / width, 0, 1) * 255
    shown = page.desk.seats.find(page.token).session.pixels()
    assert np.abs(pixels - shown).max() <= 1
    refused = page.ask("values", slice=3)
    assert not refused["ok"] and "slice" in refused["error"]
    fundus = make_phantom("fundus", 0)
    page.do("sample", name=fundus.name)
    assert "no other values" in page.ask("values")["error"]
