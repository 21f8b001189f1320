"""Masks from a box without a model: exact pixels, borders, fall-backs, repeatability."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.errors import PromptError
from lite_medsam.evaluation.baselines import ThresholdOracle, best_threshold, filled_box, grabcut, inscribed_ellipse
from lite_medsam.evaluation.metrics import dice
from lite_medsam.prompts.prompt_set import Prompt

BAD_BOXES = [
    ((1, 2, 3), "four finite numbers"),
    ((1, 2, np.nan, 4), "four finite numbers"),
    ((5, 2, 3, 4), "swap the corners"),
    ((2, 5, 3, 4), "swap the corners"),
    ((40, 2, 50, 4), "overlap the image of 30 x 20"),
    ((2, -9, 4, -1), "overlap the image of 30 x 20"),
]


def bright_disc(height=120, width=160, radius=25, seed=3):
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:height, :width]
    truth = (rows - 60) ** 2 + (columns - 70) ** 2 <= radius**2
    image = np.where(truth, 180, 60) + rng.normal(0, 8, (height, width))
    return image.clip(0, 255).astype(np.uint8), truth, (70 - radius, 60 - radius, 70 + radius, 60 + radius)


def test_last_pixel_is_inside():
    mask = filled_box((20, 30), (3, 5, 7, 5))
    assert mask.sum() == 5 and mask[5, 3:8].all()


def test_fractions_round_to_pixel_centres():
    assert np.array_equal(filled_box((20, 30), (2.6, 5.4, 7.4, 9.6)), filled_box((20, 30), (3, 5, 7, 10)))
    # a half belongs to both neighbours: nothing that touches the box is lost
    assert filled_box((20, 30), (2.5, 4, 2.5, 4)).sum() == 2


def test_box_is_clipped_at_the_image():
    assert np.array_equal(filled_box((20, 30), (-50, -1, 4, 99)), filled_box((20, 30), (0, 0, 4, 19)))


def test_ellipse_touches_all_four_sides_and_is_symmetric():
    mask = inscribed_ellipse((60, 80), (10, 20, 50, 40))
    rows, columns = np.nonzero(mask)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (10, 20, 50, 40)
    inner = mask[20:41, 10:51]
    assert np.array_equal(inner, inner[::-1]) and np.array_equal(inner, inner[:, ::-1])
    assert inner.mean() == pytest.approx(np.pi / 4, abs=0.01)


def test_ellipse_keeps_its_shape_where_the_image_cuts_it_off():
    whole = inscribed_ellipse((60, 80), (30, 20, 50, 40))
    assert np.array_equal(inscribed_ellipse((60, 40), (30, 20, 50, 40)), whole[:, :40])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_ellipse_is_a_non_empty_part_of_the_box(data):
    side = st.floats(-10, 40)
    x0, y0 = data.draw(st.floats(-10, 29)), data.draw(st.floats(-10, 19))
    box = (x0, y0, max(x0, data.draw(side), 0.0), max(y0, data.draw(side), 0.0))
    filled, ellipse = filled_box((20, 30), box), inscribed_ellipse((20, 30), box)
    assert ellipse.any() and not (ellipse & ~filled).any()


@pytest.mark.parametrize("colour", [False, True])
def test_grabcut_finds_a_bright_disc(colour):
    image, truth, box = bright_disc()
    image = np.repeat(image[:, :, None], 3, axis=2) if colour else image
    found = grabcut(image, box)
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.95
    assert not (found & ~filled_box(truth.shape, box)).any()


def test_grabcut_on_a_large_image_works_on_a_shrunk_crop():
    image, truth, box = bright_disc()
    large = np.kron(image, np.ones((12, 12), np.uint8))
    box = tuple(12 * value for value in box[:2]) + tuple(12 * value + 11 for value in box[2:])
    found = grabcut(large, box)
    truth = np.kron(truth, np.ones((12, 12), bool))
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.95


def test_grabcut_repeats_itself_whatever_state_the_generator_is_in():
    image, _, box = bright_disc()
    rng = np.random.default_rng(2)
    # hard: a draw can tip the result
    noisy = (image // 2 + rng.integers(0, 120, image.shape)).astype(np.uint8)
    masks = []
    for state in range(6):
        cv2.setRNGSeed(state)
        masks.append(grabcut(noisy, box))
    assert masks[0].sum() not in (0, filled_box(image.shape, box).sum())
    assert all(np.array_equal(masks[0], mask) for mask in masks)


@pytest.mark.parametrize("box", [(0, 0, 159, 119), (-5, -5, 300, 300), (4, 4, 4, 4), (10, 10, 11, 10)], ids=str)
def test_grabcut_falls_back_to_the_box(box):
    # nothing to find; boxes that fill the image or hold a pixel or two
    image = np.full((120, 160), 77, np.uint8)
    assert np.array_equal(grabcut(image, box), filled_box((120, 160), box))


def test_grabcut_that_collapses_to_a_few_pixels_falls_back_to_the_box():
    # background all over, but for a bright speck of 9 pixels in a box of 1600
    rng = np.random.default_rng(1)
    image = rng.integers(80, 100, (120, 160)).astype(np.uint8)
    image[58:61, 68:71] = 250
    assert np.array_equal(grabcut(image, (50, 40, 89, 79)), filled_box((120, 160), (50, 40, 89, 79)))


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (3, 900)])
def test_grabcut_survives_thin_images(shape):
    image = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    mask = grabcut(image, (0, 0, min(3, shape[1] - 1), min(3, shape[0] - 1)))
    assert mask.shape == shape and mask.any()


@pytest.mark.parametrize("box, message", BAD_BOXES)
def test_bad_boxes_are_refused(box, message):
    image = np.zeros((20, 30), np.uint8)
    for make in (
        lambda: filled_box((20, 30), box),
        lambda: inscribed_ellipse((20, 30), box),
        lambda: grabcut(image, box),
    ):
        with pytest.raises(PromptError, match=message):
            make()


@pytest.mark.parametrize("image", [np.zeros((20, 30)), np.zeros((20, 30, 4), np.uint8), np.zeros(5, np.uint8)])
def test_grabcut_wants_an_8_bit_image(image):
    with pytest.raises(ValueError, match="image must be uint8"):
        grabcut(image, (1, 1, 5, 5))


def test_the_best_threshold_finds_a_drawn_object_of_either_polarity():
    truth = np.zeros((20, 30), bool)
    truth[5:10, 8:16] = True
    for inside, outside in ((200, 90), (30, 90)):
        image = np.where(truth, inside, outside).astype(np.uint8)
        image[0, 0] = inside  # outside the box: not found
        assert np.array_equal(best_threshold(image, (6, 3, 18, 12), truth), truth)
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[truth] = (0, 90, 0)
    assert np.array_equal(best_threshold(colour, (6, 3, 18, 12), truth), truth)


def test_the_best_threshold_by_hand():
    # the object's greys are 5 6 7, one background pixel is 6, one 1: >= 6 has 2 hits of 3 pixels, >= 5 has 3 of 4
    image = np.array([[5, 6, 7, 6, 1]], np.uint8)
    truth = np.array([[True, True, True, False, False]])
    found = best_threshold(image, (0, 0, 4, 0), truth)
    assert found.tolist() == [[True, True, True, True, False]]
    assert dice(truth, found) == pytest.approx(6 / 7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_no_threshold_is_better_than_the_best(seed):
    rng = np.random.default_rng(seed)
    image, truth = rng.integers(0, 8, (9, 11)).astype(np.uint8), rng.random((9, 11)) < 0.4
    truth[0, 0] = True  # outside the box: missed by all
    box = (2, 1, 9, 7)
    inside = filled_box((9, 11), box)
    tried = [dice(truth, inside & mask) for t in range(9) for mask in (image >= t, image <= t)]
    found = best_threshold(image, box, truth)
    assert dice(truth, found) == pytest.approx(max(tried)) and found.any() and not (found & ~inside).any()


def test_a_truth_outside_the_box_leaves_the_box():
    truth = np.zeros((6, 6), bool)
    truth[0, 0] = True
    image = np.arange(36, dtype=np.uint8).reshape(6, 6)
    assert np.array_equal(best_threshold(image, (3, 3, 4, 4), truth), filled_box((6, 6), (3, 3, 4, 4)))
    with pytest.raises(ValueError, match="truth must be"):
        best_threshold(image, (3, 3, 4, 4), truth[:3])


def test_the_oracle_needs_boxes_and_names():
    truth = np.zeros((6, 6), bool)
    truth[2:4, 2:4] = True
    image = np.where(truth, 9, 0).astype(np.uint8)
    oracle = ThresholdOracle({"1": truth})
    found = oracle.segment(image, [Prompt(box=(1, 1, 5, 5), name="1")])
    assert np.array_equal(found.mask(0), truth) and np.isnan(found.scores).all()
    for prompt in (Prompt(box=(1, 1, 5, 5), name="2"), Prompt(points=[[1, 1]], point_labels=[1], name="1")):
        with pytest.raises(PromptError, match="a box and a known name"):
            oracle.segment(image, [prompt])
