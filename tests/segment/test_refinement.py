import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.model.spec import Zoom
from lite_medsam.prompts.prompt_set import Prompt
from lite_medsam.segment.predictor import Predictor

ASKS = Zoom(refine_scale=1.2)
SIDE = 400  # of the picture; the fake's view has 64
LARGE, SMALL = (30, 45, 349, 364), (100, 100, 129, 129)
BLANK = np.zeros((SIDE, SIDE), np.uint8)


class BrightBackend(FakeBackend):
    """Finds what is bright, as sharply as a view shows it, whatever was prompted."""

    def decode(self, features, coords, labels, previous, has_previous):
        self.decoded.append((coords, labels, previous, has_previous))
        bright = 8 * (features[0] * 0.229 + 0.485 - 0.5)
        return np.repeat(bright, len(coords), 0), np.full((len(coords), 1), 0.9, np.float32)


def ragged_disc():
    """A disc whose border has waves that the first view is too coarse for."""
    y, x = np.mgrid[:SIDE, :SIDE] - np.array((204.0, 190.0))[:, None, None]
    truth = np.hypot(x, y) < 145 + 8 * np.cos(60 * np.arctan2(y, x))
    return truth, np.where(truth, 255, 0).astype(np.uint8)


def views(mode, prompts, image=BLANK, backend=None):
    backend = backend or FakeBackend(zoom=ASKS)
    prediction = Predictor(backend, refine=mode).segment(image, prompts)
    return prediction, sum(len(pixels) for pixels in backend.encoded)


def test_a_second_look_draws_what_the_first_was_too_coarse_for():
    truth, image = ragged_disc()
    wrong = {}
    for mode in ("off", "auto"):
        prediction, _ = views(mode, [LARGE], image, BrightBackend(zoom=ASKS))
        wrong[mode] = np.count_nonzero(prediction.mask(0) ^ truth)
    assert wrong["auto"] < 0.75 * wrong["off"]


def test_small_objects_cost_nothing_unless_all_are_asked_for():
    off, plain = views("off", [SMALL])
    auto, same = views("auto", [SMALL])
    always, more = views("always", [SMALL])
    assert plain == same == 1 < more and not auto.refined and set(always.refined) == {0}
    np.testing.assert_array_equal(auto.mask(0), off.mask(0))


def test_an_object_is_refined_as_it_would_be_alone():
    prompts = [Prompt(box=SMALL), Prompt(box=LARGE), Prompt(box=(20, 20, 320, 300))]
    together, _ = views("auto", prompts)
    assert set(together.refined) == {1, 2}
    for i, prompt in enumerate(prompts):
        alone, _ = views("auto", [prompt])
        np.testing.assert_array_equal(together.mask(i), alone.mask(0))
        assert together.scores[i] == alone.scores[0]


def test_crops_show_their_part_of_the_prompt_and_the_mask_so_far():
    backend = FakeBackend(zoom=ASKS)
    prompt = Prompt(box=LARGE, points=[[40, 60], [200, 200], [345, 360]], point_labels=[1, 1, 0])
    views("auto", [prompt], backend=backend)
    first, *crops = backend.decoded
    assert first[3].tolist() == [0] and len(crops) > 4
    assert all(has_previous.tolist() == [1] for *_, has_previous in crops)
    size = backend.size
    for coords, labels, previous, _ in crops:
        given = labels >= 0
        assert (coords[given] >= -0.5).all() and (coords[given] <= size - 0.5).all()
        assert previous.min() < 0 < previous.max()  # the border runs through each of them
    # the two clicks at opposite ends of the object are never in one crop
    assert {np.count_nonzero((labels == 0) | (labels == 1)) for _, labels, *_ in crops} <= {0, 1, 2}


def test_only_the_surroundings_of_the_border_change():
    prompts = [LARGE]
    (off, _), (auto, _) = views("off", prompts), views("auto", prompts)
    before, after = off.image_logits(0), auto.image_logits(0)
    assert after[204, 190] == before[204, 190] and not np.array_equal(before, after)


def test_all_ways_to_a_mask_agree():
    prediction, _ = views("auto", [LARGE, SMALL])
    mask = prediction.mask(0)
    np.testing.assert_array_equal(prediction.image_logits(0) > prediction.threshold, mask)
    np.testing.assert_array_equal(prediction.masks()[0], mask)
    np.testing.assert_array_equal(prediction.label_map("first") == 1, mask)
    place, inside = prediction.mask_part(0)
    assert place == prediction.place(0) and np.count_nonzero(inside) == np.count_nonzero(mask)
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_the_edge_of_the_picture_is_no_border():
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[:, :150] = 255
    backend = BrightBackend(zoom=ASKS)
    views("always", [(0, 0, 149, SIDE - 1)], image, backend)
    crops = [picture[0] for pixels in backend.encoded for picture in pixels][1:]
    assert crops and all(crop.min() < crop.max() for crop in crops)  # both sides of the border in each


def test_what_has_no_border_or_is_settled_stays():
    settled = np.zeros((SIDE, SIDE), bool)
    settled[50:350, 60:340] = True
    prediction, count = views("always", [Prompt(mask=settled, final=True)])
    assert count == 0 and not prediction.refined
    np.testing.assert_array_equal(prediction.mask(0), settled)
    empty, count = views("always", [LARGE], BLANK, BrightBackend())  # nothing bright
    assert count == 1 and not empty.refined and not empty.mask(0).any()


@pytest.mark.parametrize(
    "without", [{"zoom": Zoom(enabled=False, refine_scale=1.2)}, {"zoom": ASKS, "prompts": ("box",)}]
)
def test_models_that_were_not_trained_for_it_are_left_alone(without):
    prediction, count = views("auto", [LARGE], backend=FakeBackend(**without))
    assert count == 1 and not prediction.refined
    with pytest.raises(ValueError, match="refine must be auto or off for fake"):
        Predictor(FakeBackend(**without), refine="always")


def test_auto_looks_again_only_where_the_spec_asks_for_it():
    for scale, expected in ((0.0, False), (SIDE / 64 + 0.1, False), (SIDE / 64, True)):
        prediction, count = views("auto", [LARGE], backend=FakeBackend(zoom=Zoom(refine_scale=scale)))
        assert (count > 1) is expected and bool(prediction.refined) is expected


@pytest.mark.parametrize("box", [(0, 100, SIDE - 1, 299), (100, 0, 299, SIDE - 1)])
def test_what_runs_through_the_whole_picture_is_left_to_those_who_ask(box):
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[box[1] : box[3] + 1, box[0] : box[2] + 1] = 255
    auto, _ = views("auto", [box], image, BrightBackend(zoom=ASKS))
    always, _ = views("always", [box], image, BrightBackend(zoom=ASKS))
    assert not auto.refined and set(always.refined) == {0}


def test_volumes_are_refined_on_demand_alone():
    for mode, expected in (("auto", "off"), ("off", "off"), ("always", "always")):
        predictor = Predictor(FakeBackend(), "always", refine=mode).for_slices()
        assert (predictor.refine, predictor.zoom) == (expected, "always")


def test_modes_are_named():
    with pytest.raises(ValueError, match="refine must be one of off, auto, always, got 'yes'"):
        Predictor(FakeBackend(), refine="yes")
