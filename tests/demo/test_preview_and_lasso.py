"""What a page asks for a mask under the pointer, and for what lies inside a lasso."""

import numpy as np
import pytest

pytest.importorskip("gradio")

from demo_desk import OneModel, Page, desk_with, mask_of, png_of
from fakes import DISC_RADIUS, FakeBackend

from lite_medsam.prompts.strokes import enclosed
from lite_medsam.segment.predictor import Predictor


@pytest.fixture
def page():
    page = Page(desk_with(OneModel(Predictor(FakeBackend(64), "off"))))
    page.upload(("a.png", png_of(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))))
    return page


def test_a_preview_is_the_mask_of_the_click_and_changes_nothing(page):
    answer = page.ask("preview", x=30, y=28, slice=0)
    assert page.ask("preview", x=30, y=28, exact=True)["mask"] == answer["mask"]
    seen = mask_of(answer, (64, 64))
    y, x = np.mgrid[:64, :64]
    assert np.array_equal(seen, np.hypot(x - 30, y - 28) < DISC_RADIUS)
    view = page.do("look")
    assert view["objects"] == [] and not view["undo"]
    page.do("click", x=30, y=28)
    assert np.array_equal(mask_of(page.do("look")["objects"][0], (64, 64)), seen)
    boxed = page.do("box", box=[5, 5, 20, 25], new=True)["objects"][1]
    more = page.ask("preview", x=10, y=10, object=boxed["id"])  # with what was said of the object
    assert np.array_equal(mask_of(more, (64, 64)), mask_of(boxed, (64, 64)))
    assert not page.ask("preview", x=10, y=10, slice=4)["ok"] and not page.ask("preview", x="a", y=1)["ok"]


def test_a_model_without_clicks_has_no_preview():
    page = Page(desk_with(OneModel(Predictor(FakeBackend(64, prompts=("box",)), "off"))))
    page.upload(("a.png", png_of(np.zeros((64, 64), np.uint8))))
    assert page.ask("preview", x=30, y=28)["mask"] is None


def test_a_lasso_adds_and_cuts_exactly_what_lies_inside(page):
    triangle = [[10.2, 10.2], [50.2, 10.2], [10.2, 50.2]]
    (item,) = page.do("paint", polygon=triangle, add=True)["objects"]
    mask = mask_of(item, (64, 64))
    y, x = np.mgrid[:64, :64]
    assert np.array_equal(mask, (x >= 10.2) & (y >= 10.2) & (x + y < 60.4))
    cut = [[0, 0], [63, 0], [63, 20.5], [0, 20.5]]
    (item,) = page.do("paint", polygon=cut, add=False)["objects"]
    assert np.array_equal(mask_of(item, (64, 64)), mask & (y > 20.5))
    assert not page.ask("paint", polygon=[[1, 1], [2, 2]], add=True)["ok"]
    assert mask_of(page.do("undo")["objects"][0], (64, 64)).sum() == mask.sum()


def test_pixels_inside_an_outline_are_those_of_the_even_odd_rule():
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:30, :40]
    for corners in (3, 5, 9):
        outline = rng.uniform(-8, 48, (corners, 2))
        inside = np.zeros((30, 40), bool)
        for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        assert np.array_equal(enclosed(outline, (30, 40)), inside)
