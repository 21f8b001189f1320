import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.model.preprocessing import (
    Frame,
    boxes_to_image,
    boxes_to_model,
    intensity_range,
    logits_to_window,
    mask_to_model,
    points_to_image,
    points_to_model,
    resample,
    to_model,
)
from lite_medsam.model.spec import Preprocessing

sides = st.integers(1, 700)
sizes = st.sampled_from([32, 256, 512])
coordinates = st.floats(-50, 800, allow_nan=False)


@st.composite
def frames(draw):
    width, height = draw(sides), draw(sides)
    return Frame(draw(st.integers(0, 90)), draw(st.integers(0, 90)), width, height, draw(sizes))


@given(frames())
def test_the_longest_side_fills_the_frame_and_no_side_vanishes(frame):
    scaled_h, scaled_w = frame.scaled_hw
    assert max(scaled_h, scaled_w) == frame.size
    assert min(scaled_h, scaled_w) >= 1
    for scaled, side in ((scaled_h, frame.height), (scaled_w, frame.width)):
        exact = side * frame.size / max(frame.width, frame.height)
        assert abs(scaled - exact) <= 0.5 or (scaled == 1 and exact < 1)


@given(frames(), st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5))
def test_points_come_back_exactly(frame, points):
    there = points_to_model(points, frame)
    limit = 1e-4 * max(frame.width, frame.height)  # float32 in the model frame
    assert np.abs(points_to_image(there, frame) - points).max() <= max(limit, 1e-3)


@given(frames(), st.tuples(coordinates, coordinates, coordinates, coordinates))
def test_boxes_come_back_exactly_and_are_not_truncated(frame, box):
    there = boxes_to_model(box, frame)
    assert there.dtype == np.float32
    limit = 1e-4 * max(frame.width, frame.height)
    assert np.abs(boxes_to_image(there, frame) - box).max() <= max(limit, 1e-3)


@given(frames())
def test_the_box_of_the_whole_window_spans_exactly_the_scaled_window(frame):
    box = (frame.x0, frame.y0, frame.x0 + frame.width - 1, frame.y0 + frame.height - 1)
    scaled_h, scaled_w = frame.scaled_hw
    edges = boxes_to_model(box, frame) + 0.5
    np.testing.assert_allclose(edges, (0, 0, scaled_w, scaled_h), atol=1e-3)


def test_no_resize_shrinks_a_box():
    # the reference made [127, 127, 128, 128] of this box, whose exact place is 127.75 .. 128.5
    frame = Frame.whole((1024, 1024), 256)
    edges = boxes_to_model((511, 511, 514, 514), frame) + 0.5
    np.testing.assert_allclose(edges, (127.75, 127.75, 128.75, 128.75))


def test_a_pixel_centre_stays_the_centre():
    frame = Frame.whole((100, 200), 256)
    np.testing.assert_allclose(points_to_model([(99.5, 49.5)], frame), [(127.5, 63.5)])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 700), (37, 53, 3), (600, 401), (256, 256, 3)])
def test_every_shape_becomes_model_input(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = to_model(image, Frame.whole(shape[:2], 256), Preprocessing())
    assert pixels.shape == (3, 256, 256) and pixels.dtype == np.float32 and np.isfinite(pixels).all()


def test_values_are_stretched_to_the_images_own_range_then_standardised():
    image = np.array([[10, 60], [110, 210]], np.uint8)
    settings_ = Preprocessing(image_size=32, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    pixels = to_model(image, Frame.whole((2, 2), 32), settings_)
    # corners of the enlarged image keep the corner values
    np.testing.assert_allclose(pixels[:, 0, 0], [-1.0, -0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(pixels[:, -1, -1], [1.0, 0.75, 0.5], atol=1e-6)


def test_colour_channels_share_one_range_and_keep_their_order():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0], image[..., 2] = 200, 100
    pixels = to_model(image, Frame.whole((4, 4), 32), Preprocessing(32, (0, 0, 0), (1, 1, 1)))
    np.testing.assert_allclose(pixels[:, 5, 5], [1.0, 0.0, 0.5], atol=1e-6)


def test_padding_has_the_mean_colour():
    image = np.full((10, 20), 7, np.uint8)
    pixels = to_model(image, Frame.whole((10, 20), 64), Preprocessing())
    assert (pixels[:, 32:] == 0).all() and (pixels[:, :32] != 0).all()


def test_a_crop_keeps_the_range_of_the_whole_image():
    image = np.zeros((64, 64), np.uint8)
    image[32:, 32:] = 255
    image[:8, :8] = 100
    frame = Frame(0, 0, 16, 16, 32)
    pixels = to_model(image, frame, Preprocessing(32, (0, 0, 0), (1, 1, 1)), intensity_range(image))
    assert abs(pixels.max() - 100 / 255) < 1e-6


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([32, 256]))
def test_a_mask_survives_the_way_to_the_model_and_back(height, width, size):
    rng = np.random.default_rng(height * 1000 + width)
    mask = np.zeros((height, width), bool)
    y, x = rng.integers(0, height), rng.integers(0, width)
    mask[y : y + max(1, height // 2), x : x + max(1, width // 2)] = True
    frame = Frame.whole((height, width), size)
    back = logits_to_window(mask_to_model(mask, frame) - 0.5, frame) > 0
    assert back.shape == mask.shape
    # only pixels at the rim may change, by the share of a model pixel that the mask covers
    rim = max(1, max(height, width) / size) * 2 * (height + width)
    assert np.count_nonzero(back ^ mask) <= rim


def test_thin_structures_fade_but_never_vanish():
    mask = np.zeros((1000, 1000), bool)
    mask[500] = True
    scaled = mask_to_model(mask, Frame.whole(mask.shape, 250))
    assert scaled.max() > 0.2 and abs(scaled.sum() * 16 - mask.sum()) < 0.1 * mask.sum()


def test_logits_outside_a_crop_are_the_value_asked_for():
    logits = np.ones((10, 20), np.float32)
    scaled = mask_to_model(logits, Frame.whole((10, 20), 40), outside=-6.0)
    assert (scaled[:20] == 1).all() and (scaled[20:] == -6).all()


@pytest.mark.parametrize("shape", [(1726, 2604, 3), (2048, 2048), (1030, 4100), (1031, 2064)])
def test_large_images_shrink_by_areas(shape):
    # against the area average of the whole in double precision, on a picture with detail of a few pixels
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, shape, np.uint8), (0, 0), 2)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    frame = Frame.whole(shape[:2], 256)

    def areas(length: int, target: int) -> np.ndarray:
        edges = np.arange(target + 1) * length / target
        start, stop = edges[:-1, None], edges[1:, None]
        pixel = np.arange(length)
        return np.clip(np.minimum(stop, pixel + 1) - np.maximum(start, pixel), 0, 1) * target / length

    rows, columns = (areas(n, t) for n, t in zip(shape[:2], frame.scaled_hw, strict=True))
    exact = np.einsum("ih,hw...,jw->ij...", rows, image.astype(np.float64), columns, optimize=True)
    difference = resample(image, frame) - exact
    assert np.abs(difference).max() <= 4 and np.abs(difference).mean() <= 0.6 and abs(difference.mean()) <= 0.5
