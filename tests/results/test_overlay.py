"""Overlays: which pixels change, and to what; nothing else does."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from lite_medsam.results.overlay import PALETTE, draw_masks, draw_prompts, line_width


def grey_image(height=40, width=50):
    return np.arange(height * width).reshape(height, width).astype(np.uint8)


def prompt(box=None, points=(), point_labels=()):
    points, point_labels = np.array(points).reshape(-1, 2), np.array(point_labels)
    return SimpleNamespace(box=box, points=points, point_labels=point_labels)


def test_background_is_untouched_and_objects_are_blended():
    image, labels = grey_image(), np.zeros((40, 50), np.uint8)
    labels[10:20, 10:30] = 2
    out = draw_masks(image, labels, opacity=0.25, contours=False)
    assert out.shape == (40, 50, 3) and out.dtype == np.uint8
    assert np.array_equal(out[labels == 0], np.repeat(image[labels == 0][:, None], 3, axis=1))
    expected = 0.75 * image[10:20, 10:30, None] + 0.25 * PALETTE[1].astype(float)
    assert np.abs(out[10:20, 10:30] - expected).max() <= 0.5 + 1e-6


def test_contour_is_plain_colour_inside_the_object():
    labels = np.zeros((40, 50), np.uint16)
    labels[10:20, 10:30] = 1
    labels[12:18, 12:28] = 300  # an object inside another: both rims are drawn
    out = draw_masks(grey_image(), labels, opacity=0)
    rim = (out == PALETTE[0]).all(-1)
    expected = labels == 1
    expected[11:19, 11:29] = False
    expected[11, 12:28] = expected[18, 12:28] = expected[12:18, 11] = expected[12:18, 28] = True
    assert np.array_equal(rim, expected)
    inner = (out == PALETTE[299 % 7]).all(-1)
    assert inner.sum() == 2 * 16 + 2 * 4 and inner[12, 12] and not inner[13, 13]


def test_contour_is_as_thick_as_a_line():
    labels = np.zeros((60, 1500), np.uint8)
    labels[10:40, 10:1400] = 1
    out = draw_masks(np.zeros((60, 1500), np.uint8), labels, opacity=0)
    assert line_width(labels.shape) == 3
    assert np.flatnonzero(out[:, 700].any(-1)).tolist() == [10, 11, 12, 37, 38, 39]
    assert np.flatnonzero(out[25].any(-1)).tolist() == [10, 11, 12, 1397, 1398, 1399]


def test_an_object_cut_off_by_the_image_has_no_line_there():
    labels = np.zeros((40, 50), np.uint8)
    labels[:5] = 1
    out = draw_masks(np.zeros((40, 50), np.uint8), labels, opacity=0)
    assert np.array_equal(np.flatnonzero(out.any((1, 2))), [4])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
def test_label_types_and_cycling_colours(dtype):
    labels = np.zeros((40, 50), dtype)
    labels[5:10, 5:10], labels[20:25, 5:10] = 1, 8
    out = draw_masks(grey_image(), labels, opacity=1)
    assert (out[5:10, 5:10] == PALETTE[0]).all() and (out[20:25, 5:10] == PALETTE[0]).all()


def test_stack_equals_label_map_where_nothing_overlaps():
    labels = np.zeros((40, 50), np.uint8)
    labels[5:15, 5:15], labels[15:20, 5:15], labels[30:, 40:] = 1, 2, 3
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    stack = np.stack([labels == value for value in (1, 2, 3)])
    assert np.array_equal(draw_masks(image, stack), draw_masks(image, labels))


def test_overlapping_masks_mix():
    stack = np.ones((2, 4, 4), bool)
    out = draw_masks(np.zeros((4, 4), np.uint8), stack, opacity=0.5, contours=False)
    assert np.abs(out[0, 0] - (0.25 * PALETTE[0] + 0.5 * PALETTE[1])).max() <= 1


def test_many_rows_are_painted_in_strips_without_seams():
    labels = np.zeros((700, 30), np.uint8)
    labels[3:690, 5:25] = 1
    out = draw_masks(np.full((700, 30), 100, np.uint8), labels, opacity=0.5, contours=False)
    assert len(np.unique(out[3:690, 5:25].reshape(-1, 3), axis=0)) == 1
    assert (out[690:] == 100).all()


def test_input_is_not_changed():
    image, labels = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50), np.uint8)
    draw_masks(image, labels)
    draw_prompts(image, [prompt((1, 1, 20, 20), [(5, 5)], [1])])
    assert not image.any()


def test_a_large_image_needs_little_more_than_the_result():
    image, labels = np.zeros((1726, 2604, 3), np.uint8), np.zeros((1726, 2604), np.uint8)
    labels[100:1700, 100:2500] = 1
    tracemalloc.start()
    draw_masks(image, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * image.nbytes  # a float copy alone would be 4


def test_no_masks_at_all():
    image = grey_image()
    plain = np.repeat(image[:, :, None], 3, axis=2)
    assert np.array_equal(draw_masks(image, np.zeros((0, 40, 50), bool)), plain)
    assert np.array_equal(draw_masks(image, np.zeros((40, 50), np.uint8)), plain)
    assert np.array_equal(draw_prompts(image, []), plain)


def test_line_width_follows_the_image():
    assert [line_width(hw) for hw in [(1, 1), (256, 300), (600, 1024), (1726, 2604)]] == [1, 1, 2, 5]


def test_box_runs_through_its_first_and_last_pixels():
    out = draw_prompts(np.zeros((40, 50), np.uint8), [(10, 5, 30, 25)])
    for y, x in [(5, 10), (5, 30), (25, 10), (25, 30), (15, 10), (25, 20)]:
        assert (out[y, x] == PALETTE[0]).all()
    assert not out[15, 20].any() and not out[15, 33].any()
    assert np.array_equal(out, draw_prompts(np.zeros((40, 50), np.uint8), [prompt((10.2, 4.6, 29.8, 25.4))]))


def test_points_of_two_kinds_look_different():
    canvas = np.full((40, 50), 90, np.uint8)
    positive = draw_prompts(canvas, [prompt(points=[(20, 20)], point_labels=[1])])
    negative = draw_prompts(canvas, [prompt(points=[(20, 20)], point_labels=[0])])
    assert (positive == PALETTE[0]).all(-1).any()  # the object's colour
    assert not (negative == PALETTE[0]).all(-1).any()
    assert (negative[20, 20] == 255).all() and (positive[20, 20] == 0).all()
    changed = (positive != 90).any(-1)
    assert changed.any() and not changed[:10].any() and not changed[:, 40:].any()


def test_prompts_outside_the_image_are_cut_off():
    image = np.zeros((40, 50), np.uint8)
    points = [(-80, 5), (1e9, 5), (5, 400)]
    out = draw_prompts(image, [prompt((-1e12, -5, 1e12, 20), points, [1, 0, 1])])
    assert (out[20] == PALETTE[0]).all() and not out[:15].any()


@pytest.mark.parametrize(
    "image, masks, options, message",
    [
        (np.zeros((4, 4)), np.zeros((4, 4), int), {}, "image must be uint8"),
        (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), int), {}, "image must be uint8"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 5), int), {}, r"got shape \(4, 5\)"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), {}, "label map must hold integers"),
        (np.zeros((4, 4), np.uint8), np.zeros((2, 4, 4), np.uint8), {}, "stack of masks must be bool"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), int), {"opacity": 1.5}, "between 0 and 1, got 1.5"),
    ],
)
def test_bad_input_is_refused(image, masks, options, message):
    with pytest.raises(ValueError, match=message):
        draw_masks(image, masks, **options)


@pytest.mark.parametrize("box", [(1, 2, 3), (1, 2, np.inf, 4)])
def test_bad_boxes_are_refused(box):
    with pytest.raises(ValueError, match="four finite numbers"):
        draw_prompts(np.zeros((9, 9), np.uint8), [box])
