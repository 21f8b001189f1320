import numpy as np
import pytest
from fakes import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st

from lite_medsam.errors import CaseError, PromptError
from lite_medsam.model.preprocessing import Frame
from lite_medsam.model.spec import Zoom
from lite_medsam.prompts.prompt_set import Prompt, load_prompts, save_prompts
from lite_medsam.segment.compact_logits import CompactLogits
from lite_medsam.segment.decoding import DECODE_CHUNK
from lite_medsam.segment.encoding import ENCODE_CHUNK
from lite_medsam.segment.predictor import FULL_LOGITS, Predictor


def noise(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def extent(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1], rows[-1]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(30, 400), st.integers(30, 400), st.data(), st.sampled_from(["auto", "off"]), st.sampled_from([64, 128])
)
def test_a_box_comes_back_where_it_was_drawn(height, width, data, zoom, size):
    # the fake fills the box, so the mask's extent tests the whole way there and back, with and without zoom
    x0 = data.draw(st.integers(0, width - 10))
    y0 = data.draw(st.integers(0, height - 10))
    x1 = data.draw(st.integers(x0 + 9, width - 1))
    y1 = data.draw(st.integers(y0 + 9, height - 1))
    prediction = Predictor(FakeBackend(size), zoom).segment(np.zeros((height, width), np.uint8), [[x0, y0, x1, y1]])
    mask = prediction.mask(0)
    frame = prediction.frames[0]
    # half a model pixel: interpolation stops at the outermost pixel centres
    limit = 0.5 * max(frame.width, frame.height) / size + 1
    assert np.abs(np.subtract(extent(mask), (x0, y0, x1, y1))).max() <= limit


def test_one_image_is_encoded_once_for_all_its_prompts():
    backend = FakeBackend()
    predictor = Predictor(backend, zoom="off")
    boxes = [[i, i, i + 20, i + 20] for i in range(DECODE_CHUNK + 3)]
    prediction = predictor.segment(noise(100, 100), boxes)
    assert len(prediction) == len(boxes) and len(backend.encoded) == 1
    assert [len(d[0]) for d in backend.decoded] == [DECODE_CHUNK, 3]


def test_many_prompts_equal_one_by_one():
    predictor = Predictor(FakeBackend())
    image = noise(300, 200)
    prompts = [
        Prompt(box=(10, 10, 40, 60)),
        Prompt(points=[[150, 200]], point_labels=[1]),
        Prompt(box=(5, 100, 190, 290), points=[[50, 150], [20, 120]], point_labels=[1, 0]),
        Prompt(box=(10, 10, 40, 60)),
        *(Prompt(box=(i * 10, 200, i * 10 + 12, 215)) for i in range(ENCODE_CHUNK + 2)),
    ]
    together = predictor.segment(image, prompts)
    for i, prompt in enumerate(prompts):
        alone = predictor.segment(image, [prompt])
        np.testing.assert_array_equal(together.mask(i), alone.mask(0))
        assert together.frames[i] == alone.frames[0]


def test_encode_then_decode_equals_segment_without_zoom():
    predictor = Predictor(FakeBackend(), zoom="off")
    image = noise(90, 140, 3)
    encoded = predictor.encode(image)
    boxes = np.array([[10, 20, 80, 70], [30, 5, 60, 60]])
    np.testing.assert_array_equal(predictor.decode(encoded, boxes).masks(), predictor.segment(image, boxes).masks())


def test_points_and_box_tokens_carry_their_labels_and_padding():
    backend = FakeBackend(zoom=Zoom(minimum_gain=100.0))
    prompts = [
        Prompt(box=(0, 0, 31, 31)),
        Prompt(box=(0, 0, 31, 31), points=[[5, 5], [9, 9]], point_labels=[1, 0]),
        Prompt(points=[[63, 0]], point_labels=[1], mask=np.eye(64, dtype=bool)),
    ]
    Predictor(backend).segment(noise(64, 64), prompts)
    # a box alone never shares a call with prompts of more tokens: padding would change its answer
    (_, box_labels, _, _), (coords, labels, previous, has_previous) = backend.decoded
    np.testing.assert_array_equal(box_labels, [[2, 3]])
    np.testing.assert_array_equal(labels, [[2, 3, 1, 0, -1], [1, -1, -1, -1, -1]])
    np.testing.assert_allclose(coords[0, :4], [[-0.5, -0.5], [31.5, 31.5], [5, 5], [9, 9]])
    np.testing.assert_array_equal(has_previous, [0, 1])
    assert (previous[1, 0][np.eye(64, dtype=bool)] == 6).all() and previous[1, 0, 0, 1] == -6


