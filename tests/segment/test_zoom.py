import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.model.preprocessing import Preprocessing
from lite_medsam.model.spec import Zoom
from lite_medsam.phantoms import make_phantom
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.plan import plan_frames
from lite_medsam.segment.zoom import anchor_box, crop_frame, found_box, is_small, zoom_frame


@st.composite
def boxes_in_images(draw):
    height, width = draw(st.integers(1, 3000)), draw(st.integers(1, 3000))
    x = sorted(draw(st.tuples(st.floats(0, width - 1), st.floats(0, width - 1))))
    y = sorted(draw(st.tuples(st.floats(0, height - 1), st.floats(0, height - 1))))
    return (x[0], y[0], x[1], y[1]), (height, width)


@settings(deadline=None)
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


SETTINGS = Preprocessing()


def side(frame):
    return max(frame.width, frame.height)


def longer(box):
    return max(box[2] - box[0] + 1, box[3] - box[1] + 1)


def grid_of_boxes(count=8, length=36, pitch=64):
    starts = [14 + pitch * i for i in range(count)]
    return [(float(x), float(y), float(x + length - 1), float(y + length - 1)) for y in starts for x in starts]


@settings(deadline=None)
@given(boxes_in_images(), st.floats(1.25, 2.6))
def test_a_zoomed_crop_has_nearly_the_wanted_context_and_holds_the_box(given_, context):
    box, image_hw = given_
    zoom = Zoom(context=context)
    frame = zoom_frame(box, image_hw, zoom, 256)
    if frame is None:
        return
    wanted = max(zoom.minimum_px, context * longer(box))
    assert 0.95 * wanted - 1 <= side(frame) <= 1.1 * wanted + 1 and side(frame) < max(image_hw)
    assert 0 <= frame.x0 and frame.x0 + frame.width <= image_hw[1]
    assert frame.x0 <= box[0] + 0.5 or frame.width == image_hw[1]
    assert frame.x0 + frame.width >= box[2] + 0.5 or frame.width == image_hw[1]
    assert frame.y0 <= box[1] + 0.5 or frame.height == image_hw[0]
    assert frame.y0 + frame.height >= box[3] + 0.5 or frame.height == image_hw[0]


@settings(deadline=None)
@given(st.integers(20, 900), st.integers(0, 60), st.integers(0, 60), st.integers(0, 3))
def test_a_pixel_more_changes_a_crop_by_one_step_at_most(length, x, y, edge):
    box = np.array([x + 30, y + 30, x + 29 + length, y + 29 + length], float)
    grown = box + np.eye(4)[edge] * (1 if edge > 1 else -1)
    before, after = (side(plan_frames([tuple(b)], (1000, 1000), Zoom(), SETTINGS)[0]) for b in (box, grown))
    assert max(before, after) / min(before, after) <= 2 ** (1 / 8) * 1.03


def test_most_boxes_that_differ_by_a_pixel_see_the_same_crop():
    rng = np.random.default_rng(0)
    same = 0
    for _ in range(400):
        length, x, y = rng.integers(30, 200), *rng.integers(50, 700, 2)
        box = (float(x), float(y), float(x + length), float(y + length))
        grown = (box[0], box[1], box[2] + 1, box[3])
        same += zoom_frame(box, (1000, 1000), Zoom(), 256) == zoom_frame(grown, (1000, 1000), Zoom(), 256)
    assert same > 300  # of rounding to single pixels, none of the sides and about half of the places stay


def test_just_before_the_whole_image_a_crop_shows_nearly_all_of_it():
    sides = [plan_frames([(50, 50, 50 + n, 50 + n)], (1000, 1000), Zoom(), SETTINGS)[0].width for n in range(400, 700)]
    assert sides == sorted(sides) and sides[-1] == 1000
    assert max(s for s in sides if s < 1000) > 900


def test_64_nuclei_need_a_few_crops():
    boxes = grid_of_boxes()
    frames = plan_frames(boxes, (512, 512), Zoom(), SETTINGS)
    assert len(set(frames)) <= 9  # 3 x 3 of them fit 6 times 36 px with 0.3 x 36 px around each
    assert len(set(plan_frames(boxes, (512, 512), Zoom(), SETTINGS, share=False))) == 64


