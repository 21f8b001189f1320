from hypothesis import given
from hypothesis import strategies as st

from lite_medsam.spec import Zoom
from lite_medsam.zoom import crop_frame, zoom_frame


@st.composite
def boxes_in_images(draw):
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    x = sorted(draw(st.tuples(st.floats(0, width - 1), st.floats(0, width - 1))))
    y = sorted(draw(st.tuples(st.floats(0, height - 1), st.floats(0, height - 1))))
    return (x[0], y[0], x[1], y[1]), (height, width)


@given(boxes_in_images(), st.floats(1.0, 4.0), st.integers(1, 100))
def test_a_crop_lies_in_the_image_and_holds_the_box(given_, context, minimum):
    box, (height, width) = given_
    frame = crop_frame(box, (height, width), context, minimum, 256)
    assert 0 <= frame.x0 and frame.x0 + frame.width <= width and frame.width >= 1
    assert 0 <= frame.y0 and frame.y0 + frame.height <= height and frame.height >= 1
    # half a pixel of slack: the window starts at a whole pixel
    assert frame.x0 <= box[0] + 1 and box[2] <= frame.x0 + frame.width
    assert frame.y0 <= box[1] + 1 and box[3] <= frame.y0 + frame.height


def test_a_crop_is_a_square_of_the_context_around_the_box():
    frame = crop_frame((100, 200, 149, 219), (1000, 1000), 1.6, 48, 256)
    assert (frame.width, frame.height) == (80, 80)
    assert (frame.x0, frame.y0) == (85, 170)


def test_a_crop_at_the_border_moves_inside():
    frame = crop_frame((0, 0, 49, 49), (400, 400), 2.0, 48, 256)
    assert (frame.x0, frame.y0, frame.width, frame.height) == (0, 0, 100, 100)


def test_a_tiny_box_gets_the_smallest_crop():
    frame = crop_frame((300, 300, 301, 301), (1000, 1000), 1.6, 48, 256)
    assert (frame.width, frame.height) == (48, 48)


def test_an_object_as_large_as_the_image_is_seen_whole():
    assert zoom_frame((0, 0, 90, 90), (100, 100), Zoom(), 256) is None
    assert zoom_frame((10, 10, 80, 80), (100, 100), Zoom(), 256) is None


def test_a_crop_is_made_only_if_it_magnifies_enough():
    box, shape = (100, 100, 199, 199), (320, 320)  # a crop of 160 px would magnify twice
    assert zoom_frame(box, shape, Zoom(minimum_gain=1.9), 256) is not None
    assert zoom_frame(box, shape, Zoom(minimum_gain=2.0), 256) is None


def test_a_wide_strip_is_cut_to_the_image_along_the_short_side():
    frame = zoom_frame((100, 5, 199, 90), (100, 800), Zoom(context=1.6), 256)
    assert (frame.width, frame.height, frame.y0) == (155, 100, 0)  # 160 on the ladder: 800 / 2 ** (19 / 8) = 154.3