def test_background_clicks_outside_a_crop_are_left_out():
    backend = FakeBackend()
    prompt = Prompt(box=(100, 100, 120, 120), points=[[110, 110], [105, 101], [400, 400]], point_labels=[1, 0, 0])
    Predictor(backend).segment(noise(500, 500), [prompt])
    np.testing.assert_array_equal(backend.decoded[0][1], [[2, 3, 1, 0, -1]])


def test_a_previous_mask_alone_is_zoomed_to_where_it_is():
    backend = FakeBackend()
    mask = np.zeros((400, 400), bool)
    mask[100:120, 200:230] = True
    prediction = Predictor(backend).segment(noise(400, 400), [Prompt(points=[[210, 110]], point_labels=[1], mask=mask)])
    frame = prediction.frames[0]
    assert 48 <= frame.width <= 53 and frame.x0 <= 200 and frame.x0 + frame.width >= 230


def test_the_zoom_window_grows_with_clicks_outside_the_box():
    prompt = Prompt(box=(100, 100, 120, 120), points=[[180, 110]], point_labels=[1])
    frame = Predictor(FakeBackend()).segment(noise(500, 500), [prompt]).frames[0]
    assert frame.x0 <= 100 and frame.x0 + frame.width > 180


def test_overlap_policies():
    image = noise(64, 64)
    prediction = Predictor(FakeBackend(), zoom="off").segment(image, [[0, 0, 39, 39], [20, 20, 63, 63]])
    first, last, best = (prediction.label_map(name) for name in ("first", "last", "best"))
    assert first[30, 30] == 1 and last[30, 30] == 2
    # the fake's logit is the distance to the edge: each object wins the overlap on its own side of the middle
    assert best[22, 22] == 1 and best[37, 37] == 2
    assert first[50, 50] == last[50, 50] == best[50, 50] == 2 and best[5, 5] == 1 and best[5, 60] == 0
    np.testing.assert_array_equal(prediction.masks().any(0), best > 0)
    with pytest.raises(ValueError, match="best, first, last"):
        prediction.label_map("stack")


def test_more_than_255_objects_do_not_wrap():
    boxes = [[x, y, x + 8, y + 8] for y in range(0, 200, 10) for x in range(0, 200, 10)]
    labels = Predictor(FakeBackend(), zoom="off").segment(noise(210, 210), boxes).label_map()
    assert labels.dtype == np.uint16 and labels.max() == len(boxes) == 400
    assert labels[5, 5] == 1 and labels[195, 195] == 400


def test_image_logits_fit_a_previous_mask_and_are_low_outside_the_crop():
    predictor = Predictor(FakeBackend())
    image = noise(300, 300)
    prediction = predictor.segment(image, [[100, 100, 130, 130]])
    logits = prediction.image_logits(0)
    assert logits.shape == (300, 300) and logits[0, 0] < 0
    np.testing.assert_array_equal(logits > 0, prediction.mask(0))
    again = predictor.segment(image, [Prompt(box=(100, 100, 130, 130), mask=logits)])
    assert again.frames == prediction.frames


def test_a_prompt_kind_that_the_weights_do_not_know_is_refused():
    predictor = Predictor(FakeBackend(prompts=("box",)))
    with pytest.raises(PromptError, match="trained on"):
        predictor.segment(noise(50, 50), [Prompt(points=[[5, 5]], point_labels=[1])])
    with pytest.raises(PromptError, match="mask"):
        predictor.segment(noise(50, 50), [Prompt(box=(1, 1, 9, 9), mask=np.zeros((50, 50), bool))])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5)),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5), np.uint8),
        np.zeros((2, 5, 5, 3), np.uint8),
        [[1, 2], [3, 4]],
    ],
)
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(CaseError, match="image must be"):
        Predictor(FakeBackend()).segment(image, [[0, 0, 1, 1]])