@pytest.mark.parametrize("seed", range(4))
def test_phantom_nuclei_share_within_the_bounds(seed):
    case = make_phantom("microscopy", seed)
    boxes = [tuple(map(float, box)) for box in case.boxes]
    frames = plan_frames(boxes, (512, 512), Zoom(), SETTINGS)
    assert len(set(frames)) <= len(boxes) / 3
    for box, frame in zip(boxes, frames, strict=True):
        middle = np.add(box[:2], box[2:]) / 2 + 0.5
        reach = 0.8 * longer(box)  # half of the context of 1.6
        low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach, 512)
        if frame != zoom_frame(box, (512, 512), Zoom(), 256):
            assert side(frame) <= 6 * longer(box) + 1
            assert (low >= (frame.x0 - 1, frame.y0 - 1)).all()
            assert (high <= (frame.x0 + frame.width + 1, frame.y0 + frame.height + 1)).all()
        assert 0 <= frame.x0 and frame.x0 + frame.width <= 512 and 0 <= frame.y0 and frame.y0 + frame.height <= 512


@given(st.integers(0, 10_000), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_the_plan_does_not_depend_on_the_order(seed, count):
    rng = np.random.default_rng(seed)
    corner, sides = rng.integers(0, 350, (count, 2)), rng.integers(5, 60, (count, 2))
    boxes = [tuple(map(float, (*c, *(c + s)))) for c, s in zip(corner, sides, strict=True)]
    boxes.append(boxes[0])
    plan = plan_frames(boxes, (400, 410), Zoom(own_crops=2), SETTINGS)
    order = rng.permutation(len(boxes))
    assert plan_frames([boxes[i] for i in order], (400, 410), Zoom(own_crops=2), SETTINGS) == [plan[i] for i in order]
    assert plan[0] == plan[-1]


def test_few_objects_see_what_they_would_see_alone():
    boxes = grid_of_boxes()[:8]
    together = plan_frames(boxes, (512, 512), Zoom(), SETTINGS)
    assert together == [plan_frames([box], (512, 512), Zoom(), SETTINGS)[0] for box in boxes]
    assert len(set(plan_frames(boxes, (512, 512), Zoom(own_crops=7), SETTINGS))) <= 7


def test_the_context_grows_no_more_than_needed():
    boxes = grid_of_boxes()
    counts = [len(set(plan_frames(boxes, (512, 512), Zoom(own_crops=n), SETTINGS))) for n in (8, 16, 40, 64)]
    assert counts == sorted(counts) and counts[-1] == 64 and counts[1] <= 16
    assert len(set(plan_frames(boxes, (512, 512), Zoom(shared_context=1.6), SETTINGS))) == 64  # no sharing at all


def test_large_objects_never_share():
    boxes = [(float(20 * i), 100.0, float(20 * i + 150), 260.0) for i in range(12)]
    assert len(set(plan_frames(boxes, (512, 512), Zoom(own_crops=0), SETTINGS))) > 8
    assert not is_small(boxes[0], (512, 512), Zoom()) and is_small((0, 0, 80, 80), (512, 512), Zoom())


def test_thousands_of_objects_are_planned_in_bounded_crops():
    boxes = [(float(x), float(y), float(x + 19), float(y + 19)) for y in range(0, 2000, 40) for x in range(0, 2000, 40)]
    frames = plan_frames(boxes, (2048, 2048), Zoom(), SETTINGS)
    assert len(boxes) == 2500 and len(set(frames)) < 500


def test_the_box_that_clicks_found_is_that_of_the_part_under_them():
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:9], mask[12:19, 20:28] = True, True
    place = slice(100, 120), slice(200, 230)
    assert found_box((place, mask), Prompt(points=[[204, 103]], point_labels=[1])) == (203, 102, 208, 105)
    # a click beside the mask takes all of it, and is itself inside the box
    assert found_box((place, mask), Prompt(points=[[240, 110]], point_labels=[1])) == (203, 102, 240, 118)
    assert found_box((place, mask & False), Prompt(points=[[204, 103]], point_labels=[1])) is None


def test_where_a_prompt_says_that_its_object_is():
    mask = np.zeros((50, 50), bool)
    mask[10:20, 5:9] = True
    assert anchor_box(Prompt(points=[[3, 4]], point_labels=[1])) is None
    assert anchor_box(Prompt(points=[[3, 4], [40, 40]], point_labels=[1, 0], mask=mask)) == (3, 4, 8, 19)
    assert anchor_box(Prompt(box=(1, 2, 30, 40), mask=mask)) == (1, 2, 30, 40)
