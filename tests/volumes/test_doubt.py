"""One bad slice does not end an object; slices that need a look are marked, and the reasons have words."""

import numpy as np
import pytest
from fakes import FakeBackend

from lite_medsam.model.spec import Zoom
from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.prompts.prompt_set import Prompt, box_from_mask
from lite_medsam.segment.predictor import Predictor
from lite_medsam.volumes.paths import common_share, limits_of_doubt
from lite_medsam.volumes.prediction import SliceMask
from lite_medsam.volumes.propagation import PropagationLimits, VolumeObject, propagate
from lite_medsam.volumes.reasons import EXPECTED, REASONS, in_words


class BrightBackend(FakeBackend):
    """The object is what is bright inside the box."""

    def __init__(self):
        super().__init__(64, zoom=Zoom(enabled=False))

    def decode(self, features, coords, labels, previous, has_previous):
        box, scores = super().decode(features, coords, labels, previous, has_previous)
        bright = np.repeat(features[0], len(coords) // len(features[0]), axis=0) * 8 - 4
        return np.minimum(box, bright), np.full_like(scores, 0.9)


@pytest.fixture
def predictor():
    return Predictor(BrightBackend(), zoom="off")


def square(depth, ground=None):
    """A bright square on every slice, on a ground that may come near to it on some."""
    volume = np.zeros((depth, 64, 64), np.uint8)
    for z, value in (ground or {}).items():
        volume[z] = value
    volume[:, 20:32, 20:32] = 250
    volume[:, -1, -1] = np.arange(depth)  # no slice is the one before once more
    return volume


SEED = {5: Prompt(box=(20, 20, 31, 31))}


def follow(predictor, volume, **limits):
    return propagate(predictor, volume, [VolumeObject(SEED)], limits=PropagationLimits(**limits))


def test_one_bad_slice_does_not_end_the_object(predictor):
    volume = square(12, {8: 200, 2: 200, 1: 200})
    found = follow(predictor, volume)
    assert found.extent(0) == (3, 11) and found.ends[0] == ((3, "contrast"), (11, "end of volume"))
    assert found.weak == ({8: "contrast"},)
    assert found.mask(0)[8].any()  # the doubtful slice is kept, to be looked at
    strict = follow(predictor, volume, patience=0)
    assert strict.extent(0) == (3, 7) and strict.ends[0][1] == (7, "contrast")
    patient = follow(predictor, volume, patience=2)
    assert patient.extent(0) == (0, 11) and sorted(patient.weak[0]) == [1, 2, 8]


def test_what_is_doubtful_at_the_end_is_no_part_of_it(predictor):
    found = follow(predictor, square(12, {11: 200}))
    assert found.extent(0) == (0, 10) and found.ends[0][1] == (10, "contrast") and not found.weak[0]


def test_repetitions_of_a_bad_slice_count_once(predictor):
    once = square(12, {8: 200})
    repeated = propagate(predictor, np.repeat(once, 6, axis=0), [VolumeObject({30: SEED[5]})])
    found = follow(predictor, once)
    assert np.array_equal(repeated.mask(0), np.repeat(found.mask(0), 6, axis=0))
    assert sorted(repeated.weak[0]) == list(range(48, 54)) and repeated.ends[0][1] == (71, "end of volume")


def test_a_slice_near_the_limits_needs_a_look(predictor):
    volume = square(12, {8: 100})
    found = follow(predictor, volume)
    assert found.extent(0) == (0, 11) and found.weak == ({8: "contrast"},)
    assert follow(predictor, volume, doubt=0.0).weak == ({},)
    stricter = limits_of_doubt(PropagationLimits(relative_score=0.6, doubt=0.5))
    assert stricter.relative_score == pytest.approx(0.8)


def test_masks_that_jump_need_a_look():
    def mask(x0):
        return SliceMask(x0, 5, np.full((10, 10), 255, np.uint8), 0.9)

    assert common_share(mask(5), mask(5)) == 1 and common_share(mask(5), mask(9)) == pytest.approx(0.6)
    assert common_share(mask(5), mask(15)) == 0 and common_share(mask(5), mask(40)) == 0
    small = SliceMask(6, 6, np.full((2, 2), 9, np.uint8), 0.9)
    assert common_share(mask(5), small) == common_share(small, mask(5)) == 1


def test_every_slice_repeated_six_times_ends_where_the_volume_does():
    case = make_phantom_volume("ct", 5, (20, 128, 128))
    predictor = Predictor.open()
    seeds, plain, wanted = [], [], []
    for value in (1, 5, 6):
        mask = case.label == value
        seeds.append(VolumeObject({60: Prompt(box=box_from_mask(mask[10]))}))
        plain.append(VolumeObject({10: Prompt(box=box_from_mask(mask[10]))}))
        wanted.append(np.flatnonzero(mask.any((1, 2))))
    found = propagate(predictor, np.repeat(case.image, 6, axis=0), seeds)
    once = propagate(predictor, case.image, plain)
    for i, slices in enumerate(wanted):
        first, last = once.extent(i)
        assert found.extent(i) == (6 * first, 6 * last + 5), (found.ends[i], once.ends[i])
        assert first <= slices[0] + 1 and last >= slices[-1] - 1, once.ends[i]


def test_reasons_have_words():
    assert set(EXPECTED) < set(REASONS) and in_words("contrast") != "contrast" and in_words("other") == "other"
    assert all(isinstance(words, str) for words in REASONS.values())