def test_no_prompts_give_an_empty_prediction():
    prediction = Predictor(FakeBackend()).segment(noise(20, 30), [])
    assert len(prediction) == 0 and prediction.masks().shape == (0, 20, 30) and not prediction.label_map().any()


def test_unknown_zoom_mode():
    with pytest.raises(ValueError, match="auto, off, always"):
        Predictor(FakeBackend(), zoom="on")


def test_frame_of_an_encoded_window():
    predictor = Predictor(FakeBackend())
    encoded = predictor.encode(noise(100, 100), Frame(10, 20, 50, 40, 64))
    mask = predictor.decode(encoded, [[20, 30, 39, 49]]).mask(0)
    assert np.abs(np.subtract(extent(mask), (20, 30, 39, 49))).max() <= 1


class SmallDisc(FakeBackend):
    """Finds a disc of 3 % of the frame around a click, whatever the frame shows."""

    def _answer(self, coords, labels):
        if (labels == 2).any():
            return super()._answer(coords, labels)
        y, x = np.mgrid[: self.size, : self.size]
        cx, cy = coords[labels == 1][0]
        return 0.03 * self.size - np.hypot(x - cx, y - cy)


def encodes(backend):
    return sum(len(pixels) for pixels in backend.encoded)


def test_a_click_is_followed_by_a_look_from_a_crop_around_what_it_found():
    backend = SmallDisc()
    click = Prompt(points=[[400, 300]], point_labels=[1])
    prediction = Predictor(backend).segment(noise(640, 640), [click])
    frame = prediction.frames[0]
    assert encodes(backend) == 2 and frame.width < 100
    assert abs(frame.x0 + frame.width / 2 - 400) < 10 and abs(frame.y0 + frame.height / 2 - 300) < 10
    assert 1 <= np.sqrt(prediction.mask(0).sum() / np.pi) <= 3  # 3 % of the crop of 62 px, no longer of the image
    # the second look has the click alone, in the middle of the crop
    coords, labels, _, has_previous = backend.decoded[1]
    np.testing.assert_array_equal(labels, [[1, -1, -1, -1, -1]])
    assert not has_previous.any() and np.abs(coords[0, 0] - 31.5).max() < 4


def test_only_what_was_found_small_is_looked_at_again():
    click = Prompt(points=[[300, 300]], point_labels=[1])
    for backend in (FakeBackend(), SmallDisc(zoom=Zoom(chain_gain=1000.0)), SmallDisc(zoom=Zoom(enabled=False))):
        assert Predictor(backend).segment(noise(640, 640), [click]).frames[0].width == 640
        assert encodes(backend) == 1
    off = SmallDisc()
    Predictor(off, zoom="off").segment(noise(640, 640), [click])
    assert encodes(off) == 1
    always = SmallDisc(zoom=Zoom(chain_gain=1000.0))
    assert Predictor(always, zoom="always").segment(noise(640, 640), [click]).frames[0].width < 640


def test_clicks_and_boxes_in_one_call_keep_their_places():
    backend = SmallDisc()
    prompts = [
        Prompt(box=(10, 10, 600, 600), name="large"),
        Prompt(points=[[400, 300]], point_labels=[1], name="click"),
        Prompt(box=(500, 20, 530, 60), name="small"),
        Prompt(points=[[100, 500], [300, 300]], point_labels=[1, 0], name="other click"),
    ]
    together = Predictor(backend).segment(noise(640, 640), prompts)
    assert together.names == ("large", "click", "small", "other click")
    for i, prompt in enumerate(prompts):
        alone = Predictor(SmallDisc()).segment(noise(640, 640), [prompt])
        np.testing.assert_array_equal(alone.mask(0), together.mask(i))
        assert alone.frames[0] == together.frames[i]


def nuclei():
    return [[x, y, x + 29, y + 29] for y in range(8, 470, 57) for x in range(8, 470, 57)]


def test_64_nuclei_cost_a_few_encodes_and_come_back_in_any_order():
    backend = FakeBackend(128)
    image, boxes = noise(512, 512), nuclei()
    prediction = Predictor(backend).segment(image, boxes)
    assert len(boxes) == 81 and encodes(backend) == len(set(prediction.frames)) <= 16
    for i, box in enumerate(boxes):
        assert np.abs(np.subtract(extent(prediction.mask(i)), box)).max() <= 2
    order = np.random.default_rng(0).permutation(len(boxes))
    shuffled = Predictor(FakeBackend(128)).segment(image, [boxes[i] for i in order])
    for place, i in enumerate(order):
        np.testing.assert_array_equal(shuffled.mask(place), prediction.mask(i))


def test_always_means_a_crop_of_its_own_for_every_object():
    backend = FakeBackend(128)
    image, boxes = noise(512, 512), nuclei()
    prediction = Predictor(backend, zoom="always").segment(image, boxes)
    assert encodes(backend) == len(set(prediction.frames)) == len(boxes)
    one = Predictor(FakeBackend(128), zoom="always").segment(image, boxes[17:18])
    np.testing.assert_array_equal(one.mask(0), prediction.mask(17))
    # an object that fills the image is still seen whole: a crop would lose its surroundings
    assert Predictor(backend, zoom="always").segment(image, [[5, 5, 500, 500]]).frames[0].width == 512
    off = Predictor(FakeBackend(128), zoom="off").segment(image, boxes)
    assert {frame.width for frame in off.frames} == {512}


def test_always_is_refused_by_a_model_that_was_not_trained_on_crops():
    with pytest.raises(ValueError, match="auto or off"):
        Predictor(FakeBackend(zoom=Zoom(enabled=False)), zoom="always")


def test_the_logits_of_many_objects_take_little_memory():
    image, boxes = noise(512, 512), nuclei()
    many = Predictor(FakeBackend(128), zoom="off").segment(image, boxes)
    assert len(boxes) > FULL_LOGITS and isinstance(many.logits, CompactLogits)
    assert many.logits.nbytes < 0.1 * len(boxes) * 128 * 128 * 4
    few = Predictor(FakeBackend(128), zoom="off").segment(image, boxes[:FULL_LOGITS])
    assert isinstance(few.logits, np.ndarray)
    np.testing.assert_array_equal(few.masks(), many.masks()[:FULL_LOGITS])


def test_a_final_mask_is_the_answer_and_wins_where_objects_overlap(tmp_path):
    backend = FakeBackend(prompts=("box",))  # a final mask asks nothing of the model, so any model takes it
    predictor = Predictor(backend)
    painted = np.zeros((90, 120), bool)
    painted[10, 20] = painted[40:60, 30:50] = True
    final = Prompt(points=[[1, 1]], point_labels=[0], mask=painted, name="by hand", final=True)
    box = Prompt(box=(20, 30, 80, 80))
    prediction = predictor.segment(noise(90, 120), [box, final])
    assert np.array_equal(prediction.mask(1), painted) and np.array_equal(prediction.masks()[1], painted)
    assert np.isnan(prediction.scores[1]) and prediction.scores[0] > 0
    assert np.array_equal(prediction.label_map() == 2, painted)
    assert np.array_equal(prediction.mask(0), predictor.segment(noise(90, 120), [box]).mask(0))
    assert np.array_equal(prediction.image_logits(1) > 0, painted)
    decoded = predictor.decode(predictor.encode(noise(90, 120)), [final, box])
    assert np.array_equal(decoded.mask(0), painted) and decoded.mask(1).any()
    save_prompts(tmp_path / "p.json", [final])
    again = load_prompts(tmp_path / "p.json")[0]
    assert again.final and np.array_equal(again.mask, painted)
    count = len(backend.encoded)
    predictor.segment(noise(90, 120), [final])
    assert len(backend.encoded) == count  # nothing to ask
    with pytest.raises(PromptError, match="final prompt must have a mask"):
        Prompt(box=(1, 1, 2, 2), final=True)
